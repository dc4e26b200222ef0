//! What the supervisor wants done: the output half of its interface.

use std::fmt;
use std::sync::Arc;

use arje_card::{Capability, Card, Id};
use serde::{Deserialize, Serialize};

use crate::event::{Command, Incarnation, Millis};
use crate::exit::ExitStatus;

/// The states of an Ente. `docs/supervision.md` has the transitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum State {
    /// Known, not wanted: stopped by command.
    Declared,
    /// Wanted, and has not run since; what it needs is not there yet.
    Waiting,
    /// Started, not ready yet. A container: open, but not all of its children are ready.
    Starting,
    /// Ready: what it provides counts.
    Ready,
    /// On its way down: first its dependents end, then it is told to, then it is killed.
    Stopping,
    /// Ended as it should. A one-shot that succeeded goes on providing.
    Done,
    /// Crashed; starts again when its delay has passed.
    Backoff,
    /// Stopped because something it needs went away; comes back with it.
    Parked,
    /// Ended as it should not, and is not tried again until somebody asks.
    Failed,
}

impl State {
    /// All states, in the order of a life.
    pub const ALL: [Self; 9] = [
        Self::Declared,
        Self::Waiting,
        Self::Starting,
        Self::Ready,
        Self::Stopping,
        Self::Done,
        Self::Backoff,
        Self::Parked,
        Self::Failed,
    ];

    /// Whether an incarnation exists in this state: begun and not reported as ended.
    #[must_use]
    pub const fn is_live(self) -> bool {
        matches!(self, Self::Starting | Self::Ready | Self::Stopping)
    }

    /// The name used in messages and as a metric's label.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Declared => "declared",
            Self::Waiting => "waiting",
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Stopping => "stopping",
            Self::Done => "done",
            Self::Backoff => "backoff",
            Self::Parked => "parked",
            Self::Failed => "failed",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One thing for the executor to do or to tell. Actions are to be carried out in order.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Start this Ente's payload. Answer with [`crate::Report::Started`] when it runs, and with
    /// exactly one [`crate::Report::Exited`] whatever happens.
    Start {
        /// The Ente; [`crate::Supervisor::card`] has its Card.
        id: Id,
        /// Number of this life, to be repeated in every report about it.
        incarnation: Incarnation,
    },
    /// Start a successor beside the incarnation that is Ready, and have it take that one's place when it is ready
    /// itself. Answer with [`crate::Report::TookOver`], or with [`crate::Report::Exited`] if it did not come to that.
    StartBeside {
        /// The Ente.
        id: Id,
        /// Number of the successor, to be repeated in every report about it.
        incarnation: Incarnation,
        /// The Ente's Card with the successor's module.
        card: Arc<Card>,
    },
    /// Ask it to stop: SIGTERM, or the `stop` export. The supervisor keeps the grace time
    /// (`stop_timeout_ms`) and sends [`Action::Kill`] when it has passed.
    Stop {
        /// The Ente.
        id: Id,
        /// The incarnation to stop.
        incarnation: Incarnation,
        /// Why.
        reason: StopReason,
    },
    /// End it now: the whole cgroup, or the store. May follow a `Stop` or come without one.
    Kill {
        /// The Ente.
        id: Id,
        /// The incarnation to kill.
        incarnation: Incarnation,
    },
    /// An Ente changed its state. For logs, `ente status`, the bus and the brain; nothing has to be
    /// done.
    StateChanged {
        /// The Ente.
        id: Id,
        /// The current (or last) incarnation.
        incarnation: Incarnation,
        /// Before.
        from: State,
        /// Now.
        to: State,
        /// Why.
        cause: Cause,
    },
    /// From now on calls to this capability may be routed to this Ente.
    Provided {
        /// The capability, as its provider names it.
        capability: Capability,
        /// The Ente.
        by: Id,
    },
    /// From now on calls to this capability may no longer be routed to this Ente.
    Withdrawn {
        /// The capability, as its provider named it.
        capability: Capability,
        /// The Ente.
        by: Id,
    },
    /// A `Delegate` Ente ended. It is not restarted; its parent decides.
    DelegateEnded {
        /// The Ente that ended.
        id: Id,
        /// The incarnation that ended.
        incarnation: Incarnation,
        /// Whom to tell; `None` for a root.
        parent: Option<Id>,
        /// How it ended.
        status: ExitStatus,
    },
    /// This Ente is forgotten, with its Card. Its id and label may be used again.
    Removed {
        /// The Ente that was.
        id: Id,
    },
    /// The one next deadline: send [`crate::EventKind::Timer`] then. Replaces the previous one;
    /// `None` cancels. Sent only when it changes.
    SetTimer {
        /// When, on the clock of the events.
        at: Option<Millis>,
    },
    /// Everything has ended, or the deadline has passed.
    ShutdownComplete {
        /// Entes whose end was not reported in time. Empty after a clean shutdown.
        left: Vec<Id>,
    },
}

