//! Calls through an actor's mailbox, alone and beside hostile components.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use arje_card::{Card, Id};
use arje_store::Sha256;
use arje_wasm::{EventKind, InvokeError};

use crate::bare::{Bare, CALLS, ECHO};
use crate::error::Error;
use crate::places::Places;
use crate::plan::Plan;
use crate::rig::{Rig, card};
use crate::stats::{Samples, Time, ratio, significant};
use crate::table::Table;

/// The component that is called.
const SERVICE: &str = "service_counts_calls";

/// Payloads, in bytes.
const SIZES: [usize; 2] = [64, 64 * 1024];

/// Calls of one neighbour that are kept; at some microseconds each this is seconds' worth.
const MOST_CALLS: usize = 2_000_000;

/// How long an attacker's thread waits for an event before it looks whether it is to stop.
const LOOK: Duration = Duration::from_millis(50);

/// A component that does harm, and how many of it at a time.
struct Attack {
    guest: &'static str,
    entry: &'static str,
    count: usize,
    what: &'static str,
}

/// Those that end by themselves are started again at once.
const ATTACKS: [Attack; 8] = [
    attack("loop_forever_in_run", "run", 1, "an endless loop"),
    attack("loop_forever_in_run", "run", 16, "16 endless loops"),
    attack("hostcall_storm", "service", 1, "a storm of host calls"),
    attack(
        "grow_memory",
        "service",
        1,
        "memory grown to its limit, again and again",
    ),
    attack(
        "grow_two_memories",
        "run",
        1,
        "two memories grown, again and again",
    ),
    attack(
        "deep_recursion",
        "service",
        1,
        "stack overflows, again and again",
    ),
    attack(
        "trap_in_start_function",
        "run",
        1,
        "traps at the start, again and again",
    ),
    attack("stdout_100mb", "run", 1, "lines of 100 MB, again and again"),
];

const fn attack(
    guest: &'static str,
    entry: &'static str,
    count: usize,
    what: &'static str,
) -> Attack {
    Attack {
        guest,
        entry,
        count,
        what,
    }
}

/// What was measured.
#[derive(Default)]
pub struct Calls {
    rows: Vec<(String, Samples)>,
    neighbours: Vec<Neighbour>,
}

struct Neighbour {
    what: &'static str,
    alone: Samples,
    attacked: Samples,
}

impl Neighbour {
    /// Median and 99th percentile, as multiples of those without an attack.
    fn ratios(&self) -> Option<(f64, f64)> {
        let (alone, attacked) = (self.alone.summary()?, self.attacked.summary()?);
        Some((
            ratio(attacked.median, alone.median)?,
            ratio(attacked.p99, alone.p99)?,
        ))
    }
}

/// Measures calls.
///
/// # Errors
/// A component is missing or does not run.
pub fn measure(places: &Places, plan: &Plan) -> Result<Calls, Error> {
    let pin = places.stock(SERVICE)?;
    let mut calls = Calls::default();
    sizes(places, plan, pin, &mut calls)?;
    for attack in &ATTACKS {
        calls.neighbours.push(neighbour(places, plan, pin, attack)?);
    }
    Ok(calls)
}

fn sizes(places: &Places, plan: &Plan, pin: Sha256, calls: &mut Calls) -> Result<(), Error> {
    let (rig, bare) = (Rig::new(places)?, Bare::new(places)?);
    let service = Arc::new(card(pin, SERVICE, "service"));
    rig.start_ready(&service)?;
    for size in SIZES {
        // The first calls of a component touch its memory for the first time.
        echo(&rig, service.id, size, plan.calls / 10, None)?;
        let inside = echo(&rig, service.id, size, plan.calls, None)?;
        let outside = from_outside(&rig, service.id, size, plan.calls / 10)?;
        let alone = bare.calls(pin, &rig, size, plan.calls)?;
        for (what, samples) in [
            ("through the mailbox, from a worker", inside),
            ("through the mailbox, from another thread", outside),
            ("wasmtime alone", alone),
        ] {
            calls
                .rows
                .push((format!("{size} B there and back, {what}"), samples));
        }
    }
    rig.end(&service).map(drop)
}

/// Calls from a task of the worker pool, as one component's call of another would come: at most `count`
/// times, and not longer than `at_most`.
fn echo(
    rig: &Rig,
    ente: Id,
    size: usize,
    count: usize,
    at_most: Option<Duration>,
) -> Result<Samples, Error> {
    let host = Arc::clone(&rig.host);
    let task = rig.host.workers().spawn(async move {
        let (mut samples, payload) = (Samples::default(), vec![7; size]);
        let (begin, function) = (Instant::now(), format!("{CALLS}#{ECHO}"));
        for _ in 0..count {
            let payload = payload.clone();
            let called = Instant::now();
            host.invoke(ente, &function, payload).await?;
            samples.push(called.elapsed());
            if at_most.is_some_and(|most| begin.elapsed() > most) {
                break;
            }
        }
        Ok::<_, InvokeError>(samples)
    });
    let result = rig.host.workers().block_on(task).map_err(Error::tree)?;
    result.map_err(|error| Error::guest(SERVICE, error))
}

