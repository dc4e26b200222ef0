//! `ente status`: how the Entes of a running system are.

use std::io::Write;

use arje_bus::{Client, EnteStatus, Request, Response, Target, Telemetry};
use clap::Args;
use ente::words::{duration, size};
use ente::{json, table};
use serde_json::Value;

use super::bus::{self, BusArguments};
use super::{Failure, Outcome};

/// Show how the Entes of a running system are
///
/// Without a name the tree of all: state and for how long, the process or the component's pin, the
/// number of the life, restarts, and what holds it back. With a name everything about that one.
#[derive(Args)]
pub struct Arguments {
    /// Label or id
    #[arg(value_name = "ENTE")]
    ente: Option<String>,
    /// Print JSON instead of lines
    #[arg(long)]
    json: bool,
}

impl Arguments {
    pub fn run(self, bus: &BusArguments, out: &mut dyn Write) -> Result<Outcome, Failure> {
        let mut client = bus.connect()?;
        match self.ente {
            None => print_all(&mut client, self.json, out)?,
            Some(ente) => print_one(&mut client, &Target::of(&ente), self.json, out)?,
        }
        Ok(Outcome::Done)
    }
}

fn print_all(client: &mut Client, json: bool, out: &mut dyn Write) -> Result<(), Failure> {
    let entes = client.list()?;
    if json {
        let list: Value = entes.iter().map(json::summary).collect();
        writeln!(out, "{list:#}")?;
        return Ok(());
    }
    for line in table::tree(&entes) {
        writeln!(out, "{line}")?;
    }
    Ok(())
}

fn print_one(
    client: &mut Client,
    target: &Target,
    json: bool,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let status = bus::status(client, target)?;
    let telemetry = match client.request(Request::EnteTelemetry(target.clone()))? {
        Response::Telemetry(telemetry) => telemetry,
        _ => return Err(bus::unexpected()),
    };
    if json {
        writeln!(out, "{:#}", json::status(&status, &telemetry))?;
        return Ok(());
    }
    print_lines(&status, &telemetry, out).map_err(Failure::Output)
}

fn print_lines(
    status: &EnteStatus,
    telemetry: &Telemetry,
    out: &mut dyn Write,
) -> std::io::Result<()> {
    let summary = &status.summary;
    let mut field = |name: &str, value: String| writeln!(out, "{name:<12}{value}");
    field("ente", summary.label.clone())?;
    field("id", summary.id.to_string())?;
    field("payload", summary.payload.name().to_owned())?;
    field("state", state(status))?;
    field(
        "wanted",
        if summary.wanted { "yes" } else { "no" }.to_owned(),
    )?;
    if let Some(hold) = &summary.held_by {
        field("held by", hold.clone())?;
    }
    field("body", table::body(summary))?;
    field("life", life(status))?;
    if let Some(says) = &status.says {
        field("says", says.clone())?;
    }
    field("restarts", summary.restarts.to_string())?;
    if let Some(exit) = &status.last_exit {
        field("last end", exit.text.clone())?;
    }
    if let Some(usage) = usage(telemetry) {
        field("uses", usage)?;
    }
    if !summary.provides.is_empty() {
        let more = summary.provides_total as usize - summary.provides.len();
        let dots = if more > 0 {
            format!(", and {more} more")
        } else {
            String::new()
        };
        field("provides", summary.provides.join(", ") + &dots)?;
    }
    for change in &status.history {
        writeln!(
            out,
            "  {:>7} ago  life {}: {} -> {}: {}",
            duration(change.ago_ms),
            change.incarnation,
            change.from,
            change.to,
            change.cause
        )?;
    }
    Ok(())
}

fn state(status: &EnteStatus) -> String {
    let summary = &status.summary;
    let next = status.next_in_ms.map(duration);
    let next = match (summary.state, next) {
        (arje_bus::EnteState::Backoff, Some(next)) => format!(", starts again in {next}"),
        (arje_bus::EnteState::Stopping, Some(next)) => format!(", is killed in {next}"),
        _ => String::new(),
    };
    format!("{} for {}{next}", summary.state, duration(summary.since_ms))
}

fn life(status: &EnteStatus) -> String {
    let started = status
        .started_ms
        .map(|ms| format!(", started {} ago", duration(ms)));
    let ready = status
        .ready_after_ms
        .map(|ms| format!(", ready after {}", duration(ms)));
    format!(
        "{}{}{}",
        status.summary.incarnation,
        started.unwrap_or_default(),
        ready.unwrap_or_default()
    )
}

fn usage(telemetry: &Telemetry) -> Option<String> {
    let parts = [
        telemetry
            .mem_bytes
            .map(|bytes| format!("{} of memory", size(bytes))),
        telemetry
            .nproc
            .map(|number| super::count(number as usize, "task")),
        telemetry
            .cpu_usec
            .map(|usec| format!("{} of processor time", duration(usec / 1000))),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}
