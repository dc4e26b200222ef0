//! Random schedules and random Cards.
//!
//! A schedule is a list of operations that name their targets by a number taken modulo of what
//! there is, so that every sub-list is a schedule too: that is what lets a failing one shrink.

use arje_card::{
    Capability, Card, Contract, DeviceClass, Id, InterfaceId, NativePayload, Payload, Pin,
    Priority, Readiness, RestartOn, StartLimit, Supervision, WasmPayload,
};
use arje_supervisor::Command;

use crate::rng::Rng;

/// One operation of a schedule.
#[derive(Clone, Debug)]
pub enum Op {
    /// A random tree, below a random Ente or as a root.
    Adopt { seed: u64, under: Option<u32> },
    /// The executor gets on with one of the things it has to do.
    Answer { pick: u32, how: u32 },
    /// A live incarnation ends by itself.
    Die { pick: u32, how: u32 },
    /// A command.
    Command { pick: u32, command: Command },
    /// The machine offers a capability, or no longer.
    Host { cap: u32, on: bool },
    /// Another module is to take an Ente's place.
    Succeed { pick: u32, module: u8 },
    /// A successor takes over, or ends.
    Successor { pick: u32, takes_over: bool },
    /// A live incarnation offers more or less.
    Dynamic { pick: u32, cap: u32, add: bool },
    /// A live incarnation says that it is alive.
    Alive { pick: u32 },
    /// A live incarnation says that it cannot go on.
    NotAlive { pick: u32 },
    /// A live incarnation asks for another rhythm of signs of life.
    Liveness { pick: u32, ms: u64 },
    /// One that was told to stop needs more time.
    MoreTime { pick: u32, ms: u64 },
    /// A report about an incarnation that is no more.
    Stale { pick: u32, how: u32 },
    /// Time passes; the executor's timer fires when it is due.
    Pass { ms: u64 },
    /// An event with a time in the past, and a timer that fires too early.
    Back { ms: u64 },
    /// The executor replaces itself.
    Reexec { seed: u64 },
    /// Shutdown.
    Shutdown { ms: u64 },
}

/// Capabilities in use: first what the machine may offer, then endpoints, three versions of one
/// WIT interface, and more endpoints.
pub const CAPS: usize = 13;
/// Those that the machine may offer.
pub const HOST_CAPS: usize = 3;

/// The capability with this number.
pub fn capability(n: usize) -> Capability {
    let wit = |version: &str| Capability::Wit(format!("sim:sim/sim@{version}").parse().unwrap());
    match n {
        0 => Capability::FilesystemRoot,
        1 => Capability::Device {
            class: DeviceClass::Block,
        },
        6 => wit("1.0.0"),
        7 => wit("1.1.0"),
        8 => wit("2.0.0"),
        _ => Capability::Endpoint {
            interface: InterfaceId([n as u8; 16]),
            version: 1,
        },
    }
}

/// A schedule of about `length` operations.
pub fn schedule(seed: u64, length: usize) -> Vec<Op> {
    let mut rng = Rng::new(seed);
    // Mostly the machine has something to offer from the start.
    let mut ops: Vec<Op> = Vec::new();
    for cap in 0..HOST_CAPS as u32 {
        ops.push(Op::Host {
            cap,
            on: rng.chance(80),
        });
    }
    for _ in 0..1 + rng.below(3) {
        ops.push(adopt(&mut rng, false));
    }
    // Some schedules are calm and some are stormy.
    let storm = rng.below(4);
    while ops.len() < length {
        ops.push(match rng.below(100) {
            0..3 => adopt(&mut rng, true),
            3..50 => Op::Answer {
                pick: rng.next() as u32,
                how: rng.next() as u32,
            },
            50..58 if storm > 0 => Op::Die {
                pick: rng.next() as u32,
                how: rng.next() as u32,
            },
            58..66 => Op::Command {
                pick: rng.next() as u32,
                command: command(&mut rng),
            },
            66..69 => Op::Host {
                cap: rng.next() as u32,
                on: rng.chance(70),
            },
            69..72 => Op::Dynamic {
                pick: rng.next() as u32,
                cap: rng.next() as u32,
                add: rng.chance(50),
            },
            72..74 => Op::Alive {
                pick: rng.next() as u32,
            },
            74..77 => Op::Stale {
                pick: rng.next() as u32,
                how: rng.next() as u32,
            },
            77 if rng.chance(50) => Op::Reexec { seed: rng.next() },
            77 => Op::Back {
                ms: rng.below(10_000),
            },
            78 => Op::NotAlive {
                pick: rng.next() as u32,
            },
            79 if rng.chance(50) => Op::Succeed {
                pick: rng.next() as u32,
                module: 1 + rng.below(250) as u8,
            },
            82..84 => Op::Successor {
                pick: rng.next() as u32,
                takes_over: rng.chance(60),
            },
            79 => Op::Liveness {
                pick: rng.next() as u32,
                ms: [0, 1, 60, 700, 5000][rng.below(5) as usize],
            },
            80..82 => Op::MoreTime {
                pick: rng.next() as u32,
                ms: [0, 1, 60, 700, 5000][rng.below(5) as usize],
            },
            _ => Op::Pass {
                ms: [0, 1, 7, 50, 200, 1500, 20_000][rng.below(7) as usize],
            },
        });
    }
    if rng.chance(30) {
        let ms = [0, 10, 2000, 60_000][rng.below(4) as usize];
        let at = ops.len() - rng.below(ops.len() as u64 / 4) as usize;
        ops.insert(at, Op::Shutdown { ms });
    }
    ops
}

