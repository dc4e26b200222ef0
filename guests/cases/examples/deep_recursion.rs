//! Host: is never Ready; the exit status is a trap (stack overflow), and PID 1 keeps its own stack.
#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;

use alloc::string::String;
use arje_sdk::{CardInfo, Service, freestanding, service};

struct Case;

impl Service for Case {
    fn start(_card: &CardInfo) -> Result<Self, String> {
        if descend(1) == 0 {
            return Err(String::from("came back"));
        }
        Ok(Self)
    }
}

freestanding!();
service!(Case);

/// Never returns in time; the frame is kept small so that the host's limit on the native stack is
/// met before the component's own stack is used up.
#[inline(never)]
fn descend(depth: u64) -> u64 {
    let deeper = core::hint::black_box(depth) + 1;
    if deeper == 0 {
        return 0;
    }
    descend(deeper).wrapping_add(core::hint::black_box(deeper))
}
