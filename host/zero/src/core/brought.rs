//! Who brought which Card while the system runs, and how many bytes of Cards that are.

use crate::bus::Owner;
use crate::handover::BroughtRecord;
use arje_bus::{BusError, ErrorCode};
use arje_card::Id;
use arje_supervisor::limits::MAX_DEPTH;
use std::collections::BTreeMap;

/// Bytes of Cards that one Ente, or one user, has brought: thousands of Cards of usual length. They are in PID 1 for as
/// long as their Entes are known.
const MAX_BROUGHT: usize = 16 << 20;

/// The same of all of them: half of what a hand-over can carry (docs/handover.md), which the Cards of the seed share.
const MAX_BROUGHT_BY_ALL: usize = 64 << 20;

/// Who brought which Card, and how many bytes of text that was, with all below it.
#[derive(Default)]
pub(super) struct Brought(BTreeMap<Id, (Owner, usize)>);

impl Brought {
    /// Forgets Cards that are gone.
    pub(super) fn forget(&mut self, is_gone: impl Fn(Id) -> bool) {
        self.0.retain(|id, _| !is_gone(*id));
    }

    /// Whether this owner may bring a text of so many bytes more.
    pub(super) fn check(&self, owner: Owner, size: usize) -> Result<(), BusError> {
        let sum = |of: Option<Owner>| -> usize {
            let counted = self
                .0
                .values()
                .filter(|(who, _)| of.is_none_or(|of| of == *who));
            counted.map(|(_, size)| size).sum()
        };
        for (has, most, who) in [
            (sum(Some(owner)), MAX_BROUGHT, "of this caller"),
            (sum(None), MAX_BROUGHT_BY_ALL, "of all callers"),
        ] {
            if has + size > most {
                let message = format!(
                    "a Card of {size} bytes, beside {has} bytes {who} that are still known, of which {most} is the \
                     most; remove some of them"
                );
                return Err(BusError::new(ErrorCode::Busy, message));
            }
        }
        Ok(())
    }

    pub(super) fn note(&mut self, id: Id, owner: Owner, size: usize) {
        self.0.insert(id, (owner, size));
    }

    /// On whose account an Ente is, that was brought or is of the seed: whoever brought it, or the one above it by which it
    /// came; and if that is an Ente, whoever brought that one in turn. So whatever one brings to life, and whatever that
    /// brings to life, is on one account.
    pub(super) fn account(&self, id: Id, parent: impl Fn(Id) -> Option<Id>) -> Owner {
        let mut account = id;
        let mut next = Some(id);
        // Nobody is deeper than that; a Card without a parent may name any.
        for _ in 0..=MAX_DEPTH {
            let Some(id) = next else {
                break;
            };
            match self.0.get(&id) {
                Some((Owner::User(user), _)) => return Owner::User(*user),
                Some((Owner::Ente(by), _)) => {
                    account = *by;
                    next = Some(*by);
                }
                None => next = parent(id),
            }
        }
        Owner::Ente(account)
    }

    /// For the next image, of those that are still known.
    pub(super) fn records(&self, is_known: impl Fn(Id) -> bool) -> Vec<BroughtRecord> {
        let known = self.0.iter().filter(|(id, _)| is_known(**id));
        known
            .map(|(id, (owner, bytes))| BroughtRecord {
                id: *id,
                owner: *owner,
                bytes: *bytes,
            })
            .collect()
    }

    /// As another image left it.
    ///
    /// # Errors
    ///
    /// It cannot be true.
    pub(super) fn restored(
        records: Vec<BroughtRecord>,
        is_known: impl Fn(Id) -> bool,
    ) -> Result<Brought, String> {
        let mut brought = Brought::default();
        for BroughtRecord { id, owner, bytes } in records {
            if !is_known(id) || bytes > MAX_BROUGHT_BY_ALL || brought.0.contains_key(&id) {
                return Err(format!("the account of the Card {id} cannot be true"));
            }
            brought.note(id, owner, bytes);
        }
        Ok(brought)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cards_are_bounded_by_their_bytes_for_each_owner_and_for_all() {
        let mut brought = Brought::default();
        let one = Owner::User(1);
        assert!(brought.check(one, MAX_BROUGHT + 1).is_err());
        brought.check(one, MAX_BROUGHT).unwrap();
        brought.note(id(1), one, MAX_BROUGHT);
        let error = brought.check(one, 1).unwrap_err();
        assert_eq!(error.code, ErrorCode::Busy);
        for number in 2..5 {
            let other = Owner::Ente(id(number));
            brought.check(other, MAX_BROUGHT).unwrap();
            brought.note(id(number), other, MAX_BROUGHT);
        }
        let another = Owner::User(9);
        let error = brought.check(another, 1).unwrap_err();
        assert!(
            error.message.contains("of all callers"),
            "{}",
            error.message
        );
        brought.forget(|gone| gone == id(1));
        brought.check(one, MAX_BROUGHT).unwrap();
        assert!(brought.check(Owner::Ente(id(2)), 1).is_err());
    }

    fn id(number: u8) -> Id {
        Id::from_bytes([number; 16])
    }

    #[test]
    fn whatever_one_brings_to_life_is_on_its_account_with_what_that_brings() {
        let mut brought = Brought::default();
        // 1 is of the seed and has brought 2, with 3 below it, which has brought 4; a user has brought 5, which has brought 6.
        brought.note(id(2), Owner::Ente(id(1)), 1);
        brought.note(id(4), Owner::Ente(id(3)), 1);
        brought.note(id(5), Owner::User(7), 1);
        brought.note(id(6), Owner::Ente(id(5)), 1);
        let parent = |of: Id| match of.to_bytes()[0] {
            2 => Some(id(1)),
            3 => Some(id(2)),
            4 => Some(id(3)),
            6 => Some(id(5)),
            9 => Some(id(9)), // says so of itself
            _ => None,
        };
        for (ente, account) in [
            (1, Owner::Ente(id(1))),
            (2, Owner::Ente(id(1))),
            (3, Owner::Ente(id(1))),
            (4, Owner::Ente(id(1))),
            (5, Owner::User(7)),
            (6, Owner::User(7)),
            (9, Owner::Ente(id(9))),
        ] {
            assert_eq!(brought.account(id(ente), parent), account, "{ente}");
        }
    }

    #[test]
    fn the_next_image_has_the_account_of_those_that_are_known() {
        let mut brought = Brought::default();
        brought.note(id(1), Owner::User(7), MAX_BROUGHT);
        brought.note(id(2), Owner::Ente(id(1)), 5);
        brought.note(id(3), Owner::User(7), 5);
        let records = brought.records(|one| one != id(3));
        assert_eq!(records.len(), 2);
        let again = Brought::restored(records.clone(), |_| true).unwrap();
        assert_eq!(again.records(|_| true), records);
        assert!(again.check(Owner::User(7), 1).is_err());
        again.check(Owner::User(8), 1).unwrap();
        // Of an Ente that is not there, twice, and beyond what there can be.
        assert!(Brought::restored(records.clone(), |one| one != id(2)).is_err());
        let twice = [&records[..], &records[..1]].concat();
        assert!(Brought::restored(twice, |_| true).is_err());
        let mut beyond = records;
        beyond[0].bytes = usize::MAX;
        assert!(Brought::restored(beyond, |_| true).is_err());
    }
}
