//! Changes of state as the bus's events, and who wants them.

use super::view;
use arje_bus::{Event, Happening};
use arje_card::Id;
use arje_supervisor::{Cause, Incarnation, Millis, State};

/// A change of state, as the supervisor tells of it.
#[derive(Debug, Clone)]
pub struct Change<'a> {
    /// When.
    pub at: Millis,
    /// Whose.
    pub id: Id,
    /// Its label.
    pub label: &'a str,
    /// The incarnation it is about.
    pub incarnation: Incarnation,
    /// The state from now on.
    pub to: State,
    /// Why.
    pub cause: &'a Cause,
    /// The same in words, with labels instead of ids.
    pub text: String,
}

/// The event that a change of state is.
#[must_use]
pub fn event(change: Change<'_>) -> Event {
    let exit = match change.cause {
        Cause::Exited(status) | Cause::StartLimit { status, .. } => Some(view::exit(status)),
        _ => None,
    };
    let what = Happening {
        at_ms: change.at.0,
        id: change.id,
        label: change.label.to_owned(),
        incarnation: change.incarnation,
        state: view::state(change.to),
        cause: view::short(change.text),
        exit,
    };
    match change.to {
        State::Starting | State::Waiting if *change.cause == Cause::BackoffOver => {
            Event::Restarting(what)
        }
        State::Ready if *change.cause == Cause::Replaced => Event::Deployed(what),
        State::Ready => Event::Ready(what),
        State::Backoff => Event::Crashed(what),
        State::Done => Event::Exited(what),
        State::Parked => Event::Parked(what),
        State::Failed => Event::Failed(what),
        State::Starting => Event::Starting(what),
        State::Stopping => Event::Stopping(what),
        State::Declared => Event::Stopped(what),
        State::Waiting => Event::Waiting(what),
    }
}

/// What one subscriber asked for, and has missed.
#[derive(Debug)]
pub struct Subscription {
    /// The serial of its request.
    pub serial: u32,
    of: Option<Id>,
    kinds: u64,
    /// Events that were not kept since the last report of lag.
    pub lagged: u64,
}

impl Subscription {
    /// To events of this Ente or of all, of the kinds whose bits are set.
    #[must_use]
    pub const fn new(serial: u32, of: Option<Id>, kinds: u64) -> Subscription {
        Subscription {
            serial,
            of,
            kinds,
            lagged: 0,
        }
    }

    /// Whether it wants this event.
    #[must_use]
    pub fn wants(&self, event: &Event) -> bool {
        let about = event.happening().map(|what| what.id);
        self.kinds & (1 << event.kind()) != 0 && (self.of.is_none() || self.of == about)
    }
}
