//! What a worker may say when, and by when it must have said something.

use crate::event::End;
use crate::wire::Malformed;
use arje_card::{Card, Entry, Payload};
use std::time::Duration;
use tokio::time::Instant;

/// How long a worker may take, beside the Card's own time for a call, to start its process, load the
/// component and tell so. A loaded machine under emulation needs a second; what takes a minute hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// Signs of life that a worker may give in one `liveness_ms`. It asks its component three times in
/// that time, and a late answer may be followed closely by the next.
const SIGNS: u32 = 12;

/// How far the incarnation has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    HandedOver,
    Started,
    Ready,
}

/// The order in which a worker has to speak.
#[derive(Debug)]
pub(super) struct Phase {
    stage: Stage,
    stopping: bool,
    /// Whether the entry becomes ready, or just ends.
    stays: bool,
    /// Whether it takes calls. Those of others wait in its mailbox for as long as their callers do, as in this process.
    serves: bool,
    call: Duration,
    deadline: Option<Instant>,
    liveness: Option<Duration>,
    /// Signs of life since then.
    signs: u32,
    signs_since: Instant,
}

impl Phase {
    /// The worker has just been handed its component.
    pub(super) fn new(card: &Card, now: Instant) -> Phase {
        let (stays, serves) = match &card.payload {
            Payload::Wasm(payload) => (
                matches!(payload.entry, Entry::Service | Entry::Http),
                payload.entry == Entry::Service,
            ),
            _ => (false, false),
        };
        let call = Duration::from_millis(card.limits.call_ms);
        Phase {
            stage: Stage::HandedOver,
            stopping: false,
            stays,
            serves,
            call,
            deadline: now.checked_add(PATIENCE.saturating_add(call)),
            liveness: card.liveness_ms.map(Duration::from_millis),
            signs: 0,
            signs_since: now,
        }
    }

    /// By when the worker must have gone on to the next stage, or answered.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// The end of one that has not.
    pub(super) fn too_late(&self) -> End {
        End::Deadline {
            call: match self.stage {
                Stage::HandedOver => "the start of the worker process",
                Stage::Started => "start",
                Stage::Ready => "the invoked function",
            },
            after_ms: PATIENCE.saturating_add(self.call).as_millis() as u64,
        }
    }

    /// It has been asked to stop; how long that may take is the supervisor's to say.
    pub(super) fn stopping(&mut self) {
        self.stopping = true;
        self.deadline = None;
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.stopping
    }

    pub(super) fn started(&mut self, now: Instant) -> Result<(), Malformed> {
        if self.stage != Stage::HandedOver {
            return Err(Malformed("a second start"));
        }
        self.stage = Stage::Started;
        self.deadline = if self.stays && !self.stopping {
            now.checked_add(PATIENCE.saturating_add(self.call))
        } else {
            None
        };
        Ok(())
    }

    pub(super) fn ready(&mut self) -> Result<(), Malformed> {
        if self.stage != Stage::Started || !self.stays {
            return Err(Malformed("a readiness that cannot be"));
        }
        self.stage = Stage::Ready;
        self.deadline = None;
        Ok(())
    }

    /// Whether it can be called.
    pub(super) fn serves(&self) -> bool {
        self.serves && self.stage == Stage::Ready && !self.stopping
    }

    /// It was called; the worker itself ends a call after `limits.call_ms`, and itself with it.
    pub(super) fn asked(&mut self, now: Instant) {
        self.deadline = now.checked_add(PATIENCE.saturating_add(self.call));
    }

    /// It has answered.
    pub(super) fn answered(&mut self) {
        self.deadline = None;
    }

    pub(super) fn alive(&mut self, now: Instant) -> Result<(), Malformed> {
        let (Stage::Ready, Some(liveness)) = (self.stage, self.liveness) else {
            return Err(Malformed("a sign of life that nobody asked for"));
        };
        if now.duration_since(self.signs_since) > liveness {
            self.signs_since = now;
            self.signs = 0;
        }
        self.signs += 1;
        if self.signs > SIGNS {
            return Err(Malformed("a flood of signs of life"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arje_card::{Id, Pin, Supervision, WasmPayload};

    fn card(entry: &str) -> Card {
        let payload = Payload::Wasm(WasmPayload {
            module_sha256: Pin([1; 32]),
            entry: Entry::from(entry),
            argv: Vec::new(),
            envp: Default::default(),
            preopens: Vec::new(),
        });
        let mut card = Card::new(Id::from_bytes([1; 16]), "w", payload, Supervision::OneShot);
        card.liveness_ms = Some(1000);
        card
    }

    #[test]
    fn words_come_in_order() {
        let now = Instant::now();
        let mut phase = Phase::new(&card("service"), now);
        assert!(phase.ready().is_err());
        assert!(phase.alive(now).is_err());
        assert!(phase.started(now).is_ok());
        assert!(phase.started(now).is_err());
        assert!(phase.alive(now).is_err());
        assert!(phase.ready().is_ok());
        assert!(phase.ready().is_err());
        assert!(phase.alive(now).is_ok());
        let mut once = Phase::new(&card("run"), now);
        assert!(once.started(now).is_ok());
        assert!(once.ready().is_err(), "a command is never ready");
    }

    #[test]
    fn only_a_ready_service_is_called() {
        let now = Instant::now();
        for (entry, called) in [("service", true), ("http", false)] {
            let mut phase = Phase::new(&card(entry), now);
            phase.started(now).unwrap();
            assert!(!phase.serves());
            phase.ready().unwrap();
            assert_eq!(phase.serves(), called, "{entry}");
            phase.stopping();
            assert!(!phase.serves());
        }
    }

    #[test]
    fn a_flood_of_signs_of_life_is_a_lie() {
        let mut now = Instant::now();
        let mut phase = Phase::new(&card("service"), now);
        phase.started(now).unwrap();
        phase.ready().unwrap();
        for _ in 0..100 {
            now += Duration::from_millis(333);
            phase.alive(now).unwrap();
        }
        now += Duration::from_secs(2);
        let taken = (0..SIGNS + 1).take_while(|_| phase.alive(now).is_ok());
        assert_eq!(taken.count(), SIGNS as usize);
    }

    #[test]
    fn only_what_is_under_way_has_a_deadline() {
        let now = Instant::now();
        let mut phase = Phase::new(&card("service"), now);
        assert!(phase.deadline() > Some(now));
        phase.started(now).unwrap();
        assert!(phase.deadline() > Some(now));
        phase.ready().unwrap();
        assert_eq!(phase.deadline(), None);
        let mut once = Phase::new(&card("run"), now);
        once.started(now).unwrap();
        assert_eq!(once.deadline(), None);
        let mut stopped = Phase::new(&card("service"), now);
        stopped.stopping();
        stopped.started(now).unwrap();
        assert_eq!(stopped.deadline(), None);
    }
}
