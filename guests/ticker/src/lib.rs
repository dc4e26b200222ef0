//! A service on a timer: logs a line (for those who want to see it) every [`PERIOD`], and at the end how many.
#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;

use alloc::string::String;
use arje_sdk::{
    CardInfo, Health, Service, StopReason, Timers, clock, debug, freestanding, info, service, timer,
};
use core::time::Duration;

/// From one tick to the next.
pub const PERIOD: Duration = Duration::from_secs(5);
/// Without a tick for so long, something is wrong.
const ILL_AFTER: Duration = Duration::from_secs(3 * PERIOD.as_secs());
/// The one timer's token.
const TICK: u64 = 0;

/// The service: when it ticked last, and how often.
#[derive(Debug)]
pub struct Ticker {
    ticks: u64,
    last: Duration,
}

impl Ticker {
    fn arm() -> Result<(), String> {
        timer::set(PERIOD, TICK).map_err(|_| String::from("cannot set the timer"))
    }
}

impl Service for Ticker {
    fn start(card: &CardInfo) -> Result<Self, String> {
        Self::arm()?;
        info!("ticking"; label = card.label, period_s = PERIOD.as_secs());
        Ok(Self {
            ticks: 0,
            last: clock::monotonic(),
        })
    }

    fn stop(self, _reason: StopReason) {
        info!("stopped ticking"; ticks = self.ticks);
    }
}

impl Timers for Ticker {
    fn on_timer(&mut self, _token: u64) {
        self.ticks += 1;
        self.last = clock::monotonic();
        debug!("tick"; number = self.ticks);
        if let Err(reason) = Self::arm() {
            arje_sdk::error!("this was the last tick"; reason = reason);
        }
    }
}

impl Health for Ticker {
    /// Ill when two ticks in a row are missing.
    fn health(&mut self) -> Result<(), String> {
        if clock::monotonic().saturating_sub(self.last) > ILL_AFTER {
            return Err(String::from("two ticks are missing"));
        }
        Ok(())
    }
}

freestanding!();
service!(Ticker, timers, health);

#[cfg(test)]
mod tests {
    use super::*;
    use arje_sdk::fake::Host;

    #[test]
    fn ticks_once_per_period() {
        let host = Host::new();
        let mut ticker = Ticker::start(&host.card("t")).unwrap();
        host.advance(&mut ticker, PERIOD * 3);
        assert_eq!(host.messages(), ["ticking", "tick", "tick", "tick"]);
        ticker.stop(StopReason::Requested);
        let said = host.lines();
        assert_eq!(said[4].fields, [("ticks".into(), "3".into())]);
    }

    #[test]
    fn is_ill_without_ticks() {
        let host = Host::new();
        let mut ticker = Ticker::start(&host.card("t")).unwrap();
        assert_eq!(ticker.health(), Ok(()));
        assert!(timer::cancel(TICK));
        host.advance(&mut ticker, PERIOD * 4);
        assert!(ticker.health().is_err());
    }
}
