//! How much of the bus each owner has taken.

use super::caller::Owner;
use super::limits::{KEPT_FOR_ROOT, MAX_CONNECTIONS, MAX_INBOUND, MAX_PER_OWNER};
use std::collections::HashMap;

/// What one owner has taken.
#[derive(Debug, Default, Clone, Copy)]
struct Taken {
    connections: usize,
    inbound: usize,
}

/// The accounts of all owners with a connection.
#[derive(Debug)]
pub struct Quotas {
    taken: HashMap<Owner, Taken>,
    connections: usize,
    limit: usize,
}

impl Quotas {
    /// For a program that may have this many descriptors.
    #[must_use]
    pub fn new(descriptors: usize) -> Quotas {
        Quotas {
            taken: HashMap::new(),
            connections: 0,
            limit: MAX_CONNECTIONS.min(descriptors / 2),
        }
    }

    /// Counts a new connection; `false` if there is no room for it.
    pub fn connect(&mut self, owner: Owner) -> bool {
        let limit = match owner {
            Owner::User(0) => self.limit,
            _ => self.limit.saturating_sub(KEPT_FOR_ROOT),
        };
        let full = self.connections >= limit;
        let taken = self.taken.get(&owner).copied().unwrap_or_default();
        if full || taken.connections >= MAX_PER_OWNER {
            return false;
        }
        self.connections += 1;
        self.taken.entry(owner).or_default().connections += 1;
        true
    }

    /// A connection is over, and what was charged for it.
    pub fn disconnect(&mut self, owner: Owner, charged: usize) {
        let Some(taken) = self.taken.get_mut(&owner) else {
            return;
        };
        self.connections = self.connections.saturating_sub(1);
        taken.connections = taken.connections.saturating_sub(1);
        taken.inbound = taken.inbound.saturating_sub(charged);
        if taken.connections == 0 {
            self.taken.remove(&owner);
        }
    }

    /// A connection holds other than `before` now `after` bytes beyond its own; `false` if that is too much.
    pub fn charge(&mut self, owner: Owner, before: usize, after: usize) -> bool {
        let Some(taken) = self.taken.get_mut(&owner) else {
            return true;
        };
        taken.inbound = (taken.inbound + after).saturating_sub(before);
        taken.inbound <= MAX_INBOUND
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_takes_all_and_root_gets_through() {
        let mut quotas = Quotas::new(4096);
        let mut owners = (1..).map(Owner::User);
        let mut connected = 0;
        while connected < MAX_CONNECTIONS - KEPT_FOR_ROOT {
            let owner = owners.next().unwrap();
            while quotas.connect(owner) {
                connected += 1;
            }
            assert!(quotas.taken[&owner].connections <= MAX_PER_OWNER);
        }
        assert!(!quotas.connect(owners.next().unwrap()));
        for _ in 0..KEPT_FOR_ROOT {
            assert!(quotas.connect(Owner::User(0)));
        }
        assert!(!quotas.connect(Owner::User(0)));
        quotas.disconnect(Owner::User(1), 0);
        assert!(quotas.connect(Owner::User(0)));
    }

    #[test]
    fn half_of_the_descriptors_are_for_others() {
        let mut quotas = Quotas::new(64);
        let connected = (0..100).filter(|_| quotas.connect(Owner::User(0))).count();
        assert_eq!(connected, 32);
    }

    #[test]
    fn unfinished_frames_are_charged_and_given_back() {
        let mut quotas = Quotas::new(4096);
        let owner = Owner::User(7);
        assert!(quotas.connect(owner) && quotas.connect(owner));
        assert!(quotas.charge(owner, 0, MAX_INBOUND));
        assert!(!quotas.charge(owner, 0, 1));
        quotas.disconnect(owner, 1);
        assert!(quotas.charge(owner, MAX_INBOUND, 10));
        quotas.disconnect(owner, 10);
        assert!(quotas.taken.is_empty());
    }
}
