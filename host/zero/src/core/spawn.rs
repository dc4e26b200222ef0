//! Cards that come while the system runs: by the bus, as a text or as the name of a file.

use super::Core;
use super::bus::{log, refused};
use crate::bus::{self, Caller, Owner};
use crate::seed::{self, BadSeed};
use arje_bus::{BusError, ErrorCode};
use arje_card::{Card, Id};
use arje_supervisor::{Command, EventKind};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

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
    fn forget(&mut self, is_gone: impl Fn(Id) -> bool) {
        self.0.retain(|id, _| !is_gone(*id));
    }

    /// Whether this owner may bring a text of so many bytes more.
    fn check(&self, owner: Owner, size: usize) -> Result<(), BusError> {
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

    fn note(&mut self, id: Id, owner: Owner, size: usize) {
        self.0.insert(id, (owner, size));
    }
}

impl Core {
    /// Takes in a Card that came as JSON.
    pub(super) fn run_card(&mut self, caller: &Caller, text: &str) -> Result<(), BusError> {
        let found = seed::parse(text, Path::new("RunCard"), &self.machine.support);
        self.take_in(caller, found, text.len(), "RunCard")
    }

    /// Takes in the Card in a file of the folder for them.
    pub(super) fn spawn_card_from_disk(
        &mut self,
        caller: &Caller,
        name: &str,
    ) -> Result<(), BusError> {
        let path = self.card_file(name)?;
        let size = std::fs::metadata(&path).map_or(0, |found| found.len() as usize);
        let found = seed::read(&path, &self.machine.support);
        self.take_in(caller, found, size, &path.to_string_lossy())
    }

    /// Stops what came from that file, and forgets it.
    pub(super) fn stop_card_from_disk(
        &mut self,
        caller: &Caller,
        name: &str,
    ) -> Result<(), BusError> {
        let path = self.card_file(name)?;
        let (card, _) = seed::read(&path, &self.machine.support).map_err(bad)?;
        let id = card.id;
        if self.supervisor.card(id).is_none() {
            let message = format!("{}: its Card `{}` is no Ente", path.display(), card.label);
            return Err(BusError::new(ErrorCode::UnknownEnte, message));
        }
        log(
            caller,
            &format!("remove {}, of {}", card.label, path.display()),
        );
        let command = Command::Remove;
        self.step(EventKind::Command { id, command })
            .map_err(|refusal| refused(refusal.to_string()))
    }

    /// A file in the folder for Cards; whoever named it has been checked to name no other folder.
    fn card_file(&self, name: &str) -> Result<PathBuf, BusError> {
        let path = self.machine.cards.join(name);
        // Anything else could keep the loop waiting, such as a FIFO without a writer.
        match std::fs::metadata(&path) {
            Ok(found) if found.is_file() => Ok(path),
            Ok(_) => Err(refused(format!("{}: is not a file", path.display()))),
            Err(error) => {
                let message = format!("{}: {error}", path.display());
                Err(BusError::new(ErrorCode::Failed, message))
            }
        }
    }

    /// Takes in a Card with all below it, a text of so many bytes, or nothing of it.
    fn take_in(
        &mut self,
        caller: &Caller,
        found: Result<(Card, Vec<String>), BadSeed>,
        size: usize,
        from: &str,
    ) -> Result<(), BusError> {
        let (card, warnings) = found.map_err(bad)?;
        bus::may_spawn(caller, self.owner_uid, &card)?;
        let root = card.id;
        let supervisor = &self.supervisor;
        self.brought.forget(|id| supervisor.card(id).is_none());
        self.brought.check(caller.owner(), size)?;
        let ids: Vec<Id> = card.walk().map(|visit| visit.card.id).collect();
        // Before its sockets are opened: those of an Ente that is there already are not to be touched.
        if let Some(known) = ids.iter().find_map(|id| self.supervisor.card(*id)) {
            return Err(refused(format!(
                "Ente `{}` ({}) is there already; `ente status {0}` shows it",
                known.label, known.id
            )));
        }
        log(caller, &format!("run {}, of {from}", card.label));
        for warning in warnings {
            tracing::warn!("{from}: {warning}");
        }
        let problems = self.bodies.open_sockets(&card);
        let adopted = match problems.is_empty() {
            false => Err(BusError::new(ErrorCode::Failed, problems.join("; "))),
            true => {
                let adopt = EventKind::Adopt {
                    parent: caller.ente.as_ref().map(|member| member.card.id),
                    cards: vec![card],
                };
                self.step(adopt)
                    .map_err(|refusal| refused(refusal.to_string()))
            }
        };
        match &adopted {
            Ok(()) => self.brought.note(root, caller.owner(), size),
            Err(_) => ids.into_iter().for_each(|id| self.bodies.removed(id)),
        }
        adopted
    }
}

fn bad(bad: BadSeed) -> BusError {
    BusError::of_findings(bad.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cards_are_bounded_by_their_bytes_for_each_owner_and_for_all() {
        let id = |number: u8| Id::from_bytes([number; 16]);
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
}
