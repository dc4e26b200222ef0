//! Host: does not start: it would hear of events, and exports nothing that could be told ("it says why").
#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;

use alloc::format;
use alloc::string::String;
use arje_sdk::{CardInfo, Service, freestanding, service, supervisor};

struct Deaf;

impl Service for Deaf {
    fn start(_: &CardInfo) -> Result<Self, String> {
        match supervisor::subscribe(None) {
            Ok(()) => Ok(Self),
            Err(error) => Err(format!("{error:?}")),
        }
    }
}

freestanding!();
service!(Deaf);
