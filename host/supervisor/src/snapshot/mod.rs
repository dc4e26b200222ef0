//! A supervisor as a value that can be written down and taken up again: by the next image of
//! `ente-zero` (`docs/handover.md`), or after a boot.
//!
//! Written down is what nobody can derive: Cards, states, counters, deadlines, what incarnations
//! offer beyond their Cards. Indexes, facts and waits are derived anew from it, so a snapshot
//! cannot contradict itself there. Times are relative to the moment of the snapshot, so that it can be
//! taken up by a clock with another origin.

mod record;
mod restore;
mod take;

use std::fmt;

use arje_card::{Capability, Id};
use serde::{Deserialize, Serialize};

use crate::event::Incarnation;
use crate::limits::MAX_SNAPSHOT;
use crate::refusal::Refusal;
use record::{EnteRecord, Offset};

/// What the text of a snapshot says that it is.
const FORMAT: &str = "arje-supervisor-snapshot";

/// The version of the format. Raised with every change that another version could misread.
const VERSION: u32 = 2;

/// A supervisor at one moment. Made by [`crate::Supervisor::snapshot`], taken up by
/// [`crate::Supervisor::restore`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Snapshot {
    format: String,
    version: u32,
    /// In the order of their adoption, so parents come before their children.
    entes: Vec<EnteRecord>,
    /// What the machine offers.
    host: Vec<Capability>,
    /// Last incarnation numbers of removed Entes, oldest first, and the highest of those forgotten.
    retired: Vec<(Id, Incarnation)>,
    retired_floor: Incarnation,
    shutdown: Option<ShutdownRecord>,
}

/// A shutdown under way.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ShutdownRecord {
    kill_at: Option<Offset>,
    deadline: Offset,
    complete: bool,
}

/// The beginning of every version, read before the rest.
#[derive(Deserialize)]
struct Header {
    format: String,
    version: u32,
}

impl Snapshot {
    /// The snapshot as JSON.
    ///
    /// # Errors
    ///
    /// [`SnapshotError::TooLarge`].
    pub fn to_json(&self) -> Result<Vec<u8>, SnapshotError> {
        let text = serde_json::to_vec(self).map_err(SnapshotError::unreadable)?;
        match text.len() {
            bytes if bytes > MAX_SNAPSHOT => Err(SnapshotError::TooLarge { bytes }),
            _ => Ok(text),
        }
    }

    /// Leaves nothing of the Entes but their last incarnation numbers, from which Entes with the same
    /// ids go on counting; and what the machine offers.
    pub fn forget_entes(&mut self) {
        let entes = std::mem::take(&mut self.entes).into_iter();
        let numbers = entes.map(|ente| (ente.card.id, ente.numbered.max(ente.incarnation)));
        self.retired.extend(numbers);
    }

    /// Reads what [`Snapshot::to_json`] wrote. Whether it makes sense is what
    /// [`crate::Supervisor::restore`] says.
    ///
    /// # Errors
    ///
    /// It is too large, no snapshot, one of another version, or cut off.
    pub fn from_json(text: &[u8]) -> Result<Self, SnapshotError> {
        let bytes = text.len();
        if bytes > MAX_SNAPSHOT {
            return Err(SnapshotError::TooLarge { bytes });
        }
        let header: Header = serde_json::from_slice(text).map_err(SnapshotError::unreadable)?;
        if header.format != FORMAT {
            return Err(SnapshotError::Unreadable(format!(
                "its format is {:?}, expected {FORMAT:?}",
                header.format
            )));
        }
        if header.version != VERSION {
            let found = header.version;
            return Err(SnapshotError::Version { found });
        }
        serde_json::from_slice(text).map_err(SnapshotError::unreadable)
    }
}

/// Why a snapshot cannot be written or taken up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SnapshotError {
    /// More than [`MAX_SNAPSHOT`] bytes.
    TooLarge {
        /// How many there are.
        bytes: usize,
    },
    /// Not a snapshot, or cut off; the text says where.
    Unreadable(String),
    /// A snapshot of another version of the format.
    Version {
        /// Which one.
        found: u32,
    },
    /// Its Entes cannot live together.
    Refused(Refusal),
    /// What it says of an Ente cannot be true.
    Inconsistent {
        /// The Ente's label.
        label: String,
        /// What is wrong.
        what: &'static str,
    },
}

impl SnapshotError {
    fn unreadable(error: serde_json::Error) -> Self {
        Self::Unreadable(error.to_string())
    }
}

impl From<Refusal> for SnapshotError {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl fmt::Display for SnapshotError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge { bytes } => write!(
                f,
                "the supervisor's snapshot has {bytes} bytes, and {MAX_SNAPSHOT} is the most; \
                 remove Entes first"
            ),
            Self::Unreadable(why) => write!(f, "not a snapshot of a supervisor: {why}"),
            Self::Version { found } => write!(
                f,
                "a snapshot of version {found}; this program reads version {VERSION}"
            ),
            Self::Refused(refusal) => write!(f, "the snapshot cannot be taken up: {refusal}"),
            Self::Inconsistent { label, what } => {
                write!(f, "the snapshot cannot be taken up: Ente `{label}`: {what}")
            }
        }
    }
}

impl std::error::Error for SnapshotError {}
