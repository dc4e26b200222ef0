//! [`Routes`]: who answers calls to which capability. Written by the core loop as Entes become Ready and cease to
//! be, read by whoever places a call, on any thread.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{PoisonError, RwLock};

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
/// that it provides.
#[derive(Debug, Default)]
pub struct Routes {
    table: RwLock<HashMap<Capability, Providers>>,
}

/// Those who provide one capability.
#[derive(Debug, Default)]
struct Providers {
    /// Those of the highest priority first.
    list: Vec<Provider>,
    /// How many of `list` have the highest priority.
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

    fn sort(&mut self) {
        self.list
            .sort_by_key(|provider| std::cmp::Reverse(provider.priority));
        let highest = self.list.first().map(|provider| provider.priority);
        let is_first = |provider: &&Provider| Some(provider.priority) == highest;
        self.first = self.list.iter().take_while(is_first).count();
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
        let mut table = self.table.write().unwrap_or_else(PoisonError::into_inner);
        let providers = table.entry(capability).or_default();
        providers.list.retain(|known| known.id != provider.id);
        providers.list.push(provider);
        providers.sort();
    }

    /// From now on calls to this capability may no longer go to this Ente.
    pub fn withdraw(&self, capability: &Capability, by: Id) {
        let mut table = self.table.write().unwrap_or_else(PoisonError::into_inner);
        let Some(providers) = table.get_mut(capability) else {
            return;
        };
        providers.list.retain(|known| known.id != by);
        providers.sort();
        if providers.list.is_empty() {
            table.remove(capability);
        }
    }

    /// Who is to answer the next call to this capability. A typed service is also served by a newer compatible
    /// version: if nobody has the very one that is asked for, the newest.
    #[must_use]
    pub fn resolve(&self, wanted: &Capability) -> Option<Provider> {
        let table = self.table.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(providers) = table.get(wanted) {
            return providers.next();
        }
        let Capability::Wit(name) = wanted else {
            return None;
        };
        // Rare: a component that was built against an older version than its provider has.
        let compatible = table
            .iter()
            .filter_map(|(capability, providers)| match capability {
                Capability::Wit(provided) if provided.satisfies(name) => {
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
