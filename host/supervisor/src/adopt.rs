//! Taking in Cards, all or none, and letting Entes go.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arje_card::{Capability, Card, Contract, Id};

use crate::action::{Cause, State};
use crate::ente::{Ente, Needs, Provision};
use crate::index::{CapIx, EnteIx, Index, Role};
use crate::limits::{MAX_CAPABILITIES, MAX_DEPTH, MAX_ENTES};
use crate::refusal::Refusal;
use crate::supervisor::Supervisor;

impl Supervisor {
    pub(crate) fn adopt(&mut self, parent: Option<Id>, cards: Vec<Card>) -> Result<(), Refusal> {
        if self.shutdown.is_some() {
            return Err(Refusal::ShuttingDown);
        }
        let parent = match parent {
            None => None,
            Some(id) => Some(self.table.find(id).ok_or(Refusal::UnknownParent(id))?),
        };
        if let Some(ente) = parent.and_then(|ix| self.table.get(ix))
            && ente.removing
        {
            return Err(Refusal::BeingRemoved(ente.card.id));
        }
        self.check_cards(parent, &cards)?;
        let adopted = self.link_trees(parent, cards);
        if let Some(circle) = self.find_cycle(&adopted) {
            for ix in adopted.into_iter().rev() {
                self.unlink(ix);
            }
            return Err(Refusal::Cycle(circle));
        }
        for ix in adopted {
            self.set_state(ix, State::Waiting, Cause::Adopted);
            self.work.refresh.insert(ix);
        }
        Ok(())
    }

    /// Everything that can be said about the Cards before any is taken in.
    pub(crate) fn check_cards(
        &self,
        parent: Option<EnteIx>,
        cards: &[Card],
    ) -> Result<(), Refusal> {
        let mut ids: BTreeMap<Id, &Card> = BTreeMap::new();
        let mut labels: BTreeMap<&str, Id> = BTreeMap::new();
        let mut new_caps: BTreeSet<&Capability> = BTreeSet::new();
        let top = self.depth(parent) + 1;
        let mut left: Vec<(&Card, usize)> = cards.iter().map(|card| (card, top)).collect();
        while let Some((card, depth)) = left.pop() {
            if depth > MAX_DEPTH {
                let label = card.label.clone();
                return Err(Refusal::TooDeep { label });
            }
            self.check_names(
                card,
                ids.insert(card.id, card),
                labels.insert(&card.label, card.id),
            )?;
            if let Some(capability) = own_conflict(card, card.provides.iter()) {
                let label = card.label.clone();
                return Err(Refusal::OwnConflict { label, capability });
            }
            let named = capabilities(card).map(|(cap, _)| cap);
            new_caps.extend(named.filter(|cap| self.index.find(cap).is_none()));
            left.extend(card.genesis.iter().map(|child| (child, depth + 1)));
        }
        let would_be = self.table.len() + ids.len();
        if would_be > MAX_ENTES {
            return Err(Refusal::TooManyEntes { would_be });
        }
        if self.index.len() + new_caps.len() > MAX_CAPABILITIES {
            return Err(Refusal::TooManyCapabilities);
        }
        Ok(())
    }

    fn check_names(
        &self,
        card: &Card,
        same_id: Option<&Card>,
        same_label: Option<Id>,
    ) -> Result<(), Refusal> {
        let (id, label) = (card.id, card.label.clone());
        let known = |ix: EnteIx| self.table.get(ix).map(|ente| &*ente.card);
        if let Some(other) = same_id.or_else(|| known(self.table.find(id)?)) {
            let held_by = other.label.clone();
            return Err(Refusal::DuplicateId { id, label, held_by });
        }
        let named = || Some(known(self.table.find_label(&label)?)?.id);
        match same_label.or_else(named) {
            Some(held_by) => Err(Refusal::DuplicateLabel { label, id, held_by }),
            None => Ok(()),
        }
    }

    /// Levels from the root to this Ente, counting both.
    fn depth(&self, ente: Option<EnteIx>) -> usize {
        let mut depth = 0;
        let mut next = ente;
        while let Some(ente) = next.and_then(|ix| self.table.get(ix)) {
            depth += 1;
            next = ente.parent;
        }
        depth
    }

    /// Enters all Cards, parents before their children, in the order written.
    fn link_trees(&mut self, parent: Option<EnteIx>, cards: Vec<Card>) -> Vec<EnteIx> {
        let mut adopted = Vec::new();
        let mut left: Vec<(Option<EnteIx>, Card)> =
            cards.into_iter().rev().map(|card| (parent, card)).collect();
        while let Some((parent, mut card)) = left.pop() {
            let children = std::mem::take(&mut card.genesis);
            let ix = self.link(parent, card);
            adopted.push(ix);
            left.extend(children.into_iter().rev().map(|child| (Some(ix), child)));
        }
        adopted
    }

