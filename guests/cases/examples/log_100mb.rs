//! Host: cuts the first line to 16 KiB and says by how much; the second line follows whole. Needs `limits.memory_bytes` of 256 MiB; with less it is the Ente that fails.
#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;

use alloc::string::String;
use arje_sdk::{CardInfo, Level, Service, freestanding, info, service};

struct Case;

impl Service for Case {
    fn start(_card: &CardInfo) -> Result<Self, String> {
        let long = "x".repeat(100_000_000);
        arje_sdk::log(Level::Info, &long, &[]);
        info!("after the long line");
        Ok(Self)
    }
}

freestanding!();
service!(Case);
