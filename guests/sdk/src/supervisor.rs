//! The tree of Entes: `arje:ente/supervisor`. The Card needs `"holds": ["Spawn"]`. Nothing here waits for what it asks
//! for; [`Events`](crate::Events) tells.

use crate::host::supervisor as host;
use alloc::vec::Vec;

pub use crate::bindings::host::arje::ente::types::{EnteInfo, EnteState};
pub use crate::bindings::supervisor::arje::ente::supervisor::{
    EnteStatus, Event, EventKind, Exit, Happening, SupervisorError, Target,
};

/// The Ente with this label.
#[must_use]
pub fn labelled(label: &str) -> Target {
    Target::Label(label.into())
}

/// All Entes, in order of id.
#[must_use]
pub fn list() -> Vec<EnteInfo> {
    let mut all: Vec<EnteInfo> = Vec::new();
    loop {
        let page = host::list(all.last().map(|last| last.id.as_str()));
        if page.is_empty() {
            return all;
        }
        all.extend(page);
    }
}

/// Everything about one.
///
/// # Errors
/// There is no such Ente.
pub fn status(target: &Target) -> Result<EnteStatus, SupervisorError> {
    host::status(target)
}

/// Takes in a Card (JSON, with everything below it in `genesis`) as a child of this Ente. No Card among them gets more
/// than this Ente's own Card has.
///
/// # Errors
/// See [`SupervisorError`]. Nothing of it is taken in then.
pub fn spawn(card: &str) -> Result<(), SupervisorError> {
    host::spawn(card)
}

/// Wants an Ente: starts it as soon as its contracts allow.
///
/// # Errors
/// See [`SupervisorError`].
pub fn start(target: &Target) -> Result<(), SupervisorError> {
    host::start(target)
}

/// Does not want it: stops it, its dependents first.
///
/// # Errors
/// See [`SupervisorError`].
pub fn stop(target: &Target) -> Result<(), SupervisorError> {
    host::stop(target)
}

/// Stops it, dependents first, and starts it again.
///
/// # Errors
/// See [`SupervisorError`].
pub fn restart(target: &Target) -> Result<(), SupervisorError> {
    host::restart(target)
}

/// Sends a signal, 1 to 31 (signal(7)), to a native Ente; to a component only SIGTERM (15) and SIGKILL (9).
///
/// # Errors
/// See [`SupervisorError`].
pub fn kill(target: &Target, signal: u8) -> Result<(), SupervisorError> {
    host::kill(target, signal)
}

/// Stops an Ente with everything below it, and forgets it.
///
/// # Errors
/// See [`SupervisorError`].
pub fn remove(target: &Target) -> Result<(), SupervisorError> {
    host::remove(target)
}

/// From now on [`Events::on_event`](crate::Events::on_event) hears of everything that happens to this Ente, or to any. A
/// second call replaces the first.
///
/// # Errors
/// The component does not export `supervisor-handler` (`service!(Type, events)`), or there is no such Ente.
pub fn subscribe(of: Option<&Target>) -> Result<(), SupervisorError> {
    host::subscribe(of)
}

/// No more events, those that wait included.
pub fn unsubscribe() {
    host::unsubscribe();
}
