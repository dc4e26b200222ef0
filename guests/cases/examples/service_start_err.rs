//! Host: is never Ready; the exit status is the error "no such thing".
#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;

use alloc::string::String;
use arje_sdk::{CardInfo, Service, freestanding, service};

struct Case;

impl Service for Case {
    fn start(_card: &CardInfo) -> Result<Self, String> {
        Err(String::from("no such thing"))
    }
}

freestanding!();
service!(Case);
