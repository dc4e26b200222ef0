//! Host: asks `health` every half of `liveness_ms`; the third answer is the error "ill", and the
//! Ente is restarted (stop reason: unhealthy).
#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;

use alloc::string::String;
use arje_sdk::{CardInfo, Health, Service, freestanding, service};

struct Case {
    asked: u32,
}

impl Service for Case {
    fn start(_card: &CardInfo) -> Result<Self, String> {
        Ok(Self { asked: 0 })
    }
}

impl Health for Case {
    fn health(&mut self) -> Result<(), String> {
        self.asked += 1;
        if self.asked < 3 {
            Ok(())
        } else {
            Err(String::from("ill"))
        }
    }
}

freestanding!();
service!(Case, health);
