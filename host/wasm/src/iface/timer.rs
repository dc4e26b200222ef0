//! `arje:ente/timer`: one-shot timers that come back as calls.

use crate::ctx::Ctx;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};
use wasmtime::Result;
use wasmtime::component::{ComponentType, Linker, Lower};

/// The interface's name.
pub(crate) const NAME: &str = "arje:ente/timer@1.0.0";

/// Timers of one component. A service needs a handful; whoever needs more keeps a queue of its
/// own behind one.
const MAX_TIMERS: usize = 64;

/// Farthest time ahead, a hundred years: a larger number means "never" and must not overflow.
const MAX_AHEAD: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

#[derive(ComponentType, Lower, Clone, Copy, Debug, PartialEq, Eq)]
#[component(variant)]
pub(crate) enum TimerError {
    #[component(name = "too-many")]
    TooMany(u32),
    #[component(name = "no-handler")]
    NoHandler,
}

/// The timers of one incarnation.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    has_handler: bool,
    by_token: BTreeMap<u64, Instant>,
    by_time: BTreeSet<(Instant, u64)>,
}

impl Timers {
    pub(crate) fn new(has_handler: bool) -> Timers {
        Timers {
            has_handler,
            ..Timers::default()
        }
    }

    fn set(&mut self, now: Instant, after: Duration, token: u64) -> Result<(), TimerError> {
        if !self.has_handler {
            return Err(TimerError::NoHandler);
        }
        self.cancel(token);
        if self.by_token.len() == MAX_TIMERS {
            return Err(TimerError::TooMany(MAX_TIMERS as u32));
        }
        let at = now + after.min(MAX_AHEAD);
        self.by_token.insert(token, at);
        self.by_time.insert((at, token));
        Ok(())
    }

    fn cancel(&mut self, token: u64) -> bool {
        let Some(at) = self.by_token.remove(&token) else {
            return false;
        };
        self.by_time.remove(&(at, token))
    }

    /// When the next timer is due.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.by_time.first().map(|(at, _)| *at)
    }

    /// Takes out one timer that is due.
    pub(crate) fn take_due(&mut self, now: Instant) -> Option<u64> {
        let (at, token) = *self.by_time.first()?;
        (at <= now).then(|| {
            self.cancel(token);
            token
        })
    }
}

pub(crate) fn add_to_linker(linker: &mut Linker<Ctx>) -> Result<()> {
    let mut timer = linker.instance(NAME)?;
    timer.func_wrap("set", |mut store, (after_ms, token): (u64, u64)| {
        let timers = &mut store.data_mut().timers;
        Ok((timers.set(Instant::now(), Duration::from_millis(after_ms), token),))
    })?;
    timer.func_wrap("cancel", |mut store, (token,): (u64,)| {
        Ok((store.data_mut().timers.cancel(token),))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn due_timers_come_in_order_of_time() {
        let now = Instant::now();
        let mut timers = Timers::new(true);
        timers.set(now, 2 * SECOND, 1).unwrap();
        timers.set(now, SECOND, 2).unwrap();
        assert_eq!(timers.next(), Some(now + SECOND));
        assert_eq!(timers.take_due(now), None);
        assert_eq!(timers.take_due(now + 3 * SECOND), Some(2));
        assert_eq!(timers.take_due(now + 3 * SECOND), Some(1));
        assert_eq!(timers.take_due(now + 3 * SECOND), None);
    }

    #[test]
    fn setting_a_token_again_moves_it() {
        let now = Instant::now();
        let mut timers = Timers::new(true);
        for _ in 0..2 * MAX_TIMERS {
            timers.set(now, SECOND, 7).unwrap();
        }
        timers.set(now, 2 * SECOND, 7).unwrap();
        assert_eq!(timers.take_due(now + SECOND), None);
        assert!(timers.cancel(7));
        assert!(!timers.cancel(7));
        assert_eq!(timers.next(), None);
    }

    #[test]
    fn there_is_a_cap_and_a_handler_is_needed() {
        let now = Instant::now();
        let mut timers = Timers::new(true);
        for token in 0..MAX_TIMERS as u64 {
            timers.set(now, SECOND, token).unwrap();
        }
        assert_eq!(timers.set(now, SECOND, 99), Err(TimerError::TooMany(64)));
        assert_eq!(
            Timers::new(false).set(now, SECOND, 1),
            Err(TimerError::NoHandler)
        );
    }

    #[test]
    fn never_is_a_time() {
        let mut timers = Timers::new(true);
        timers
            .set(Instant::now(), Duration::from_millis(u64::MAX), 1)
            .unwrap();
        assert!(timers.next().is_some());
    }
}
