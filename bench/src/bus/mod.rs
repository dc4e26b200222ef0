//! Calls between Entes beside what others use for that: D-Bus, and a bare Unix socket; and deployment.

mod dbus;
mod processes;
mod socket;

pub use processes::{ANSWER, answer};

use std::sync::Arc;
use std::time::{Duration, Instant};

use arje_bus::{Place, Provider, Routes};
use arje_card::{Capability, Card, InterfaceId, InterfaceName, Payload};
use arje_wasm::{EventKind, StartRequest};

use crate::error::Error;
use crate::places::{Places, wasm};
use crate::plan::Plan;
use crate::rig::{Rig, card};
use crate::stats::{Samples, Time, ratio, significant};
use crate::table::Table;

/// Payloads, in bytes.
const SIZES: [usize; 2] = [64, 64 * 1024];

/// Calls that a component makes in a row for one sample, which is their mean.
const ROW: u32 = 500;

/// Callers at once.
const CALLERS: usize = 64;

/// What the callers are told by.
const COMMAND: &str = "arje:test/calls@1.0.0#echo";

/// What was measured.
#[derive(Default)]
pub struct Bus {
    rows: Vec<Row>,
    /// Why a peer is missing.
    missing: Vec<String>,
    deploys: Samples,
    compiles: Samples,
    pauses: Samples,
}

struct Row {
    what: String,
    size: usize,
    samples: Samples,
}

/// Measures calls and deployments.
///
/// # Errors
/// A component is missing or does not run.
pub fn measure(places: &Places, plan: &Plan) -> Result<Bus, Error> {
    let mut bus = Bus::default();
    let rounds = (plan.calls / 500).max(10);
    for size in SIZES {
        components(places, size, rounds, &mut bus)?;
        let bare = socket::ping_pong(size, rounds, ROW)?;
        bus.push("a Unix socket, two threads on one processor", size, bare);
        for (name, start) in [
            ("dbus-daemon", dbus::daemon as dbus::Start),
            ("dbus-broker", dbus::broker),
        ] {
            for callers in [1, CALLERS] {
                let what = named(name, callers);
                let rounds = (rounds / callers).max(3);
                match dbus::round_trips(places, start, size, callers, rounds, ROW / 10) {
                    Ok(samples) => bus.push(&what, size, samples),
                    Err(why) => bus
                        .missing
                        .push(format!("{what} could not be measured: {why}")),
                }
            }
        }
    }
    processes::measure(places, rounds, &mut bus)?;
    deployments(places, plan, &mut bus)?;
    Ok(bus)
}

/// A row's name, with how many call at once.
fn named(what: &str, callers: usize) -> String {
    match callers {
        1 => what.to_owned(),
        many => format!("… {what}, {many} callers at once, for each call"),
    }
}

fn endpoint(version: u16) -> Capability {
    let mut uuid = [0; 16];
    uuid[..2].copy_from_slice(&[0x7e, 0x57]);
    Capability::Endpoint {
        interface: InterfaceId(uuid),
        version,
    }
}

fn peer(places: &Places) -> Result<Card, Error> {
    let mut card = card(places.stock("bus_peer")?, "bus_peer", "service");
    card.permissions.ipc.allow = vec!["wit-v1".into()];
    card.limits.call_ms = 60_000;
    Ok(card)
}

fn serve(
    rig: &Rig,
    routes: &Routes,
    card: &Arc<Card>,
    capability: Capability,
) -> Result<(), Error> {
    rig.start_ready(card)?;
    let provider = Provider {
        id: card.id,
        priority: card.priority,
        place: Place::Component,
    };
    routes.provide(capability, provider);
    Ok(())
}

