//! The end of the core loop: leaving, being hurried, and in dev mode when to.

use super::{Core, Ended, Mode};
use crate::down::{self, Down, Outcome};
use arje_card::{Card, Id, Payload, Supervision};
use arje_supervisor::{EventKind, Prospect, State};
use std::time::Instant;

impl Core {
    pub(super) fn leave(&mut self, outcome: Outcome) {
        if self.down.is_some() {
            return;
        }
        self.all_ready = self.not_ready().is_empty();
        if self.mode != Mode::Machine {
            for (id, label, state) in self.not_ready() {
                let mut line = format!("Ente {label} is {state}, not ready");
                if let Some(hold) = self.hold_of(id) {
                    line.push_str(": ");
                    line.push_str(&hold);
                }
                self.console.line(line);
            }
        }
        let now = Instant::now();
        let down = Down::new(outcome, self.machine.shutdown, now);
        let for_entes = down.for_entes(now);
        self.down = Some(down);
        self.feed(EventKind::Shutdown {
            deadline_ms: for_entes.as_millis() as u64,
        });
        // Not before: components that ended for it would start again.
        self.abandon_handover();
    }

    /// Ctrl-Alt-Del while the machine is going down.
    pub(super) fn hurry(&mut self) {
        let now = Instant::now();
        let Some(for_entes) = self.down.as_mut().and_then(|down| down.hurry(now)) else {
            return;
        };
        let waits = self.still_live();
        self.console
            .line(format!("shutdown: Ctrl-Alt-Del again; killing {waits}"));
        self.feed(EventKind::Shutdown {
            deadline_ms: for_entes.as_millis() as u64,
        });
    }

    /// What is due by the clock, apart from the supervisor's deadline. Looked at in every turn, so
    /// that a busy loop does not put it off.
    pub(super) fn on_time(&mut self, now: Instant) {
        self.machine.hardware.pet_if_due(now);
        let mode = self.mode;
        if let Some(down) = self.down.as_mut().filter(|_| mode == Mode::Machine)
            && down.notice.is_due(now)
        {
            let left = down.deadline.saturating_duration_since(now);
            let line = down::waits_for(&self.still_live(), left);
            self.console.line(line);
        }
    }

    /// The labels of Entes that still live.
    fn still_live(&self) -> String {
        let live = self.payload_states();
        let live = live.filter(|(_, state, _)| state.is_live());
        down::some_of(live.map(|(card, ..)| card.label.as_str()))
    }

    pub(super) fn ended(self) -> Ended {
        Ended {
            outcome: self
                .down
                .as_ref()
                .map_or(Outcome::Leave, |down| down.outcome),
            all_ready: self.all_ready,
            deadline: self.down.map_or_else(Instant::now, |down| down.deadline),
            watchdog: self.machine.hardware.into_watchdog(),
        }
    }

    pub(super) fn should_leave(&self) -> bool {
        match self.mode {
            Mode::Machine => false,
            Mode::Dev(_) if self.leave_at.is_some_and(|at| self.now() >= at) => true,
            Mode::Dev(Some(_)) => self.pending.is_empty() && self.nothing_left_to_do(),
            Mode::Dev(None) => false,
        }
    }

    /// Every Ente with a payload has ended for good.
    fn nothing_left_to_do(&self) -> bool {
        self.payload_states()
            .all(|(_, state, _)| matches!(state, State::Done | State::Failed))
    }

    /// Entes that should be Ready and are not. A one-shot should be Done. Who was stopped on purpose should be neither,
    /// and whoever a rival keeps out has somebody who does its work.
    fn not_ready(&self) -> Vec<(Id, String, State)> {
        let excluded = |id| self.supervisor.prospect(id) == Some(Prospect::Excluded);
        let wanted = |id| {
            let status = self.supervisor.status(id);
            status.is_some_and(|status| status.wanted)
        };
        self.payload_states()
            .filter(|(card, state, supervision)| match state {
                State::Ready => **supervision == Supervision::OneShot,
                State::Done => false,
                _ => wanted(card.id) && !excluded(card.id),
            })
            .map(|(card, state, _)| (card.id, card.label.clone(), state))
            .collect()
    }

    fn payload_states(&self) -> impl Iterator<Item = (&Card, State, &Supervision)> {
        self.supervisor.statuses().filter_map(|status| {
            let card = self.supervisor.card(status.id)?;
            (card.payload != Payload::Virtual).then_some((&**card, status.state, &card.supervision))
        })
    }
}
