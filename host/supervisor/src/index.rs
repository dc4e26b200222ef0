//! Who names which capability: the index that lets an event reach exactly those it concerns.

use std::collections::{BTreeMap, BTreeSet};
use std::hint::black_box;

use arje_card::Capability;

/// Place of an Ente in the supervisor's table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct EnteIx(pub u32);

/// Place of a capability in the index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct CapIx(pub u32);

/// How an Ente names a capability.
#[derive(Clone, Copy)]
pub(crate) enum Role {
    Provider,
    Requirer,
    Follower,
    Rival,
}

/// One capability that somebody names, or that the machine offers.
pub(crate) struct Slot {
    pub capability: Capability,
    /// Capabilities that a provider of this one serves: itself, and for WIT interfaces the older
    /// compatible versions that somebody names.
    pub serves: Vec<CapIx>,
    /// The reverse of `serves`; itself first.
    pub served_by: Vec<CapIx>,
    /// May provide it.
    pub providers: BTreeSet<EnteIx>,
    /// Name it in `requires`, `Any` or `Quorum`.
    pub requirers: BTreeSet<EnteIx>,
    /// Name it in `After`.
    pub followers: BTreeSet<EnteIx>,
    /// Name it in `Conflicts`.
    pub rivals: BTreeSet<EnteIx>,
    /// The machine offers it.
    pub host: bool,
    pub counts: Counts,
}

/// How many Entes stand behind a capability, each kind counted as it changes.
#[derive(Clone, Copy, Default)]
pub(crate) struct Counts {
    /// Providers that offer it now.
    pub offers: u32,
    /// Providers on their way back that offered it when they were interrupted.
    pub kept: u32,
    /// Providers that offer it or may come to.
    pub hopes: u32,
    /// Providers on their way up.
    pub coming: u32,
    /// Providers of which an incarnation exists, or is about to exist again.
    pub live_providers: u32,
    /// Rivals of which an incarnation exists, or is about to exist again.
    pub live_rivals: u32,
}

impl Slot {
    fn role(&mut self, role: Role) -> &mut BTreeSet<EnteIx> {
        match role {
            Role::Provider => &mut self.providers,
            Role::Requirer => &mut self.requirers,
            Role::Follower => &mut self.followers,
            Role::Rival => &mut self.rivals,
        }
    }

    fn is_used(&self) -> bool {
        let sets = [
            &self.providers,
            &self.requirers,
            &self.followers,
            &self.rivals,
        ];
        self.host || sets.iter().any(|set| !set.is_empty())
    }
}

/// All capabilities that are named. Slots are made when first named and freed when no longer.
#[derive(Default)]
pub(crate) struct Index {
    by_name: BTreeMap<Capability, CapIx>,
    slots: Vec<Option<Slot>>,
    free: Vec<CapIx>,
}

impl Index {
    /// Distinct capabilities named.
    pub fn len(&self) -> usize {
        self.by_name.len()
    }

    /// All slots, in order of their capabilities.
    pub fn slots(&self) -> impl Iterator<Item = &Slot> {
        self.by_name.values().filter_map(|ix| self.get(*ix))
    }

    pub fn find(&self, capability: &Capability) -> Option<CapIx> {
        self.by_name.get(capability).copied()
    }

    /// The slot at a place; `None` only for a place that was freed, which nothing keeps.
    pub fn get(&self, ix: CapIx) -> Option<&Slot> {
        self.slots.get(ix.0 as usize)?.as_ref()
    }

    pub fn get_mut(&mut self, ix: CapIx) -> Option<&mut Slot> {
        self.slots.get_mut(ix.0 as usize)?.as_mut()
    }

    /// Reads something of what a step reads of a slot.
    pub fn fetch(&self, ix: CapIx) {
        if let Some(slot) = self.get(ix) {
            black_box((slot.counts, slot.served_by.len(), slot.serves.len()));
        }
    }

    /// Notes that `ente` names `capability`, and returns its place.
    pub fn enter(&mut self, capability: &Capability, role: Role, ente: EnteIx) -> CapIx {
        let ix = self.intern(capability);
        if let Some(slot) = self.get_mut(ix) {
            slot.role(role).insert(ente);
        }
        ix
    }

    /// Takes back [`Index::enter`].
    pub fn leave(&mut self, ix: CapIx, role: Role, ente: EnteIx) {
        if let Some(slot) = self.get_mut(ix) {
            slot.role(role).remove(&ente);
        }
        self.release(ix);
    }

    /// Sets whether the machine offers `capability`; returns its place when that is news.
    pub fn set_host(&mut self, capability: &Capability, offered: bool) -> Option<CapIx> {
        let ix = match offered {
            true => self.intern(capability),
            false => self.find(capability)?,
        };
        let slot = self.get_mut(ix)?;
        let news = slot.host != offered;
        slot.host = offered;
        news.then_some(ix)
    }

