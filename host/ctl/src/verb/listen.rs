//! `ente events`, `logs`, `whoami`: what the bus tells.

use std::io::Write;

use arje_bus::{
    ClientError, Event, Filter, Identity, Log, LogEntry, Logs, Request, Response, Subscribe, Target,
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
}

/// Show whom the bus takes you for, and what you may do
#[derive(Args)]
pub struct WhoamiArguments {
    /// Print JSON instead of lines
    #[arg(long)]
    json: bool,
}

impl EventsArguments {
    pub fn run(self, bus: &BusArguments, out: &mut dyn Write) -> Result<Outcome, Failure> {
        let mut client = bus.connect()?;
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
    pub fn run(self, bus: &BusArguments, out: &mut dyn Write) -> Result<Outcome, Failure> {
        let mut client = bus.connect()?;
        let logs = Logs {
            target: Target::of(&self.ente),
            lines: self.lines,
            follow: self.follow,
        };
        let mut log = match bus::ask(&mut client, Request::Logs(logs))? {
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

fn print_identity(who: &Identity, out: &mut dyn Write) -> std::io::Result<()> {
    let mut field = |name: &str, value: String| writeln!(out, "{name:<12}{value}");
    field("process", who.pid.to_string())?;
    field("user", who.uid.to_string())?;
    field("group", who.gid.to_string())?;
    let ente = who.label.clone().or(who.ente.map(|id| id.to_string()));
    field("ente", ente.unwrap_or_else(|| "none".to_owned()))?;
    let rights = &who.rights;
    let may = [
        (true, "look"),
        (rights.entes, "start, stop, restart and kill Entes"),
        (rights.power, "end the machine"),
        (rights.switch_root, "replace ente-zero and the root"),
    ];
    let may = may.iter().filter(|(allowed, _)| *allowed);
    let may: Vec<&str> = may.map(|(_, what)| *what).collect();
    field("may", may.join("; "))
}

impl WhoamiArguments {
    pub fn run(self, bus: &BusArguments, out: &mut dyn Write) -> Result<Outcome, Failure> {
        let who = match bus.connect()?.request(Request::WhoAmI)? {
            Response::You(who) => who,
            _ => return Err(bus::unexpected()),
        };
        if self.json {
            writeln!(out, "{:#}", json::identity(&who))?;
        } else {
            print_identity(&who, out)?;
        }
        Ok(Outcome::Done)
    }
}
