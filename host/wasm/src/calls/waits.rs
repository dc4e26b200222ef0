//! Who waits for whom. A component answers one call at a time, so one that waits for itself, directly or through
//! others, waits for ever; a call that would close such a circle fails instead of being sent.

use arje_bus::CallError;
use arje_card::Id;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The components that wait, and for which Ente. A component makes one call at a time, so there is at most one entry for
/// each incarnation that lives.
#[derive(Debug, Default)]
pub(crate) struct Waits {
    edges: Mutex<BTreeMap<(Id, u64), Id>>,
}

/// As long as this exists, the component counts as waiting.
#[derive(Debug)]
pub(crate) struct Waiting<'w> {
    waits: &'w Waits,
    who: (Id, u64),
}

impl Waits {
    /// Notes that a component waits for an Ente from now on.
    ///
    /// # Errors
    ///
    /// [`CallError::Deadlock`]: the other waits for this one already, or is this one.
    ///
    /// `living` says which incarnation of an Ente gets its calls: one that is on its way out, or in, gets none, and its waiting
    /// keeps nobody waiting.
    pub(crate) fn enter(
        &self,
        who: (Id, u64),
        whom: Id,
        living: impl Fn(Id) -> Option<u64>,
    ) -> Result<Waiting<'_>, CallError> {
        let mut edges = self.edges();
        let mut next = Some(whom);
        // There is no circle among those that wait, so this ends: each step follows another edge.
        while let Some(at) = next {
            let Some(incarnation) = living(at) else {
                break;
            };
            if (at, incarnation) == who {
                return Err(CallError::Deadlock);
            }
            next = edges.get(&(at, incarnation)).copied();
        }
        edges.insert(who, whom);
        drop(edges);
        Ok(Waiting { waits: self, who })
    }

    fn edges(&self) -> MutexGuard<'_, BTreeMap<(Id, u64), Id>> {
        // Every change is one insert or remove; a panic cannot leave it half-made.
        self.edges.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.waits.edges().remove(&self.who);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u64) -> Id {
        Id::from_parts(number, [1; 10])
    }

    #[test]
    fn a_circle_is_refused_and_a_chain_is_not() {
        let waits = Waits::default();
        let first_lives = |_| Some(1);
        let enter = |who, whom| waits.enter((id(who), 1), id(whom), first_lives);
        let refused = |who, whom| enter(who, whom).err();
        assert_eq!(refused(1, 1), Some(CallError::Deadlock), "itself");
        let first = enter(1, 2).unwrap();
        assert_eq!(refused(2, 1), Some(CallError::Deadlock), "directly");
        let second = enter(2, 3).unwrap();
        assert_eq!(refused(3, 1), Some(CallError::Deadlock), "through another");
        drop(enter(4, 1).unwrap());
        drop((first, second));
        assert!(waits.edges().is_empty());
        drop(enter(2, 1).unwrap());
    }

    #[test]
    fn only_the_incarnation_that_gets_the_calls_counts() {
        let waits = Waits::default();
        let enter = |who, whom, living: u64| {
            let of_one = move |ente| Some(if ente == id(1) { living } else { 1 });
            waits.enter(who, id(whom), of_one)
        };
        let deadlock = Some(CallError::Deadlock);
        let old = enter((id(1), 1), 2, 1).unwrap();
        // The successor waits, too; calls of 1 still go to the old one.
        let new = enter((id(1), 2), 3, 1).unwrap();
        assert_eq!(enter((id(2), 1), 1, 1).err(), deadlock);
        drop(enter((id(3), 1), 1, 1).unwrap());
        // And now to the new one.
        drop(enter((id(2), 1), 1, 2).unwrap());
        assert_eq!(enter((id(3), 1), 1, 2).err(), deadlock);
        // A successor may call the one whose place it is to take.
        drop(new);
        drop(enter((id(1), 2), 1, 1).err());
        drop(old);
        drop(enter((id(1), 2), 1, 1).unwrap());
        assert!(waits.edges().is_empty());
    }
}
