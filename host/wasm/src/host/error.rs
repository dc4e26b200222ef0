//! Why the host did not do what the core loop asked.

use arje_bus::HandlerError;
use std::fmt;

/// There is no such incarnation, or it is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotRunning;

/// Why an invocation has no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InvokeError {
    /// The Ente does not run, or not yet.
    NotRunning,
    /// The Ente has as many calls waiting as its Card's `limits.mailbox` allows.
    MailboxFull,
    /// The component exports no function of this name.
    NoSuchFunction(String),
    /// The Ente ended before it answered.
    ProviderDied,
    /// The Ente lives in a worker process, and the payload or the answer has more than
    /// [`MAX_PAYLOAD`](crate::wire::MAX_PAYLOAD) bytes.
    TooLarge,
    /// The component's own answer.
    Refused(HandlerError),
}

impl fmt::Display for InvokeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            InvokeError::NotRunning => f.write_str("the Ente does not run"),
            InvokeError::MailboxFull => f.write_str("the Ente's mailbox is full"),
            InvokeError::NoSuchFunction(name) => {
                write!(f, "the component exports no function `{name}`")
            }
            InvokeError::ProviderDied => f.write_str("the Ente ended before it answered"),
            InvokeError::TooLarge => write!(
                f,
                "the call or its answer has more than {} bytes, too many for an Ente with a body",
                crate::wire::MAX_PAYLOAD
            ),
            InvokeError::Refused(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for InvokeError {}
