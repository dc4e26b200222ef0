//! The verbs, and how one ends.

mod bus;
mod call;
mod card;
mod deploy;
mod dev;
mod life;
mod listen;
mod machine;
mod new;
mod pin;
mod run;
mod set;
mod status;
mod verify;

use std::fmt;
use std::io::{self, Write};

use arje_bus::Request;
use clap::Subcommand;

pub use bus::BusArguments;

/// What to do.
#[derive(Subcommand)]
pub enum Verb {
    Pin(pin::Arguments),
    Verify(verify::Arguments),
    #[command(subcommand)]
    Card(card::CardVerb),
    #[command(subcommand)]
    New(new::NewVerb),
    Dev(dev::Arguments),
    Status(status::Arguments),
    /// Want an Ente: start it as soon as its contracts allow, and wait until it is up
    Start(life::Arguments),
    /// Stop an Ente, dependents first, and wait until it is down
    Stop(life::StopArguments),
    /// Stop an Ente, dependents first, start it again, and wait until it is up
    Restart(life::Arguments),
    /// Send a signal to the process group of an Ente; SIGKILL to all its processes
    Kill(life::KillArguments),
    Set(set::Arguments),
    Run(run::Arguments),
    Call(call::Arguments),
    Deploy(deploy::Arguments),
    Rollback(deploy::RollbackArguments),
    Logs(listen::LogsArguments),
    Events(listen::EventsArguments),
    Whoami(listen::WhoamiArguments),
    /// Stop everything and power off
    Poweroff,
    /// Stop everything and reboot
    Reboot,
    /// Stop everything and halt
    Halt,
    /// Suspend the machine to memory
    Suspend,
    /// Suspend the machine to disk
    Hibernate,
    /// Replace the running ente-zero by the one installed now; Entes go on
    Reexec,
    /// Move the system to another root
    SwitchRoot(machine::SwitchRootArguments),
}

/// How a verb that could do its work ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All is well.
    Done,
    /// It found what it looks for: problems. They are printed.
    Found,
}

/// Why a verb did not do its work.
#[derive(Debug)]
pub enum Failure {
    /// What was asked for is refused.
    Refused(String),
    /// An argument makes no sense, or a file cannot be read or written.
    Unusable(String),
    /// Standard output takes nothing more.
    Output(io::Error),
}

impl Failure {
    pub fn refused(why: impl fmt::Display) -> Self {
        Self::Refused(why.to_string())
    }

    pub fn unusable(why: impl fmt::Display) -> Self {
        Self::Unusable(why.to_string())
    }
}

impl From<io::Error> for Failure {
    /// The one thing that verbs do with `?` on an [`io::Error`] is writing to standard output.
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

impl Verb {
    /// Does it, and prints to `out`. `bus` says where a running system is.
    pub fn run(self, bus: &BusArguments, out: &mut dyn Write) -> Result<Outcome, Failure> {
        if self.works_on_files() {
            bus.refuse_socket()?;
        }
        match self {
            Self::Pin(arguments) => arguments.run(out),
            Self::Verify(arguments) => arguments.run(out),
            Self::Card(verb) => verb.run(out),
            Self::New(verb) => verb.run(out),
            Self::Dev(arguments) => arguments.run(out),
            Self::Status(arguments) => arguments.run(bus, out),
            Self::Start(arguments) => arguments.start(bus),
            Self::Stop(arguments) => arguments.run(bus),
            Self::Restart(arguments) => arguments.restart(bus),
            Self::Kill(arguments) => arguments.run(bus),
            Self::Set(arguments) => arguments.run(bus),
            Self::Run(arguments) => arguments.run(bus),
            Self::Call(arguments) => arguments.run(bus, out),
            Self::Deploy(arguments) => arguments.run(bus, out),
            Self::Rollback(arguments) => arguments.run(bus, out),
            Self::Logs(arguments) => arguments.run(bus, out),
            Self::Events(arguments) => arguments.run(bus, out),
            Self::Whoami(arguments) => arguments.run(bus, out),
            // Whoever types it is the one who would be asked.
            Self::Poweroff => machine::run(Request::PowerOff(true), bus),
            Self::Reboot => machine::run(Request::Reboot(true), bus),
            Self::Halt => machine::run(Request::Halt(true), bus),
            Self::Suspend => machine::run(Request::Suspend(true), bus),
            Self::Hibernate => machine::run(Request::Hibernate(true), bus),
            Self::Reexec => machine::run(Request::Reexec, bus),
            Self::SwitchRoot(arguments) => arguments.run(bus),
        }
    }

    /// Whether it has nothing to do with a running system.
    const fn works_on_files(&self) -> bool {
        matches!(
            self,
            Self::Pin(_) | Self::Verify(_) | Self::Card(_) | Self::New(_) | Self::Dev(_)
        )
    }
}

/// `1 Card`, `2 Cards`.
fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}
