//! Which share of the machine a caller may give to what it brings to life.

use super::rights::{card, member, with_bus};
use crate::bus::caller::Caller;
use crate::bus::may_spawn;
use arje_card::{Capability, Card, CpuMax, IoMax, Payload, WasmPayload};
use std::sync::Arc;

fn io_max(device: &str, rbps: u64) -> IoMax {
    IoMax {
        device: device.into(),
        rbps: Some(rbps),
        ..IoMax::default()
    }
}

fn cpu_max(quota_us: u64, period_us: u64) -> Option<CpuMax> {
    Some(CpuMax {
        quota_us,
        period_us,
    })
}

/// A spawner with a bound of everything.
fn bounded() -> Arc<Card> {
    card("spawner", |card| {
        with_bus(card);
        card.holds.insert(Capability::Spawn);
        let soma = &mut card.soma;
        soma.cpu_affinity = Some(vec![0, 1]);
        soma.rlimits.mem_bytes = Some(32 << 20);
        soma.rlimits.nproc = Some(10);
        soma.rlimits.nofile = Some(100);
        soma.cgroup.cpu_weight = Some(50);
        soma.cgroup.memory_max = Some(64 << 20);
        soma.cgroup.memory_high = Some(48 << 20);
        soma.cgroup.pids_max = Some(20);
        soma.cgroup.cpu_max = cpu_max(50_000, 100_000);
        soma.cgroup.io_max = vec![io_max("8:0", 1000)];
    })
}

/// The field that forbids it.
fn refusal(spawner: &Arc<Card>, child: &Card) -> Option<String> {
    let caller: Caller = member(spawner, 0);
    let error = may_spawn(&caller, 0, child).err()?;
    Some(error.message.split(": ").nth(1).unwrap().to_owned())
}

fn component(card: &mut Card, memory: u64) {
    card.payload = Payload::Wasm(WasmPayload::default());
    card.limits.memory_bytes = memory;
}

type Change = fn(&mut Card);

#[test]
fn nobody_gives_more_of_the_machine_than_it_has() {
    let spawner = bounded();
    let child = |change: Change| {
        let mut child = Card::clone(&spawner);
        change(&mut child);
        child
    };
    let allowed: [Change; 5] = [
        |_| {},
        |c| {
            c.soma.cpu_affinity = Some(vec![1]);
            c.soma.rlimits.nofile = Some(1);
            c.soma.cgroup.cpu_weight = Some(1);
            c.soma.cgroup.cpu_max = cpu_max(5_000, 10_000);
            c.soma.cgroup.io_max.push(io_max("8:16", 1));
        },
        |c| c.soma.cgroup.io_max = vec![io_max("8:0", 10)],
        |c| component(c, 32 << 20),
        |c| {
            c.payload = Payload::Virtual;
            c.soma = arje_card::Soma::default();
        },
    ];
    for change in allowed {
        assert_eq!(refusal(&spawner, &child(change)), None);
    }
    let refused: [(&str, Change); 20] = [
        ("soma.rlimits.mem_bytes", |c| {
            c.soma.rlimits.mem_bytes = None
        }),
        ("soma.rlimits.mem_bytes", |c| {
            c.soma.rlimits.mem_bytes = Some((32 << 20) + 1)
        }),
        ("soma.rlimits.nproc", |c| c.soma.rlimits.nproc = Some(11)),
        ("soma.rlimits.nofile", |c| c.soma.rlimits.nofile = None),
        ("soma.cgroup.cpu_weight", |c| {
            c.soma.cgroup.cpu_weight = None
        }),
        ("soma.cgroup.io_weight", |c| {
            c.soma.cgroup.io_weight = Some(101)
        }),
        ("soma.cgroup.memory_max", |c| {
            c.soma.cgroup.memory_max = None
        }),
        ("soma.cgroup.memory_high", |c| {
            c.soma.cgroup.memory_high = Some(64 << 20)
        }),
        ("soma.cgroup.pids_max", |c| {
            c.soma.cgroup.pids_max = Some(21)
        }),
        ("soma.cgroup.cpu_max", |c| c.soma.cgroup.cpu_max = None),
        ("soma.cgroup.cpu_max", |c| {
            c.soma.cgroup.cpu_max = cpu_max(5_001, 10_000)
        }),
        ("soma.cgroup.io_max", |c| {
            c.soma.cgroup.io_max = vec![io_max("8:16", 1)]
        }),
        ("soma.cgroup.io_max", |c| {
            c.soma.cgroup.io_max = vec![io_max("8:0", 1001)]
        }),
        // The same device under another name, which would be the last word.
        ("soma.cgroup.io_max", |c| {
            c.soma.cgroup.io_max.push(io_max("08:00", 1001))
        }),
        ("limits.mailbox", |c| c.limits.mailbox += 1),
        ("soma.cpu_affinity", |c| c.soma.cpu_affinity = None),
        ("soma.cpu_affinity", |c| {
            c.soma.cpu_affinity = Some(vec![1, 2])
        }),
        ("limits.memory_bytes", |c| component(c, (32 << 20) + 1)),
        // In PID 1 itself nothing of its spawner's body bounds it.
        ("soma.rlimits.mem_bytes", |c| {
            component(c, 1 << 20);
            c.soma = arje_card::Soma::default();
        }),
        ("soma.cgroup.pids_max", |c| {
            let mut below = c.clone();
            below.soma.cgroup.pids_max = None;
            c.genesis.push(below);
        }),
    ];
    for (field, change) in refused {
        assert_eq!(refusal(&spawner, &child(change)).as_deref(), Some(field));
    }
}

#[test]
fn a_component_gives_no_more_memory_than_it_may_have() {
    let spawner = card("spawner", |card| {
        with_bus(card);
        card.holds.insert(Capability::Spawn);
        component(card, 1 << 20);
        card.limits.tables = 100;
    });
    let child = |memory, tables| {
        let mut child = Card::clone(&spawner);
        component(&mut child, memory);
        child.limits.tables = tables;
        child
    };
    assert_eq!(refusal(&spawner, &child(1 << 20, 100)), None);
    let more = refusal(&spawner, &child((1 << 20) + 1, 100));
    assert_eq!(more.as_deref(), Some("limits.memory_bytes"));
    let more = refusal(&spawner, &child(1, 101));
    assert_eq!(more.as_deref(), Some("limits.tables"));
}

/// Without bounds of its own a spawner bounds nothing but weights.
#[test]
fn what_its_spawner_does_not_bound_is_free() {
    let spawner = card("spawner", |card| {
        with_bus(card);
        card.holds.insert(Capability::Spawn);
    });
    let mut child = Card::clone(&spawner);
    child.soma.rlimits.nofile = Some(1_000_000);
    child.soma.cgroup.memory_max = Some(1 << 39);
    child.soma.cpu_affinity = Some(vec![0]);
    assert_eq!(refusal(&spawner, &child), None);
    child.soma.cgroup.cpu_weight = Some(101);
    assert_eq!(
        refusal(&spawner, &child).as_deref(),
        Some("soma.cgroup.cpu_weight")
    );
}
