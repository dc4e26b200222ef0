//! The table of Entes, and the memory of removed ones.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;

use arje_card::Id;

use crate::ente::Ente;
use crate::event::Incarnation;
use crate::index::EnteIx;
use crate::limits::MAX_RETIRED;
use crate::places::Places;

/// All Entes, found by place, id or label.
#[derive(Default)]
pub(crate) struct Table {
    slots: Vec<Option<Ente>>,
    free: Vec<EnteIx>,
    /// For walks in order.
    by_id: BTreeMap<Id, EnteIx>,
    /// For events, each of which names an Ente. Never walked over, so its order decides nothing.
    places: Places,
    by_label: BTreeMap<String, EnteIx>,
}

impl Table {
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// The Ente at a place; `None` only for a place that was freed.
    pub fn get(&self, ix: EnteIx) -> Option<&Ente> {
        self.slots.get(ix.0 as usize)?.as_ref()
    }

    pub fn get_mut(&mut self, ix: EnteIx) -> Option<&mut Ente> {
        self.slots.get_mut(ix.0 as usize)?.as_mut()
    }

    pub fn find(&self, id: Id) -> Option<EnteIx> {
        let is = |ix| self.get(ix).is_some_and(|ente| ente.brief.id == id);
        self.places.find(id, is)
    }

    pub fn find_label(&self, label: &str) -> Option<EnteIx> {
        self.by_label.get(label).copied()
    }

    /// In order of id, so that walks over all do not depend on history.
    pub fn iter(&self) -> impl Iterator<Item = (EnteIx, &Ente)> {
        let places = self.by_id.values();
        places.filter_map(|ix| Some((*ix, self.get(*ix)?)))
    }

    /// As `iter`, from the one after this id on.
    pub fn iter_after(&self, id: Option<Id>) -> impl Iterator<Item = (EnteIx, &Ente)> {
        let from = id.map_or(Bound::Unbounded, Bound::Excluded);
        let places = self.by_id.range((from, Bound::Unbounded));
        places.filter_map(|(_, ix)| Some((*ix, self.get(*ix)?)))
    }

    pub fn insert(&mut self, ente: Ente) -> EnteIx {
        let ix = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            // At most MAX_ENTES slots, so this never cuts.
            EnteIx((self.slots.len() - 1) as u32)
        });
        self.by_id.insert(ente.card.id, ix);
        self.places.insert(ente.card.id, ix);
        self.by_label.insert(ente.card.label.clone(), ix);
        if let Some(slot) = self.slots.get_mut(ix.0 as usize) {
            *slot = Some(ente);
        }
        ix
    }

    pub fn remove(&mut self, ix: EnteIx) -> Option<Ente> {
        let ente = self.slots.get_mut(ix.0 as usize)?.take()?;
        self.by_id.remove(&ente.card.id);
        self.places.remove(ente.card.id, ix);
        self.by_label.remove(&ente.card.label);
        self.free.push(ix);
        Some(ente)
    }
}

/// The last incarnation numbers of removed Entes (see [`MAX_RETIRED`]).
#[derive(Default)]
pub(crate) struct Retired {
    last: BTreeMap<Id, Incarnation>,
    order: VecDeque<Id>,
    /// The highest number among those forgotten here.
    floor: Incarnation,
}

impl Retired {
    pub fn len(&self) -> usize {
        self.order.len()
    }

    pub fn note(&mut self, id: Id, incarnation: Incarnation) {
        if incarnation == 0 {
            return;
        }
        if self.last.insert(id, incarnation).is_none() {
            self.order.push_back(id);
        }
        if self.order.len() > MAX_RETIRED
            && let Some(oldest) = self.order.pop_front()
            && let Some(number) = self.last.remove(&oldest)
        {
            self.floor = self.floor.max(number);
        }
    }

    /// All that is remembered, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = (Id, Incarnation)> {
        let ids = self.order.iter();
        ids.filter_map(|id| Some((*id, *self.last.get(id)?)))
    }

    /// The highest number among those forgotten.
    pub fn floor(&self) -> Incarnation {
        self.floor
    }

    /// Remembers what another memory did.
    pub fn refill(&mut self, all: impl IntoIterator<Item = (Id, Incarnation)>, floor: Incarnation) {
        self.floor = self.floor.max(floor);
        for (id, incarnation) in all {
            self.note(id, incarnation);
        }
    }

    /// The number after which a new Ente with this id goes on counting.
    pub fn last(&self, id: Id) -> Incarnation {
        self.last.get(&id).copied().unwrap_or(self.floor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retired_numbers_are_bounded_and_never_fall() {
        let mut retired = Retired::default();
        let id = |n: usize| Id::from_parts(n as u64 + 1, [0; 10]);
        for n in 0..MAX_RETIRED + 10 {
            retired.note(id(n), n as u64);
        }
        assert_eq!(retired.len(), MAX_RETIRED);
        assert_eq!(retired.last.len(), MAX_RETIRED);
        // The first was never started and needs no memory; ten fell out, the highest had 9.
        assert_eq!(retired.last(id(3)), 9);
        assert_eq!(retired.last(id(50)), 50);
        retired.note(id(50), 60);
        assert_eq!(retired.last(id(50)), 60);
        assert_eq!(retired.len(), MAX_RETIRED);
    }
}
