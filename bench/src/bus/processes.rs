//! Calls to and from processes: a real `ente-zero` in dev mode, with components and a process below it, and clients of its
//! bus in this program.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::{Barrier, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use arje_bus::Client;
use arje_card::{Card, Filesystem, Id, NativePayload, Networking, Payload, Readiness, Supervision};
use arje_guest_artifacts::components;

use super::{Bus, CALLERS, SIZES, endpoint, named, peer};
use crate::error::Error;
use crate::places::Places;
use crate::rig::card;
use crate::stats::Samples;

/// The argument that makes this program the process that answers.
pub const ANSWER: &str = "--answer-calls";

/// What the component that answers provides, the process, and from here on each component that calls.
const COMPONENT: u16 = 1;
const PROCESS: u16 = 2;
const CALLER: u16 = 100;

/// Calls in a row for one sample, which is their mean; fewer than inside PID 1, since each takes longer.
const ROW: u32 = 50;

/// No call takes this long; one that does is an error, and not a number.
const PATIENCE: Duration = Duration::from_secs(30);

/// What the Entes run who answer as a process: gives back what it gets, until the bus goes away.
///
/// # Errors
/// There is no bus, or it refuses this.
pub fn answer() -> Result<(), Error> {
    let socket = std::env::var_os("ENTE_BUS_SOCK").ok_or_else(|| {
        Error::Missing("ENTE_BUS_SOCK: this is run by ente-zero alone".to_owned())
    })?;
    let mut client = Client::connect(Path::new(&socket)).map_err(Error::tree)?;
    client.announce(Vec::new()).map_err(Error::tree)?;
    while let Ok(call) = client.next_call(None) {
        client
            .answer(call.id, Ok(call.payload))
            .map_err(Error::tree)?;
    }
    Ok(())
}

/// Measures every way, with every payload, one caller and many. A way on which a call fails is told as missing.
///
/// # Errors
/// `ente-zero` does not come up.
pub fn measure(places: &Places, rounds: usize, bus: &mut Bus) -> Result<(), Error> {
    let system = System::start(places)?;
    for size in SIZES {
        for callers in [1, CALLERS] {
            let rounds = (rounds / callers).max(3);
            for (what, way) in WAYS {
                let what = named(what, callers);
                match way(&system, callers, size, rounds) {
                    Ok(samples) => bus.push(&what, size, samples),
                    Err(why) => bus
                        .missing
                        .push(format!("{what}, {size} B: not measured: {why}")),
                }
            }
        }
    }
    Ok(())
}

type Way = fn(&System, callers: usize, size: usize, rounds: usize) -> Result<Samples, Error>;

const WAYS: &[(&str, Way)] = &[
    ("process to component", |system, callers, size, rounds| {
        from_processes(system, COMPONENT, callers, size, rounds)
    }),
    ("component to process", from_components),
    ("process to process", |system, callers, size, rounds| {
        from_processes(system, PROCESS, callers, size, rounds)
    }),
];

/// Each caller is a connection and a thread of this program.
fn from_processes(
    system: &System,
    to: u16,
    callers: usize,
    size: usize,
    rounds: usize,
) -> Result<Samples, Error> {
    let clients = system.clients(callers)?;
    let payload = "x".repeat(size);
    at_once(clients, rounds, ROW, &|client, _| {
        for _ in 0..ROW {
            ask(client, to, &payload, &payload)?;
        }
        Ok(())
    })
}

/// Each caller is a component that is told, over the bus, to call so many times.
fn from_components(
    system: &System,
    callers: usize,
    size: usize,
    rounds: usize,
) -> Result<Samples, Error> {
    let clients = system.clients(callers)?;
    let payload = "x".repeat(size);
    let command = format!("many {ROW} {PROCESS} {} {payload}", PATIENCE.as_millis());
    at_once(clients, rounds, ROW, &|client, n| {
        ask(client, CALLER + n, &command, &payload)
    })
}

fn ask(client: &mut Client, to: u16, payload: &str, expected: &str) -> Result<(), Error> {
    let answer = client.invoke(endpoint(to), payload.into(), PATIENCE);
    match answer.map_err(Error::tree)? {
        Ok(bytes) if bytes == expected.as_bytes() => Ok(()),
        Ok(bytes) => {
            let begin = String::from_utf8_lossy(&bytes[..bytes.len().min(80)]).into_owned();
            Err(Error::Tree(format!("another answer: {begin}")))
        }
        Err(error) => Err(Error::tree(error)),
    }
}

