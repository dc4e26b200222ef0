//! Where each Ente is in the table, by its id.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;

use arje_card::Id;

use crate::index::EnteIx;

/// A hash table that does not keep its keys: each entry is the place of an Ente and half of the hash of its id,
/// and whoever looks for one compares the id with that of the Ente itself, which is read next anyway. So ten
/// thousand Entes take 256 KB here and stay in the processor's caches, where a map with the keys in
/// it takes another miss for each event. Open addressing, linear probing; at most half full.
#[derive(Default)]
pub(crate) struct Places {
    /// 0 is empty; else the upper half of the hash, and below it the place plus one. Empty, or a power of two.
    entries: Vec<u64>,
    len: usize,
    /// Keyed, since whoever writes a Card chooses its id.
    hasher: RandomState,
}

/// The fewest entries once there are any.
const FEWEST: usize = 16;

impl Places {
    /// The place whose Ente has this id, which `is` tells.
    pub fn find(&self, id: Id, is: impl Fn(EnteIx) -> bool) -> Option<EnteIx> {
        let at = self.position(id, is)?;
        Some(place(*self.entries.get(at)?))
    }

    /// Notes an id that is not there yet.
    pub fn insert(&mut self, id: Id, ix: EnteIx) {
        if (self.len + 1) * 2 > self.entries.len() {
            self.grow();
        }
        let upper = upper(self.hasher.hash_one(id));
        self.put(upper | (u64::from(ix.0) + 1));
        self.len += 1;
    }

    /// Takes back [`insert`](Self::insert).
    pub fn remove(&mut self, id: Id, ix: EnteIx) {
        let Some(mut hole) = self.position(id, |other| other == ix) else {
            return;
        };
        self.len -= 1;
        // Whatever a search would no longer reach moves up.
        let mut at = hole;
        loop {
            at = self.after(at);
            let entry = self.entries.get(at).copied().unwrap_or(0);
            if entry == 0 {
                break;
            }
            let (home, mask) = (self.home(entry), self.mask());
            if at.wrapping_sub(home) & mask >= at.wrapping_sub(hole) & mask {
                self.set(hole, entry);
                hole = at;
            }
        }
        self.set(hole, 0);
    }

    fn position(&self, id: Id, is: impl Fn(EnteIx) -> bool) -> Option<usize> {
        let wanted = upper(self.hasher.hash_one(id));
        let mut at = self.home(wanted);
        loop {
            let entry = *self.entries.get(at)?;
            if entry == 0 {
                return None;
            }
            if upper(entry) == wanted && is(place(entry)) {
                return Some(at);
            }
            at = self.after(at);
        }
    }

    fn grow(&mut self) {
        let twice = (self.entries.len() * 2).max(FEWEST);
        let old = std::mem::replace(&mut self.entries, vec![0; twice]);
        for entry in old.into_iter().filter(|entry| *entry != 0) {
            self.put(entry);
        }
    }

    fn put(&mut self, entry: u64) {
        let mut at = self.home(entry);
        // At most half are taken, so there is a free one.
        while self.entries.get(at).is_some_and(|taken| *taken != 0) {
            at = self.after(at);
        }
        self.set(at, entry);
    }

    fn set(&mut self, at: usize, entry: u64) {
        if let Some(slot) = self.entries.get_mut(at) {
            *slot = entry;
        }
    }

    /// Where a search for it begins. There are far fewer entries than the 32 bits of the upper half count.
    fn home(&self, entry: u64) -> usize {
        (entry >> 32) as usize & self.mask()
    }

    fn after(&self, at: usize) -> usize {
        (at + 1) & self.mask()
    }

    fn mask(&self) -> usize {
        self.entries.len().wrapping_sub(1)
    }
}

fn upper(entry: u64) -> u64 {
    entry & !u64::from(u32::MAX)
}

fn place(entry: u64) -> EnteIx {
    EnteIx((entry as u32).wrapping_sub(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u32) -> Id {
        Id::from_parts(u64::from(n) + 1, [0; 10])
    }

    #[test]
    fn all_are_found_whatever_came_and_went_between() {
        let mut places = Places::default();
        assert_eq!(places.find(id(1), |_| true), None);
        let mut there = vec![false; 3000];
        // Every number comes and goes several times, in an order that leaves holes everywhere.
        for round in 0..30_000_u32 {
            let n = round.wrapping_mul(7919) % 3000;
            let known = &mut there[n as usize];
            match *known {
                false => places.insert(id(n), EnteIx(n)),
                true if round % 3 == 0 => places.remove(id(n), EnteIx(n)),
                true => continue,
            }
            *known = !*known;
        }
        for n in 0..3000 {
            let found = places.find(id(n), |ix| ix == EnteIx(n));
            assert_eq!(found.is_some(), there[n as usize], "{n}");
        }
        let count = there.iter().filter(|it| **it).count();
        assert!(places.len == count && places.entries.len() <= 8192);
    }

    #[test]
    fn equal_hashes_are_told_apart_by_the_entes() {
        let mut places = Places::default();
        // The same id for all, so that all begin at one entry.
        (0..100).for_each(|n| places.insert(id(0), EnteIx(n)));
        (0..100)
            .step_by(2)
            .for_each(|n| places.remove(id(0), EnteIx(n)));
        for n in 0..100 {
            let found = places.find(id(0), |ix| ix == EnteIx(n));
            assert_eq!(found.is_some(), n % 2 == 1, "{n}");
        }
    }
}