    /// Frees a slot that nobody names any more.
    pub fn release(&mut self, ix: CapIx) {
        if self.get(ix).is_none_or(Slot::is_used) {
            return;
        }
        let Some(slot) = self.slots.get_mut(ix.0 as usize).and_then(Option::take) else {
            return;
        };
        for other in slot.serves {
            if let Some(other) = self.get_mut(other) {
                other.served_by.retain(|by| *by != ix);
            }
        }
        for other in slot.served_by {
            if let Some(other) = self.get_mut(other) {
                other.serves.retain(|served| *served != ix);
            }
        }
        self.by_name.remove(&slot.capability);
        self.free.push(ix);
    }

    /// Whether somebody who names `required` is served now.
    pub fn available(&self, required: CapIx) -> bool {
        self.any_server(required, |slot| slot.host || slot.counts.offers > 0)
    }

    /// Whether somebody who lives and names `required` may go on: it is served, or will be again in
    /// a moment.
    pub fn sustained(&self, required: CapIx) -> bool {
        self.any_server(required, |slot| {
            slot.host || slot.counts.offers > 0 || slot.counts.kept > 0
        })
    }

    /// Whether somebody who names `required` is or may still be served without anybody's help.
    pub fn hoped(&self, required: CapIx) -> bool {
        self.any_server(required, |slot| slot.host || slot.counts.hopes > 0)
    }

    /// Whether a provider that serves `named` is on its way up.
    pub fn coming(&self, named: CapIx) -> bool {
        self.any_server(named, |slot| slot.counts.coming > 0)
    }

    fn any_server(&self, named: CapIx, test: impl Fn(&Slot) -> bool) -> bool {
        // Most are served by themselves alone, which needs no look at the list.
        match self.get(named) {
            Some(slot) if slot.served_by.len() == 1 => test(slot),
            _ => self.servers(named).any(|(_, slot)| test(slot)),
        }
    }

    /// The capabilities whose providers serve `named`.
    pub fn servers(&self, named: CapIx) -> impl Iterator<Item = (CapIx, &Slot)> {
        let places = self.get(named).map_or(&[][..], |slot| &slot.served_by);
        places.iter().filter_map(|ix| Some((*ix, self.get(*ix)?)))
    }

    /// The capabilities that a provider of `provided` serves.
    pub fn served(&self, provided: CapIx) -> impl Iterator<Item = (CapIx, &Slot)> {
        let places = self.get(provided).map_or(&[][..], |slot| &slot.serves);
        places.iter().filter_map(|ix| Some((*ix, self.get(*ix)?)))
    }

    fn intern(&mut self, capability: &Capability) -> CapIx {
        if let Some(ix) = self.find(capability) {
            return ix;
        }
        let ix = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            // At most MAX_CAPABILITIES slots, so this never cuts.
            CapIx((self.slots.len() - 1) as u32)
        });
        let related = self.related(capability);
        let mut slot = Slot {
            capability: capability.clone(),
            serves: vec![ix],
            served_by: vec![ix],
            providers: BTreeSet::new(),
            requirers: BTreeSet::new(),
            followers: BTreeSet::new(),
            rivals: BTreeSet::new(),
            host: false,
            counts: Counts::default(),
        };
        for other_ix in related {
            let Some(other) = self.get_mut(other_ix) else {
                continue;
            };
            if capability.satisfies(&other.capability) {
                slot.serves.push(other_ix);
                other.served_by.push(ix);
            }
            if other.capability.satisfies(capability) {
                slot.served_by.push(other_ix);
                other.serves.push(ix);
            }
        }
        self.by_name.insert(capability.clone(), ix);
        if let Some(place) = self.slots.get_mut(ix.0 as usize) {
            *place = Some(slot);
        }
        ix
    }

    /// Other versions of the same WIT interface. They are neighbours in the map, whose order is by
    /// name first.
    fn related(&self, capability: &Capability) -> Vec<CapIx> {
        let Capability::Wit(name) = capability else {
            return Vec::new();
        };
        let same = |entry: &(&Capability, &CapIx)| match entry.0 {
            Capability::Wit(other) => other.path() == name.path(),
            _ => false,
        };
        let below = self.by_name.range(..capability).rev().take_while(same);
        let above = self.by_name.range(capability..).take_while(same);
        below.chain(above).map(|(_, ix)| *ix).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_find_each_other_and_slots_are_freed() {
        let wit = |text: &str| Capability::Wit(text.parse().unwrap());
        let mut index = Index::default();
        let old = index.enter(&wit("a:b/c@1.0.0"), Role::Requirer, EnteIx(1));
        let new = index.enter(&wit("a:b/c@1.2.0"), Role::Provider, EnteIx(2));
        let next = index.enter(&wit("a:b/c@2.0.0"), Role::Requirer, EnteIx(3));
        let other = index.enter(&wit("a:b/d@1.0.0"), Role::Requirer, EnteIx(4));
        index.get_mut(new).unwrap().counts.offers = 1;
        assert!(index.available(old) && index.available(new));
        assert!(!index.available(next) && !index.available(other));
        index.leave(new, Role::Provider, EnteIx(2));
        assert!(!index.available(old));
        assert_eq!(index.servers(old).count(), 1);
        for (ix, ente) in [(old, 1), (next, 3), (other, 4)] {
            index.leave(ix, Role::Requirer, EnteIx(ente));
        }
        assert_eq!(index.len(), 0);
        assert_eq!(index.free.len(), 4);
    }
}
