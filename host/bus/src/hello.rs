//! The first frame in either direction. Its form never changes, so that any two versions can tell each other apart.

use serde::{Deserialize, Serialize};

use crate::error::BusError;
use crate::wire::wire_enum;

/// The protocol's name.
pub const PROTOCOL: &str = "wit-v1";

/// The versions that this crate speaks.
pub const SUPPORTED: Versions = Versions {
    oldest: 1,
    newest: 1,
};

/// A range of versions, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Versions {
    /// The oldest.
    pub oldest: u16,
    /// The newest.
    pub newest: u16,
}

impl Versions {
    /// Whether this version is in the range.
    #[must_use]
    pub const fn contain(&self, version: u16) -> bool {
        self.oldest <= version && version <= self.newest
    }
}

/// What a client says first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// [`PROTOCOL`].
    pub protocol: String,
    /// The version that the client will speak.
    pub version: u16,
}

impl Hello {
    /// The hello of this version.
    #[must_use]
    pub fn new() -> Self {
        Self {
            protocol: PROTOCOL.to_owned(),
            version: SUPPORTED.newest,
        }
    }
}

impl Default for Hello {
    fn default() -> Self {
        Self::new()
    }
}

/// Sent when a hello is accepted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Welcome {
    /// The version that both will speak.
    pub version: u16,
    /// The version of the server's program, for people.
    pub server: String,
}

wire_enum! {
    /// What the server answers to a hello.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub enum HelloAnswer {
        /// Requests may come.
        0 => Welcome(welcome: Welcome),
        /// The protocol is another, or the version is outside of this range. The connection is closed.
        1 => Unsupported(versions: Versions),
        /// This peer may not use the bus, or not now. The connection is closed.
        2 => Refused(error: BusError),
    }
}
