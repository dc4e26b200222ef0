//! [`Routes`]: who answers calls to which capability. Written by the core loop as Entes become Ready and cease to
//! be, read by whoever places a call, on any thread.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{PoisonError, RwLock, RwLockWriteGuard};

use arje_card::{Capability, Id, Priority};

/// Somebody who answers calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Provider {
    /// The Ente.
    pub id: Id,
    /// Its Card's: the highest is asked first, several of the same in turn.
    pub priority: Priority,
    /// How a call gets there.
    pub place: Place,
}

/// How a call gets to a provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// A component: its mailbox is in this process.
    Component,
    /// A process: it gets calls on its connection to the bus.
    Process,
}

/// The table of who answers what. Bounded by what the supervisor admits: each Ente is in it once for each capability
/// that it provides. Processes are asked only while they are [reached](Self::reach).
#[derive(Debug, Default)]
pub struct Routes {
    table: RwLock<Table>,
}

#[derive(Debug, Default)]
struct Table {
    by_capability: HashMap<Capability, Providers>,
    /// What each of them provides.
    by_provider: HashMap<Id, HashSet<Capability>>,
    /// Processes that take calls.
    reached: HashSet<Id>,
}

/// Those who provide one capability.
#[derive(Debug, Default)]
struct Providers {
    /// Those that can be asked first, and of them those of the highest priority.
    list: Vec<Provider>,
    /// How many of `list` can be asked and have the highest priority.
    first: usize,
    /// Counts calls, to take turns.
    turn: AtomicUsize,
}

impl Providers {
    fn next(&self) -> Option<Provider> {
        match self.first {
            0 => None,
            1 => self.list.first().copied(),
            several => {
                let turn = self.turn.fetch_add(1, Ordering::Relaxed);
                self.list.get(turn % several).copied()
            }
        }
    }

    fn sort(&mut self, reached: &HashSet<Id>) {
        let can = |provider: &Provider| {
            provider.place == Place::Component || reached.contains(&provider.id)
        };
        let rank = |provider: &Provider| (can(provider), provider.priority);
        self.list
            .sort_by_key(|provider| std::cmp::Reverse(rank(provider)));
        let highest = self.list.first().map(rank).filter(|(can, _)| *can);
        let is_first = |provider: &&Provider| Some(rank(provider)) == highest;
        self.first = self.list.iter().take_while(is_first).count();
    }
}

impl Table {
    fn provide(&mut self, capability: Capability, provider: Provider) {
        let its = self.by_provider.entry(provider.id).or_default();
        its.insert(capability.clone());
        let providers = self.by_capability.entry(capability).or_default();
        providers.list.retain(|known| known.id != provider.id);
        providers.list.push(provider);
        providers.sort(&self.reached);
    }

    fn withdraw(&mut self, capability: &Capability, by: Id) {
        if let Some(its) = self.by_provider.get_mut(&by) {
            its.remove(capability);
            if its.is_empty() {
                self.by_provider.remove(&by);
            }
        }
        let Some(providers) = self.by_capability.get_mut(capability) else {
            return;
        };
        providers.list.retain(|known| known.id != by);
        providers.sort(&self.reached);
        if providers.list.is_empty() {
            self.by_capability.remove(capability);
        }
    }

    /// Sorts anew wherever this one is in a list.
    fn sort_those_of(&mut self, id: Id) {
        for capability in self.by_provider.get(&id).into_iter().flatten() {
            if let Some(providers) = self.by_capability.get_mut(capability) {
                providers.sort(&self.reached);
            }
        }
    }
}

impl Routes {
    /// Nobody answers anything yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// From now on calls to this capability may go to this provider.
    pub fn provide(&self, capability: Capability, provider: Provider) {
        self.write().provide(capability, provider);
    }

    /// From now on calls to this capability may no longer go to this Ente.
    pub fn withdraw(&self, capability: &Capability, by: Id) {
        self.write().withdraw(capability, by);
    }

    /// A process takes calls from now on, or no longer: whoever calls is not sent to one that does not.
    pub fn reach(&self, process: Id, takes_calls: bool) {
        let mut table = self.write();
        let changed = match takes_calls {
            true => table.reached.insert(process),
            false => table.reached.remove(&process),
        };
        if changed {
            table.sort_those_of(process);
        }
    }