fn from_outside(rig: &Rig, ente: Id, size: usize, count: usize) -> Result<Samples, Error> {
    let (payload, function) = (vec![7; size], format!("{CALLS}#{ECHO}"));
    let call = |_| {
        let payload = payload.clone();
        let begin = Instant::now();
        let called = rig.host.invoke(ente, &function, payload);
        rig.host
            .workers()
            .block_on(called)
            .map_err(|error| Error::guest(SERVICE, error))?;
        Ok(begin.elapsed())
    };
    (0..count).map(call).collect()
}

/// A neighbour's calls without the attack, with it, and without it again.
fn neighbour(
    places: &Places,
    plan: &Plan,
    pin: Sha256,
    attack: &Attack,
) -> Result<Neighbour, Error> {
    let hostile = places.stock(attack.guest)?;
    let rig = Rig::new(places)?;
    let service = Arc::new(card(pin, SERVICE, "service"));
    rig.start_ready(&service)?;
    let calls = |share: u32| {
        let at_most = Some(plan.neighbour / share);
        echo(&rig, service.id, SIZES[0], MOST_CALLS, at_most)
    };
    calls(4)?; // warm
    let mut alone = calls(2)?;
    let attacked = under_attack(&rig, attack, hostile, || calls(1))?;
    alone.extend(calls(2)?);
    rig.end(&service)?;
    Ok(Neighbour {
        what: attack.what,
        alone,
        attacked,
    })
}

/// Runs `measure` while hostile components run; ends them all before it returns.
fn under_attack(
    rig: &Rig,
    attack: &Attack,
    pin: Sha256,
    measure: impl FnOnce() -> Result<Samples, Error>,
) -> Result<Samples, Error> {
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let attacker = scope.spawn(|| assault(rig, attack, pin, &stop));
        thread::sleep(LOOK); // in full swing
        let measured = measure();
        stop.store(true, Ordering::Release);
        let attacked = attacker
            .join()
            .unwrap_or_else(|_| Err(Error::Tree("the attacker's thread panicked".to_owned())));
        attacked.and(measured)
    })
}

/// Keeps `count` hostile components running until told to stop, then ends them.
fn assault(rig: &Rig, attack: &Attack, pin: Sha256, stop: &AtomicBool) -> Result<(), Error> {
    let fresh = || {
        let card = Arc::new(hostile_card(attack, pin));
        rig.start(&card);
        card
    };
    let mut running: Vec<Arc<Card>> = (0..attack.count).map(|_| fresh()).collect();
    while !stop.load(Ordering::Acquire) {
        let Some(event) = rig.next_event(LOOK) else {
            continue;
        };
        let ended = matches!(event.kind, EventKind::Ended { .. });
        if let Some(slot) = running
            .iter_mut()
            .find(|card| ended && card.id == event.ente)
        {
            *slot = fresh();
        }
    }
    rig.end_all(&running)
}

fn hostile_card(attack: &Attack, pin: Sha256) -> Card {
    let mut card = card(pin, attack.guest, attack.entry);
    // Half of the default, so that those that fill their memory come round more often.
    card.limits.memory_bytes = 32 << 20;
    card
}

impl Calls {
    /// The tables of this section.
    #[must_use]
    pub fn tables(&self) -> Vec<Table> {
        let mut calls = Table::of_times("Calling a component");
        for (what, samples) in &self.rows {
            calls.times(what, samples.summary());
        }
        vec![calls, self.neighbour_table()]
    }

    /// The worst median and the worst 99th percentile under attack, as multiples.
    #[must_use]
    pub fn worst(&self) -> Option<(f64, f64)> {
        let ratios = self.neighbours.iter().filter_map(Neighbour::ratios);
        ratios.reduce(|worst, it| (worst.0.max(it.0), worst.1.max(it.1)))
    }

    fn neighbour_table(&self) -> Table {
        let head = [
            "64 B calls beside",
            "median ratio",
            "p99 ratio",
            "alone: median",
            "p99",
            "attacked: median",
            "p99",
            "max",
        ];
        let mut table = Table::new("A neighbour's calls while a hostile component runs", &head);
        for it in &self.neighbours {
            let (Some(alone), Some(attacked)) = (it.alone.summary(), it.attacked.summary()) else {
                table.row([it.what, "not measured"]);
                continue;
            };
            let (median, p99) = it.ratios().unwrap_or_default();
            let times = [
                alone.median,
                alone.p99,
                attacked.median,
                attacked.p99,
                attacked.max,
            ];
            let ratios = [median, p99].map(significant);
            let cells = [it.what.to_owned()].into_iter().chain(ratios);
            table.row(cells.chain(times.map(|time| Time(time).to_string())));
        }
        table
    }
}
