//! Payloads that wait in the mailboxes of a host and for its owner, over all of them: each mailbox has its own bound, but
//! there may be ten thousand of them, and who calls and gives up at once is not stopped by the number of its calls.

use crate::idle::Held;
use arje_bus::{Caller, Origin};
use arje_card::Id;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex};

/// Of one sender, over all mailboxes: what one mailbox may hold, and what one owner of connections may leave unread
/// (docs/bus.md).
const MAX_OF_ONE: usize = 16 << 20;

/// Of all senders, so that many of them together cannot take PID 1's memory either.
const MAX_OF_ALL: usize = 64 << 20;

/// On whose account payloads wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Sender {
    /// The owner of the host.
    Host,
    /// An Ente, whatever of it calls.
    Ente(Id),
    /// A user outside of Entes.
    User(u32),
}

impl From<&Caller> for Sender {
    fn from(caller: &Caller) -> Sender {
        match (&caller.card, caller.origin) {
            (Some(card), _) => Sender::Ente(card.id),
            (None, Origin::Process { uid, .. }) => Sender::User(uid),
            (None, Origin::Component) => Sender::Host, // a component has a Card
        }
    }
}

/// The accounts of all senders of whom something waits.
#[derive(Debug, Default)]
pub(crate) struct Payloads {
    sums: Mutex<Sums>,
}

#[derive(Debug, Default)]
struct Sums {
    all: usize,
    /// None of them is zero.
    of: HashMap<Sender, usize>,
}

/// Bytes of a payload that wait on the account of whoever sent it, until this is dropped.
#[derive(Debug)]
pub struct Share {
    bytes: usize,
    sender: Sender,
    payloads: Arc<Payloads>,
}

impl Payloads {
    /// Puts bytes on an account; none if that is too much.
    pub(super) fn charge(self: &Arc<Self>, sender: Sender, bytes: usize) -> Option<Share> {
        let charged = bytes == 0 || self.sums().add(sender, bytes);
        charged.then(|| Share {
            bytes,
            sender,
            payloads: Arc::clone(self),
        })
    }

    /// The core loop takes it, too: it makes calls for processes.
    fn sums(&self) -> Held<'_, Sums> {
        Held::of(&self.sums)
    }
}

impl Sums {
    /// Whether there was room for these bytes.
    fn add(&mut self, sender: Sender, bytes: usize) -> bool {
        let before = self.of.get(&sender).copied().unwrap_or_default();
        let has_room = before + bytes <= MAX_OF_ONE && self.all + bytes <= MAX_OF_ALL;
        if has_room {
            self.of.insert(sender, before + bytes);
            self.all += bytes;
        }
        has_room
    }

    fn subtract(&mut self, sender: Sender, bytes: usize) {
        self.all = self.all.saturating_sub(bytes);
        if let Entry::Occupied(mut sum) = self.of.entry(sender) {
            *sum.get_mut() = sum.get().saturating_sub(bytes);
            if *sum.get() == 0 {
                sum.remove();
            }
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        if self.bytes > 0 {
            self.payloads.sums().subtract(self.sender, self.bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As many shares of a megabyte as there is room for.
    fn fill(payloads: &Arc<Payloads>, sender: Sender) -> Vec<Share> {
        std::iter::from_fn(|| payloads.charge(sender, 1 << 20)).collect()
    }

    #[test]
    fn nobody_takes_more_than_a_share_and_all_together_not_more_than_all() {
        let payloads = Arc::<Payloads>::default();
        let mut senders = [Sender::Host, Sender::Ente(Id::NIL)]
            .into_iter()
            .chain((0..).map(Sender::User));
        let mut shares = Vec::new();
        while shares.len() << 20 < MAX_OF_ALL {
            let of_one = fill(&payloads, senders.next().unwrap());
            assert_eq!(of_one.len() << 20, MAX_OF_ONE);
            shares.extend(of_one);
        }
        let late = senders.next().unwrap();
        assert!(payloads.charge(late, 1).is_none());
        // What takes nothing is never too much, and what was refused took nothing.
        assert!(payloads.charge(late, 0).is_some());
        shares.pop();
        assert_eq!(fill(&payloads, late).len(), 1);
        // Nothing is left of those of whom nothing waits.
        drop(shares);
        let sums = payloads.sums();
        assert_eq!((sums.all, sums.of.len()), (0, 0));
    }
}
