//! What the core loop does with notifications of native Entes.

use super::Core;
use crate::bodies::{Bodies, News};
use crate::bus::{Running, View};
use crate::notify::{Notify, Sender};
use arje_bus::Telemetry;
use arje_card::{Card, Id};
use arje_supervisor::Incarnation;

impl Core {
    /// Takes notifications here from now on.
    pub fn attach_notify(&mut self, notify: Notify) {
        self.notify = notify;
    }

    /// Notifications are waiting.
    pub(super) fn take_notifications(&mut self) {
        let (supervisor, bodies) = (&self.supervisor, &self.bodies);
        let reports = self.notify.take(|pid| {
            let who = bodies.who_of(pid)?;
            Some(Sender {
                card: supervisor.card(who.id)?,
                incarnation: who.incarnation,
            })
        });
        for (who, report) in reports {
            self.tell(News::new(who, report));
        }
    }
}

/// The running payloads, and what they say of themselves.
pub(super) struct Alive<'a> {
    bodies: &'a Bodies,
    notify: &'a Notify,
}

impl Core {
    /// Who runs, for [`view`](Self::view).
    pub(super) fn alive(&self) -> Alive<'_> {
        Alive {
            bodies: &self.bodies,
            notify: &self.notify,
        }
    }

    /// What the bus's rules and answers look at.
    pub(super) fn view<'a>(&'a self, running: &'a Alive<'a>) -> View<'a> {
        View {
            supervisor: &self.supervisor,
            running,
            now: self.now(),
            owner_uid: self.owner_uid,
        }
    }
}

impl Running for Alive<'_> {
    fn pid(&self, id: Id) -> Option<u32> {
        self.bodies.pid(id)
    }

    fn usage(&self, card: &Card) -> Telemetry {
        self.bodies.usage(card)
    }

    fn says(&self, id: Id, incarnation: Incarnation) -> Option<String> {
        let text = self.notify.said(id, incarnation)?.to_string();
        (!text.is_empty()).then_some(text)
    }
}
