//! What the core loop does with notifications of native Entes.

use super::Core;
use crate::bodies::News;
use crate::notify::{Notify, Sender};

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
