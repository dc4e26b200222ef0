//! `ente`: the command line of arje. One file for each verb, in `verb/`; `docs/cli.md` describes them.

#[path = "../../zero/src/nameless.rs"]
mod nameless;
mod verb;

use std::io;
use std::process::ExitCode;

use clap::Parser;
use verb::{BusArguments, Failure, Outcome, Verb};

/// Looks after a running system; pins, verifies and writes Cards.
#[derive(Parser)]
#[command(
    name = "ente",
    version,
    arg_required_else_help = true,
    after_help = "Exit status: 0 as asked; 1 findings, or refused; 2 wrong usage, or a file or a bus that cannot be used."
)]
struct Arguments {
    #[command(flatten)]
    bus: BusArguments,
    #[command(subcommand)]
    verb: Verb,
}

/// Something was found, or refused.
const FOUND: u8 = 1;
/// The arguments are wrong, or a file or the bus cannot be used.
const UNUSABLE: u8 = 2;

fn main() -> ExitCode {
    let Arguments { bus, verb } = Arguments::parse();
    match verb.run(&bus, &mut io::stdout().lock()) {
        Ok(Outcome::Done) => ExitCode::SUCCESS,
        Ok(Outcome::Found) => FOUND.into(),
        Err(Failure::Refused(why)) => {
            eprintln!("error: {why}");
            FOUND.into()
        }
        Err(Failure::Unusable(why)) => {
            eprintln!("error: {why}");
            UNUSABLE.into()
        }
        // Whoever closed the pipe has read enough.
        Err(Failure::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
            ExitCode::SUCCESS
        }
        Err(Failure::Output(error)) => {
            eprintln!("error: standard output: {error}");
            UNUSABLE.into()
        }
    }
}
