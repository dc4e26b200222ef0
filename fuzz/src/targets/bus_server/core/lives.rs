//! The lives of Entes, with stand-ins for bodies: who is started runs, who is to stop has ended.

use super::super::client::capability;
use super::Core;
use crate::bus::{Change, cause_text, event};
use arje_bus::{BusError, ErrorCode, Place, Provider};
use arje_card::{Capability, Card, Id, NativePayload, Payload, Supervision, WasmPayload};
use arje_supervisor::{Action, Event as LifeEvent, EventKind, ExitStatus, Report, State};
use std::collections::VecDeque;

/// The Entes that there are: a provider, a spawner, one without restrictions, one without the bus, and a component.
pub(super) fn cards() -> Vec<Card> {
    let native = || {
        Payload::Native(NativePayload {
            exec: "/bin/true".into(),
            ..NativePayload::default()
        })
    };
    let payloads = [
        native(),
        native(),
        native(),
        native(),
        Payload::Wasm(WasmPayload::default()),
    ];
    let labels = ["echo", "spawner", "open", "shy", "component"];
    let named = labels.into_iter().zip(payloads).zip(1..);
    let mut cards: Vec<Card> = named
        .map(|((label, payload), number)| {
            let mut card = Card::new(
                Id::from_parts(number, [0; 10]),
                label,
                payload,
                Supervision::OneShot,
            );
            if label != "shy" {
                card.permissions.ipc.allow = vec!["wit-v1".into()];
            }
            card.limits.mailbox = 8;
            card
        })
        .collect();
    cards[0].provides.insert(capability(0));
    cards[4].provides.insert(capability(1));
    cards[1].holds.insert(Capability::Spawn);
    cards[2].permissions.networking = arje_card::Networking::Full;
    cards[2].permissions.filesystem = arje_card::Filesystem::ReadWrite;
    cards[2].permissions.processes = true;
    cards
}

impl Core {
    /// The life of an Ente ends, and it starts again.
    pub fn end(&mut self, which: u8) {
        let id = self.entes[usize::from(which) % self.entes.len()];
        let Some(incarnation) = self.supervisor.status(id).map(|status| status.incarnation) else {
            return;
        };
        let report = Report::Exited(ExitStatus::Code(0));
        let _ = self.step(EventKind::Report {
            id,
            incarnation,
            report,
        });
        let command = arje_supervisor::Command::Start;
        let _ = self.step(EventKind::Command { id, command });
    }

    /// What the supervisor makes of it is carried out at once, and what comes of that too.
    pub(super) fn step(&mut self, kind: EventKind) -> Result<(), BusError> {
        let refused = |refusal: arje_supervisor::Refusal| {
            BusError::new(ErrorCode::Refused, refusal.to_string())
        };
        let event = LifeEvent::new(self.now, kind);
        let mut actions = VecDeque::from(self.supervisor.step(event).map_err(refused)?);
        while let Some(action) = actions.pop_front() {
            let Some((id, incarnation, report)) = self.act(action) else {
                continue;
            };
            let event = LifeEvent::new(
                self.now,
                EventKind::Report {
                    id,
                    incarnation,
                    report,
                },
            );
            actions.extend(self.supervisor.step(event).map_err(refused)?);
        }
        Ok(())
    }

    fn act(&mut self, action: Action) -> Option<(Id, u64, Report)> {
        match action {
            Action::Start { id, incarnation } => return Some((id, incarnation, Report::Started)),
            Action::Stop {
                id, incarnation, ..
            }
            | Action::Kill { id, incarnation } => {
                return Some((id, incarnation, Report::Exited(ExitStatus::Code(0))));
            }
            Action::StateChanged {
                id,
                incarnation,
                from,
                to,
                cause,
            } => {
                self.publish(id, incarnation, to, &cause);
                if from.is_live() && !to.is_live() {
                    self.bus.life_over(id);
                }
            }
            Action::Provided { capability, by } => {
                let is_component = matches!(self.supervisor.card(by)?.payload, Payload::Wasm(_));
                let place = if is_component {
                    Place::Component
                } else {
                    Place::Process
                };
                let priority = self.supervisor.card(by)?.priority;
                self.routes.provide(
                    capability,
                    Provider {
                        id: by,
                        priority,
                        place,
                    },
                );
            }
            Action::Withdrawn { capability, by } => {
                self.routes.withdraw(&capability, by);
                self.bus.withdrawn(by, &capability);
            }
            _ => {}
        }
        None
    }

    fn publish(&mut self, id: Id, incarnation: u64, to: State, cause: &arje_supervisor::Cause) {
        let Some(card) = self.supervisor.card(id).cloned() else {
            return;
        };
        let event = event(Change {
            at: self.now,
            id,
            label: &card.label,
            incarnation,
            to,
            cause,
            text: cause_text(&self.supervisor, cause),
        });
        self.bus.publish(&event, self.now);
    }
}
