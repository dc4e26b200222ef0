//! Hot deployment: another component takes an Ente's place while it lives.
//!
//! The *successor* is started beside the incarnation that is Ready, with a number of its own. It has no place in
//! the life of the Ente until it says that it took over ([`crate::Report::TookOver`]); from then on it is the incarnation,
//! and the Card names its module. Whatever else becomes of it, the Ente goes on as it was. An Ente that ceases to be Ready
//! has no successor any more.

use std::sync::Arc;

use arje_card::{Card, Id, Payload, Pin};

use crate::action::{Action, Cause, State};
use crate::ente::Crashes;
use crate::event::{Incarnation, Report};
use crate::index::EnteIx;
use crate::refusal::Refusal;
use crate::supervisor::Supervisor;

/// Who is to take an Ente's place.
pub(crate) struct Successor {
    pub incarnation: Incarnation,
    /// The Ente's Card with the other module.
    pub card: Arc<Card>,
}

impl Supervisor {
    /// Has another module run in an Ente's place: beside it if it is Ready, from the next start on if nothing of it lives.
    pub(crate) fn succeed(&mut self, id: Id, module: Pin) -> Result<(), Refusal> {
        if self.shutdown.is_some() {
            return Err(Refusal::ShuttingDown);
        }
        let ix = self.table.find(id).ok_or(Refusal::UnknownEnte(id))?;
        let ente = self.table.get_mut(ix).ok_or(Refusal::UnknownEnte(id))?;
        if ente.removing {
            return Err(Refusal::BeingRemoved(id));
        }
        let card = Arc::new(with_module(&ente.card, module).ok_or(Refusal::NotAComponent(id))?);
        if ente.successor.is_some() {
            return Err(Refusal::SuccessorUnderWay(id));
        }
        match ente.state {
            State::Ready => {
                let incarnation = ente.next_number();
                let successor = Successor {
                    incarnation,
                    card: Arc::clone(&card),
                };
                ente.successor = Some(Box::new(successor));
                self.out.push(Action::StartBeside {
                    id,
                    incarnation,
                    card,
                });
            }
            state if state.is_live() => return Err(Refusal::NotReady { id, state }),
            _ => {
                ente.take_card(card);
                self.restart(ix);
            }
        }
        Ok(())
    }

    /// Takes in a report if it is about a successor.
    pub(crate) fn successor_reported(
        &mut self,
        ix: EnteIx,
        incarnation: Incarnation,
        report: &Report,
    ) -> bool {
        let Some(ente) = self.table.get_mut(ix) else {
            return false;
        };
        let is_its = |successor: &Successor| successor.incarnation == incarnation;
        if !ente.successor.as_deref().is_some_and(is_its) {
            return false;
        }
        match report {
            Report::TookOver => {
                if let Some(successor) = ente.successor.take() {
                    self.take_over(ix, *successor);
                }
            }
            Report::Exited(_) | Report::Interrupted => ente.successor = None,
            _ => {}
        }
        true
    }

    /// The successor is the incarnation from now on.
    fn take_over(&mut self, ix: EnteIx, successor: Successor) {
        // What the old one had added or taken back was its own.
        self.forget_dynamic(ix);
        let now = self.now;
        let Some(ente) = self.table.get_mut(ix) else {
            return;
        };
        ente.take_card(successor.card);
        ente.incarnation = successor.incarnation;
        ente.starts = ente.starts.saturating_add(1);
        ente.started_at = Some(now);
        ente.ready_after_ms = None;
        ente.liveness_ms = None;
        // The crashes of other code.
        ente.crashes = Crashes::default();
        self.set_timer(ix, None);
        self.set_state(ix, State::Ready, Cause::Replaced);
        self.arm_liveness(ix);
    }

    /// An Ente is Ready no more: nobody can take its place.
    pub(crate) fn abandon_successor(&mut self, ix: EnteIx) {
        let Some(ente) = self.table.get_mut(ix) else {
            return;
        };
        if let Some(successor) = ente.successor.take() {
            let (id, incarnation) = (ente.brief.id, successor.incarnation);
            self.out.push(Action::Kill { id, incarnation });
        }
    }
}

fn with_module(card: &Card, module: Pin) -> Option<Card> {
    let mut card = card.clone();
    match &mut card.payload {
        Payload::Wasm(payload) => payload.module_sha256 = module,
        _ => return None,
    }
    Some(card)
}
