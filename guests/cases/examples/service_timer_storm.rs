//! Host: calls `on-timer` again at once, for ever, since each call sets a timer of no time; its
//! neighbours are served all the same.
#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;

use alloc::string::String;
use arje_sdk::{CardInfo, Service, Timers, freestanding, service, timer};
use core::time::Duration;

struct Case;

impl Service for Case {
    fn start(_card: &CardInfo) -> Result<Self, String> {
        timer::set(Duration::ZERO, 0).map_err(|_| String::from("refused"))?;
        Ok(Self)
    }
}

impl Timers for Case {
    fn on_timer(&mut self, token: u64) {
        let _ = timer::set(Duration::ZERO, token);
    }
}

freestanding!();
service!(Case, timers);
