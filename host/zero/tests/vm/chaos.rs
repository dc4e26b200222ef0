//! Three hundred Entes, native and Wasm, with contracts drawn at random, and ten thousand random SIGKILLs.

use crate::machine::{self, Booted, card, folder, native, seed, shell, tree_with, wasm};
use crate::programs::{FREESTANDING, compile};
use initrd_builder::Program;
use serde_json::{Value, json};

/// Every draw follows from it.
const SEED: u64 = 20_260_301;

const ENTES: usize = 300;
const KILLS: usize = 10_000;

/// Each round has the whole deadline.
const ROUNDS: usize = 10;

/// Entes in one container.
const GROUP: usize = 30;

/// The last Entes come in pairs that exclude each other, of which one waits for ever.
const PAIRS: usize = 5;

/// How far back an Ente looks for providers: chains stay short, so that a death stops few others.
const REACH: usize = 40;

struct Draw(u64);

impl Draw {
    /// xorshift64, 0..bound.
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap() % bound
    }

    fn percent(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }
}

fn capability(number: usize) -> Value {
    json!({"Endpoint": {"interface": format!("00000000-0000-4000-8000-{number:012x}"), "version": 1}})
}

fn is_native(number: usize) -> bool {
    number % 3 != 2
}

fn is_paired(number: usize) -> bool {
    number >= ENTES - 2 * PAIRS
}

fn ente(number: usize, draw: &mut Draw) -> Value {
    let label = format!("e{number}");
    let supervision = json!({"Restart": {"initial": 2, "max": 20}});
    let mut card = if is_native(number) || is_paired(number) {
        native(&label, "/idle", &[], supervision)
    } else {
        // One that prints nothing: what is printed is kept, up to a bound (docs/output.md), and would be most of
        // what PID 1's memory grows by.
        wasm(&label, "service_counts_calls", "service", supervision)
    };
    card["start_limit"] = json!({"burst": 1_000_000, "interval_ms": 1000});
    card["stop_timeout_ms"] = json!(60_000);
    card["provides"] = json!([capability(number)]);
    let mut contracts = Vec::new();
    if is_paired(number) && number % 2 == 1 {
        contracts.push(json!({"Conflicts": [capability(number - 1)]}));
    }
    let first = number.saturating_sub(REACH).max(1);
    if number > first + 4 && !is_paired(number) {
        let mut some = |count: usize| {
            let mut numbers: Vec<usize> = (0..count)
                .map(|_| first + draw.below(number - first))
                .collect();
            numbers.sort_unstable();
            numbers.dedup();
            numbers.into_iter().map(capability).collect::<Vec<_>>()
        };
        let (one, any, three, after) = (some(1), some(2), some(3), some(2));
        if draw.percent(20) {
            card["requires"] = json!(one);
        }
        if draw.percent(10) {
            contracts.push(json!({"Any": any}));
        }
        if draw.percent(5) && three.len() == 3 {
            contracts.push(json!({"Quorum": {"of": three, "at_least": 2}}));
        }
        if draw.percent(15) {
            contracts.push(json!({"After": after}));
        }
    }
    card["contracts"] = json!(contracts);
    card
}

/// A tree: containers of thirty, and in them some that are children of others.
fn genesis() -> Vec<Value> {
    let mut draw = Draw(SEED);
    let mut groups: Vec<Value> = vec![shell()];
    for group in 0..ENTES / GROUP {
        let mut members: Vec<Value> = Vec::new();
        for number in group * GROUP..(group + 1) * GROUP {
            let ente = ente(number, &mut draw);
            match members.last_mut() {
                Some(parent) if number % 10 == 1 => parent["genesis"] = json!([ente]),
                _ => members.push(ente),
            }
        }
        let mut container = card(
            &format!("group-{group}"),
            json!("Virtual"),
            json!("Delegate"),
        );
        container["genesis"] = json!(members);
        groups.push(container);
    }
    groups
}

