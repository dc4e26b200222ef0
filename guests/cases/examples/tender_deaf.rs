//! Host: does not start: it would hear of events, and exports nothing that could be told ("it says why").
#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;

use alloc::string::String;
use arje_sdk::supervisor::{self, SupervisorError};
use arje_sdk::{CardInfo, Service, freestanding, service};

struct Deaf;

impl Service for Deaf {
    fn start(_: &CardInfo) -> Result<Self, String> {
        match supervisor::subscribe(None) {
            Ok(()) => Ok(Self),
            Err(SupervisorError::Unsupported(why)) => Err(why),
            Err(_) => Err("for another reason".into()),
        }
    }
}

freestanding!();
service!(Deaf);
