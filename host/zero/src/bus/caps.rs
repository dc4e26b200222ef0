//! Shares of the machine: what an Ente brings to life gets no more of it than the Ente has. Pure.
//!
//! Each Card is measured by itself. What several children have together is bounded as that of all Entes is, by the
//! cgroup above all of them (docs/cgroups.md).

use arje_card::{Card, Cgroup, CpuMax, IoMax, Payload, Rlimits};

/// The weight of a cgroup whose Card says nothing (cgroups(7), `cpu.weight`).
const WEIGHT: u32 = 100;

/// The first field in which a Card has a larger share than its spawner.
pub fn exceeded(card: &Card, spawner: &Card) -> Option<&'static str> {
    if matches!(card.payload, Payload::Virtual) {
        return None; // it runs nothing
    }
    let checks = rlimits(&card.soma.rlimits, &spawner.soma.rlimits)
        .into_iter()
        .chain(cgroup(&card.soma.cgroup, &spawner.soma.cgroup))
        .chain([
            (
                "soma.cpu_affinity",
                has_other_cpus(&card.soma.cpu_affinity, &spawner.soma.cpu_affinity),
            ),
            ("limits.memory_bytes", has_more_memory(card, spawner)),
            ("limits.tables", has_more_tables(card, spawner)),
            // Calls that wait are in PID 1.
            (
                "limits.mailbox",
                card.limits.mailbox > spawner.limits.mailbox,
            ),
        ]);
    let mut exceeding = checks.filter(|(_, exceeds)| *exceeds);
    exceeding.next().map(|(field, _)| field)
}

type Check = (&'static str, bool);

fn rlimits(child: &Rlimits, own: &Rlimits) -> [Check; 3] {
    [
        (
            "soma.rlimits.mem_bytes",
            more(child.mem_bytes, own.mem_bytes),
        ),
        ("soma.rlimits.nproc", more(child.nproc, own.nproc)),
        ("soma.rlimits.nofile", more(child.nofile, own.nofile)),
    ]
}

fn cgroup(child: &Cgroup, own: &Cgroup) -> [Check; 7] {
    let weight = |weight: Option<u32>| Some(weight.unwrap_or(WEIGHT).into());
    let heavier = |child, own| more(weight(child), weight(own));
    [
        (
            "soma.cgroup.cpu_weight",
            heavier(child.cpu_weight, own.cpu_weight),
        ),
        (
            "soma.cgroup.io_weight",
            heavier(child.io_weight, own.io_weight),
        ),
        (
            "soma.cgroup.memory_max",
            more(child.memory_max, own.memory_max),
        ),
        (
            "soma.cgroup.memory_high",
            more(child.memory_high, own.memory_high),
        ),
        ("soma.cgroup.pids_max", more(child.pids_max, own.pids_max)),
        (
            "soma.cgroup.cpu_max",
            has_more_time(child.cpu_max, own.cpu_max),
        ),
        (
            "soma.cgroup.io_max",
            own.io_max
                .iter()
                .any(|own| has_more_of_device(&child.io_max, own)),
        ),
    ]
}

/// Whether a bound is above another one; none is above all.
fn more(child: Option<u64>, own: Option<u64>) -> bool {
    own.is_some_and(|own| child.is_none_or(|child| child > own))
}

/// By shares of a processor, whatever the periods.
fn has_more_time(child: Option<CpuMax>, own: Option<CpuMax>) -> bool {
    let Some(own) = own else {
        return false;
    };
    child.is_none_or(|child| {
        let (quota, own_quota) = (u128::from(child.quota_us), u128::from(own.quota_us));
        quota * u128::from(own.period_us) > own_quota * u128::from(child.period_us)
    })
}

/// Whether the spawner's bounds for a device are not kept.
fn has_more_of_device(child: &[IoMax], own: &IoMax) -> bool {
    let looser = |child: &IoMax| {
        more(child.rbps, own.rbps)
            || more(child.wbps, own.wbps)
            || more(child.riops, own.riops)
            || more(child.wiops, own.wiops)
    };
    // More than one text can name a device, and the kernel takes the last.
    let same = |one: &&IoMax| numbers(&one.device) == numbers(&own.device);
    let mut of_device = child.iter().filter(same).peekable();
    match of_device.peek() {
        Some(_) => of_device.any(looser),
        None => looser(&IoMax::default()),
    }
}

/// Major and minor number.
fn numbers(device: &str) -> Option<(u32, u32)> {
    let (major, minor) = device.split_once(':')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

fn has_other_cpus(child: &Option<Vec<u32>>, own: &Option<Vec<u32>>) -> bool {
    match (child, own) {
        (_, None) => false,
        (None, Some(_)) => true,
        (Some(child), Some(own)) => child.iter().any(|cpu| !own.contains(cpu)),
    }
}

/// A component's memory is PID 1's or its worker's: less than what its spawner may have, if that is bounded.
fn has_more_memory(card: &Card, spawner: &Card) -> bool {
    let own = [
        spawner.soma.rlimits.mem_bytes,
        spawner.soma.cgroup.memory_max,
        is_component(spawner).then_some(spawner.limits.memory_bytes),
    ];
    let own = own.into_iter().flatten().min();
    is_component(card) && more(Some(card.limits.memory_bytes), own)
}

fn has_more_tables(card: &Card, spawner: &Card) -> bool {
    let both = is_component(card) && is_component(spawner);
    both && card.limits.tables > spawner.limits.tables
}

fn is_component(card: &Card) -> bool {
    matches!(card.payload, Payload::Wasm(_))
}
