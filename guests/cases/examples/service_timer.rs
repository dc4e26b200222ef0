//! Host: calls `on-timer` for token 7 three times, each at least 10 ms after it was set ("due 7"),
//! once for 9, which was moved from an hour to 5 ms ("due 9"), and never for 8, which was cancelled.
#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;

use alloc::string::String;
use arje_sdk::{CardInfo, Service, Timers, clock, freestanding, info, service, timer};
use core::time::Duration;

const EARLIEST: Duration = Duration::from_millis(10);

struct Case {
    set_at: Duration,
    left: u32,
}

fn set(after: Duration, token: u64) -> Result<(), String> {
    timer::set(after, token).map_err(|_| String::from("timer refused"))
}

impl Service for Case {
    fn start(_card: &CardInfo) -> Result<Self, String> {
        let hour = Duration::from_secs(3600);
        set(Duration::from_millis(1), 8)?;
        if !timer::cancel(8) || timer::cancel(8) {
            return Err(String::from("cancel gave a wrong answer"));
        }
        set(hour, 9)?;
        set(Duration::from_millis(5), 9)?;
        let set_at = clock::monotonic();
        set(EARLIEST, 7)?;
        Ok(Self { set_at, left: 3 })
    }
}

impl Timers for Case {
    fn on_timer(&mut self, token: u64) {
        info!("due"; token = token);
        if token != 7 {
            return;
        }
        assert!(clock::monotonic() - self.set_at >= EARLIEST, "too early");
        self.left -= 1;
        if self.left > 0 {
            self.set_at = clock::monotonic();
            if set(EARLIEST, 7).is_err() {
                arje_sdk::error!("timer refused");
            }
        }
    }
}

freestanding!();
service!(Case, timers);