    pub(crate) fn link(&mut self, parent_ix: Option<EnteIx>, mut card: Card) -> EnteIx {
        self.serial += 1;
        let parent = parent_ix.and_then(|ix| self.table.get(ix));
        card.lineage = parent.map(|parent| parent.card.id).or(card.lineage);
        let rank = (Reverse(card.priority), self.serial);
        let card = Arc::new(card);
        let mut ente = Ente::new(Arc::clone(&card), parent_ix, rank, self.now);
        ente.incarnation = self.retired.last(card.id);
        let ix = self.table.insert(ente);
        if let Some(parent) = parent_ix.and_then(|ix| self.table.get_mut(ix)) {
            parent.children.insert(ix);
        }
        let needs = enter_needs(&mut self.index, &card, ix);
        let provides = card.provides.iter();
        let provides = provides.map(|cap| {
            let cap = self.index.enter(cap, Role::Provider, ix);
            Provision::new(cap, false)
        });
        let provides = provides.collect();
        if let Some(ente) = self.table.get_mut(ix) {
            ente.needs = needs;
            ente.provides = provides;
        }
        ix
    }

    /// Takes an Ente that does not live, offers nothing and has no children out of all tables.
    pub(crate) fn unlink(&mut self, ix: EnteIx) -> Option<Ente> {
        self.set_timer(ix, None);
        let ente = self.table.remove(ix)?;
        if let Some(parent) = ente.parent.and_then(|parent| self.table.get_mut(parent)) {
            parent.children.remove(&ix);
        }
        for (capability, role) in capabilities(&ente.card) {
            if let Some(cap) = self.index.find(capability) {
                self.index.leave(cap, role, ix);
            }
        }
        self.work.refresh.remove(&ix);
        self.work.check.remove(&(ente.rank, ix));
        Some(ente)
    }
}

/// The first of `provided` that the Card's own conflicts exclude. It could never live with itself.
pub(crate) fn own_conflict<'a>(
    card: &Card,
    mut provided: impl Iterator<Item = &'a Capability>,
) -> Option<Capability> {
    let excludes = |provided: &&Capability| {
        card.contracts.iter().any(|contract| match contract {
            Contract::Conflicts(caps) => caps.iter().any(|cap| provided.satisfies(cap)),
            _ => false,
        })
    };
    provided.find(excludes).cloned()
}

/// Every capability that a Card names, and how.
fn capabilities(card: &Card) -> impl Iterator<Item = (&Capability, Role)> {
    let provides = card.provides.iter().map(|cap| (cap, Role::Provider));
    let requires = card.requires.iter().map(|cap| (cap, Role::Requirer));
    let contracts = card.contracts.iter().flat_map(|contract| {
        let (caps, role) = match contract {
            Contract::Any(caps) | Contract::Quorum { of: caps, .. } => (caps, Role::Requirer),
            Contract::Conflicts(caps) => (caps, Role::Rival),
            Contract::After(caps) => (caps, Role::Follower),
        };
        caps.iter().map(move |cap| (cap, role))
    });
    provides.chain(requires).chain(contracts)
}

/// Enters the Card's contracts in the index.
fn enter_needs(index: &mut Index, card: &Card, ix: EnteIx) -> Needs {
    let mut enter = |caps: &BTreeSet<Capability>, role: Role| -> Vec<CapIx> {
        let caps = caps.iter();
        caps.map(|cap| index.enter(cap, role, ix)).collect()
    };
    let mut needs = Needs {
        requires: enter(&card.requires, Role::Requirer).into_iter().collect(),
        ..Needs::default()
    };
    for contract in &card.contracts {
        match contract {
            Contract::Any(caps) => needs.any.push(enter(caps, Role::Requirer)),
            Contract::Quorum { of, at_least } => {
                let of = enter(of, Role::Requirer);
                needs.quorum.push((of, *at_least as usize));
            }
            Contract::Conflicts(caps) => needs.conflicts.extend(enter(caps, Role::Rival)),
            Contract::After(caps) => needs.after.extend(enter(caps, Role::Follower)),
        }
    }
    // Two contracts may name the same rival; it counts once.
    needs.conflicts.sort_unstable();
    needs.conflicts.dedup();
    needs
}
