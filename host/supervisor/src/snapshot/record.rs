//! What a snapshot says of one Ente.

use arje_card::{Capability, Card, Id};
use serde::{Deserialize, Serialize};

use crate::action::{Cause, State, StopReason};
use crate::ente::Stage;
use crate::event::{Incarnation, Millis};
use crate::exit::ExitStatus;
use crate::limits::{MAX_DYNAMIC, MAX_HISTORY};
use crate::status::Transition;

/// A time in milliseconds from the moment of the snapshot; negative lies before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Offset(i64);

impl Offset {
    pub fn of(at: Millis, moment: Millis) -> Self {
        let ahead = i64::try_from(at.since(moment)).unwrap_or(i64::MAX);
        let behind = i64::try_from(moment.since(at)).unwrap_or(i64::MAX);
        // One of both is 0.
        Self(ahead - behind)
    }

    /// The time on a clock that showed `moment` when the snapshot was made. What would lie before
    /// that clock's beginning is its beginning.
    pub fn at(self, moment: Millis) -> Millis {
        Millis(moment.0.saturating_add_signed(self.0))
    }
}

/// One Ente.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EnteRecord {
    pub card: Card,
    pub parent: Option<Id>,
    pub state: State,
    pub since: Offset,
    pub wanted: bool,
    pub removing: bool,
    pub succeeded: bool,
    pub returning: bool,
    pub stop: Option<StopRecord>,
    pub timer: Option<Offset>,
    /// What its incarnation offers beyond its Card.
    pub added: Vec<Capability>,
    /// What it took back, of its Card and of `added`.
    pub hidden: Vec<Capability>,
    /// What counts for those who live while it returns.
    pub kept: Vec<Capability>,
    /// What calls are routed to while it drains.
    pub routed: Vec<Capability>,
    pub crashed: bool,
    pub crashes: CrashesRecord,
    pub incarnation: Incarnation,
    pub numbered: Incarnation,
    /// The module that it ran before another one took its place.
    pub former: Option<String>,
    pub starts: u64,
    pub restarts: u64,
    pub started_at: Option<Offset>,
    pub ready_after_ms: Option<u64>,
    pub liveness_ms: Option<u64>,
    pub last_exit: Option<ExitStatus>,
    pub history: Vec<TransitionRecord>,
}

/// A stop under way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StopRecord {
    pub reason: StopReason,
    pub stage: Stage,
    /// While it drains: whose ends it waits for.
    pub waits_for: Vec<Id>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CrashesRecord {
    pub delay: u64,
    pub begin: Offset,
    pub count: u32,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TransitionRecord {
    at: Offset,
    incarnation: Incarnation,
    from: State,
    to: State,
    cause: Cause,
}

impl TransitionRecord {
    pub fn of(it: &Transition, moment: Millis) -> Self {
        Self {
            at: Offset::of(it.at, moment),
            incarnation: it.incarnation,
            from: it.from,
            to: it.to,
            cause: it.cause.clone(),
        }
    }

    pub fn at(self, moment: Millis) -> Transition {
        Transition {
            at: self.at.at(moment),
            incarnation: self.incarnation,
            from: self.from,
            to: self.to,
            cause: match self.cause {
                Cause::Exited(status) => Cause::Exited(status.bounded()),
                cause => cause,
            },
        }
    }
}

impl EnteRecord {
    /// Whether it can be true, as far as it can be seen from this Ente alone.
    pub fn check(&self) -> Result<(), &'static str> {
        use State::{Backoff, Done, Parked, Ready, Starting, Waiting};
        let state = self.state;
        let on_its_way = matches!(state, Waiting | Starting | Ready | Backoff | Parked);
        let returns = matches!(state, Waiting | Starting);
        let timed = self.timer.is_some();
        let may_be_timed = match state {
            Waiting | Starting => self.returning,
            Backoff | Ready | State::Stopping => true,
            _ => false,
        };
        let rules = [
            (
                self.card.genesis.is_empty(),
                "its children are not Entes of their own",
            ),
            (
                self.stop.is_some() == (state == State::Stopping),
                "it stops, or does not, against its state",
            ),
            (self.wanted || !on_its_way, "it is up and not wanted"),
            (
                self.incarnation > 0 || !state.is_live(),
                "it lives and was never started",
            ),
            (
                !self.succeeded || state == Done,
                "it succeeded and is not Done",
            ),
            (
                !self.returning || returns,
                "it returns and is not on its way",
            ),
            (
                self.returning || self.kept.is_empty(),
                "it keeps and does not return",
            ),
            (
                !timed || may_be_timed,
                "it has a deadline in a state without one",
            ),
            (
                self.added.len() <= MAX_DYNAMIC
                    && self.hidden.len() <= self.card.provides.len() + MAX_DYNAMIC,
                "more of its capabilities changed at run time than may",
            ),
            (self.history.len() <= MAX_HISTORY, "its history is too long"),
        ];
        match rules.into_iter().find(|(holds, _)| !holds) {
            Some((_, what)) => Err(what),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_move_with_the_clock() {
        let moment = Millis(1000);
        for (at, elsewhere) in [(900, 4900), (1000, 5000), (1300, 5300)] {
            assert_eq!(
                Offset::of(Millis(at), moment).at(Millis(5000)),
                Millis(elsewhere)
            );
        }
        assert_eq!(Offset::of(Millis(0), moment).at(Millis(10)), Millis(0));
        let end = Offset::of(Millis(u64::MAX), moment);
        assert_eq!(end.at(moment), moment.plus(i64::MAX as u64));
    }
}
