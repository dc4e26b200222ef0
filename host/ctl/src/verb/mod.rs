//! The verbs, and how one ends.

mod bus;
mod card;
mod life;
mod listen;
mod machine;
mod pin;
mod status;
mod verify;

use std::fmt;
use std::io::{self, Write};

use arje_bus::Request;
use clap::Subcommand;

/// What to do.
#[derive(Subcommand)]
pub enum Verb {
    Pin(pin::Arguments),
    Verify(verify::Arguments),
    #[command(subcommand)]
    Card(card::CardVerb),
    Status(status::Arguments),
    /// Want an Ente: start it as soon as its contracts allow, and wait until it is up
    Start(life::Arguments),
    /// Stop an Ente, dependents first, and wait until it is down
    Stop(life::StopArguments),
    /// Stop an Ente, dependents first, start it again, and wait until it is up
    Restart(life::Arguments),
    /// Send a signal to all processes of an Ente
    Kill(life::KillArguments),
    Logs(listen::LogsArguments),
    Events(listen::EventsArguments),
    Whoami(listen::WhoamiArguments),
    /// Stop everything and power off
    Poweroff(machine::Arguments),
    /// Stop everything and reboot
    Reboot(machine::Arguments),
    /// Stop everything and halt
    Halt(machine::Arguments),
    /// Replace the running ente-zero by the one installed now; Entes go on
    Reexec(machine::Arguments),
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
    /// Does it, and prints to `out`.
    pub fn run(self, out: &mut dyn Write) -> Result<Outcome, Failure> {
        match self {
            Self::Pin(arguments) => arguments.run(out),
            Self::Verify(arguments) => arguments.run(out),
            Self::Card(verb) => verb.run(out),
            Self::Status(arguments) => arguments.run(out),
            Self::Start(arguments) => arguments.start(),
            Self::Stop(arguments) => arguments.run(),
            Self::Restart(arguments) => arguments.restart(),
            Self::Kill(arguments) => arguments.run(),
            Self::Logs(arguments) => arguments.run(out),
            Self::Events(arguments) => arguments.run(out),
            Self::Whoami(arguments) => arguments.run(out),
            // Whoever types it is the one who would be asked.
            Self::Poweroff(arguments) => arguments.run(Request::PowerOff(true)),
            Self::Reboot(arguments) => arguments.run(Request::Reboot(true)),
            Self::Halt(arguments) => arguments.run(Request::Halt(true)),
            Self::Reexec(arguments) => arguments.run(Request::Reexec),
            Self::SwitchRoot(arguments) => arguments.run(),
        }
    }
}

/// `1 Card`, `2 Cards`.
fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}
