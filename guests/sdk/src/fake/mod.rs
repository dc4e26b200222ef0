//! A host for native tests: every thread has its own, so tests run side by side.
//!
//! ```no_run
//! # use arje_sdk::{CardInfo, Service, StopReason, Timers, timer, info, fake::Host};
//! # use core::time::Duration;
//! struct Beat(u32);
//! impl Service for Beat {
//!     fn start(_: &CardInfo) -> Result<Self, String> {
//!         timer::set(Duration::from_secs(1), 0).map_err(|e| e.to_string())?;
//!         Ok(Beat(0))
//!     }
//! }
//! impl Timers for Beat {
//!     fn on_timer(&mut self, _token: u64) {
//!         self.0 += 1;
//!         info!("beat {}", self.0);
//!     }
//! }
//!
//! let host = Host::new();
//! let mut beat = Beat::start(&host.card("beat"))?;
//! host.advance(&mut beat, Duration::from_secs(1));
//! assert_eq!(host.messages(), ["beat 1"]);
//! # Ok::<(), String>(())
//! ```
//!
//! It keeps the real host's promises about timers and time. It does not cut log lines and knows
//! nothing of permissions.

pub(crate) mod bus;
pub(crate) mod supervisor;

pub use supervisor::Asked;

use crate::bindings::host::arje::ente::clock::WallTime;
use crate::timer::TimerError;
use crate::{CardInfo, Instance, Level, Timers};
use alloc::{
    borrow::ToOwned,
    collections::BTreeMap,
    string::{String, ToString},
    vec::Vec,
};
use core::cell::RefCell;
use core::time::Duration;

/// How many timers a component may have set: the same cap as the real host's, so that a guest
/// meets it in its tests.
pub const MAX_TIMERS: u32 = 64;

/// A line that was logged.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// How much it matters.
    pub level: Level,
    /// Its text.
    pub message: String,
    /// Its fields, in order.
    pub fields: Vec<(String, String)>,
}

#[derive(Default)]
struct State {
    lines: Vec<Line>,
    now: Duration,
    wall_offset: Duration,
    /// Due time by token.
    timers: BTreeMap<u64, Duration>,
    bus: bus::Bus,
    asked: Vec<Asked>,
}

std::thread_local! {
    static STATE: RefCell<State> = RefCell::default();
}

fn state<R>(f: impl FnOnce(&mut State) -> R) -> R {
    STATE.with_borrow_mut(f)
}

/// The fake host of this thread.
#[derive(Debug)]
pub struct Host(());

impl Host {
    /// A host in its first state: nothing logged, no timers, time zero (1970-01-01T00:00:00Z).
    #[must_use]
    #[expect(
        clippy::new_without_default,
        reason = "it resets the thread's host, which `default()` would not suggest"
    )]
    pub fn new() -> Self {
        state(|s| *s = State::default());
        Self(())
    }

    /// What a component with this label is told when it starts for the first time.
    #[must_use]
    pub fn card(&self, label: &str) -> CardInfo {
        CardInfo {
            id: "01ARZ3NDEKTSV4RRFFQ69G5FAV".to_owned(),
            label: label.to_owned(),
            incarnation: 1,
            lineage: None,
            provides: Vec::new(),
            requires: Vec::new(),
        }
    }

    /// Starts a service and puts it where [`Instance::with`] finds it, so that the functions of a typed
    /// interface can be tested as they are exported.
    ///
    /// # Errors
    /// The service's own.
    pub fn start<T: Instance>(&self, label: &str) -> Result<(), String> {
        T::put(T::start(&self.card(label))?);
        Ok(())
    }

    /// Moves civil time to this much after 1970-01-01T00:00:00Z; monotonic time stays.
    pub fn set_wall(&self, since_epoch: Duration) {
        state(|s| s.wall_offset = since_epoch.saturating_sub(s.now));
    }

    /// Lets time pass, and calls the service for every timer that comes due meanwhile, the
    /// earliest first; timers set by those calls included.
    pub fn advance<T: Timers>(&self, service: &mut T, by: Duration) {
        let until = state(|s| s.now + by);
        while let Some(token) = state(|s| s.next_due(until)) {
            service.on_timer(token);
        }
        state(|s| s.now = until);
    }

    /// Tokens of the timers that are set, ascending.
    #[must_use]
    pub fn timers(&self) -> Vec<u64> {
        state(|s| s.timers.keys().copied().collect())
    }

    /// Everything logged so far.
    #[must_use]
    pub fn lines(&self) -> Vec<Line> {
        state(|s| s.lines.clone())
    }

    /// The texts of everything logged so far.
    #[must_use]
    pub fn messages(&self) -> Vec<String> {
        state(|s| s.lines.iter().map(|l| l.message.to_string()).collect())
    }
}

impl State {
    /// Takes the earliest timer due at `until` or before, and moves the clock to it.
    fn next_due(&mut self, until: Duration) -> Option<u64> {
        let (&token, &due) = self.timers.iter().min_by_key(|&(_, due)| due)?;
        if due > until {
            return None;
        }
        self.timers.remove(&token);
        self.now = due;
        Some(token)
    }
}

/// The functions a component would import.
pub(crate) mod imports {
    use super::*;

    pub(crate) fn log(level: Level, message: &str, fields: &[(String, String)]) {
        let line = Line {
            level,
            message: message.to_owned(),
            fields: fields.to_vec(),
        };
        state(|s| s.lines.push(line));
    }

    pub(crate) fn monotonic() -> u64 {
        u64::try_from(state(|s| s.now).as_nanos()).unwrap_or(u64::MAX)
    }

    pub(crate) fn wall() -> WallTime {
        let now = state(|s| s.wall_offset + s.now);
        WallTime {
            seconds: now.as_secs(),
            nanoseconds: now.subsec_nanos(),
        }
    }

    pub(crate) fn set_timer(after_ms: u64, token: u64) -> Result<(), TimerError> {
        state(|s| {
            let full = s.timers.len() >= MAX_TIMERS as usize;
            if full && !s.timers.contains_key(&token) {
                return Err(TimerError::TooMany(MAX_TIMERS));
            }
            let due = s.now.saturating_add(Duration::from_millis(after_ms));
            s.timers.insert(token, due);
            Ok(())
        })
    }

    pub(crate) fn cancel_timer(token: u64) -> bool {
        state(|s| s.timers.remove(&token).is_some())
    }
}