/// Has all of them do it at the same time, again and again; a sample is the time for each call. They stay: to
/// begin a thread takes longer than a call.
pub(super) fn at_once<C: Send>(
    clients: Vec<C>,
    rounds: usize,
    row: u32,
    work: &(impl Fn(&mut C, u16) -> Result<(), Error> + Sync),
) -> Result<Samples, Error> {
    let gate = &Barrier::new(clients.len() + 1);
    // When each began and ended a round, by its own thread: the one that waits for them may run late.
    let times = &Mutex::new(Vec::new());
    let calls = row * clients.len() as u32;
    thread::scope(|scope| {
        let working: Vec<_> = clients
            .into_iter()
            .zip(0..)
            .map(|(mut client, n)| {
                scope.spawn(move || {
                    let mut outcome = Ok(());
                    for _ in 0..=rounds {
                        gate.wait();
                        // One that failed goes on to meet the others, and does nothing else.
                        let begin = Instant::now();
                        outcome = outcome.and_then(|()| work(&mut client, n));
                        let mut times = times.lock().unwrap_or_else(PoisonError::into_inner);
                        times.push((begin, Instant::now()));
                        drop(times);
                        gate.wait();
                    }
                    outcome
                })
            })
            .collect();
        let mut samples = Samples::default();
        for round in 0..=rounds {
            gate.wait();
            gate.wait();
            let mut times = times.lock().unwrap_or_else(PoisonError::into_inner);
            let begin = times.iter().map(|(begin, _)| *begin).min();
            let end = times.iter().map(|(_, end)| *end).max();
            times.clear();
            // The first one finds nothing prepared.
            if let (1.., Some(begin), Some(end)) = (round, begin, end) {
                samples.push((end - begin) / calls);
            }
        }
        for it in working {
            let failed = |_| Error::Tree("a caller panicked".to_owned());
            it.join().map_err(failed)??;
        }
        Ok(samples)
    })
}

/// `ente-zero` in dev mode; ends with this value.
struct System {
    zero: Child,
    socket: PathBuf,
    /// What it prints; kept open, since it goes on writing.
    out: BufReader<ChildStdout>,
}

impl Drop for System {
    fn drop(&mut self) {
        let _ = self.zero.kill(); // its Entes end with it
        let _ = self.zero.wait();
    }
}

impl System {
    fn start(places: &Places) -> Result<Self, Error> {
        let folder = places.work.join("processes");
        let _ = std::fs::remove_dir_all(&folder); // of an earlier run
        std::fs::create_dir_all(&folder).map_err(Error::io("make", &folder))?;
        let seed = folder.join("seed.card.json");
        let text = seed_card(places)?.to_json().map_err(Error::tree)?;
        std::fs::write(&seed, text).map_err(Error::io("write", &seed))?;
        let run = folder.join("run");
        let program = places.programs.join("ente-zero");
        let mut zero = Command::new(&program)
            .arg(&seed)
            .arg("--forever")
            .arg("--store")
            .arg(folder.join("store"))
            .arg("--run-dir")
            .arg(&run)
            .arg("--components")
            .arg(components())
            .env("XDG_RUNTIME_DIR", &folder)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| Error::program(&program, error))?;
        let out = zero.stdout.take();
        let out = out.ok_or_else(|| Error::program(&program, "it has no output"))?;
        let mut system = Self {
            zero,
            socket: run.join("ente-bus.sock"),
            out: BufReader::new(out),
        };
        system.wait_until_up()?;
        Ok(system)
    }

    fn wait_until_up(&mut self) -> Result<(), Error> {
        let mut said = String::new();
        loop {
            let begin = said.len();
            let read = self.out.read_line(&mut said).map_err(Error::tree)?;
            let line = said.get(begin..).unwrap_or_default();
            if line.contains("the seed is up") {
                return Ok(());
            }
            if read == 0 {
                return Err(Error::program("ente-zero", said));
            }
        }
    }

    fn clients(&self, count: usize) -> Result<Vec<Client>, Error> {
        let connect = |_| Client::connect(&self.socket).map_err(Error::tree);
        (0..count).map(connect).collect()
    }
}

/// A component and a process that answer, and components that call.
fn seed_card(places: &Places) -> Result<Card, Error> {
    let forever = Supervision::Restart {
        initial: 10,
        max: 100,
    };
    let mut echo = card(places.stock("echo")?, "echo", "service");
    echo.supervision = forever;
    echo.provides = [endpoint(COMPONENT)].into();
    let mut genesis = vec![echo, process(forever)?];
    for n in 0..CALLERS as u16 {
        let mut caller = peer(places)?;
        caller.label = format!("caller-{n}");
        caller.supervision = forever;
        caller.provides = [endpoint(CALLER + n)].into();
        genesis.push(caller);
    }
    let id = Id::from_parts(1, [2; 10]);
    let mut seed = Card::new(id, "seed", Payload::Virtual, Supervision::Delegate);
    seed.genesis = genesis;
    Ok(seed)
}

/// This program, as the one that answers.
fn process(supervision: Supervision) -> Result<Card, Error> {
    let exec = std::env::current_exe().map_err(Error::io("find", "arje-bench"))?;
    let payload = Payload::Native(NativePayload {
        exec: exec.to_string_lossy().into_owned(),
        argv: vec![ANSWER.to_owned()],
        ..NativePayload::default()
    });
    let id = Id::from_parts(2, [2; 10]);
    let mut card = Card::new(id, "answers", payload, supervision);
    card.readiness = Readiness::Announce;
    card.provides = [endpoint(PROCESS)].into();
    card.permissions.ipc.allow = vec!["wit-v1".into()];
    card.permissions.networking = Networking::Full;
    card.permissions.filesystem = Filesystem::ReadWrite;
    card.permissions.processes = true;
    Ok(card)
}
