//! What a component may ask of the supervisor (`arje:ente/supervisor`), and the events that wait for it.

use crate::host::{Host, NotRunning};
use arje_bus::{BusError, EnteState, Event, Exit, MAX_PAYLOAD, Target};
use arje_card::{Id, Pin};
use std::collections::VecDeque;
use std::sync::Arc;

/// Bytes of a Card that a component brings: what a process can bring over the bus, whose frame is 1 MiB.
pub const MAX_CARD: usize = MAX_PAYLOAD;

/// Events that wait for one component: a burst such as the stop of a subtree. Whoever is slower is told how many it
/// missed.
pub(crate) const MAX_EVENTS: usize = 64;

/// What a component wants done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wish {
    /// Everything about one.
    Status(Target),
    /// Takes in a Card as JSON, at most [`MAX_CARD`] bytes.
    Spawn(String),
    /// Wants it.
    Start(Target),
    /// Does not want it.
    Stop(Target),
    /// Stops and starts it.
    Restart(Target),
    /// Signals it.
    Kill(Target, u8),
    /// Stops and forgets it.
    Remove(Target),
    /// Wants to hear of this one, or of all.
    Subscribe(Option<Target>),
    /// Wants to hear nothing any more.
    Unsubscribe,
}

/// What came of a [`Wish`]; a status for [`Wish::Status`] alone.
pub type Tended = Result<Option<Box<EnteStatus>>, BusError>;

/// Everything about one Ente (`arje:ente/supervisor.ente-status`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnteStatus {
    /// Its id.
    pub id: Id,
    /// Its label.
    pub label: String,
    /// Its state.
    pub state: EnteState,
    /// For how long, in milliseconds.
    pub since_ms: u64,
    /// Whether it is meant to be up.
    pub wanted: bool,
    /// Its current or last incarnation; 0 when it was never started.
    pub incarnation: u64,
    /// Lives that ended without anybody asking, and were followed by another one.
    pub restarts: u64,
    /// The process of a native Ente.
    pub pid: Option<u32>,
    /// Its component.
    pub pin: Option<Pin>,
    /// What keeps it from starting.
    pub held_by: Option<String>,
    /// How its last ended life ended.
    pub last_exit: Option<Exit>,
}

impl Host {
    /// Tells an incarnation of an event that it subscribed to; it hears of it between calls. Of those that it is too slow
    /// for it is told how many there were.
    ///
    /// # Errors
    ///
    /// It does not run.
    pub fn tell(&self, ente: Id, incarnation: u64, event: &Arc<Event>) -> Result<(), NotRunning> {
        self.with(ente, incarnation, |living| {
            living.control.tell(Arc::clone(event));
        })
    }

    /// Forgets the events that wait for an incarnation, if it runs.
    pub fn forget_events(&self, ente: Id, incarnation: u64) {
        let _ = self.with(ente, incarnation, |living| living.control.forget_events());
    }
}

/// Events that wait for a component.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    waiting: VecDeque<Arc<Event>>,
    /// Events left out since the last one that waits.
    lagged: u64,
}

impl Inbox {
    /// Keeps an event, or counts it: as one, or as many as it stands for.
    pub(crate) fn put(&mut self, event: Arc<Event>) {
        // With the count, if there is one, in the place of those that are missing.
        let room = MAX_EVENTS - self.waiting.len();
        if room <= usize::from(self.lagged > 0) {
            let count = match &*event {
                Event::Lagged(count) => *count,
                _ => 1,
            };
            self.lagged = self.lagged.saturating_add(count);
            return;
        }
        let lag = self.take_lag();
        self.waiting.extend(lag);
        self.waiting.push_back(event);
    }

    /// The next one.
    pub(crate) fn take(&mut self) -> Option<Arc<Event>> {
        self.waiting.pop_front().or_else(|| self.take_lag())
    }

    /// Forgets all.
    pub(crate) fn clear(&mut self) {
        *self = Inbox::default();
    }

    fn take_lag(&mut self) -> Option<Arc<Event>> {
        match std::mem::take(&mut self.lagged) {
            0 => None,
            lagged => Some(Arc::new(Event::Lagged(lagged))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arje_bus::Happening;

    fn event(number: u64) -> Arc<Event> {
        Arc::new(Event::Ready(Happening {
            at_ms: 0,
            id: Id::NIL,
            label: String::new(),
            incarnation: number,
            state: EnteState::Ready,
            cause: String::new(),
            exit: None,
        }))
    }

    /// Numbers of events; minus how many are missing.
    fn drain(inbox: &mut Inbox, most: usize) -> Vec<i64> {
        let number = |event: Arc<Event>| match &*event {
            Event::Lagged(count) => -(*count as i64),
            other => other.happening().unwrap().incarnation as i64,
        };
        std::iter::from_fn(|| inbox.take())
            .take(most)
            .map(number)
            .collect()
    }

    #[test]
    fn what_is_left_out_is_counted_in_its_place() {
        let mut inbox = Inbox::default();
        (0..70).for_each(|number| inbox.put(event(number)));
        assert_eq!(drain(&mut inbox, 1), [0]);
        // Room for one: the count and an event need two.
        inbox.put(event(70));
        assert_eq!(drain(&mut inbox, 1), [1]);
        inbox.put(event(71));
        let rest: Vec<i64> = (2..64).chain([-7, 71]).collect();
        assert_eq!(drain(&mut inbox, usize::MAX), rest);
        assert!(inbox.take().is_none());
        (0..66).for_each(|number| inbox.put(event(number)));
        assert_eq!(drain(&mut inbox, usize::MAX).last(), Some(&-2));
        (0..66).for_each(|number| inbox.put(event(number)));
        inbox.put(Arc::new(Event::Lagged(8)));
        assert_eq!(drain(&mut inbox, usize::MAX).last(), Some(&-10));
        inbox.put(event(1));
        inbox.clear();
        assert!(inbox.take().is_none());
    }
}
