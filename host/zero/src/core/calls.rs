//! What components ask of the core loop: to be registered, to see others, to reach native providers.

use super::Core;
use crate::bus::{Asking, Outcome, Question, Waiter};
use crate::natives::Who;
use arje_card::{Id, Payload};
use arje_supervisor::{ReadyBy, Report};
use arje_wasm::{Ask, EnteInfo, InvokeReply};

impl Core {
    /// Answers a component. Nothing here waits: who is asked for something that takes time answers later.
    pub(super) fn answer_component(&mut self, who: Who, ask: Ask) {
        let early = self.is_successor(who);
        let too_early = || Err("it has not taken the place of the module before yet".to_owned());
        // Whoever asked may be gone meanwhile; then nobody takes the answer.
        match ask {
            Ask::Announce { reply, .. } | Ask::Update { reply, .. } if early => {
                drop(reply.send(too_early()));
            }
            Ask::Invoke {
                provider,
                call,
                reply,
                share: _, // the bus counts for itself
            } => {
                let question = Question {
                    caller: call.caller,
                    capability: call.capability,
                    payload: call.payload,
                    deadline: self.millis_of(call.deadline),
                };
                self.send_call(provider, question, Waiter::Component(Box::new(reply)));
            }
            Ask::Announce {
                capabilities,
                reply,
            } => {
                let offered = Report::Capabilities {
                    adds: capabilities,
                    removes: Vec::new(),
                };
                let by = ReadyBy::Announce;
                let done = self
                    .report(who, offered)
                    .and_then(|()| self.report(who, Report::Ready { by }));
                drop(reply.send(done));
            }
            Ask::Update {
                adds,
                removes,
                reply,
            } => {
                let done = self.report(who, Report::Capabilities { adds, removes });
                drop(reply.send(done));
            }
            Ask::Tend { wish, reply } => {
                let tended = self.tend(who, wish);
                drop(reply.send(tended));
            }
            // Of worker processes, where nobody asks this loop: the Wasm host takes it itself. Dropped, it has no answer.
            Ask::Typed { .. } => {}
            Ask::List { after, reply } => drop(reply.send(self.entes_after(after))),
        }
    }

    /// An incarnation has ended: if it was a component's, what it asked of processes is forgotten, and it hears of nothing.
    pub(super) fn asks_no_more(&mut self, who: Who) {
        let card = self.supervisor.card(who.id);
        // Nobody else asks in this way.
        if card.is_some_and(|card| !matches!(card.payload, Payload::Wasm(_))) {
            return;
        }
        self.hears_no_more(who);
        if let Some(bus) = &mut self.bus {
            bus.asker_ended(who.id);
        }
    }

    /// A page of all Entes, as components see them.
    fn entes_after(&self, after: Option<Id>) -> Vec<EnteInfo> {
        let running = self.alive();
        let view = self.view(&running);
        let page = view.page(after).entes;
        let info = |summary: &arje_bus::EnteSummary| {
            let card = self.supervisor.card(summary.id)?;
            let pin = match &card.payload {
                Payload::Wasm(payload) => Some(payload.module_sha256),
                _ => None,
            };
            Some(EnteInfo {
                id: card.id,
                label: card.label.clone(),
                state: summary.state,
                incarnation: summary.incarnation,
                pid: summary.pid,
                pin,
                provides: card.provides.iter().cloned().collect(),
            })
        };
        page.iter().filter_map(info).collect()
    }
}

impl Asking for InvokeReply {
    fn tell(self: Box<Self>, outcome: Outcome) {
        drop(self.send(outcome));
    }

    fn is_gone(&self) -> bool {
        self.is_closed()
    }
}
