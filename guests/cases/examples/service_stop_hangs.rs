//! Host: is Ready; `stop` never returns, so the store is dropped after `stop_timeout_ms`.
#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;

use alloc::string::String;
use arje_sdk::{CardInfo, Service, StopReason, freestanding, service};

struct Case;

impl Service for Case {
    fn start(_card: &CardInfo) -> Result<Self, String> {
        Ok(Self)
    }

    fn stop(self, _reason: StopReason) {
        loop {
            core::hint::black_box(());
        }
    }
}

freestanding!();
service!(Case);