fn components(places: &Places, size: usize, rounds: usize, bus: &mut Bus) -> Result<(), Error> {
    let rig = Rig::new(places)?;
    let routes = Arc::clone(&rig.routes);
    let routes = &routes;
    let provider = Arc::new(card(places.stock("echo")?, "echo", "service"));
    serve(&rig, routes, &provider, endpoint(1))?;
    let text = "x".repeat(size);
    let opaque = format!("many {ROW} 1 0 {text}");
    let callers: Vec<Arc<Card>> = (0..CALLERS)
        .map(|_| peer(places).map(Arc::new))
        .collect::<Result<_, _>>()?;
    for caller in &callers {
        rig.start_ready(caller)?;
    }
    let what = "component to component, by capability";
    for count in [1, CALLERS] {
        let rounds = (rounds / count).max(3);
        let samples = tell_each(&rig, &callers[..count], &opaque, rounds, ROW)?;
        bus.push(&named(what, count), size, samples);
    }
    typed(places, &rig, size, rounds, bus)
}

/// The same by the types of an interface.
fn typed(
    places: &Places,
    rig: &Rig,
    size: usize,
    rounds: usize,
    bus: &mut Bus,
) -> Result<(), Error> {
    let interface: InterfaceName = "test:shapes/shapes@1.2.0".parse().map_err(Error::tree)?;
    let shapes = Capability::Wit(interface);
    let mut typed = card(places.stock("typed_provider")?, "typed_provider", "service");
    typed.permissions.ipc.allow = vec!["wit-v1".into()];
    serve(rig, &rig.routes, &Arc::new(typed), shapes.clone())?;
    let mut clients = Vec::new();
    for _ in 0..CALLERS {
        let mut client = card(places.stock("typed_client")?, "typed_client", "service");
        client.requires = [shapes.clone()].into();
        client.limits.call_ms = 60_000;
        let client = Arc::new(client);
        rig.start_ready(&client)?;
        clients.push(client);
    }
    let text = "x".repeat(size);
    for (word, ty) in [("text", "string"), ("bytes", "list<u8>")] {
        let command = format!("{word}-many {ROW} {text}");
        for count in [1, CALLERS] {
            let rounds = (rounds / count).max(3);
            let samples = tell_each(rig, &clients[..count], &command, rounds, ROW)?;
            let what = format!("component to component, by type, a `{ty}`");
            bus.push(&named(&what, count), size, samples);
        }
    }
    Ok(())
}

/// Has all of them do it at the same time; a sample is the time for each call.
fn tell_each(
    rig: &Rig,
    callers: &[Arc<Card>],
    command: &str,
    rounds: usize,
    row: u32,
) -> Result<Samples, Error> {
    let host = Arc::clone(&rig.host);
    let ids: Vec<_> = callers.iter().map(|card| card.id).collect();
    let command = command.as_bytes().to_vec();
    let calls = row * ids.len() as u32;
    let task = rig.host.workers().spawn(async move {
        let mut samples = Samples::default();
        for _ in 0..=rounds {
            let begin = Instant::now();
            let told: Vec<_> = ids
                .iter()
                .map(|id| {
                    let (host, id, command) = (Arc::clone(&host), *id, command.clone());
                    tokio::spawn(async move { host.invoke(id, COMMAND, command).await })
                })
                .collect();
            for answer in told {
                answer.await.map_err(Error::tree)?.map_err(Error::tree)?;
            }
            samples.push(begin.elapsed() / calls);
        }
        Ok::<_, Error>(samples)
    });
    rig.host.workers().block_on(task).map_err(Error::tree)?
}

