//! Whether what an Ente needs is there: the contracts of its Card against the index.

use crate::action::{Hold, State};
use crate::ente::{Ente, Facts};
use crate::index::{CapIx, EnteIx, Index};
use crate::supervisor::Supervisor;

/// Whether a capability counts for somebody who names it.
type Counts = fn(&Index, CapIx) -> bool;

impl Supervisor {
    /// Whether this Ente is one that would start if nothing held it.
    pub(crate) fn is_held(&self, ente: &Ente) -> bool {
        let state = matches!(ente.state, State::Waiting | State::Parked | State::Backoff);
        state && ente.wanted
    }

    /// What keeps an Ente that does not live from starting.
    pub(crate) fn find_hold(&self, ix: EnteIx) -> Option<Hold> {
        let ente = self.table.get(ix)?;
        self.closed_parent(ente, |parent| parent.open)
            .or_else(|| self.unmet_contract(ente, Index::available))
            .or_else(|| self.conflict(self.conflict_with_live(ente)?))
            .or_else(|| {
                let mut after = ente.needs.after.iter();
                let cap = *after.find(|cap| self.index.coming(**cap))?;
                self.index
                    .get(cap)
                    .map(|slot| Hold::After(slot.capability.clone()))
            })
    }

    /// What keeps an open container from being ready.
    pub(crate) fn missing_child(&self, ente: &Ente) -> Option<Hold> {
        if ente.state != State::Starting || ente.missing_children == 0 {
            return None;
        }
        let children = ente.children.iter().filter_map(|ix| self.table.get(*ix));
        let missing = children.filter(|child| child.facts.missing);
        // Those that stay as they are come first.
        let worst = missing.min_by_key(|child| (child.state != State::Failed, child.rank))?;
        Some(Hold::Child {
            id: worst.brief.id,
            state: worst.state,
            more: ente.missing_children - 1,
        })
    }

    /// What makes it impossible for a live Ente to go on.
    pub(crate) fn find_loss(&self, ix: EnteIx) -> Option<Hold> {
        let ente = self.table.get(ix)?;
        self.closed_parent(ente, |parent| parent.open || parent.returning)
            .or_else(|| self.unmet_contract(ente, Index::sustained))
            .or_else(|| self.conflict(self.conflict_with_offer(ente)?))
    }

    fn closed_parent(&self, ente: &Ente, lets: fn(Facts) -> bool) -> Option<Hold> {
        let parent = ente.parent.and_then(|ix| self.table.get(ix))?;
        (!lets(parent.facts)).then_some(Hold::Parent(parent.brief.id))
    }

    /// The first of `requires`, `Any`, `Quorum` that is not met. Who wants to start counts what is
    /// [available](Index::available), who lives what is [sustained](Index::sustained).
    pub(crate) fn unmet_contract(&self, ente: &Ente, counts: Counts) -> Option<Hold> {
        let (needs, index) = (&ente.needs, &self.index);
        let name = |cap: &CapIx| index.get(*cap).map(|slot| slot.capability.clone());
        if let Some(cap) = needs.requires.iter().find(|cap| !counts(index, **cap)) {
            return name(cap).map(Hold::Requires);
        }
        let any = needs.any.iter();
        if let Some(of) = any.clone().find(|of| count(of, index, counts) == 0) {
            return Some(Hold::Any(of.iter().filter_map(name).collect()));
        }
        needs.quorum.iter().find_map(|(of, at_least)| {
            let (have, at_least) = (count(of, index, counts), *at_least);
            (have < at_least).then_some(Hold::Quorum { have, at_least })
        })
    }

    /// Whether all contracts are or may still be met without anybody's help.
    pub(crate) fn needs_hoped(&self, ente: &Ente) -> bool {
        let (needs, index) = (&ente.needs, &self.index);
        let hoped = |of: &[CapIx]| count(of, index, Index::hoped);
        hoped(&needs.requires) == needs.requires.len()
            && needs.any.iter().all(|of| hoped(of) > 0)
            && needs.quorum.iter().all(|(of, least)| hoped(of) >= *least)
    }

    /// Whether the parent is or may still come up without anybody's help.
    pub(crate) fn parent_hoped(&self, ente: &Ente) -> bool {
        let Some(parent) = ente.parent.and_then(|ix| self.table.get(ix)) else {
            return true;
        };
        match parent.is_container() {
            true => parent.facts.hope_open,
            false => parent.facts.hope,
        }
    }

    /// For an Ente that does not live: the capability over which it excludes one that does, or
    /// that is offered. Excluding works both ways, whoever declared it: who lives, stays.
    pub(crate) fn conflict_with_live(&self, ente: &Ente) -> Option<CapIx> {
        let (needs, index) = (&ente.needs, &self.index);
        let mine = needs.conflicts.iter().flat_map(|cap| index.servers(*cap));
        let taken = mine.into_iter().find(|(_, slot)| {
            slot.host || slot.counts.offers > 0 || slot.counts.live_providers > 0
        });
        let theirs = || {
            let provided = ente.provides.iter();
            let served = provided.flat_map(|provision| index.served(provision.cap));
            served
                .into_iter()
                .find(|(_, slot)| slot.counts.live_rivals > 0)
        };
        taken.or_else(theirs).map(|(cap, _)| cap)
    }

    /// For a live Ente: the capability that it excludes and that another, or the machine, offers
    /// all the same. Only what was offered at run time, beyond the Cards, comes that far.
    fn conflict_with_offer(&self, ente: &Ente) -> Option<CapIx> {
        let conflicts = ente.needs.conflicts.iter();
        let mut taken = conflicts.flat_map(|cap| self.index.servers(*cap));
        let (cap, _) = taken.find(|(_, slot)| slot.host || slot.counts.offers > 0)?;
        Some(cap)
    }

    fn conflict(&self, cap: CapIx) -> Option<Hold> {
        let slot = self.index.get(cap)?;
        Some(Hold::Conflict(slot.capability.clone()))
    }
}

fn count(of: &[CapIx], index: &Index, test: Counts) -> usize {
    of.iter().filter(|cap| test(index, **cap)).count()
}
