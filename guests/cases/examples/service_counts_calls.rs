//! Host: calls `arje:test/calls` (wit/calls.wit) beside `service`; for call tests and benchmarks.
#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;

use alloc::string::String;
use alloc::vec::Vec;
use arje_sdk::{CardInfo, Service, clock, freestanding, service};
use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;

wit_bindgen::generate!({ path: "wit", world: "counts-calls" });

/// Calls of `echo` so far.
static COUNT: AtomicU64 = AtomicU64::new(0);

struct Case;

impl Service for Case {
    fn start(_card: &CardInfo) -> Result<Self, String> {
        Ok(Self)
    }
}

impl exports::arje::test::calls::Guest for Case {
    fn echo(bytes: Vec<u8>) -> Vec<u8> {
        COUNT.fetch_add(1, Ordering::Relaxed);
        bytes
    }

    fn count() -> u64 {
        COUNT.load(Ordering::Relaxed)
    }

    fn spin(ms: u64) {
        let end = clock::monotonic() + Duration::from_millis(ms);
        while clock::monotonic() < end {}
    }
}

freestanding!();
service!(Case);
export!(Case);
