//! The system: an `ente-zero` in dev mode, which runs the seed with the components at hand.

use std::collections::VecDeque;
use std::fs;
use std::os::unix::net::UnixStream;
use std::process::{Command, ExitStatus};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::deploys::Next;
use super::{Session, Trouble};
use crate::dev::child::{Group, program};
use crate::dev::plan;

/// When to ask again whether the bus listens, once its socket is there: between the two are a few system calls.
const SOON: Duration = Duration::from_millis(5);

/// What becomes of the system when something else cannot run.
const GOES_ON: &str = "what runs goes on";

/// A system that runs.
pub(super) struct System {
    pub group: Group,
    /// Whether it was told to end.
    pub leaving: bool,
    /// Whether its bus listens.
    up: bool,
    /// When to ask it again, though nothing changes meanwhile.
    pub ask_again: Option<Instant>,
    /// What is to be deployed.
    pub queue: VecDeque<Next>,
}

impl System {
    /// Has it end, everything in it first.
    pub fn leave(&mut self) {
        if !self.leaving {
            self.leaving = true;
            self.group.signal(Signal::SIGTERM);
        }
    }
}

impl Session<'_> {
    pub(super) fn start_system(&mut self) -> Result<(), Trouble> {
        self.saved.clear();
        self.held.clear();
        let settings = &self.settings;
        self.at_hand = plan::at_hand(&settings.components);
        let plan = match plan::prepare(&settings.seed, &settings.components, &settings.store) {
            Ok(plan) => plan,
            Err(lines) => {
                return self.refused_seed(&lines, "it is read again with the next change");
            }
        };
        let name = settings.seed.file_name().unwrap_or_default();
        let seed = self.scratch.folder.join(name);
        fs::write(&seed, &plan.text).map_err(|error| format!("{}: {error}", seed.display()))?;
        let mut command = Command::new(program("ente-zero"));
        command.arg("--forever").arg("--store").arg(&settings.store);
        command.arg("--components").arg(&settings.components);
        command.arg("--run-dir").arg(&self.scratch.run).arg(&seed);
        let group = Group::start(&mut command)?;
        self.plan = Some(plan);
        self.system = Some(System {
            group,
            leaving: false,
            up: false,
            ask_again: None,
            queue: VecDeque::new(),
        });
        let (seed, socket) = (self.settings.seed.display(), self.scratch.socket());
        let line = format!("running {seed}; ENTE_BUS_SOCK={}", socket.display());
        Ok(self.screen.good(line)?)
    }

    /// The seed is another one: it is what runs from now on, unless something is wrong with it.
    pub(super) fn take_in_seed(&mut self) -> Result<(), Trouble> {
        if self.system.is_none() {
            self.start = true;
            return Ok(());
        }
        let settings = &self.settings;
        match plan::plan(&settings.seed, &settings.components, &settings.store) {
            Err(lines) => self.refused_seed(&lines, GOES_ON),
            Ok(plan) if self.plan.as_ref().is_some_and(|it| it.has_cards_of(&plan)) => {
                Ok(self.screen.good("the seed means what runs already")?)
            }
            Ok(_) => {
                self.leave();
                Ok(self.screen.good("the seed has changed: restarting")?)
            }
        }
    }

    /// Has the system end and start again with the components at hand, saying why, unless it could not start with them.
    /// Whether it does.
    pub(super) fn restart(&mut self, why: &str) -> Result<bool, Trouble> {
        let settings = &self.settings;
        match plan::plan(&settings.seed, &settings.components, &settings.store) {
            Err(lines) => {
                self.refused_seed(&lines, GOES_ON)?;
                Ok(false)
            }
            Ok(_) => {
                self.leave();
                self.screen.good(why)?;
                Ok(true)
            }
        }
    }

    fn leave(&mut self) {
        if let Some(system) = &mut self.system {
            system.leave();
        }
    }

    fn refused_seed(&mut self, lines: &[String], then: &str) -> Result<(), Trouble> {
        for line in lines {
            self.screen.bad(line)?;
        }
        Ok(self
            .screen
            .bad(format_args!("this seed cannot run; {then}"))?)
    }

    /// Whether something can be asked of the system; if not yet, it is asked again.
    pub(super) fn is_up(&mut self) -> bool {
        let socket = self.scratch.socket();
        let Some(system) = &mut self.system else {
            return false;
        };
        if !system.up {
            system.up = UnixStream::connect(&socket).is_ok();
            // That it appears is watched; that somebody listens then is not told.
            let waits = !system.up && socket.exists();
            system.ask_again = waits.then(|| Instant::now() + SOON);
        }
        system.up
    }

    pub(super) fn system_ended(&mut self, status: ExitStatus) -> Result<(), Trouble> {
        let Some(system) = self.system.take() else {
            return Ok(());
        };
        if system.leaving {
            self.start = true;
            return Ok(());
        }
        let line = format!("the system has ended ({status}); it starts again with the next change");
        match status.success() {
            true => self.screen.good(line)?,
            false => self.screen.bad(line)?,
        }
        Ok(())
    }
}
