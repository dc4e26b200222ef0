//! How arje compares with its peers, in one table.

use std::time::Duration;

use crate::peers::OneShots;
use crate::report::Findings;
use crate::start::Starts;
use crate::stats::{Samples, Time, ratio, significant};
use crate::table::Table;

/// Times of arje and of a peer.
type Pair = Option<(Duration, Duration)>;

/// How arje compares with each peer; below 1 arje takes less.
#[must_use]
pub fn table(findings: &Findings) -> Table {
    let head = ["arje", "beside", "arje takes", "the peer takes", "ratio"];
    let mut table = Table::new("Ratios", &head);
    for (what, peer, times) in pairs(findings) {
        let ratio = times.and_then(|(arje, peer)| ratio(arje, peer));
        let cells = match (times, ratio) {
            (Some((arje, peer)), Some(ratio)) => [
                Time(arje).to_string(),
                Time(peer).to_string(),
                significant(ratio),
            ],
            _ => ["not measured".to_owned(), String::new(), String::new()],
        };
        table.row([what.to_owned(), peer.to_owned()].into_iter().chain(cells));
    }
    table
}

fn pairs(findings: &Findings) -> [(&'static str, &'static str, Pair); 7] {
    let medians = |a: &Samples, b: &Samples| Some((a.median()?, b.median()?));
    let starts = |of: fn(&Starts) -> [&Samples; 2]| {
        let [arje, peer] = of(findings.starts.as_ref()?);
        medians(arje, peer)
    };
    let shots = |of: fn(&OneShots) -> &Samples| {
        let shots = findings.shots.as_ref()?;
        medians(&shots.cold, of(shots))
    };
    let boot = |peer: usize| {
        let (arje, busybox) = findings.boots.as_ref()?.sixteen()?;
        Some((arje, *busybox.get(peer)?))
    };
    let (cold, warm, shot, up) = (
        "start, not in memory",
        "start, already loaded",
        "one-shot, not in memory",
        "16 Wasm Entes up",
    );
    [
        (
            cold,
            "posix_spawn + exit, static glibc",
            starts(|it| [&it.cold, &it.spawn]),
        ),
        (
            warm,
            "posix_spawn + exit, static glibc",
            starts(|it| [&it.warm, &it.spawn]),
        ),
        (
            warm,
            "posix_spawn + exit, no libc",
            starts(|it| [&it.warm, &it.spawn_without_libc]),
        ),
        (
            shot,
            "`wasmtime run`, precompiled",
            shots(|it| &it.precompiled),
        ),
        (shot, "`wasmtime run`, compiling", shots(|it| &it.compiling)),
        (up, "busybox init, same mounts, 16 native", boot(0)),
        (up, "busybox init, no mounts, 16 native", boot(1)),
    ]
}
