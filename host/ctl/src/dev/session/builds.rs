//! Building, and what comes of what was begun.

use std::fs;
use std::path::Path;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use arje_store::Sha256;

use super::deploys::Next;
use super::{Session, Trouble};
use crate::dev::child::{Group, output_file};

/// The one thing that is under way beside the system.
pub(super) struct Job {
    pub group: Group,
    task: Task,
    began: Instant,
}

/// What it is for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Task {
    /// Builds the package at this place.
    Build(usize),
    /// Deploys a component.
    Deploy(Next),
}

impl Job {
    /// The place of the package that is built.
    pub const fn builds(&self) -> Option<usize> {
        match self.task {
            Task::Build(at) => Some(at),
            Task::Deploy(_) => None,
        }
    }

    pub fn new(group: Group, task: Task) -> Self {
        Self {
            group,
            task,
            began: Instant::now(),
        }
    }
}

impl Session<'_> {
    pub(super) fn build(&mut self, at: usize) -> Result<(), Trouble> {
        let Some(package) = self.settings.packages.get(at) else {
            return Ok(());
        };
        if !package.built && !package.broken {
            // It takes a while, as everything that it needs is built, too.
            self.screen
                .good(format_args!("building {}", package.name))?;
        }
        let mut command = package.command(&self.settings.components);
        // What the compiler says goes where it always goes. A builder of ours prints the component's path.
        if package.is_cargos() {
            command.stdout(output_file(&self.scratch.said())?);
        }
        let group = Group::start(&mut command)?;
        self.job = Some(Job::new(group, Task::Build(at)));
        Ok(())
    }

    pub(super) fn job_ended(&mut self, status: ExitStatus) -> Result<(), Trouble> {
        let Some(job) = self.job.take() else {
            return Ok(());
        };
        if self.interrupts > 0 {
            return Ok(()); // that is why it ended
        }
        match job.task {
            Task::Build(at) if status.success() => self.built(at, job.began.elapsed()),
            Task::Build(at) => self.not_built(at, status),
            Task::Deploy(next) => self.deployed(next, status),
        }
    }

    fn built(&mut self, at: usize, took: Duration) -> Result<(), Trouble> {
        let Some(package) = self.settings.packages.get_mut(at) else {
            return Ok(());
        };
        let said = match package.is_cargos() {
            true => fs::read_to_string(self.scratch.said()).unwrap_or_default(),
            false => String::new(),
        };
        package.was_built(&said, &self.watch)?;
        let what = described(Path::new(said.trim())).unwrap_or_default();
        let (name, seconds) = (&package.name, took.as_secs_f64());
        let line = format!("built {name} in {seconds:.1} s{what}");
        self.screen.good(line)?;
        self.look = true;
        self.saved.insert(at);
        Ok(())
    }

    fn not_built(&mut self, at: usize, status: ExitStatus) -> Result<(), Trouble> {
        let Some(package) = self.settings.packages.get_mut(at) else {
            return Ok(());
        };
        package.was_not_built(&self.watch)?;
        let name = package.name.clone();
        let goes_on = match &self.system {
            Some(_) => self.goes_on(at),
            None => "it is built again with the next change".to_owned(),
        };
        let line = format!("{name} does not build ({status}); {goes_on}");
        Ok(self.screen.bad(line)?)
    }
}

/// Size and hash of a component.
fn described(component: &Path) -> Option<String> {
    let wasm = fs::read(component).ok()?;
    let kilobytes = wasm.len().div_ceil(1000);
    Some(format!(", {kilobytes} kB, sha256 {}", Sha256::of(&wasm)))
}
