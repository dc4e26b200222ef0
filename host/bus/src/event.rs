//! What subscribers are told.

use arje_card::Id;
use serde::{Deserialize, Serialize};

use crate::status::{EnteState, Exit};
use crate::wire::{id, wire_enum};

/// Something that happened to an Ente.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Happening {
    /// Milliseconds on the server's clock, which starts with the server.
    pub at_ms: u64,
    /// The Ente.
    #[serde(with = "id")]
    pub id: Id,
    /// Its label.
    pub label: String,
    /// The incarnation it is about.
    pub incarnation: u64,
    /// Its state from now on.
    pub state: EnteState,
    /// Why, for people.
    pub cause: String,
    /// How it ended, where this is an end.
    pub exit: Option<Exit>,
}

wire_enum! {
    /// An event. Numbers are also the bits of [`Filter::kinds`](crate::Filter::kinds), so they stay below 64. 11 is
    /// reserved for `Removed`.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub enum Event {
        /// So many events were not sent, because the subscriber did not read in time. Passes every filter.
        0 => Lagged(count: u64),
        /// It is ready.
        1 => Ready(what: Happening),
        /// It ended as it should not, and starts again after its delay.
        2 => Crashed(what: Happening),
        /// It starts again after its delay.
        3 => Restarting(what: Happening),
        /// It ended as it should.
        4 => Exited(what: Happening),
        /// It was stopped because a need was lost.
        5 => Parked(what: Happening),
        /// It is not tried again until somebody asks.
        6 => Failed(what: Happening),
        /// It starts.
        7 => Starting(what: Happening),
        /// It is on its way down.
        8 => Stopping(what: Happening),
        /// It is down, and not wanted.
        9 => Stopped(what: Happening),
        /// It is wanted, and waits for what it needs.
        10 => Waiting(what: Happening),
        /// Another module has taken its place, and is ready.
        12 => Deployed(what: Happening),
    }
}

impl Event {
    /// Its number.
    #[must_use]
    pub const fn kind(&self) -> u32 {
        match self {
            Self::Lagged(_) => 0,
            Self::Ready(_) => 1,
            Self::Crashed(_) => 2,
            Self::Restarting(_) => 3,
            Self::Exited(_) => 4,
            Self::Parked(_) => 5,
            Self::Failed(_) => 6,
            Self::Starting(_) => 7,
            Self::Stopping(_) => 8,
            Self::Stopped(_) => 9,
            Self::Waiting(_) => 10,
            Self::Deployed(_) => 12,
        }
    }

    /// What happened; none for a report of lag.
    #[must_use]
    pub const fn happening(&self) -> Option<&Happening> {
        match self {
            Self::Lagged(_) => None,
            Self::Ready(what)
            | Self::Crashed(what)
            | Self::Restarting(what)
            | Self::Exited(what)
            | Self::Parked(what)
            | Self::Failed(what)
            | Self::Starting(what)
            | Self::Stopping(what)
            | Self::Stopped(what)
            | Self::Waiting(what)
            | Self::Deployed(what) => Some(what),
        }
    }

    /// The word for people.
    #[must_use]
    pub fn name(&self) -> String {
        let found = Self::NUMBERS
            .iter()
            .find(|(number, _)| *number == self.kind());
        found.map_or_else(String::new, |(_, name)| name.to_ascii_lowercase())
    }
}
