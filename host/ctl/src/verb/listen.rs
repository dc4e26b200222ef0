//! `ente events`, `logs`, `whoami`: what the bus tells.

use std::io::Write;

use arje_bus::{
    ClientError, Event, Filter, Log, LogEntry, Logs, Request, Response, Subscribe, Target,
};
use clap::Args;
use ente::json;

use super::bus::{self, BusArguments};
use super::{Failure, Outcome};

/// Show what happens to Entes, from now on
///
/// A line for each change: when (seconds since ente-zero began), whose, what, and why. Ends with the
/// connection.
#[derive(Args)]
pub struct EventsArguments {
    /// Only those of this one: label or id
    #[arg(value_name = "ENTE")]
    ente: Option<String>,
    /// Print a JSON object on each line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    bus: BusArguments,
}

/// Show what an Ente printed
#[derive(Args)]
pub struct LogsArguments {
    /// Label or id
    #[arg(value_name = "ENTE")]
    ente: String,
    /// The last so many lines
    #[arg(long, short = 'n', value_name = "LINES", default_value_t = 200)]
    lines: u32,
    /// Go on with each further line
    #[arg(long, short)]
    follow: bool,
    /// Print a JSON object on each line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    bus: BusArguments,
}

/// Show whom the bus takes you for, and what you may do
#[derive(Args)]
pub struct WhoamiArguments {
    #[command(flatten)]
    bus: BusArguments,
}

impl EventsArguments {
    pub fn run(self, out: &mut dyn Write) -> Result<Outcome, Failure> {
        let mut client = self.bus.connect()?;
        let filter = Filter {
            target: self.ente.as_deref().map(Target::of),
            kinds: None,
        };
        bus::command(&mut client, Request::Subscribe(Subscribe { filter }))?;
        loop {
            let event = match client.next_event(None) {
                Ok(event) => event,
                Err(ClientError::Closed) => return Ok(Outcome::Done),
                Err(error) => return Err(error.into()),
            };
            if self.json {
                writeln!(out, "{}", json::event(&event))?;
            } else {
                writeln!(out, "{}", line(&event))?;
            }
            out.flush()?;
        }
    }
}

fn line(event: &Event) -> String {
    match (event, event.happening()) {
        (Event::Lagged(count), _) => format!("{count} events were missed"),
        (_, Some(what)) => format!(
            "{:>6}.{:03}  {}  {}  life {}: {}",
            what.at_ms / 1000,
            what.at_ms % 1000,
            what.label,
            event.name(),
            what.incarnation,
            what.cause
        ),
        (_, None) => event.name(),
    }
}

impl LogsArguments {
    pub fn run(self, out: &mut dyn Write) -> Result<Outcome, Failure> {
        let mut client = self.bus.connect()?;
        let logs = Logs {
            target: Target::of(&self.ente),
            lines: self.lines,
            follow: self.follow,
        };
        let mut log = match client.request(Request::Logs(logs))? {
            Response::Log(log) => log,
            _ => return Err(bus::unexpected()),
        };
        loop {
            self.print(&log, out)?;
            if !log.more {
                return Ok(Outcome::Done);
            }
            log = match client.next_log(None) {
                Ok(log) => log,
                Err(ClientError::Closed) if self.follow => return Ok(Outcome::Done),
                Err(error) => return Err(error.into()),
            };
        }
    }

    fn print(&self, log: &Log, out: &mut dyn Write) -> Result<(), Failure> {
        if log.missed > 0 && !self.json {
            writeln!(
                out,
                "... {} were overwritten ...",
                count(log.missed, "record")
            )?;
        }
        for record in &log.records {
            match &record.entry {
                _ if self.json => writeln!(out, "{}", json::log_record(record))?,
                LogEntry::Line(line) => writeln!(out, "{}", line.text)?,
                LogEntry::Lost(lost) => {
                    writeln!(out, "... {} were not kept ...", count(lost.lines, "line"))?;
                }
            }
        }
        out.flush()?;
        Ok(())
    }
}

fn count(number: u64, noun: &str) -> String {
    super::count(usize::try_from(number).unwrap_or(usize::MAX), noun)
}

impl WhoamiArguments {
    pub fn run(self, out: &mut dyn Write) -> Result<Outcome, Failure> {
        match self.bus.connect()?.request(Request::WhoAmI)? {
            Response::You(who) => writeln!(out, "{:#}", json::identity(&who))?,
            _ => return Err(bus::unexpected()),
        }
        Ok(Outcome::Done)
    }
}
