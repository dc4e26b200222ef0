//! The budgets of one Ente: how much of its output is kept, and how much is shown.
//!
//! Windows of one second instead of a bucket that refills all the time: with a bucket, a flood would
//! get one line in now and then, and the ring would end up with nothing but notes about losses.

use super::Lost;
use crate::console::Quota;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Length of a window.
pub(super) const WINDOW: Duration = Duration::from_secs(1);

/// Bytes kept in one window: four rings full. Whatever prints more pushes its own lines out before
/// anybody could have read them, so keeping them would only cost time.
pub(super) const KEPT: u64 = 256 * 1024;

/// An Ente that prints.
pub(super) struct Talker {
    pub(super) label: Arc<str>,
    /// What of it waits for the console.
    pub(super) quota: Quota,
    /// The incarnation that printed last.
    pub(super) incarnation: u64,
    window: Option<Instant>,
    kept: u64,
    shown: u64,
    /// Not kept in this window.
    pub(super) lost: Lost,
    /// Not shown on the console since the last line about it.
    pub(super) unshown: u64,
    /// Its pipes that are open, the oldest first.
    pub(super) pipes: Vec<u64>,
}

impl Talker {
    pub(super) fn new(label: Arc<str>, quota: Quota) -> Talker {
        Talker {
            label,
            quota,
            incarnation: 0,
            window: None,
            kept: 0,
            shown: 0,
            lost: Lost::default(),
            unshown: 0,
            pipes: Vec::new(),
        }
    }

    /// Begins a new window if the old one is over; returns whether it did.
    pub(super) fn turn(&mut self, now: Instant) -> bool {
        let over = self
            .window
            .is_none_or(|began| now.duration_since(began) >= WINDOW);
        if over {
            self.window = Some(now);
            self.kept = 0;
            self.shown = 0;
        }
        over
    }

    /// Whether a line of this length may be kept; if not, it is counted as lost, and so are all after
    /// it in this window.
    pub(super) fn keeps(&mut self, length: u64) -> bool {
        if self.lost.lines == 0 && self.kept + length <= KEPT {
            self.kept += length;
            return true;
        }
        self.lost.lines += 1;
        self.lost.bytes += length;
        false
    }

    /// Whether a line of this length may go to the console now, `most` bytes being allowed in one
    /// window; if not, it is counted.
    pub(super) fn shows(&mut self, length: u64, most: u64) -> bool {
        if self.unshown == 0 && self.shown + length <= most {
            self.shown += length;
            return true;
        }
        self.unshown += 1;
        false
    }

    /// Whether something is left to be said at the end of the window.
    pub(super) fn owes(&self) -> bool {
        self.lost.lines > 0 || self.unshown > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn talker() -> Talker {
        Talker::new("flood".into(), Quota::default())
    }

    #[test]
    fn what_exceeds_a_window_is_counted_to_its_end() {
        let mut talker = talker();
        let began = Instant::now();
        assert!(talker.turn(began));
        assert!(!talker.turn(began + WINDOW / 2));
        assert!(talker.keeps(KEPT - 1));
        assert!(!talker.owes());
        assert!(!talker.keeps(2));
        // Shorter, and would fit; but what is missing is one gap, not many.
        assert!(!talker.keeps(1));
        assert_eq!(talker.lost, Lost { lines: 2, bytes: 3 });
        assert!(talker.owes());
        talker.lost = Lost::default();
        assert!(talker.turn(began + WINDOW));
        assert!(talker.keeps(KEPT));
    }

    #[test]
    fn the_console_has_a_budget_of_its_own() {
        let mut talker = talker();
        talker.turn(Instant::now());
        assert!(talker.shows(10, 16));
        assert!(!talker.shows(7, 16));
        assert!(!talker.shows(1, 16));
        assert_eq!(talker.unshown, 2);
        assert!(talker.keeps(KEPT));
    }
}
