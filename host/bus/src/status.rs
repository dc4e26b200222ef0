//! What is told about an Ente.

use std::fmt;

use arje_card::Id;
use serde::{Deserialize, Serialize};

use crate::wire::{id, maybe_id, wire_enum};

wire_enum! {
    /// The states of a life (docs/supervision.md).
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum EnteState {
        /// Known, not wanted.
        0 => Declared,
        /// Wanted; what it needs is not there.
        1 => Waiting,
        /// Started, not ready.
        2 => Starting,
        /// Ready.
        3 => Ready,
        /// On its way down.
        4 => Stopping,
        /// Ended as it should.
        5 => Done,
        /// Crashed; starts again after its delay.
        6 => Backoff,
        /// Stopped because a need was lost.
        7 => Parked,
        /// Not tried again until somebody asks.
        8 => Failed,
    }
}

impl EnteState {
    /// The word for people.
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

impl fmt::Display for EnteState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

wire_enum! {
    /// What an Ente runs.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum PayloadKind {
        /// Nothing: it groups others.
        0 => Virtual,
        /// A component.
        1 => Wasm,
        /// A process.
        2 => Native,
        /// A process that expects parts of systemd.
        3 => Legacy,
    }
}

impl PayloadKind {
    /// The word for people.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Virtual => "virtual",
            Self::Wasm => "wasm",
            Self::Native => "native",
            Self::Legacy => "legacy",
        }
    }
}

/// An Ente on a list. Times are milliseconds before the answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnteSummary {
    /// Its id.
    #[serde(with = "id")]
    pub id: Id,
    /// Its label.
    pub label: String,
    /// Its parent; none for a root.
    #[serde(with = "maybe_id")]
    pub parent: Option<Id>,
    /// What it runs.
    pub payload: PayloadKind,
    /// Its state.
    pub state: EnteState,
    /// For how long it has been in this state.
    pub since_ms: u64,
    /// Whether it is meant to be up.
    pub wanted: bool,
    /// Its current or last incarnation; 0 when it was never started.
    pub incarnation: u64,
    /// How many of its lives ended without anybody asking, and were followed by another one.
    pub restarts: u64,
    /// The process of the current incarnation, if it has one.
    pub pid: Option<u32>,
    /// The sha256 of its component.
    pub pin: Option<[u8; 32]>,
    /// What keeps it from starting.
    pub held_by: Option<String>,
    /// What its Card provides, the first [`MAX_PROVIDES`](crate::limits::MAX_PROVIDES).
    pub provides: Vec<String>,
    /// How many its Card provides.
    pub provides_total: u32,
}

wire_enum! {
    /// How a life ended.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum ExitKind {
        /// With an exit code.
        0 => Code,
        /// By a signal.
        1 => Signal,
        /// The component trapped.
        2 => Trap,
        /// The component returned an error.
        3 => Error,
        /// It never ran.
        4 => StartFailed,
    }
}

/// How a life ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exit {
    /// In which way.
    pub kind: ExitKind,
    /// The exit code or the number of the signal; else 0.
    pub number: i32,
    /// For people.
    pub text: String,
}

impl Exit {
    /// Whether it was a success: exit code 0.
    #[must_use]
    pub fn success(&self) -> bool {
        self.kind == ExitKind::Code && self.number == 0
    }
}

/// A remembered change of state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transition {
    /// How long ago, in milliseconds.
    pub ago_ms: u64,
    /// The incarnation it was about.
    pub incarnation: u64,
    /// Before.
    pub from: EnteState,
    /// After.
    pub to: EnteState,
    /// Why.
    pub cause: String,
}

/// Everything about one Ente. Times are milliseconds before the answer, `next_in_ms` after it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnteStatus {
    /// As on a list.
    pub summary: EnteSummary,
    /// Starts since it was adopted.
    pub starts: u64,
    /// When its current or last incarnation was started.
    pub started_ms: Option<u64>,
    /// Milliseconds that its current or last incarnation took from start to Ready.
    pub ready_after_ms: Option<u64>,
    /// How its last ended incarnation ended.
    pub last_exit: Option<Exit>,
    /// In Backoff: when it starts again. In Stopping: when it is killed.
    pub next_in_ms: Option<u64>,
    /// Its last changes of state, oldest first.
    pub history: Vec<Transition>,
    /// What the current incarnation says of itself (sd_notify(3)), in short; at most about 1 KiB, without control
    /// characters.
    pub says: Option<String>,
}

/// What an Ente uses of the machine. What is not known is none, never 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Telemetry {
    /// Bytes of memory: of its cgroup, or of its component's memories and tables.
    pub mem_bytes: Option<u64>,
    /// Processes and threads.
    pub nproc: Option<u64>,
    /// Processor time since it was started, in microseconds.
    pub cpu_usec: Option<u64>,
    /// As in its summary.
    pub restarts: u64,
}
