//! Host: sets 64 timers and refuses the 65th with `too-many(64)`; a token that is set already may
//! still be moved. The service is Ready only if all that was so.
#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;

use alloc::string::String;
use arje_sdk::timer::{self, TimerError};
use arje_sdk::{CardInfo, Service, Timers, freestanding, service};
use core::time::Duration;

const CAP: u32 = 64;
const LATER: Duration = Duration::from_secs(3600);

struct Case;

impl Service for Case {
    fn start(_card: &CardInfo) -> Result<Self, String> {
        for token in 0..u64::from(CAP) {
            timer::set(LATER, token).map_err(|_| String::from("refused too early"))?;
        }
        for token in u64::from(CAP)..10_000 {
            if timer::set(LATER, token) != Err(TimerError::TooMany(CAP)) {
                return Err(String::from("not refused"));
            }
        }
        timer::set(LATER, 0).map_err(|_| String::from("cannot move a timer"))?;
        Ok(Self)
    }
}

impl Timers for Case {
    fn on_timer(&mut self, _token: u64) {}
}

freestanding!();
service!(Case, timers);
