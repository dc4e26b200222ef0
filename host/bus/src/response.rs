//! What the server sends after the hello.

use arje_card::Id;
use serde::{Deserialize, Serialize};

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
    /// Where a line was written.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum LogStream {
        /// Standard output.
        0 => Out,
        /// Standard error.
        1 => Err,
        /// Either: the two are one stream.
        2 => Both,
    }
}

/// A line that an Ente wrote.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// When, in milliseconds since 1970 (UTC).
    pub unix_ms: u64,
    /// The incarnation that wrote it.
    pub incarnation: u64,
    /// Where to.
    pub stream: LogStream,
    /// As it was written, without the line end; not necessarily UTF-8.
    pub text: Vec<u8>,
}

/// Lines of a log, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Log {
    /// How many lines between the previous ones and these were not kept.
    pub lost: u64,
    /// The lines.
    pub lines: Vec<LogLine>,
    /// Whether more lines of the same answer follow in a [`ServerFrame::Log`].
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
    }
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
    /// A frame from the server, after the hello. Number 3 is reserved for calls to a provider.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub enum ServerFrame {
        /// The answer to a request; exactly one for each.
        0 => Reply(reply: Reply),
        /// An event that was subscribed to.
        1 => Event(notice: Notice<Event>),
        /// Further lines of a log.
        2 => Log(notice: Notice<Log>),
    }
}