/// Why an Ente does not start, had to stop, or (a container) is not ready: something outside of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Hold {
    /// A required capability is not provided.
    Requires(Capability),
    /// None of the capabilities of an `Any` contract is provided.
    Any(Vec<Capability>),
    /// Too few of the capabilities of a `Quorum` contract are provided.
    Quorum {
        /// How many are.
        have: usize,
        /// How many must be.
        at_least: usize,
    },
    /// Another Ente that lives, or the machine, provides this capability, and the two exclude each
    /// other.
    Conflict(Capability),
    /// `After` this capability, whose provider is still on its way up.
    After(Capability),
    /// Its parent is not up (a container: its own requirements are not met).
    Parent(Id),
    /// A container is open, and this child, which must be ready for it to be, is not.
    Child {
        /// The child: one that failed, if any did.
        id: Id,
        /// Its state.
        state: State,
        /// How many more there are.
        more: u32,
    },
}

impl fmt::Display for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Requires(cap) => write!(f, "needs {cap}"),
            Self::Any(caps) => {
                f.write_str("needs any of ")?;
                for (n, cap) in caps.iter().enumerate() {
                    let comma = if n == 0 { "" } else { ", " };
                    write!(f, "{comma}{cap}")?;
                }
                Ok(())
            }
            Self::Quorum { have, at_least } => {
                write!(f, "needs a quorum of {at_least} and has {have}")
            }
            Self::Conflict(cap) => write!(f, "conflicts over {cap}"),
            Self::After(cap) => write!(f, "comes after {cap}"),
            Self::Parent(id) => write!(f, "its parent {id} is not up"),
            Self::Child { id, state, more } => {
                write!(f, "its child {id} is {state}")?;
                match more {
                    0 => Ok(()),
                    more => write!(f, ", and {more} more not ready"),
                }
            }
        }
    }
}

/// Why an Ente is told to stop.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum StopReason {
    /// Somebody asked: stop, restart, kill or remove.
    Command(Command),
    /// What it needs went away, or what it excludes appeared.
    Lost(Hold),
    /// It gave no sign of life within `liveness_ms`.
    NotAlive,
    /// The machine goes down.
    Shutdown,
}

impl fmt::Display for StopReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Command(command) => write!(f, "{command} was asked for"),
            Self::Lost(hold) => hold.fmt(f),
            Self::NotAlive => f.write_str("no sign of life in time"),
            Self::Shutdown => f.write_str("shutdown"),
        }
    }
}

/// Why an Ente changed its state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Cause {
    /// Its Card was taken in.
    Adopted,
    /// Somebody asked.
    Command(Command),
    /// What it needs is there.
    Met,
    /// The sign of readiness that its Card names was given. A container: its children are ready.
    Ready,
    /// A container's child that must be ready no longer is.
    ChildMissing(Id),
    /// It has to stop.
    Stop(StopReason),
    /// It ended.
    Exited(ExitStatus),
    /// It ended, and that too often in too short a time (`start_limit`).
    StartLimit {
        /// How it ended last.
        status: ExitStatus,
        /// How many starts in a row ended so.
        starts: u32,
        /// Within how many milliseconds they may not.
        interval_ms: u64,
    },
    /// Its delay has passed.
    BackoffOver,
    /// The host that it ran in was replaced ([`crate::Report::Interrupted`]).
    Interrupted,
    /// Another module took its place ([`crate::Report::TookOver`]).
    Replaced,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Adopted => f.write_str("adopted"),
            Self::Command(command) => write!(f, "{command} was asked for"),
            Self::Met => f.write_str("all it needs is there"),
            Self::Ready => f.write_str("ready"),
            Self::ChildMissing(id) => write!(f, "its child {id} is not ready"),
            Self::Stop(reason) => reason.fmt(f),
            Self::Exited(status) => status.fmt(f),
            Self::StartLimit {
                status,
                starts,
                interval_ms,
            } => write!(
                f,
                "{status}; {starts} starts within {interval_ms} ms failed, which is its start_limit: \
                 repair it, then `ente start`"
            ),
            Self::BackoffOver => f.write_str("its delay has passed"),
            Self::Interrupted => f.write_str("its host was replaced"),
            Self::Replaced => f.write_str("another module took its place"),
        }
    }
}
