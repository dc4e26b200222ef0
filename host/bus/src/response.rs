//! What the server sends after the hello.

use arje_card::Id;
use serde::{Deserialize, Serialize};

use crate::calling::{Call, Invoked};
use crate::error::BusError;
use crate::event::Event;
use crate::status::{EnteStatus, EnteSummary, Telemetry};
use crate::wire::{maybe_id, wire_enum};

/// What a caller may do beyond reading.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rights {
    /// Start, stop, restart and signal Entes (`Spawn`).
    pub entes: bool,
    /// Power off, reboot, halt (`Power`).
    pub power: bool,
    /// Replace `ente-zero`, or the root (`SwitchRoot`).
    pub switch_root: bool,
}

/// Whom the server takes a caller for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The process that connected.
    pub pid: u32,
    /// Its user.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
    /// The Ente it belongs to.
    #[serde(with = "maybe_id")]
    pub ente: Option<Id>,
    /// The label of that.
    pub label: Option<String>,
    /// What it may do.
    pub rights: Rights,
}

/// A page of the list of Entes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntePage {
    /// In order of id.
    pub entes: Vec<EnteSummary>,
    /// Whether there are more, after the last of these.
    pub more: bool,
}

wire_enum! {
    /// Where a line came from.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum LogSource {
        /// Standard output of a process.
        0 => Stdout,
        /// Standard error of a process.
        1 => Stderr,
        /// A component, at this level.
        2 => Trace,
        /// A component, at this level.
        3 => Debug,
        /// A component, at this level; its standard output.
        4 => Info,
        /// A component, at this level; its standard error.
        5 => Warn,
        /// A component, at this level.
        6 => Error,
    }
}

impl LogSource {
    /// The word for people.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
            Self::Trace => "trace",
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }
}

/// A line that an Ente printed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// Where to.
    pub source: LogSource,
    /// Without the line end and control characters.
    pub text: String,
}

/// Lines that were not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LostLines {
    /// How many.
    pub lines: u64,
    /// Their length.
    pub bytes: u64,
}

wire_enum! {
    /// What a record of a log holds.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub enum LogEntry {
        /// A line.
        0 => Line(line: LogLine),
        /// At this place the Ente printed faster than it may.
        1 => Lost(lost: LostLines),
    }
}

/// A record of a log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogRecord {
    /// Its number, counted over the whole life of the Ente, restarts included.
    pub number: u64,
    /// When, in microseconds since 1970 (UTC).
    pub time_us: u64,
    /// The incarnation that printed it.
    pub incarnation: u64,
    /// What it is.
    pub entry: LogEntry,
}

/// Part of a log, oldest record first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Log {
    /// How many records between the part before and this one were overwritten before they could be sent.
    pub missed: u64,
    /// The records.
    pub records: Vec<LogRecord>,
    /// Whether further parts follow, each in a [`ServerFrame::Log`]; always, as long as the log is followed.
    pub more: bool,
}

wire_enum! {
    /// The answer to a request.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub enum Response {
        /// Done, or begun: what takes time is told by events.
        0 => Ok,
        /// Not done.
        1 => Error(error: BusError),
        /// To `WhoAmI`.
        2 => You(identity: Identity),
        /// To `ListEntes`.
        3 => Entes(page: EntePage),
        /// To `EnteStatus`.
        4 => Status(status: Box<EnteStatus>),
        /// To `EnteTelemetry`.
        5 => Telemetry(telemetry: Telemetry),
        /// To `Logs`.
        6 => Log(log: Log),
        /// To `Invoke`.
        7 => Invoked(invoked: Invoked),
        /// To `Deploy` and `Rollback`.
        8 => Deployed(deployed: Deployed),
    }
}

/// A module runs in another one's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deployed {
    /// The incarnation that answers now; the last one, if nothing of the Ente lived and it starts with the module.
    pub incarnation: u64,
    /// For how many microseconds nobody answered, while the state was handed over; none if nothing was there to answer.
    pub paused_us: Option<u64>,
}

/// A response, and to what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply {
    /// The serial of the request.
    pub serial: u32,
    /// The answer.
    pub response: Response,
}

/// Something that follows from an earlier request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice<T> {
    /// The serial of that request.
    pub serial: u32,
    /// What it is.
    pub content: T,
}

wire_enum! {
    /// A frame from the server, after the hello.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub enum ServerFrame {
        /// The answer to a request; exactly one for each.
        0 => Reply(reply: Reply),
        /// An event that was subscribed to.
        1 => Event(notice: Notice<Event>),
        /// A further part of a log.
        2 => Log(notice: Notice<Log>),
        /// A call, for the Ente that announced itself on this connection.
        3 => Call(call: Call),
    }
}
