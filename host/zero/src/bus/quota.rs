//! How much of the bus each owner has taken.

use super::caller::Owner;
use super::limits::{
    KEPT_FOR_ROOT, MAX_CONNECTIONS, MAX_INBOUND, MAX_INBOUND_ALL, MAX_OUTBOUND, MAX_OUTBOUND_ALL,
    MAX_OUTBOUND_OWNER, MAX_PER_OWNER,
};
use std::collections::HashMap;

/// What one owner has taken.
#[derive(Debug, Default, Clone, Copy)]
struct Taken {
    connections: usize,
    bytes: Bytes,
}

/// Bytes beyond what every connection may hold.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Bytes {
    /// Of unfinished frames.
    pub inbound: usize,
    /// That wait to be sent.
    pub outbound: usize,
}

impl Bytes {
    fn change(&mut self, before: Bytes, after: Bytes) {
        self.inbound = (self.inbound + after.inbound).saturating_sub(before.inbound);
        self.outbound = (self.outbound + after.outbound).saturating_sub(before.outbound);
    }
}

/// The accounts of all owners with a connection.
#[derive(Debug)]
pub struct Quotas {
    taken: HashMap<Owner, Taken>,
    connections: usize,
    limit: usize,
    all: Bytes,
}

impl Quotas {
    /// For a program that may have this many descriptors.
    #[must_use]
    pub fn new(descriptors: usize) -> Quotas {
        Quotas {
            taken: HashMap::new(),
            connections: 0,
            limit: MAX_CONNECTIONS.min(descriptors / 2),
            all: Bytes::default(),
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
    pub fn disconnect(&mut self, owner: Owner, charged: Bytes) {
        let Some(taken) = self.taken.get_mut(&owner) else {
            return;
        };
        self.connections = self.connections.saturating_sub(1);
        taken.connections = taken.connections.saturating_sub(1);
        taken.bytes.change(charged, Bytes::default());
        self.all.change(charged, Bytes::default());
        if taken.connections == 0 {
            self.taken.remove(&owner);
        }
    }

    /// A connection holds other than `before` now `after`; `false` if that is too much.
    pub fn charge(&mut self, owner: Owner, before: Bytes, after: Bytes) -> bool {
        let Some(taken) = self.taken.get_mut(&owner) else {
            return true;
        };
        taken.bytes.change(before, after);
        self.all.change(before, after);
        taken.bytes.inbound <= MAX_INBOUND
            && taken.bytes.outbound <= MAX_OUTBOUND_OWNER
            && self.all.inbound <= MAX_INBOUND_ALL
            && self.all.outbound <= MAX_OUTBOUND_ALL
    }

    /// Whether a connection on which `waiting` bytes wait to be sent may get `more`.
    #[must_use]
    pub fn has_room_outbound(&self, owner: Owner, waiting: usize, more: usize) -> bool {
        // What waits already is on the account.
        let beyond = |bytes: usize| bytes.saturating_sub(MAX_OUTBOUND);
        let excess = beyond(waiting + more) - beyond(waiting);
        let taken = self.taken.get(&owner).copied().unwrap_or_default();
        excess == 0
            || (taken.bytes.outbound + excess <= MAX_OUTBOUND_OWNER
                && self.all.outbound + excess <= MAX_OUTBOUND_ALL)
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
        quotas.disconnect(Owner::User(1), Bytes::default());
        assert!(quotas.connect(Owner::User(0)));
    }

    #[test]
    fn half_of_the_descriptors_are_for_others() {
        let mut quotas = Quotas::new(64);
        let connected = (0..100).filter(|_| quotas.connect(Owner::User(0))).count();
        assert_eq!(connected, 32);
    }

    fn inbound(inbound: usize) -> Bytes {
        Bytes {
            inbound,
            outbound: 0,
        }
    }

    fn outbound(outbound: usize) -> Bytes {
        Bytes {
            inbound: 0,
            outbound,
        }
    }

    #[test]
    fn unfinished_frames_are_charged_and_given_back() {
        let mut quotas = Quotas::new(4096);
        let owner = Owner::User(7);
        assert!(quotas.connect(owner) && quotas.connect(owner));
        assert!(quotas.charge(owner, inbound(0), inbound(MAX_INBOUND)));
        assert!(!quotas.charge(owner, inbound(0), inbound(1)));
        quotas.disconnect(owner, inbound(1));
        assert!(quotas.charge(owner, inbound(MAX_INBOUND), inbound(10)));
        quotas.disconnect(owner, inbound(10));
        assert!(quotas.taken.is_empty());
        assert_eq!(quotas.all, Bytes::default());
    }

    #[test]
    fn what_waits_to_be_sent_is_bounded_for_each_and_for_all() {
        let mut quotas = Quotas::new(4096);
        let mut owners = (1..).map(Owner::User);
        let full = outbound(MAX_OUTBOUND_OWNER);
        for _ in 0..MAX_OUTBOUND_ALL / MAX_OUTBOUND_OWNER {
            let owner = owners.next().unwrap();
            assert!(quotas.connect(owner) && quotas.has_room_outbound(owner, 0, 1 << 20));
            assert!(quotas.charge(owner, Bytes::default(), full));
            assert!(!quotas.has_room_outbound(owner, MAX_OUTBOUND, 1));
            assert!(
                quotas.has_room_outbound(owner, 0, MAX_OUTBOUND),
                "what each has"
            );
        }
        let late = owners.next().unwrap();
        assert!(quotas.connect(late));
        assert!(!quotas.has_room_outbound(late, 0, 1 << 20));
        assert!(!quotas.charge(late, Bytes::default(), outbound(1)));
        quotas.disconnect(Owner::User(1), full);
        assert!(quotas.has_room_outbound(late, 0, 1 << 20));
    }
}
