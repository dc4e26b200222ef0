//! Deploying, as `ente deploy` does it: that program is what runs, so that Ctrl-C can end a compilation.

use std::fs;
use std::process::{Command, ExitStatus};

use arje_card::{Id, Pin};
use serde_json::Value;

use super::builds::{Job, Task};
use super::running::{Running, newest, still};
use super::{Session, Trouble};
use crate::dev::child::{Group, output_file};
use crate::dev::plan::Runs;

/// What a deployment is refused with that cannot come about while the one before lives (`arje_bus::ErrorCode`).
const INCOMPATIBLE: &str = "Incompatible";

/// A deployment that is to come.
#[derive(Clone, Copy, Debug)]
pub(super) struct Next {
    /// The Ente's place in the plan.
    pub at: usize,
    /// The component.
    pub pin: Pin,
    /// Whether it was refused before others of the same save had their turn. One may need what another one brings.
    pub again: bool,
}

impl Session<'_> {
    /// Begins the next deployment, if there is one and the system can be asked.
    pub(super) fn deploy_next(&mut self) -> Result<(), Trouble> {
        let next = self.system.as_ref().filter(|system| !system.leaving);
        let Some(next) = next.and_then(|system| system.queue.front().copied()) else {
            return Ok(());
        };
        if !self.is_up() {
            return Ok(());
        }
        if let Some(system) = &mut self.system {
            system.queue.pop_front();
        }
        let Some(ente) = self.ente(next.at) else {
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
        self.job = Some(Job::new(group, Task::Deploy(next)));
        Ok(())
    }

    pub(super) fn ente(&self, at: usize) -> Option<&Runs> {
        self.plan.as_ref()?.entes.get(at)
    }

    /// The component at hand has had its turn: it is not deployed again before it changes, or is saved.
    pub(super) fn settle(&mut self, next: Next) {
        let ente = self.plan.as_mut().and_then(|it| it.entes.get_mut(next.at));
        if let Some(ente) = ente {
            ente.pin = next.pin;
        }
    }

    /// A deployment has come about, or was refused.
    pub(super) fn deployed(&mut self, next: Next, status: ExitStatus) -> Result<(), Trouble> {
        let Some(Runs { id, label, .. }) = self.ente(next.at).cloned() else {
            return Ok(());
        };
        let said = fs::read_to_string(self.scratch.said()).unwrap_or_default();
        let said: Value = serde_json::from_str(&said).unwrap_or_default();
        if status.success() {
            self.settle(next);
            let what = self.took_place(id, &said);
            return Ok(self.screen.good(format_args!("deployed {label}: {what}"))?);
        }
        if said["refused"] == INCOMPATIBLE {
            let why = said["why"].as_str().unwrap_or_default();
            return self.incompatible(next, &label, why);
        }
        if let Some(system) = &mut self.system
            && !next.again
            && system.queue.iter().any(|other| !other.again)
        {
            let again = true;
            system.queue.push_back(Next { again, ..next });
            return Ok(());
        }
        self.settle(next);
        let errors = fs::read_to_string(self.scratch.errors()).unwrap_or_default();
        let why = errors.trim().trim_start_matches("error: ");
        let runs = self.still(id);
        let line = format!("{label} is not deployed, {runs}: {why}");
        Ok(self.screen.bad(line)?)
    }

    /// The component can only run instead of the one that runs, knowing nothing of what that one knew.
    fn incompatible(&mut self, next: Next, label: &str, why: &str) -> Result<(), Trouble> {
        let packages = self.settings.packages.iter();
        let broken: Vec<_> = packages.filter(|it| it.broken).map(|it| &it.name).collect();
        if let Some(name) = broken.first() {
            let runs = self.ente(next.at).map(|ente| self.still(ente.id));
            let line = format!(
                "{label} is not deployed, {}: {why}; the system would start again with it, but {name} does not build",
                runs.unwrap_or_default()
            );
            self.settle(next);
            self.held.insert(next.at);
            return Ok(self.screen.bad(line)?);
        }
        let line = format!(
            "restarting the system with what was built, and nothing of what its Entes knew is kept: {why}"
        );
        if !self.restart(&line)? {
            self.settle(next);
        }
        Ok(())
    }

    /// What came of a deployment, of what `ente deploy --json` prints.
    fn took_place(&self, id: Id, said: &Value) -> String {
        let running = self.running().unwrap_or_default();
        match said["paused_us"].as_u64() {
            Some(paused) => format!(
                "incarnation {}, after {}.{:03} ms in which nobody answered; {}",
                said["incarnation"],
                paused / 1000,
                paused % 1000,
                newest_of(&running, id, said)
            ),
            None => format!("nothing of it was alive; {}", newest_of(&running, id, said)),
        }
    }

    /// What runs although something else was to run.
    fn still(&self, id: Id) -> String {
        let running = self.running().unwrap_or_default();
        let still = running.get(&id).map(still);
        still.unwrap_or_else(|| "what runs goes on".to_owned())
    }
}

/// What runs now, as the system says it, else as it was told of the deployment.
fn newest_of(running: &Running, id: Id, said: &Value) -> String {
    let told = || {
        let pin = said["pin"].as_str().unwrap_or("-");
        format!("sha256 {pin} was deployed")
    };
    running.get(&id).map_or_else(told, newest)
}