    fn write(&self) -> RwLockWriteGuard<'_, Table> {
        // Every list is put in order whenever it changes.
        self.table.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Who is to answer the next call to this capability. A typed service is also served by a newer compatible
    /// version: if nobody has the very one that is asked for, the newest.
    #[must_use]
    pub fn resolve(&self, wanted: &Capability) -> Option<Provider> {
        let table = self.table.read().unwrap_or_else(PoisonError::into_inner);
        let table = &table.by_capability;
        if let Some(found) = table.get(wanted).and_then(Providers::next) {
            return Some(found);
        }
        let Capability::Wit(name) = wanted else {
            return None;
        };
        // Rare: a component that was built against an older version than its provider has.
        let compatible = table
            .iter()
            .filter_map(|(capability, providers)| match capability {
                Capability::Wit(provided) if provided.satisfies(name) && providers.first > 0 => {
                    Some((provided, providers))
                }
                _ => None,
            });
        let (_, newest) = compatible.max_by_key(|(provided, _)| provided.version())?;
        newest.next()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn provider(number: u64, priority: Priority) -> Provider {
        Provider {
            id: Id::from_parts(number, [0; 10]),
            priority,
            place: Place::Component,
        }
    }

    fn wit(name: &str) -> Capability {
        Capability::Wit(name.parse().unwrap())
    }

    #[test]
    fn the_highest_priority_is_asked_and_equals_take_turns() {
        let routes = Routes::new();
        let of = |number| Id::from_parts(number, [0; 10]);
        assert_eq!(routes.resolve(&Capability::Journal), None);
        routes.provide(Capability::Journal, provider(1, Priority::Normal));
        routes.provide(Capability::Journal, provider(2, Priority::High));
        routes.provide(Capability::Journal, provider(3, Priority::High));
        let asked: Vec<Id> = (0..4)
            .filter_map(|_| routes.resolve(&Capability::Journal))
            .map(|provider| provider.id)
            .collect();
        assert_eq!(asked, [of(2), of(3), of(2), of(3)]);
        routes.withdraw(&Capability::Journal, of(2));
        routes.withdraw(&Capability::Journal, of(3));
        assert_eq!(routes.resolve(&Capability::Journal).unwrap().id, of(1));
        routes.withdraw(&Capability::Journal, of(1));
        assert_eq!(routes.resolve(&Capability::Journal), None);
    }

    #[test]
    fn who_provides_again_is_there_once() {
        let routes = Routes::new();
        routes.provide(Capability::Power, provider(1, Priority::Low));
        routes.provide(Capability::Power, provider(1, Priority::High));
        routes.withdraw(&Capability::Power, Id::from_parts(1, [0; 10]));
        assert_eq!(routes.resolve(&Capability::Power), None);
    }

    #[test]
    fn a_process_that_takes_no_calls_is_passed_over() {
        let routes = Routes::new();
        let of = |number| Id::from_parts(number, [0; 10]);
        let asked = || routes.resolve(&Capability::Journal).map(|found| found.id);
        for (number, priority) in [
            (1, Priority::Normal),
            (2, Priority::Normal),
            (3, Priority::Low),
        ] {
            let place = Place::Process;
            let provider = Provider {
                place,
                ..provider(number, priority)
            };
            routes.provide(Capability::Journal, provider);
        }
        assert_eq!(asked(), None);
        routes.reach(of(3), true);
        assert_eq!(asked(), Some(of(3)), "better than nobody");
        routes.reach(of(2), true);
        assert_eq!([asked(), asked()], [Some(of(2)); 2]);
        routes.reach(of(1), true);
        let mut turns = [asked(), asked()];
        turns.sort();
        assert_eq!(turns, [Some(of(1)), Some(of(2))]);
        routes.reach(of(2), false);
        assert_eq!([asked(), asked()], [Some(of(1)); 2]);
        routes.withdraw(&Capability::Journal, of(1));
        assert_eq!(asked(), Some(of(3)));
    }

    #[test]
    fn one_that_comes_or_goes_concerns_no_list_but_its_own() {
        let routes = Routes::new();
        let [one, other] = [1, 2].map(|number| Provider {
            place: Place::Process,
            ..provider(number, Priority::Normal)
        });
        routes.provide(Capability::Journal, one);
        routes.provide(Capability::Power, one);
        routes.provide(Capability::Spawn, other);
        let resolves = |capability| routes.resolve(&capability).is_some();
        // A list that nobody has put in order is known by that.
        let untouched = usize::MAX;
        let first = |capability| routes.write().by_capability[&capability].first;
        let spoil = || {
            let mut table = routes.write();
            table
                .by_capability
                .get_mut(&Capability::Spawn)
                .unwrap()
                .first = untouched;
        };
        spoil();
        routes.reach(one.id, true);
        assert!(resolves(Capability::Journal) && resolves(Capability::Power));
        assert_eq!(first(Capability::Spawn), untouched);
        routes.withdraw(&Capability::Power, one.id);
        routes.reach(one.id, false);
        assert!(!resolves(Capability::Journal) && !resolves(Capability::Power));
        assert_eq!(first(Capability::Spawn), untouched);
        routes.reach(other.id, true);
        assert_eq!(first(Capability::Spawn), 1);
        // Nothing is kept of those who provide nothing.
        routes.withdraw(&Capability::Journal, one.id);
        routes.withdraw(&Capability::Spawn, other.id);
        assert!(routes.write().by_provider.is_empty() && routes.write().by_capability.is_empty());
    }

    #[test]
    fn a_newer_compatible_version_serves_only_typed_services() {
        let routes = Routes::new();
        routes.provide(wit("acme:kv/store@1.2.0"), provider(1, Priority::Normal));
        routes.provide(wit("acme:kv/store@1.4.0"), provider(2, Priority::Normal));
        routes.provide(wit("acme:kv/store@2.0.0"), provider(3, Priority::Normal));
        let asked = |name| {
            let found = routes.resolve(&wit(name))?;
            (1..4).find(|number| Id::from_parts(*number, [0; 10]) == found.id)
        };
        assert_eq!(asked("acme:kv/store@1.2.0"), Some(1), "the very one");
        assert_eq!(
            asked("acme:kv/store@1.0.0"),
            Some(2),
            "the newest compatible"
        );
        assert_eq!(asked("acme:kv/store@1.5.0"), None);
        assert_eq!(asked("acme:kv/other@1.0.0"), None);
    }
}
