//! Host: is never Ready; the call is ended at the deadline (`limits.call_ms`), and its neighbours keep their pace.
#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;

use alloc::string::String;
use arje_sdk::{CardInfo, Service, freestanding, service};

struct Case;

impl Service for Case {
    fn start(_card: &CardInfo) -> Result<Self, String> {
        loop {
            core::hint::black_box(());
        }
    }
}

freestanding!();
service!(Case);