/// Kilobytes of a line in PID 1's `smaps_rollup`.
fn kilobytes(booted: &mut Booted, field: &str) -> u64 {
    let line = booted.answer(&format!("grep ^{field}: /proc/1/smaps_rollup"));
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// How many natives live when all is well: one of each pair waits.
fn natives() -> usize {
    let all = (0..ENTES).filter(|number| is_native(*number) || is_paired(*number));
    all.count() - PAIRS
}

/// Waits until everything is up again, and checks that nothing is left over.
fn settle(booted: &mut Booted) {
    let up = ENTES - PAIRS;
    let count = "ente status --json | grep -c '\"state\": \"ready\"'";
    // The shell and the containers are ready, too.
    let ready = up + 1 + ENTES / GROUP + 1;
    booted.run(&format!(
        "until [ \"$({count})\" = {ready} ]; do sleep 1; done"
    ));
    let zombies = "grep -l '^State:.Z' /proc/[0-9]*/status 2>/dev/null | wc -l";
    booted.run(&format!(
        "until [ \"$({zombies})\" = 0 ]; do usleep 20000; done"
    ));
    // One for each native that lives, and the shell's. One that waits keeps its own from its last life
    // to the next (docs/cgroups.md): at most one of each pair.
    let children = natives() + 1;
    let cgroups = |booted: &mut Booted, populated: u8| -> usize {
        let files = "/sys/fs/cgroup/ente/*/cgroup.events";
        let count = format!("grep -l '^populated {populated}' {files} | wc -l");
        usize::try_from(booted.number(&count)).unwrap()
    };
    assert_eq!(cgroups(booted, 1), children);
    let empty = cgroups(booted, 0);
    assert!(empty <= PAIRS, "{empty} empty cgroups");
    let all = booted.number("find /sys/fs/cgroup/ente -mindepth 1 -type d | wc -l");
    assert_eq!(all, (children + empty) as u64);
    let processes = booted.number("cat /sys/fs/cgroup/ente/*/cgroup.procs | wc -l");
    let processes = usize::try_from(processes).unwrap();
    // Those of the shell that asks, its `cat` and `wc`.
    assert!(
        (children..children + 5).contains(&processes),
        "{processes} of {children}"
    );
}

#[test]
fn three_hundred_entes_survive_ten_thousand_kills() {
    let inputs = folder();
    let programs = [
        ("/idle", "idle.c", FREESTANDING),
        ("/killer", "killer.c", &[]),
    ];
    let image = tree_with(inputs.path(), &seed(genesis()), |options| {
        for (dest, source, flags) in programs {
            let program = inputs.path().join(source);
            std::fs::write(&program, compile(source, flags)).unwrap();
            options.programs.push(Program {
                dest: dest.into(),
                source: program,
            });
        }
    });
    let mut booted = Booted::with_tree(folder(), &image, |machine| {
        machine.append = vec!["ente.log=warn".into(), "ente.shutdown=600".into()];
    });
    booted.wait(machine::PROMPT);
    settle(&mut booted);
    let mut memory = vec![kilobytes(&mut booted, "Pss")];
    let least = natives() * 3 / 4;
    for round in 0..ROUNDS {
        let (kills, seed) = (KILLS / ROUNDS, SEED + round as u64);
        let said = booted.run(&format!("/killer {kills} {least} {seed}"));
        assert!(said.contains(&format!("killed {kills}")), "{said}");
        settle(&mut booted);
        memory.push(kilobytes(&mut booted, "Pss"));
    }
    println!(
        "PID 1 of {ENTES} Entes, Pss in kB, before and after each {} kills: {memory:?}",
        KILLS / ROUNDS
    );
    booted.vm.send_line("kill -USR2 1").unwrap();
    booted.vm.wait_exit(machine::DEADLINE).unwrap();
    let console = booted.vm.console();
    assert!(!console.contains("Kernel panic") && !console.contains("did not end in time"));
    // Buffers that every life uses are made once, and histories fill to their caps. After that, nothing
    // more: what each kill left behind, however small, would show in five thousand of them.
    let (half, last) = (memory[ROUNDS / 2], memory[ROUNDS]);
    assert!(last < half + half / 50, "{memory:?}");
}
