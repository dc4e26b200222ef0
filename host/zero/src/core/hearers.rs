//! Components that hear of events.

use super::Core;
use crate::bus::{Owner, Subscription};
use crate::natives::Who;
use arje_bus::{BusError, ErrorCode, Event};
use arje_card::Id;
use arje_wasm::Tended;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Components that hear of events. Each costs something with every event; those that tend a system are few.
const MAX_HEARERS: usize = 64;

/// Of these, on one account: a quarter, so that nobody who spawns takes all of them. A supervisor with one component for
/// each of its parts has enough.
const MAX_HEARERS_OF_ONE: usize = 16;

/// Components that hear of events, and of which; and on whose account they are.
#[derive(Default)]
pub(super) struct Hearers(BTreeMap<(Id, u64), (Owner, Subscription)>);

impl Hearers {
    /// Whether anybody would hear an event.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// This one hears of events from now on, or of others than before.
    fn add(&mut self, who: Who, account: Owner, to: Subscription) -> Result<(), BusError> {
        let key = (who.id, who.incarnation);
        let others = || self.0.iter().filter(|(other, _)| **other != key);
        let on_account = others().filter(|(_, (owner, _))| *owner == account).count();
        for (hear, most, of) in [
            (others().count(), MAX_HEARERS, ""),
            (
                on_account,
                MAX_HEARERS_OF_ONE,
                " of those that were brought by one",
            ),
        ] {
            if hear >= most {
                let message = format!("{most} components{of} hear of events, which is the most");
                return Err(BusError::new(ErrorCode::Busy, message));
            }
        }
        self.0.insert(key, (account, to));
        Ok(())
    }

    fn remove(&mut self, who: Who) {
        self.0.remove(&(who.id, who.incarnation));
    }

    /// Those that want to hear of this event.
    fn of<'a>(&'a self, event: &'a Event) -> impl Iterator<Item = (Id, u64)> + 'a {
        let wanting = self.0.iter().filter(|(_, (_, it))| it.wants(event));
        wanting.map(|(who, _)| *who)
    }
}

impl Core {
    /// A component wants to hear of events.
    pub(super) fn hear(&mut self, who: Who, of: Option<Id>, kinds: u64) -> Tended {
        let parent = |id| self.supervisor.card(id)?.lineage;
        let account = self.brought.account(who.id, parent);
        let subscription = Subscription::new(0, of, kinds);
        self.hearers.add(who, account, subscription).map(|()| None)
    }

    /// The life of an incarnation is over, or it wants that: it hears nothing any more.
    pub(super) fn hears_no_more(&mut self, who: Who) {
        self.hearers.remove(who);
    }

    /// Tells components of a change of state.
    pub(super) fn tell_components(&self, event: &Event) {
        let mut hearers = self.hearers.of(event).peekable();
        if hearers.peek().is_none() {
            return;
        }
        let event = Arc::new(event.clone());
        for (id, incarnation) in hearers {
            self.bodies.tell_component(id, incarnation, &event);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add(hearers: &mut Hearers, number: u8, account: Owner) -> Result<(), BusError> {
        let who = Who {
            id: Id::from_bytes([number; 16]),
            incarnation: 1,
        };
        hearers.add(who, account, Subscription::new(0, None, u64::MAX))
    }

    #[test]
    fn nobody_takes_all_the_places_of_those_that_hear() {
        let mut hearers = Hearers::default();
        let one = Owner::User(1);
        let added = (0..=u8::MAX).filter(|number| add(&mut hearers, *number, one).is_ok());
        let added: Vec<u8> = added.collect();
        assert_eq!(added.len(), MAX_HEARERS_OF_ONE);
        assert_eq!(
            add(&mut hearers, 100, one).unwrap_err().code,
            ErrorCode::Busy
        );
        add(&mut hearers, 101, Owner::User(2)).unwrap();
        // One that hears already may change what it hears of, and one that goes makes room.
        add(&mut hearers, added[0], one).unwrap();
        hearers.remove(Who {
            id: Id::from_bytes([added[1]; 16]),
            incarnation: 1,
        });
        add(&mut hearers, 100, one).unwrap();
    }

    #[test]
    fn all_together_are_bounded() {
        let mut hearers = Hearers::default();
        let user = |number: u8| Owner::User(number.into());
        let added = (0..=u8::MAX).filter(|it| add(&mut hearers, *it, user(*it)).is_ok());
        assert_eq!(added.count(), MAX_HEARERS);
    }
}
