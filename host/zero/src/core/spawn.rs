//! Cards that come while the system runs: by the bus, as a text or as the name of a file.

use super::Core;
use super::bus::{log, log_refusal, refused};
use crate::bus::{self, Caller};
use crate::seed::{self, BadSeed};
use arje_bus::{BusError, ErrorCode};
use arje_card::{Card, Id};
use arje_supervisor::{Command, EventKind};
use std::path::{Path, PathBuf};

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
        let what = format!("remove {}, of {}", card.label, path.display());
        log(caller, &what);
        let command = Command::Remove;
        let removed = self.step(EventKind::Command { id, command });
        removed.map_err(|refusal| {
            log_refusal(&what, &refusal.to_string());
            refused(refusal.to_string())
        })
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
        let what = format!("run {}, of {from}", card.label);
        log(caller, &what);
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
            Err(error) => {
                log_refusal(&what, &error.message);
                ids.into_iter().for_each(|id| self.bodies.removed(id));
            }
        }
        adopted
    }
}

fn bad(bad: BadSeed) -> BusError {
    BusError::of_findings(bad.to_string())
}
