//! What can happen to a supervisor: the input half of its interface.
//!
//! Events are values. Nothing here knows where they come from; the executor (`ente-zero`, or a
//! test) turns child exits, socket messages, timers and requests into them.

use std::fmt;

use arje_card::{Capability, Card, Id, Pin};
use serde::{Deserialize, Serialize};

use crate::exit::ExitStatus;

/// A point on the executor's monotonic clock, in milliseconds since any fixed origin.
///
/// The supervisor only compares and adds. A value smaller than one seen before counts as "no time
/// has passed".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Millis(pub u64);

impl Millis {
    /// This point plus `ms` milliseconds, stopping at the end of time instead of wrapping.
    #[must_use]
    pub const fn plus(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// Milliseconds from `earlier` to this point; 0 when `earlier` is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ms", self.0)
    }
}

/// Which life of an Ente is meant: 1 for its first start, one more for every further start.
/// 0 means "never started".
pub type Incarnation = u64;

/// One thing that happened, and when.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// When it happened.
    pub at: Millis,
    /// What happened.
    pub kind: EventKind,
}

impl Event {
    /// An event of `kind` at `at`.
    #[must_use]
    pub const fn new(at: Millis, kind: EventKind) -> Self {
        Self { at, kind }
    }
}

/// What happened.
#[derive(Clone, Debug, PartialEq)]
pub enum EventKind {
    /// Take in these Cards, each with its `genesis`, below `parent` (`None`: as roots). All of them
    /// are wanted from now on. Refused as a whole when any of them cannot be taken in.
    Adopt {
        /// The Ente that becomes their parent.
        parent: Option<Id>,
        /// The trees. The supervisor keeps the Cards (see [`crate::Supervisor::card`]).
        cards: Vec<Card>,
    },
    /// The executor says something about one incarnation that it was told to start. A report
    /// about an unknown Ente or another incarnation than the current one is ignored: it is late
    /// or doubled, and whatever it says is no longer true.
    Report {
        /// The Ente.
        id: Id,
        /// The incarnation as given in [`crate::Action::Start`].
        incarnation: Incarnation,
        /// What is said about it.
        report: Report,
    },
    /// Capabilities that the machine itself offers (devices, file systems) come and go. Removes
    /// are applied before adds.
    HostCapabilities {
        /// Offered from now on.
        adds: Vec<Capability>,
        /// No longer offered.
        removes: Vec<Capability>,
    },
    /// Somebody who is allowed to asks for something. The supervisor does not check authority.
    Command {
        /// The Ente.
        id: Id,
        /// What is asked.
        command: Command,
    },
    /// Somebody who is allowed to wants an Ente to run another module. One that is Ready goes on until its successor
    /// has taken over ([`crate::Action::StartBeside`]); one of which nothing lives starts with it.
    Succeed {
        /// The Ente; its payload is a component.
        id: Id,
        /// The module.
        module: Pin,
    },
    /// Stop everything, dependents first, and start nothing more. Ends with
    /// [`crate::Action::ShutdownComplete`] at the latest `deadline_ms` from now. A second
    /// shutdown can only bring the deadline nearer.
    Shutdown {
        /// Time allowed in total, in milliseconds.
        deadline_ms: u64,
    },
    /// The deadline of the last [`crate::Action::SetTimer`] has come. Too early or too often
    /// does no harm: due timers are looked at on every event.
    Timer,
}

/// What the executor says about one incarnation.
#[derive(Clone, Debug, PartialEq)]
pub enum Report {
    /// Native: `execve` succeeded. Wasm: the component is instantiated.
    Started,
    /// It says, or its `start` export shows, that it is ready. Whether that is the sign its Card
    /// waits for is decided here.
    Ready {
        /// How it was said.
        by: ReadyBy,
    },
    /// It is alive: `WATCHDOG=1`, or its `health` export answered. Matters when the Card has
    /// `liveness_ms`.
    Alive,
    /// It says that it cannot go on (`WATCHDOG=trigger`): treated as one that gave no sign of life in time.
    NotAlive,
    /// From now on its signs of life are due within so many milliseconds (`WATCHDOG_USEC=`), until this
    /// incarnation ends. Matters when the Card has `liveness_ms`: whether it is watched is the Card's to
    /// say.
    Liveness {
        /// At least 1.
        ms: u64,
    },
    /// It was told to stop and needs more time (`EXTEND_TIMEOUT_USEC=`): it is not killed before so many
    /// milliseconds from now have passed. A shutdown's own deadline does not wait.
    MoreTime {
        /// How many.
        ms: u64,
    },
    /// It offers more or less than before (the bus request `UpdateCapabilities`). Accepted while
    /// Starting or Ready, forgotten when the incarnation ends. Removes are applied before adds. The
    /// executor checks that the Ente may add what its Card does not list.
    Capabilities {
        /// Offered from now on (while Ready).
        adds: Vec<Capability>,
        /// No longer offered.
        removes: Vec<Capability>,
    },
    /// A successor ([`crate::Action::StartBeside`]) is ready and answers in its Ente's place from now on. Ends of the
    /// incarnation that was replaced need not be told.
    TookOver,
    /// It ended. Exactly one per [`crate::Action::Start`], also when starting failed
    /// ([`ExitStatus::StartFailed`]) and after [`crate::Action::Kill`].
    Exited(ExitStatus),
    /// It ended with the host that it ran in, which was replaced: neither its own doing nor asked
    /// for. Comes instead of `Exited`. Not a crash: it starts again at once, without a delay and
    /// uncounted, and those who need it are given [`crate::limits::RETURN_MS`] of patience.
    Interrupted,
}

/// How an Ente said that it is ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ReadyBy {
    /// `READY=1` on its `NOTIFY_SOCKET` (sd_notify(3)).
    Notify,
    /// It announced itself on the bus.
    Announce,
    /// Wasm: its `start` export returned ok; entry `http`: it is listening; entry `run`: `run` was
    /// entered.
    Start,
}

/// What can be asked for one Ente.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Command {
    /// Want it: start it as soon as its contracts allow. Also the way out of Failed and Done.
    /// Changes nothing for an Ente that is wanted and neither Failed nor Done.
    Start,
    /// Do not want it: stop it, its dependents first. It stays known, in Declared, and nothing but
    /// `Start` or `Restart` starts it again.
    Stop,
    /// Stop it, dependents first, and start it again without backoff. Starts an Ente that does not
    /// run. Counters of crashes begin anew.
    Restart,
    /// As `Stop`, but at once: no grace and no waiting for its dependents.
    Kill,
    /// Stop it with everything below it and forget them all ([`crate::Action::Removed`]).
    Remove,
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Restart => "restart",
            Self::Kill => "kill",
            Self::Remove => "remove",
        })
    }
}
