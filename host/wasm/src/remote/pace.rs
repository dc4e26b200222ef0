//! How fast a worker is listened to.

use std::time::Duration;
use tokio::time::Instant;

/// A turn, and what is read of one worker in it at most. That is far more than a console takes, and
/// keeps a flood of frames that need no room in the console at a fraction of one processor.
const TURN: Duration = Duration::from_millis(5);
const FRAMES: usize = 512;
const BYTES: usize = 1 << 20;

/// Counts what one worker said in this turn.
#[derive(Debug)]
pub(super) struct Pace {
    since: Instant,
    frames: usize,
    bytes: usize,
}

impl Pace {
    pub(super) fn new(now: Instant) -> Pace {
        Pace {
            since: now,
            frames: 0,
            bytes: 0,
        }
    }

    pub(super) fn note_frame(&mut self, now: Instant) {
        self.renew(now);
        self.frames += 1;
    }

    pub(super) fn note_bytes(&mut self, bytes: usize, now: Instant) {
        self.renew(now);
        self.bytes += bytes;
    }

    /// Until when nothing more is read; `None` while this turn has room.
    pub(super) fn pause(&self) -> Option<Instant> {
        (self.frames >= FRAMES || self.bytes >= BYTES).then(|| self.since + TURN)
    }

    /// Begins the next turn, if it is time.
    pub(super) fn renew(&mut self, now: Instant) {
        if now >= self.since + TURN {
            *self = Pace::new(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_waits_for_its_next_turn() {
        let begin = Instant::now();
        let mut pace = Pace::new(begin);
        for _ in 0..FRAMES - 1 {
            pace.note_frame(begin);
        }
        assert_eq!(pace.pause(), None);
        pace.note_frame(begin);
        assert_eq!(pace.pause(), Some(begin + TURN));
        pace.renew(begin + TURN);
        assert_eq!(pace.pause(), None);
        pace.note_bytes(BYTES, begin + TURN);
        assert!(pace.pause().is_some());
        let much_later = begin + 10 * TURN;
        pace.note_bytes(1, much_later);
        assert_eq!(pace.pause(), None, "a slow speaker is never held up");
    }
}
