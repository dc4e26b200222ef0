//! The verbs, and how one ends.

mod card;
mod pin;
mod verify;

use std::fmt;
use std::io::{self, Write};

use clap::Subcommand;

/// What to do.
#[derive(Subcommand)]
pub enum Verb {
    Pin(pin::Arguments),
    Verify(verify::Arguments),
    #[command(subcommand)]
    Card(card::CardVerb),
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
        }
    }
}

/// `1 Card`, `2 Cards`.
fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}
