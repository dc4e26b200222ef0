//! The supervisor under random trees, deaths, commands and time jumps, watched by invariants.
//!
//! `ARJE_SIM_STEPS` says how many steps to make (default: 1,000,000 in release, 20,000 in debug);
//! `ARJE_SIM_SEED` runs the one schedule with that seed. A failing schedule is shrunk and printed.

#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test's helpers fail like the test itself"
)]

mod check;
mod invariants;
mod model;
mod patience;
mod plan;
mod reexec;
mod rng;
mod trace;
mod watch;
mod world;

use invariants::{Coverage, Failure, INVARIANTS};
use plan::Op;
use world::World;

/// Operations in a schedule: long enough for crash loops, short enough to shrink.
const LENGTH: usize = 300;

/// Steps after which everything in [`MUST_HAPPEN`] has happened many times over.
const ENOUGH: u64 = 500_000;

/// What must have happened in a run of [`ENOUGH`] steps.
const MUST_HAPPEN: [&str; 32] = [
    "a successor took over",
    "a successor failed",
    "a successor was given up",
    "held by Requires",
    "held by Any",
    "held by Quorum",
    "held by Conflict",
    "held by After",
    "held by Parent",
    "stop: Command",
    "stop: Shutdown",
    "stop: lost Requires",
    "stop: lost Any",
    "stop: lost Quorum",
    "stop: lost Conflict",
    "stop: lost Parent",
    "stopping -> backoff",
    "parked -> starting",
    "refused Cycle",
    "DelegateEnded",
    "Kill",
    "Removed",
    "ShutdownComplete",
    "reexec",
    "interrupted while starting",
    "interrupted while ready",
    "interrupted while stopping",
    "returned in time",
    "was silent",
    "said that it cannot go on",
    "asked for another rhythm",
    "got more time",
];

/// Runs a schedule to its end and lets it heal. Returns the steps made and what happened.
fn run(ops: &[Op]) -> Result<(u64, Coverage), (usize, Failure)> {
    run_in(World::new(), ops)
}

fn run_in(mut world: World, ops: &[Op]) -> Result<(u64, Coverage), (usize, Failure)> {
    for (n, op) in ops.iter().enumerate() {
        world.apply(op).map_err(|failure| (n, failure))?;
    }
    world.heal().map_err(|failure| (ops.len(), failure))?;
    Ok((world.steps, world.checker.coverage))
}

/// Drops operations for as long as the same invariant stays broken.
fn shrink(mut ops: Vec<Op>, invariant: &str) -> Vec<Op> {
    let breaks = |ops: &[Op]| matches!(run(ops), Err((_, f)) if f.invariant == invariant);
    let mut chunk = ops.len() / 2;
    while chunk > 0 {
        let mut from = 0;
        while from < ops.len() {
            let mut fewer = ops.clone();
            fewer.drain(from..(from + chunk).min(ops.len()));
            if breaks(&fewer) {
                ops = fewer;
            } else {
                from += chunk;
            }
        }
        chunk /= 2;
    }
    ops
}

fn report(seed: u64, ops: Vec<Op>, at: usize, failure: &Failure) -> ! {
    let length = ops.len();
    let ops = shrink(ops, failure.invariant);
    eprintln!("seed {seed}, operation {at} of {length}: {failure}");
    eprintln!("shrunk to {} operations:", ops.len());
    for op in &ops {
        eprintln!("    {op:?}");
    }
    let mut world = World::new();
    world.trace = true;
    if let Err((at, failure)) = run_in(world, &ops) {
        eprintln!("which at operation {at} lead to: {failure}");
    }
    panic!("ARJE_SIM_SEED={seed} runs it again");
}

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{name}={text} is not a number")),
    )
}

#[test]
fn invariants_hold_under_random_schedules() {
    let default = if cfg!(debug_assertions) {
        20_000
    } else {
        1_000_000
    };
    let steps = number("ARJE_SIM_STEPS").unwrap_or(default);
    let only = number("ARJE_SIM_SEED");
    let mut made = 0;
    let mut coverage = Coverage::default();
    let mut seed = only.unwrap_or(1);
    let first = seed;
    while made < steps {
        let ops = plan::schedule(seed, LENGTH);
        match run(&ops) {
            Ok((steps, seen)) => {
                made += steps;
                coverage.add(seen);
            }
            Err((at, failure)) => report(seed, ops, at, &failure),
        }
        seed += 1;
        if only.is_some() {
            break;
        }
    }
    println!(
        "{made} steps in {} schedules; these held after each:",
        seed - first
    );
    for (name, meaning) in INVARIANTS {
        println!("  {name:18} {meaning}");
    }
    println!("what happened, and how often:");
    for (what, count) in &coverage.0 {
        println!("  {count:9} {what}");
    }
    // A schedule that never comes to a rule says nothing about it.
    for what in MUST_HAPPEN {
        let seen = coverage.0.contains_key(what);
        assert!(seen || made < ENOUGH, "never happened: {what}");
    }
}
