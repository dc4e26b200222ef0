//! Who waits for whom. A component answers one call at a time, so one that waits for itself, directly or through
//! others, waits for ever; a call that would close such a circle fails instead of being sent.

use arje_bus::CallError;
use arje_card::Id;
use std::collections::BTreeMap;
use std::ops::Bound;
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
    pub(crate) fn enter(&self, who: (Id, u64), whom: Id) -> Result<Waiting<'_>, CallError> {
        let mut edges = self.edges();
        let mut next = Some(whom);
        // There is no circle among those that wait, so this ends: each step follows another edge.
        while let Some(at) = next {
            if at == who.0 {
                return Err(CallError::Deadlock);
            }
            next = waits_for(&edges, at);
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

/// For whom the incarnation that gets an Ente's calls waits: its newest. An older one that is on its way out gets none.
fn waits_for(edges: &BTreeMap<(Id, u64), Id>, ente: Id) -> Option<Id> {
    let its = (
        Bound::Included((ente, 0)),
        Bound::Included((ente, u64::MAX)),
    );
    edges.range(its).next_back().map(|(_, whom)| *whom)
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
        let refused = |who, whom| waits.enter((id(who), 1), id(whom)).err();
        assert_eq!(refused(1, 1), Some(CallError::Deadlock), "itself");
        let first = waits.enter((id(1), 1), id(2)).unwrap();
        assert_eq!(refused(2, 1), Some(CallError::Deadlock), "directly");
        let second = waits.enter((id(2), 1), id(3)).unwrap();
        assert_eq!(refused(3, 1), Some(CallError::Deadlock), "through another");
        drop(waits.enter((id(4), 1), id(1)).unwrap());
        drop((first, second));
        assert!(waits.edges().is_empty());
        drop(waits.enter((id(2), 1), id(1)).unwrap());
    }

    #[test]
    fn an_incarnation_that_is_replaced_holds_up_nobody() {
        let waits = Waits::default();
        let old = waits.enter((id(1), 1), id(2)).unwrap();
        let new = waits.enter((id(1), 2), id(3)).unwrap();
        // Calls of 1 go to its new incarnation, which waits for 3 and not for 2.
        drop(waits.enter((id(2), 1), id(1)).unwrap());
        assert_eq!(
            waits.enter((id(3), 1), id(1)).err(),
            Some(CallError::Deadlock)
        );
        drop(new);
        drop(old);
        assert!(waits.edges().is_empty());
    }
}
