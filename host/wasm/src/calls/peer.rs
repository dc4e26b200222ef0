//! What a component is towards others: who it is, whom it answers, and how long it may wait.

use super::Asker;
use super::binding::{Bindings, Unbound};
use super::typed::TypedImport;
use super::typed_call::TypedCall;
use crate::host::Shared;
use crate::lane::LaneSignal;
use arje_bus::Caller;
use arje_card::{Capability, Card, Id};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The part of a store that other Entes have to do with.
pub(crate) struct Peer {
    shared: Arc<Shared>,
    card: Arc<Card>,
    incarnation: u64,
    /// When the call that it is at has to be over (`limits.call_ms`), if ever.
    until: Option<Instant>,
    /// Whom it answers.
    current: Option<Current>,
    bindings: Bindings,
    /// Whether it exports `supervisor-handler`.
    hears_events: bool,
}

/// The call that a component answers.
#[derive(Debug, Clone)]
pub(crate) struct Current {
    pub(crate) caller: Caller,
    pub(crate) capability: Capability,
    /// When the caller gives up.
    pub(crate) deadline: Instant,
}

impl Peer {
    pub(crate) fn new(shared: Arc<Shared>, card: Arc<Card>, incarnation: u64) -> Peer {
        Peer {
            shared,
            card,
            incarnation,
            until: None,
            current: None,
            bindings: Bindings::default(),
            hears_events: false,
        }
    }

    /// The same, which can be told of events or not.
    pub(crate) fn hearing_events(self, hears_events: bool) -> Peer {
        Peer {
            hears_events,
            ..self
        }
    }

    /// Whether it can be told of events.
    pub(crate) fn hears_events(&self) -> bool {
        self.hears_events
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    pub(crate) fn card(&self) -> &Arc<Card> {
        &self.card
    }

    pub(crate) fn incarnation(&self) -> u64 {
        self.incarnation
    }

    /// As others see it.
    pub(crate) fn caller(&self) -> Caller {
        Caller::component(Arc::clone(&self.card))
    }

    /// As one that asks.
    pub(crate) fn asker(&self, signal: &Arc<LaneSignal>) -> Asker {
        Asker::of(&self.card, self.incarnation, Some(Arc::clone(signal)))
    }

    /// A call begins; it may take so long.
    pub(crate) fn begin(&mut self, within: Option<Duration>, current: Option<Current>) {
        self.until = within.and_then(|within| Instant::now().checked_add(within));
        self.current = current;
    }

    /// Whom it answers.
    pub(crate) fn current(&self) -> Option<&Current> {
        self.current.as_ref()
    }

    /// When it gives up waiting for somebody, if it wants to wait so long: early enough that a tenth of its own time is left
    /// to make something of that.
    pub(crate) fn deadline(&self, wanted: Duration) -> Instant {
        let now = Instant::now();
        let wanted = wanted.min(MAX_PATIENCE);
        let own = self.until.map(|until| until.saturating_duration_since(now));
        now + own.map_or(wanted, |own| wanted.min(own - own / 10))
    }

    /// A call of function `number` of an import with this index, and whom it goes to.
    pub(crate) fn typed_call(
        &mut self,
        called: (&Arc<TypedImport>, usize, usize),
        params: Vec<u8>,
        deadline: Instant,
    ) -> Result<(Id, TypedCall), Unbound> {
        let call = (self.caller(), params, deadline);
        self.bindings.call(&self.shared, called, call)
    }
}

/// The longest that anybody waits for an answer: an hour. A larger number means "as long as it takes", and must not
/// overflow.
pub(crate) const MAX_PATIENCE: Duration = Duration::from_secs(3600);
