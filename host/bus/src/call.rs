//! Calls from one Ente to another: who calls, and why there is no answer.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use arje_card::Card;

use crate::wire::wire_enum;

/// How long a caller waits that does not say how long: of a typed service, or with a deadline of 0.
pub const DEFAULT_DEADLINE: Duration = Duration::from_secs(5);

/// Bytes of a call's payload and of its answer: what a frame of the bus has room for, with a page for the rest of the frame.
pub const MAX_PAYLOAD: usize = crate::limits::MAX_FRAME - 4096;

/// Who calls, as the host knows it. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The Card of its Ente; none for a process that belongs to no Ente.
    pub card: Option<Arc<Card>>,
    /// Where it is.
    pub origin: Origin,
}

/// Where a call comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A component.
    Component,
    /// A process, as the kernel told of it when it connected.
    Process {
        /// Its id.
        pid: u32,
        /// Its effective user.
        uid: u32,
        /// Its effective group.
        gid: u32,
    },
}

impl Caller {
    /// The component of an Ente.
    #[must_use]
    pub const fn component(card: Arc<Card>) -> Self {
        Self {
            card: Some(card),
            origin: Origin::Component,
        }
    }
}

wire_enum! {
    /// What a provider answers instead of bytes (`arje:bus/types.handler-error`).
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub enum HandlerError {
        /// It does not serve this capability.
        0 => Unsupported,
        /// The payload makes no sense to it.
        1 => BadRequest(why: String),
        /// This caller may not.
        2 => Forbidden(why: String),
        /// It tried, and failed.
        3 => Failed(why: String),
    }
}

impl fmt::Display for HandlerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unsupported => f.write_str("the provider does not serve this capability"),
            Self::BadRequest(why) => write!(f, "the provider cannot read the payload: {why}"),
            Self::Forbidden(why) => write!(f, "the provider does not allow it: {why}"),
            Self::Failed(why) => write!(f, "the provider failed: {why}"),
        }
    }
}

wire_enum! {
    /// Why a call has no answer (`arje:bus/types.invoke-error`).
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub enum CallError {
        /// Nobody who is Ready provides the capability.
        0 => NoProvider,
        /// The provider has as many calls waiting as it may.
        1 => Overloaded,
        /// No answer came in time; the call may have been carried out, or may still be.
        2 => Deadline,
        /// The provider ended before it answered; the call may have been carried out in part.
        3 => ProviderDied,
        /// The provider waits for an answer of the caller's, directly or through others.
        4 => Deadlock,
        /// Payload or answer has more bytes than this.
        5 => TooLarge(most: u32),
        /// The provider's own answer.
        6 => Refused(error: HandlerError),
    }
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoProvider => f.write_str("nobody who is Ready provides it"),
            Self::Overloaded => f.write_str("the provider has as many calls waiting as it may"),
            Self::Deadline => f.write_str("the provider did not answer in time"),
            Self::ProviderDied => f.write_str("the provider ended before it answered"),
            Self::Deadlock => {
                f.write_str("the provider waits for this caller, so neither would ever go on")
            }
            Self::TooLarge(most) => {
                write!(f, "the payload or its answer has more than {most} bytes")
            }
            Self::Refused(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for CallError {}
