//! What can still come of an Ente if nobody helps: what tells a boot that is over from one that goes on.

use arje_card::{Capability, Contract, Id};

use crate::action::State;
use crate::ente::Ente;
use crate::supervisor::Supervisor;

/// What is to be expected of an Ente while nobody does anything about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prospect {
    /// Up, ended for good, or not wanted.
    Settled,
    /// On its way up or down, or waiting for somebody who is.
    Moving,
    /// A rival that lives keeps it out (`Conflicts`), and does its work.
    Excluded,
    /// Waits for what nobody is about to bring.
    Stuck {
        /// A device of a kind that it names could change that, and devices come without being asked.
        names_device: bool,
    },
}

impl Supervisor {
    /// What is to be expected of an Ente; `None` for an unknown one.
    #[must_use]
    pub fn prospect(&self, id: Id) -> Option<Prospect> {
        let ente = self.table.get(self.table.find(id)?)?;
        Some(match ente.state {
            State::Declared | State::Ready | State::Done | State::Failed => Prospect::Settled,
            State::Stopping | State::Backoff => Prospect::Moving,
            State::Starting if !ente.is_container() => Prospect::Moving,
            State::Starting | State::Waiting | State::Parked => self.prospect_of_held(ente),
        })
    }

    fn prospect_of_held(&self, ente: &Ente) -> Prospect {
        let held = self.is_held(ente);
        if held && self.conflict_with_live(ente).is_some() {
            Prospect::Excluded
        } else if ente.facts.hope {
            Prospect::Moving
        } else {
            let names_device = names_device(ente);
            Prospect::Stuck { names_device }
        }
    }
}

fn names_device(ente: &Ente) -> bool {
    let is_device = |cap: &Capability| matches!(cap, Capability::Device { .. });
    let card = &ente.card;
    card.requires.iter().any(is_device)
        || card.contracts.iter().any(|contract| match contract {
            Contract::Any(of) | Contract::Quorum { of, .. } => of.iter().any(is_device),
            Contract::Conflicts(_) | Contract::After(_) => false,
        })
}
