//! The targets, what was measured, and whether they were met.

use std::time::Duration;

use crate::peers::OneShots;
use crate::report::Findings;
use crate::start::Starts;
use crate::stats::{Bytes, Samples, Time, ratio, significant};
use crate::table::Table;

/// One target.
struct Target {
    what: &'static str,
    limit: &'static str,
    /// What was measured, and whether that meets it; `None` when it was not measured.
    found: Option<(String, bool)>,
}

/// A component that is not in memory may take this part of starting a process.
const COLD_OF_SPAWN: f64 = 1.0 / 3.0;
/// One that is loaded may take this long.
const WARM: Duration = Duration::from_micros(20);
/// An idle Ente may hold this much, at so many of them.
const IDLE_KIB: f64 = 40.0;
const IDLE_AT: u64 = 10_000;
/// Bytes.
const ENTE_ZERO: u64 = 8_000_000;
const IMAGE: u64 = 4_000_000;
/// Multiples of busybox init, and of an undisturbed call.
const SIXTEEN: f64 = 1.5;
const NEIGHBOUR: f64 = 2.0;

/// The table of all targets.
#[must_use]
pub fn table(findings: &Findings) -> Table {
    let head = ["target", "limit", "measured", "verdict"];
    let mut table = Table::new("Targets", &head);
    for target in targets(findings) {
        let (found, verdict) = match target.found {
            Some((found, true)) => (found, "met"),
            Some((found, false)) => (found, "**missed**"),
            None => ("not measured".to_owned(), "—"),
        };
        table.row([target.what, target.limit, &found, verdict]);
    }
    table
}

/// Times of arje and of a peer.
type Pair = Option<(Duration, Duration)>;

/// How arje compares with each peer; below 1 arje takes less.
#[must_use]
pub fn peers(findings: &Findings) -> Table {
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

fn targets(findings: &Findings) -> [Target; 7] {
    [
        Target {
            what: "verify + load + instantiate, not yet in memory",
            limit: "1/3 of a static glibc process",
            found: cold(findings),
        },
        Target {
            what: "the same, already loaded",
            limit: "20 µs",
            found: warm(findings),
        },
        Target {
            what: "memory of an idle Ente at 10,000",
            limit: "40 KiB",
            found: idle(findings),
        },
        Target {
            what: "`ente-zero`, stripped",
            limit: "8 MB",
            found: findings
                .sizes
                .as_ref()
                .map(|it| size(it.ente_zero(), ENTE_ZERO)),
        },
        Target {
            what: "minimal image, packed",
            limit: "4 MB",
            found: findings.sizes.as_ref().map(|it| size(it.packed(), IMAGE)),
        },
        Target {
            what: "16 small Wasm Entes, from the hand-over",
            limit: "1.5 × busybox init with 16 native ones",
            found: sixteen(findings),
        },
        Target {
            what: "a neighbour's calls beside hostile components (median)",
            limit: "2 × undisturbed",
            found: neighbour(findings),
        },
    ]
}

fn cold(findings: &Findings) -> Option<(String, bool)> {
    let starts = findings.starts.as_ref()?;
    let (cold, spawn) = (starts.cold.median()?, starts.spawn.median()?);
    let part = ratio(cold, spawn)?;
    let text = format!("{} of {} = {}", Time(cold), Time(spawn), significant(part));
    Some((text, part <= COLD_OF_SPAWN))
}

fn warm(findings: &Findings) -> Option<(String, bool)> {
    let warm = findings.starts.as_ref()?.warm.median()?;
    Some((Time(warm).to_string(), warm <= WARM))
}

fn idle(findings: &Findings) -> Option<(String, bool)> {
    let kib = findings.memory.as_ref()?.resident_at(IDLE_AT)?;
    Some((format!("{} KiB", significant(kib)), kib <= IDLE_KIB))
}

fn size(bytes: u64, limit: u64) -> (String, bool) {
    (Bytes(bytes).to_string(), bytes <= limit)
}

fn sixteen(findings: &Findings) -> Option<(String, bool)> {
    let (wasm, busybox) = findings.boots.as_ref()?.sixteen()?;
    let [same, bare] = [ratio(wasm, busybox[0])?, ratio(wasm, busybox[1])?];
    let text = format!(
        "{} × (one that mounts nothing: {} ×)",
        significant(same),
        significant(bare)
    );
    Some((text, same <= SIXTEEN))
}

fn neighbour(findings: &Findings) -> Option<(String, bool)> {
    let (median, p99) = findings.calls.as_ref()?.worst()?;
    let text = format!(
        "at worst {} × (p99: {} ×)",
        significant(median),
        significant(p99)
    );
    Some((text, median <= NEIGHBOUR))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(cold: u64, warm: u64, spawn: u64) -> Findings {
        let one = |us| Samples::from_iter([Duration::from_micros(us)]);
        Findings {
            starts: Some(Starts {
                cold: one(cold),
                warm: one(warm),
                spawn: one(spawn),
                ..Starts::default()
            }),
            ..Findings::default()
        }
    }

    #[test]
    fn met_and_missed() {
        for (cold, warm, spawn, verdicts) in [
            (200, 20, 600, ["met", "met"]),
            (201, 21, 600, ["**missed**", "**missed**"]),
        ] {
            let text = table(&findings(cold, warm, spawn)).to_string();
            let found: Vec<&str> = text
                .lines()
                .skip(4)
                .take(2)
                .filter_map(|line| line.trim_end_matches(['|', ' ']).rsplit(' ').next())
                .collect();
            assert_eq!(found, verdicts, "{text}");
        }
    }

    #[test]
    fn what_was_not_measured_says_so() {
        let text = table(&Findings::default()).to_string();
        assert_eq!(text.matches("not measured").count(), 7, "{text}");
    }

    #[test]
    fn sizes_are_decimal() {
        assert!(size(8_000_000, ENTE_ZERO).1);
        assert!(!size(8_000_001, ENTE_ZERO).1);
    }
}