fn adopt(rng: &mut Rng, under: bool) -> Op {
    Op::Adopt {
        seed: rng.next(),
        under: (under && rng.chance(70)).then(|| rng.next() as u32),
    }
}

fn command(rng: &mut Rng) -> Command {
    match rng.below(20) {
        0..6 => Command::Stop,
        6..13 => Command::Start,
        13..17 => Command::Restart,
        17..19 => Command::Kill,
        _ => Command::Remove,
    }
}

/// Gives out ids, and numbers for labels.
type NextId<'a> = &'a mut dyn FnMut(&mut Rng) -> (Id, u64);

/// A random tree. Capabilities have an order, and most needs are of lower ones than what is
/// provided, so that most trees have no circle; `lowest` keeps children above a parent that
/// must be ready before them.
pub fn tree(rng: &mut Rng, next_id: NextId<'_>, depth: u32, lowest: usize) -> Card {
    let inner = depth < 3 && rng.chance(if depth == 0 { 85 } else { 25 });
    let container = inner && rng.chance(65);
    let level = lowest + rng.below((CAPS - lowest).max(1) as u64) as usize;
    let level = if container {
        CAPS - 1
    } else {
        level.min(CAPS - 1)
    };
    let mut card = card(rng, next_id, container, level);
    if inner {
        let lowest = if container { lowest } else { level };
        for _ in 0..1 + rng.below(5) {
            card.genesis.push(tree(rng, next_id, depth + 1, lowest));
        }
    }
    card
}

fn card(rng: &mut Rng, next_id: NextId<'_>, container: bool, level: usize) -> Card {
    let (id, number) = next_id(rng);
    let payload = match rng.below(3) {
        _ if container => Payload::Virtual,
        0 => Payload::Wasm(WasmPayload {
            module_sha256: Pin([1; 32]),
            ..WasmPayload::default()
        }),
        _ => Payload::Native(NativePayload {
            exec: "/bin/sim".into(),
            ..NativePayload::default()
        }),
    };
    let initial = [1, 20, 100][rng.below(3) as usize];
    let supervision = match rng.below(10) {
        0..7 => Supervision::Restart {
            initial,
            max: initial * (1 + rng.below(20)),
        },
        7..9 => Supervision::OneShot,
        _ => Supervision::Delegate,
    };
    let mut card = Card::new(id, format!("ente-{number}"), payload, supervision);
    card.readiness = match rng.below(10) {
        0..5 => Readiness::Started,
        5..7 => Readiness::Notify,
        7..9 => Readiness::Announce,
        _ => Readiness::Exit,
    };
    card.priority = [Priority::Low, Priority::Normal, Priority::High][rng.below(3) as usize];
    card.stop_timeout_ms = [0, 50, 1000][rng.below(3) as usize];
    card.liveness_ms = rng.chance(10).then(|| 100 + rng.below(1000));
    if rng.chance(30) {
        card.restart_on = RestartOn::Failure;
    }
    card.start_limit = StartLimit {
        burst: [1, 2, 5, 5, 1000][rng.below(5) as usize],
        interval_ms: [50, 10_000][rng.below(2) as usize],
    };
    if !container || rng.chance(30) {
        contracts(rng, &mut card, level);
    }
    card
}

fn contracts(rng: &mut Rng, card: &mut Card, level: usize) {
    for _ in 0..rng.below(3) {
        card.provides.insert(capability(level));
    }
    let wild = rng.chance(1);
    let mut some = |most: u64| {
        let end = if wild { CAPS } else { level };
        let count = if end == 0 { 0 } else { rng.below(most + 1) };
        // Close below, so that chains of dependents form.
        let near = |rng: &mut Rng| end - 1 - rng.below(end.min(4) as u64) as usize;
        let caps = (0..count).map(|_| capability(near(rng)));
        caps.collect::<std::collections::BTreeSet<_>>()
    };
    card.requires = some(1);
    let (any, quorum, after, conflicts) = (some(3), some(3), some(2), some(2));
    let kinds = rng.below(32);
    if kinds & 1 != 0 && !any.is_empty() {
        card.contracts.push(Contract::Any(any));
    }
    if kinds & 6 == 6 && quorum.len() > 1 {
        let at_least = 1 + rng.below(quorum.len() as u64) as u32;
        card.contracts.push(Contract::Quorum {
            of: quorum,
            at_least,
        });
    }
    if kinds & 8 != 0 && !after.is_empty() {
        card.contracts.push(Contract::After(after));
    }
    if kinds & 24 == 16 && kinds & 3 == 0 && !conflicts.is_empty() {
        card.contracts.push(Contract::Conflicts(conflicts));
    }
}