/// The whole way of `ente deploy`, but for the bus: store, compile, start, switch.
fn deployments(places: &Places, plan: &Plan, bus: &mut Bus) -> Result<(), Error> {
    let rig = Rig::new(places)?;
    let store = places.open_store()?;
    let mut card = card(places.stock("counter")?, "counter", "service");
    card.provides = [endpoint(1)].into();
    rig.start_ready(&Arc::new(card.clone()))?;
    for number in 0..(plan.rounds * 2) as u64 {
        let mut bytes = wasm("counter")?;
        // The same under another hash: a custom section that nobody reads.
        bytes.extend([0, 9, 0]);
        bytes.extend((number ^ u64::from(std::process::id()) << 32).to_le_bytes());
        let begin = Instant::now();
        let pin = store.put_module(&bytes).map_err(Error::tree)?;
        let compile = Instant::now();
        store
            .ensure(pin, places.fingerprint, &places.compiler)
            .map_err(Error::tree)?;
        bus.compiles.push(compile.elapsed());
        let mut next = card.clone();
        if let Payload::Wasm(payload) = &mut next.payload {
            payload.module_sha256 = arje_card::Pin(*pin.as_bytes());
        }
        let request = StartRequest {
            card: Arc::new(next),
            incarnation: number + 2,
            sockets: Vec::new(),
        };
        rig.host
            .start_beside(request)
            .map_err(|_| Error::guest("counter", "it does not run"))?;
        let wanted = |kind: &EventKind| matches!(kind, EventKind::TookOver { .. });
        let event = loop {
            let event = rig.next_event(Duration::from_secs(60));
            match event.ok_or_else(|| Error::guest("counter", "it did not take over"))? {
                event if wanted(&event.kind) => break event,
                _ => {}
            }
        };
        bus.deploys.push(begin.elapsed());
        if let EventKind::TookOver { paused } = event.kind {
            bus.pauses.push(paused);
        }
    }
    Ok(())
}

impl Bus {
    fn push(&mut self, what: &str, size: usize, samples: Samples) {
        let what = what.to_owned();
        self.rows.push(Row {
            what,
            size,
            samples,
        });
    }

    fn median(&self, what: &str, size: usize) -> Option<Duration> {
        let row = self
            .rows
            .iter()
            .find(|row| row.size == size && row.what.starts_with(what));
        row?.samples.median()
    }

    /// A small call by capability, and by type; of dbus-broker; of a bare socket.
    #[must_use]
    pub fn small(&self) -> Option<[Duration; 4]> {
        let of = |what| self.median(what, SIZES[0]);
        Some([
            of("component to component, by capability")?,
            of("component to component, by type, a `string`")?,
            of("dbus-broker")?,
            of("a Unix socket")?,
        ])
    }

    /// A whole deployment, and for how long nobody answered.
    #[must_use]
    pub fn deployment(&self) -> Option<(Duration, Duration)> {
        Some((self.deploys.median()?, self.pauses.median()?))
    }

    /// The tables of this section.
    #[must_use]
    pub fn tables(&self) -> Vec<Table> {
        let head = [
            "one call and its answer",
            "payload",
            "median",
            "min",
            "p99",
            "a socket = 1",
        ];
        let mut calls = Table::new("Calls between Entes, beside others", &head);
        for row in &self.rows {
            let Some(summary) = row.samples.summary() else {
                continue;
            };
            let bare = self.median("a Unix socket", row.size);
            let times = bare.and_then(|bare| ratio(summary.median, bare));
            let size = match row.size {
                64 => "64 B".to_owned(),
                more => format!("{} KiB", more / 1024),
            };
            let cells =
                [summary.median, summary.min, summary.p99].map(|time| Time(time).to_string());
            let [median, min, p99] = cells;
            let times = times.map_or_else(|| "—".to_owned(), significant);
            calls.row([row.what.clone(), size, median, min, p99, times]);
        }
        calls.note(
            "A sample is the mean of some hundred calls in a row. Components: one that is told to call \
             `echo`, or `typed_provider`, so many times, its own loop included. D-Bus: clients in this process, without a library, one of which answers, and a bus without policy. \
             Processes: `ente-zero` in dev mode, a process that answers, and callers that are connections to its bus in this process, or components \
             that are told over it to call fifty times, which is part of what they take.",
        );
        self.missing.iter().for_each(|why| calls.note(why));
        let mut deploys = Table::of_times("Deploying a small module (`counter`, with its state)");
        deploys.times(
            "all of it: store, compile, start, switch",
            self.deploys.summary(),
        );
        deploys.times("compiling it, in its sandbox", self.compiles.summary());
        deploys.times(
            "nobody answers, from the last answer of the old one on",
            self.pauses.summary(),
        );
        vec![calls, deploys]
    }
}
