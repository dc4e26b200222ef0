//! The system: an `ente-zero` in dev mode, which runs the seed with the components at hand.

use std::collections::VecDeque;
use std::fs;
use std::os::unix::net::UnixStream;
use std::process::{Command, ExitStatus};
use std::time::{Duration, Instant};

use arje_card::Pin;
use nix::sys::signal::Signal;

use super::{Session, Trouble};
use crate::dev::child::{Group, program};
use crate::dev::project;

/// When to ask again whether the bus listens, once its socket is there: between the two are a few system calls.
const SOON: Duration = Duration::from_millis(5);

/// A system that runs.
pub(super) struct System {
    pub group: Group,
    /// Whether it was told to end.
    pub leaving: bool,
    /// Whether its bus listens.
    up: bool,
    /// When to ask that again.
    pub ask_again: Option<Instant>,
    /// What is to be deployed: the Ente's place in the plan, and the component.
    pub queue: VecDeque<(usize, Pin)>,
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
        let settings = &self.settings;
        let plan = match project::plan(&settings.seed, &settings.components) {
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
        let Some(system) = &mut self.system else {
            self.start = true;
            return Ok(());
        };
        match project::plan(&self.settings.seed, &self.settings.components) {
            Err(lines) => self.refused_seed(&lines, "what runs goes on"),
            Ok(plan) if self.plan.as_ref().is_some_and(|old| *old == plan) => Ok(()),
            Ok(_) => {
                system.leave();
                Ok(self.screen.good("the seed has changed: restarting")?)
            }
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

    /// Holds what runs against the components at hand.
    pub(super) fn compare_components(&mut self) -> Result<(), Trouble> {
        let Some(plan) = &self.plan else {
            return Ok(());
        };
        let pin_of = |module: &str| project::pin_of(&self.settings.components, module);
        let entes = plan.entes.iter().enumerate();
        let other = entes.filter_map(|(at, ente)| Some((at, ente, pin_of(&ente.module)?)));
        let other: Vec<_> = other.filter(|(_, ente, pin)| *pin != ente.pin).collect();
        let Some(system) = &mut self.system else {
            self.start |= !other.is_empty();
            return Ok(());
        };
        if system.leaving {
            return Ok(());
        }
        system.queue = other.iter().map(|(at, _, pin)| (*at, *pin)).collect();
        if let Some((_, ente, _)) = other.iter().find(|(_, ente, _)| !ente.can_be_replaced) {
            system.leave();
            let line = format!(
                "{} has a body or runs once, and cannot be replaced while it lives: restarting",
                ente.label
            );
            self.screen.good(line)?;
        }
        Ok(())
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
