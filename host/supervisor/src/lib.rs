//! The life of Entes as a pure state machine: events in, actions out.
//!
//! [`Supervisor::step`] takes an [`Event`] and returns [`Action`]s. There is no I/O, no clock, no
//! thread and no randomness in this crate: time is a number in the event, and whoever carries out
//! the actions (`ente-zero`, or a test) reports back with further events. `docs/supervision.md` has
//! the states, the transitions and the invariants, with their reasons.
//!
//! Not here: processes, components, sockets, authority (who may ask), and routing of calls.

mod action;
mod adopt;
mod cycle;
mod ends;
mod ente;
mod event;
mod exit;
mod facts;
mod fetch;
mod few;
mod index;
mod interrupt;
pub mod limits;
mod needs;
mod places;
mod prospect;
mod refusal;
mod requests;
mod settle;
mod shutdown;
mod snapshot;
mod status;
mod stop;
mod succeed;
mod supervisor;
mod table;

pub use action::{Action, Cause, Hold, State, StopReason};
pub use event::{Command, Event, EventKind, Incarnation, Millis, ReadyBy, Report};
pub use exit::{ExitStatus, KilledFor, TrapKind};
pub use prospect::Prospect;
pub use refusal::{CycleLink, Need, Refusal};
pub use snapshot::{Snapshot, SnapshotError};
pub use status::{EnteStatus, Transition, Usage};
pub use supervisor::Supervisor;
