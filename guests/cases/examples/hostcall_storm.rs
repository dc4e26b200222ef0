//! Host: ends the call at the deadline though every turn enters the host; the log keeps a bounded part and says how many lines it dropped.
#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;

use alloc::string::String;
use arje_sdk::{CardInfo, Service, freestanding, info, service};

struct Case;

impl Service for Case {
    fn start(_card: &CardInfo) -> Result<Self, String> {
        loop {
            info!("storm");
        }
    }
}

freestanding!();
service!(Case);
