//! What can be asked about an Ente: the data of `ente status`.

use std::collections::VecDeque;

use arje_card::{Id, Pin};

use crate::action::{Cause, Hold, State};
use crate::event::{Incarnation, Millis};
use crate::exit::ExitStatus;

/// One Ente as it is now. Borrowed from the supervisor: nothing is copied that may be long.
#[derive(Clone, Debug, PartialEq)]
pub struct EnteStatus<'a> {
    /// Its id.
    pub id: Id,
    /// Its label.
    pub label: &'a str,
    /// Its parent; `None` for a root.
    pub parent: Option<Id>,
    /// Its state.
    pub state: State,
    /// Since when it has been in this state.
    pub since: Millis,
    /// Whether it is meant to be up.
    pub wanted: bool,
    /// Its current or last incarnation; 0 when it was never started.
    pub incarnation: Incarnation,
    /// The number of its successor, while another module is about to take its place.
    pub successor: Option<Incarnation>,
    /// The module that it ran before another one took its place.
    pub former: Option<Pin>,
    /// Starts since it was adopted. Smaller than `incarnation` only after an earlier Ente with the
    /// same id was removed.
    pub starts: u64,
    /// How many of its lives ended without anybody asking, and were followed by a restart.
    pub restarts: u64,
    /// When its current or last incarnation was started.
    pub started_at: Option<Millis>,
    /// Milliseconds that its current or last incarnation took from start to Ready.
    pub ready_after_ms: Option<u64>,
    /// How its last ended incarnation ended.
    pub last_exit: Option<&'a ExitStatus>,
    /// In Backoff: when it starts again. In Stopping: when it is killed. In Waiting and Starting,
    /// after its host was replaced: until when those who need it are left alone.
    pub next: Option<Millis>,
    /// What keeps a wanted Ente from starting, and an open container from being ready; `None` when nothing does.
    pub held_by: Option<Hold>,
    /// Its last state changes, oldest first; at most [`crate::limits::MAX_HISTORY`].
    pub history: &'a VecDeque<Transition>,
}

/// One remembered state change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transition {
    /// When.
    pub at: Millis,
    /// The incarnation it was about.
    pub incarnation: Incarnation,
    /// Before.
    pub from: State,
    /// After.
    pub to: State,
    /// Why.
    pub cause: Cause,
}

/// How much a supervisor keeps, for metrics and for tests of its bounds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Entes known; at most [`crate::limits::MAX_ENTES`].
    pub entes: usize,
    /// Entes with an incarnation that has begun and not ended.
    pub live: usize,
    /// Distinct capabilities named; at most [`crate::limits::MAX_CAPABILITIES`].
    pub capabilities: usize,
    /// Deadlines pending; at most one per Ente.
    pub timers: usize,
    /// Removed Entes remembered; at most [`crate::limits::MAX_RETIRED`].
    pub retired: usize,
    /// Entes looked at since the supervisor was made: the work of all steps so far.
    pub looks: u64,
}
