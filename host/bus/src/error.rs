//! Why a request was not done.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::limits::{MAX_FINDINGS, MAX_TEXT};
use crate::wire::wire_enum;

wire_enum! {
    /// What kind of thing went wrong; for programs. The message is for people.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum ErrorCode {
        /// The request could not be read, or a value in it is outside its bounds.
        0 => BadRequest,
        /// This version does not have this request, or not on this machine.
        1 => Unsupported,
        /// The caller may not.
        2 => Forbidden,
        /// There is no such Ente.
        3 => UnknownEnte,
        /// It makes no sense now: the machine goes down, the Ente is being removed, or does not run.
        4 => Refused,
        /// Too many connections, subscriptions or bytes of this caller.
        5 => Busy,
        /// The system would not do it.
        6 => Failed,
        /// The module cannot take the place of the one that runs: it answers to something else, or does not take what that
        /// one knew. One that begins with nothing would run.
        7 => Incompatible,
    }
}

/// Why a request was not done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BusError {
    /// For programs.
    pub code: ErrorCode,
    /// For people: what was asked for, why it is not done, what to do.
    pub message: String,
}

impl BusError {
    /// With this message, cut at [`MAX_TEXT`] bytes.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self::cut(code, message.into(), MAX_TEXT)
    }

    /// That a Card is not taken in, with everything that is wrong with it, cut at [`MAX_FINDINGS`] bytes.
    pub fn of_findings(findings: String) -> Self {
        Self::cut(ErrorCode::BadRequest, findings, MAX_FINDINGS)
    }

    fn cut(code: ErrorCode, mut message: String, most: usize) -> Self {
        message.truncate(message.floor_char_boundary(most));
        Self { code, message }
    }
}

impl fmt::Display for BusError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for BusError {}
