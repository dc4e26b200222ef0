//! Calls on the wire: what a caller asks, what a provider is asked, and what either is answered.

use std::fmt;

use arje_card::{Capability, Id};
use serde::{Deserialize, Serialize};

use crate::call::{CallError, Caller, HandlerError, MAX_PAYLOAD, Origin};
use crate::limits::{MAX_NAMED, MAX_TEXT};
use crate::wire::{bytes, maybe_id, outcome, wire_enum};
use crate::{capability, capability::list};

/// Which call. 16 random bytes, known only to the provider that was asked.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct CallId(pub [u8; 16]);

impl fmt::Debug for CallId {
    /// Not the bytes: whoever knows them may try to answer, and logs are for everybody.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CallId(..)")
    }
}

/// Says that the caller's Ente now serves these capabilities on this connection.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Announce {
    /// Offered from now on. What the Card lists in `provides` is offered whether it is named here or not, unless the
    /// Ente took it back.
    #[serde(with = "list")]
    pub capabilities: Vec<Capability>,
}

/// Offers and takes back capabilities of the caller's Ente, until the end of its life.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpdateCapabilities {
    /// Offered from now on.
    #[serde(with = "list")]
    pub adds: Vec<Capability>,
    /// No longer offered; comes before the others.
    #[serde(with = "list")]
    pub removes: Vec<Capability>,
}

/// Calls whoever provides a capability.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invoke {
    /// Which.
    #[serde(with = "capability")]
    pub capability: Capability,
    /// At most [`MAX_PAYLOAD`] bytes.
    #[serde(with = "bytes")]
    pub payload: Vec<u8>,
    /// When the caller gives up; 0 for [`DEFAULT_DEADLINE`](crate::DEFAULT_DEADLINE), at most
    /// [`MAX_DEADLINE_MS`](crate::limits::MAX_DEADLINE_MS).
    pub deadline_ms: u64,
}

/// What a call came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invoked {
    /// The answer, or why there is none.
    #[serde(with = "outcome")]
    pub result: Result<Vec<u8>, CallError>,
}

/// Answers a call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// Which.
    pub call: CallId,
    /// At most [`MAX_PAYLOAD`] bytes, or why there is no answer.
    #[serde(with = "outcome")]
    pub result: Result<Vec<u8>, HandlerError>,
}

/// A call, as its provider gets it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call {
    /// To be repeated in the [`Answer`], on the same connection.
    pub id: CallId,
    /// Who asks.
    pub caller: CallFrom,
    /// Under which capability.
    #[serde(with = "capability")]
    pub capability: Capability,
    /// At most [`MAX_PAYLOAD`] bytes.
    #[serde(with = "bytes")]
    pub payload: Vec<u8>,
    /// Milliseconds until the caller gives up.
    pub left_ms: u64,
}

/// Who calls, as the server knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallFrom {
    /// Its Ente; none for a process that belongs to no Ente.
    #[serde(with = "maybe_id")]
    pub ente: Option<Id>,
    /// The label of that.
    pub label: Option<String>,
    /// Where it is.
    pub origin: CallOrigin,
}

/// A process, as the kernel told of it when it connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// Its id.
    pub pid: u32,
    /// Its effective user.
    pub uid: u32,
    /// Its effective group.
    pub gid: u32,
}

wire_enum! {
    /// Where a call comes from.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum CallOrigin {
        /// A component.
        0 => Component,
        /// A process.
        1 => Process(process: Process),
    }
}

impl From<&Caller> for CallFrom {
    fn from(caller: &Caller) -> Self {
        Self {
            ente: caller.card.as_ref().map(|card| card.id),
            label: caller.card.as_ref().map(|card| card.label.clone()),
            origin: match caller.origin {
                Origin::Component => CallOrigin::Component,
                Origin::Process { pid, uid, gid } => CallOrigin::Process(Process { pid, uid, gid }),
            },
        }
    }
}

impl Announce {
    pub(crate) fn check(&self) -> Result<(), String> {
        check_list("capabilities", &self.capabilities)
    }
}

impl UpdateCapabilities {
    pub(crate) fn check(&self) -> Result<(), String> {
        check_list("adds", &self.adds)?;
        check_list("removes", &self.removes)
    }
}

impl Answer {
    /// The answer as its caller gets it: bounded, whatever the provider sent.
    pub fn bounded(self) -> Result<Vec<u8>, CallError> {
        match self.result {
            Ok(bytes) if bytes.len() > MAX_PAYLOAD => Err(CallError::TooLarge(MAX_PAYLOAD as u32)),
            Ok(bytes) => Ok(bytes),
            Err(error) => Err(CallError::Refused(error.bounded())),
        }
    }
}

impl HandlerError {
    /// With its text cut at [`MAX_TEXT`] bytes.
    #[must_use]
    pub fn bounded(mut self) -> Self {
        match &mut self {
            Self::Unsupported => {}
            Self::BadRequest(why) | Self::Forbidden(why) | Self::Failed(why) => {
                why.truncate(why.floor_char_boundary(MAX_TEXT));
            }
        }
        self
    }
}

fn check_list(field: &str, list: &[Capability]) -> Result<(), String> {
    if list.len() <= MAX_NAMED {
        return Ok(());
    }
    Err(format!(
        "{field}: {} capabilities; one request names at most {MAX_NAMED}",
        list.len()
    ))
}
