//! The bus of arje: what native Entes and tools say to `ente-zero` over its socket, and how it is framed.
//!
//! A frame is its length (u32, big-endian) and a [postcard](https://postcard.jamesmunns.com/wire-format) body. The
//! first frame in either direction is a hello; after it the client sends requests, each with a number of its own
//! choice, and the server sends [`ServerFrame`]s. `docs/bus.md` describes the whole; [`limits`] has every cap.
//!
//! The numbers of enum variants are written down where they are declared, and only added to: a golden test holds
//! their bytes. The types know nothing of sockets. [`Client`] is the one thing here with I/O: a small blocking
//! client, for tools and for Entes. The server lives in `ente-zero`.

mod call;
mod calling;
mod calls;
mod capability;
mod client;
mod error;
mod event;
mod frame;
mod hello;
pub mod limits;
mod request;
mod response;
mod route;
mod status;
mod wire;

pub use call::{CallError, Caller, DEFAULT_DEADLINE, HandlerError, MAX_PAYLOAD, Origin};
pub use calling::{
    Announce, Answer, Call, CallFrom, CallId, CallOrigin, Invoke, Invoked, Process,
    UpdateCapabilities,
};
pub use calls::{Asked, Calls, Pending};
pub use client::{Client, ClientError};
pub use error::{BusError, ErrorCode};
pub use event::{Event, Happening};
pub use frame::{Broken, FrameReader, Unencodable, decode, encode};
pub use hello::{Hello, HelloAnswer, PROTOCOL, SUPPORTED, Versions, Welcome};
pub use request::{
    CardFile, Deploy, Filter, Freeze, KillEnte, ListEntes, Logs, Request, RequestFrame, RunCard,
    SetMemory, SetWeight, StopEnte, Subscribe, SwitchRoot, Target, Undecodable,
};
pub use response::{
    Deployed, EntePage, Identity, Log, LogEntry, LogLine, LogRecord, LogSource, LostLines, Notice,
    Reply, Response, Rights, ServerFrame,
};
pub use route::{Place, Provider, Routes};
pub use status::{
    EnteState, EnteStatus, EnteSummary, Exit, ExitKind, PayloadKind, Telemetry, Transition,
};

/// The environment variable with the path of the socket.
pub const SOCKET_VARIABLE: &str = "ENTE_BUS_SOCK";

/// Where the socket is on a machine.
pub const SOCKET: &str = "/run/ente-bus.sock";

/// The name in a Card's `permissions.ipc.allow` that lets an Ente use the bus.
pub const IPC_NAME: &str = "wit-v1";
