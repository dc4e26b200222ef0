//! Host: a call that traps ends the incarnation; its caller is told that the provider died, and what it said before is kept.
#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;

use alloc::string::String;
use alloc::vec::Vec;
use arje_sdk::{CardInfo, Service, freestanding, info, service};

wit_bindgen::generate!({ path: "wit", world: "counts-calls" });

struct Case;

impl Service for Case {
    fn start(_card: &CardInfo) -> Result<Self, String> {
        Ok(Self)
    }
}

impl exports::arje::test::calls::Guest for Case {
    fn echo(_: Vec<u8>) -> Vec<u8> {
        info!("last words");
        trap()
    }

    fn count() -> u64 {
        trap()
    }

    fn spin(_: u64) {
        trap()
    }
}

/// The instruction, and not a panic, which would print a message.
fn trap() -> ! {
    #[cfg(target_family = "wasm")]
    core::arch::wasm32::unreachable();
    #[cfg(not(target_family = "wasm"))]
    panic!("traps");
}

freestanding!();
service!(Case);
export!(Case);
