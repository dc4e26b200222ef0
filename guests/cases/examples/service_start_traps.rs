//! Host: is never Ready; the exit status is a trap; the panic, with file and line, is in the log.
#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;

use alloc::string::String;
use arje_sdk::{CardInfo, Service, freestanding, service};

struct Case;

impl Service for Case {
    fn start(_card: &CardInfo) -> Result<Self, String> {
        panic!("start panics");
    }
}

freestanding!();
service!(Case);
