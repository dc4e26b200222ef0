//! Deploying, as `ente deploy` does it: that program is what runs, so that Ctrl-C can end a compilation.

use std::fs;
use std::process::{Command, ExitStatus};

use arje_card::Pin;
use serde_json::Value;

use super::builds::{Job, Task};
use super::{Session, Trouble};
use crate::dev::child::{Group, output_file};

impl Session<'_> {
    /// Begins the next deployment, if there is one and the system can be asked.
    pub(super) fn deploy_next(&mut self) -> Result<(), Trouble> {
        let next = self.system.as_ref().filter(|system| !system.leaving);
        let Some((at, pin)) = next.and_then(|system| system.queue.front().copied()) else {
            return Ok(());
        };
        if !self.is_up() {
            return Ok(());
        }
        if let Some(system) = &mut self.system {
            system.queue.pop_front();
        }
        let Some(ente) = self.plan.as_ref().and_then(|plan| plan.entes.get(at)) else {
            return Ok(());
        };
        let this = std::env::current_exe().map_err(|error| format!("this program: {error}"))?;
        let file = self
            .settings
            .components
            .join(format!("{}.wasm", ente.module));
        let mut command = Command::new(this);
        command.arg("deploy").arg(ente.id.to_string()).arg(file);
        command
            .arg("--json")
            .arg("--socket")
            .arg(self.scratch.socket());
        command.arg("--store").arg(&self.settings.store);
        command.stdout(output_file(&self.scratch.said())?);
        command.stderr(output_file(&self.scratch.errors())?);
        let group = Group::start(&mut command)?;
        self.job = Some(Job::new(group, Task::Deploy(at, pin)));
        Ok(())
    }

    /// A deployment has come about, or was refused. It is not tried again before the component changes.
    pub(super) fn deployed(
        &mut self,
        at: usize,
        pin: Pin,
        status: ExitStatus,
    ) -> Result<(), Trouble> {
        let ente = self.plan.as_mut().and_then(|plan| plan.entes.get_mut(at));
        let Some(ente) = ente else {
            return Ok(());
        };
        ente.pin = pin;
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        if status.success() {
            let what = told(&read(self.scratch.said()));
            Ok(self
                .screen
                .good(format_args!("deployed {}{what}", ente.label))?)
        } else {
            let errors = read(self.scratch.errors());
            let why = errors.trim().trim_start_matches("error: ");
            let line = format!(
                "{} is not deployed, and what runs goes on: {why}",
                ente.label
            );
            Ok(self.screen.bad(line)?)
        }
    }
}

/// What came of it, of what `ente deploy --json` prints.
fn told(said: &str) -> String {
    let said: Value = serde_json::from_str(said).unwrap_or_default();
    let incarnation = &said["incarnation"];
    match said["paused_us"].as_u64() {
        Some(paused) => format!(
            ": incarnation {incarnation}, after {}.{:03} ms in which nobody answered",
            paused / 1000,
            paused % 1000
        ),
        None => ": it starts with it, as nothing of it was alive".to_owned(),
    }
}
