//! Components that hear of events.

use super::Bodies;
use arje_bus::Event;
use arje_card::Id;
use arje_supervisor::Incarnation;
use std::sync::Arc;

impl Bodies {
    /// Tells a component of an event, if that incarnation runs.
    pub fn tell_component(&self, id: Id, incarnation: Incarnation, event: &Arc<Event>) {
        if let Some(host) = &self.host {
            let _ = host.tell(id, incarnation, event); // its end is on its way
        }
    }

    /// Forgets what was told to a component and not heard yet.
    pub fn forget_events(&self, id: Id, incarnation: Incarnation) {
        if let Some(host) = &self.host {
            host.forget_events(id, incarnation);
        }
    }
}
