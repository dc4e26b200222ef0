//! Host: refuses growth at `limits.memory_bytes`; the exit status is the error "refused after N pages", or a trap.
#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;

use alloc::string::String;
use arje_sdk::{CardInfo, Service, freestanding, service};

struct Case;

impl Service for Case {
    fn start(_card: &CardInfo) -> Result<Self, String> {
        let refused = grow();
        Err(alloc::format!("refused after {refused} pages"))
    }
}

freestanding!();
service!(Case);

/// Grows page by page and touches each, until the host refuses; how many pages there were then.
#[cfg(target_family = "wasm")]
fn grow() -> usize {
    use core::arch::wasm32::{memory_grow, memory_size};
    const PAGE: usize = 65_536;
    loop {
        let page = memory_grow(0, 1);
        if page == usize::MAX {
            return memory_size(0);
        }
        // SAFETY: the page is new, so nobody else uses it.
        unsafe { ((page * PAGE) as *mut u8).write_volatile(1) };
    }
}

#[cfg(not(target_family = "wasm"))]
fn grow() -> usize {
    0
}
