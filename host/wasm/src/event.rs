//! What the host tells the core loop.

use crate::calls::{Call, Share};
use crate::tend::{Tended, Wish};
use arje_bus::{CallError, EnteState};
use arje_card::{Capability, Id, Pin};
use std::fmt;
use std::time::Duration;
use tokio::sync::oneshot;

/// Something happened to a Wasm Ente.
#[derive(Debug)]
pub struct Event {
    /// The Ente it happened to.
    pub ente: Id,
    /// Which of its incarnations.
    pub incarnation: u64,
    /// What happened.
    pub kind: EventKind,
}

/// The kinds of [`Event`], in the order in which one incarnation sends them.
#[derive(Debug)]
pub enum EventKind {
    /// The component is verified, loaded and instantiated; none of its exports has returned yet.
    Started {
        /// The sha256 of the component that runs.
        pin: Pin,
    },
    /// A service's `start` returned ok, or an HTTP component is listening.
    Ready,
    /// A service's `health` returned ok.
    Alive,
    /// A successor answers in its Ente's place from now on; instead of `Ready`.
    TookOver {
        /// How long nobody answered.
        paused: Duration,
    },
    /// It asks for something that only the core loop can do, and waits for the answer.
    Asks(Ask),
    /// The incarnation is over: nothing of it will run again, its files and sockets are closed, and its
    /// last line is out. The thread that sends this unmaps its memory next. Sent exactly once for each start.
    Ended {
        /// How it ended.
        end: End,
        /// The most bytes that its memories and tables ever had together.
        memory_peak: u64,
    },
}

/// Where the answer to a call goes. Closed when its caller does not wait any more, because it has ended.
pub type InvokeReply = oneshot::Sender<Result<Vec<u8>, CallError>>;

/// What a component asks of the core loop. A component waits for each answer, so there is at most one for each of its
/// instances; for that of a call it may have waited a millisecond only. An answer that is dropped is one, too: it cannot be had.
#[derive(Debug)]
pub enum Ask {
    /// A call to a native provider; in a worker process a call to whoever provides the capability, which PID 1 knows.
    Invoke {
        /// Its Ente; [`Id::NIL`] in a worker process.
        provider: Id,
        /// The call.
        call: Call,
        /// The provider's answer.
        reply: InvokeReply,
        /// Its payload waits until this is dropped. It bounds what callers have sent who gave up before anybody looked.
        share: Share,
    },
    /// A call of a function of a typed service, by a component in a worker process; in PID 1 nobody asks this.
    Typed {
        /// The number of the function among those of the import that the call's capability names.
        function: u64,
        /// The call; its payload are the values.
        call: Call,
        /// The values that it returned.
        reply: oneshot::Sender<Result<Vec<u8>, NoAnswer>>,
    },
    /// `bus.announce`: all of these are in its Card's `provides`.
    Announce {
        /// What it announces.
        capabilities: Vec<Capability>,
        /// What came of it; else why not.
        reply: oneshot::Sender<Result<(), String>>,
    },
    /// `bus.update-capabilities`: all of these are in its Card's `provides`.
    Update {
        /// What it offers from now on.
        adds: Vec<Capability>,
        /// What it takes back.
        removes: Vec<Capability>,
        /// What came of it; else why not.
        reply: oneshot::Sender<Result<(), String>>,
    },
    /// `bus.list-entes`
    List {
        /// The last one known.
        after: Option<Id>,
        /// A page of them.
        reply: oneshot::Sender<Vec<EnteInfo>>,
    },
    /// `arje:ente/supervisor`: its Card holds `Spawn`.
    Tend {
        /// What is to be done.
        wish: Wish,
        /// What came of it.
        reply: oneshot::Sender<Tended>,
    },
}

/// Why a typed call has no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoAnswer {
    /// As any other call.
    Call(CallError),
    /// The provider means something else by it; the text has both types.
    Differs(String),
}

/// An Ente as components see it (`arje:ente/types.ente-info`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnteInfo {
    /// Its id.
    pub id: Id,
    /// Its label.
    pub label: String,
    /// Its state.
    pub state: EnteState,
    /// Counts its starts.
    pub incarnation: u64,
    /// The process of a native Ente.
    pub pid: Option<u32>,
    /// The component that runs.
    pub pin: Option<Pin>,
    /// What its Card says that it provides.
    pub provides: Vec<Capability>,
}

/// How an incarnation ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// It did what it was there for: `run` exited with this code, or a service stopped when asked (0).
    Exited(i32),
    /// A service's `start`, or an exported function, returned an error: which one did, and the error.
    Failed(String),
    /// It never ran: the module is missing or damaged, imports too much, or lacks its entry.
    Refused(String),
    /// It cannot take the place of the incarnation that answers, as it answers to something else, or does not take what that
    /// one knew. That one goes on.
    Incompatible(String),
    /// The component trapped.
    Trapped {
        /// Stable name of the trap, such as `unreachable` or `stack-overflow`.
        kind: &'static str,
        /// What wasmtime says of it.
        message: String,
    },
    /// An export did not return within the Card's deadline.
    Deadline {
        /// The export that did not return.
        call: &'static str,
        /// How long it was given, in milliseconds.
        after_ms: u64,
    },
    /// A service's `health` returned an error.
    Unhealthy(String),
    /// The host was told to kill it.
    Killed,
    /// The host itself failed while it served this component: a defect of arje, contained.
    HostPanic(String),
    /// Its worker process said what no worker says, and is not to be trusted any more.
    Broken(String),
    /// Its worker process ended without saying how; the exit status of the process says it.
    Lost,
}

impl End {
    /// Whether the Ente ended as it should.
    #[must_use]
    pub fn is_success(&self) -> bool {
        matches!(self, End::Exited(0))
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            End::Exited(code) => write!(f, "exited with code {code}"),
            End::Failed(message) => write!(f, "failed: {message}"),
            End::Refused(message) => write!(f, "refused: {message}"),
            End::Incompatible(message) => write!(f, "incompatible: {message}"),
            End::Trapped { kind, message } => write!(f, "trapped ({kind}): {message}"),
            End::Deadline { call, after_ms } => {
                write!(f, "`{call}` did not return within {after_ms} ms")
            }
            End::Unhealthy(message) => write!(f, "unhealthy: {message}"),
            End::Killed => f.write_str("killed"),
            End::HostPanic(message) => write!(f, "the host failed: {message}"),
            End::Broken(message) => write!(f, "the worker process sent {message}"),
            End::Lost => f.write_str("the worker process ended without a word"),
        }
    }
}
