//! The targets, what was measured, and whether they were met.

use std::time::Duration;

use crate::report::Findings;
use crate::sizes::Sizes;
use crate::stats::{Bytes, Time, ratio, significant};
use crate::table::Table;

/// One target.
struct Target {
    what: &'static str,
    limit: &'static str,
    /// What was measured, and whether that meets it; `None` when it was not measured.
    found: Option<(String, bool)>,
    /// What is told when it is missed: where the time or the bytes go.
    why: Option<String>,
}

/// So many components that are not in memory may take as long as starting one process.
const COLD_PER_SPAWN: u32 = 3;
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
/// From the death of an Ente to its new instance.
const NATIVE_RESTART: Duration = Duration::from_millis(1);
const WASM_RESTART: Duration = Duration::from_micros(100);
/// Multiple of busybox init, both with native services.
const SIXTEEN_NATIVE: f64 = 1.3;
/// What larger tables cost: caches, and the depth of a tree. An algorithm that looks at all Entes would
/// multiply by hundreds.
const GROWTH: f64 = 2.0;

/// The table of all targets.
#[must_use]
pub fn table(findings: &Findings) -> Table {
    let head = ["target", "limit", "measured", "verdict"];
    let mut table = Table::new("Targets", &head);
    for target in targets(findings) {
        let (found, verdict) = match target.found {
            Some((found, true)) => (found, "met"),
            Some((found, false)) => {
                target.why.into_iter().for_each(|why| table.note(why));
                (found, "**missed**")
            }
            None => ("not measured".to_owned(), "—"),
        };
        table.row([target.what, target.limit, &found, verdict]);
    }
    table
}

fn targets(findings: &Findings) -> [Target; 15] {
    [
        Target {
            what: "a call from component to component, 64 B, by capability",
            limit: "1/30 of dbus-broker",
            found: beside(findings, 0, 2, 30.0),
            why: None,
        },
        Target {
            what: "the same, by type",
            limit: "1/30 of dbus-broker",
            found: beside(findings, 1, 2, 30.0),
            why: None,
        },
        Target {
            what: "both, beside a bare Unix socket on one processor",
            limit: "faster",
            found: faster_than_socket(findings),
            why: None,
        },
        Target {
            what: "deploying a small module; for how long nobody answers",
            limit: "300 ms; 1 ms",
            found: deployment(findings),
            why: None,
        },
        Target {
            what: "verify + load + instantiate, not yet in memory",
            limit: "1/3 of a static glibc process",
            found: cold(findings),
            why: why_cold(findings),
        },
        Target {
            what: "the same, already loaded",
            limit: "20 µs",
            found: warm(findings),
            why: why_warm(findings),
        },
        Target {
            what: "memory of an idle Ente at 10,000",
            limit: "40 KiB",
            found: idle(findings),
            why: why_idle(findings),
        },
        Target {
            what: "`ente-zero`, stripped",
            limit: "8 MB",
            found: findings
                .sizes
                .as_ref()
                .map(|it| size(it.ente_zero(), ENTE_ZERO)),
            why: findings.sizes.as_ref().map(|_| WHY_ENTE_ZERO.to_owned()),
        },
        Target {
            what: "minimal image, packed",
            limit: "4 MB",
            found: findings.sizes.as_ref().map(|it| size(it.packed(), IMAGE)),
            why: findings.sizes.as_ref().map(why_image),
        },
        Target {
            what: "16 small Wasm Entes, from the hand-over",
            limit: "1.5 × busybox init with 16 native ones",
            found: sixteen(findings),
            why: why_sixteen(findings),
        },
        Target {
            what: "a neighbour's calls beside hostile components (median)",
            limit: "2 × undisturbed",
            found: neighbour(findings),
            why: None,
        },
        Target {
            what: "a native Ente: from death to new instance, deterministic clock",
            limit: "1 ms",
            found: native_restart(findings),
            why: None,
        },
        Target {
            what: "a Wasm Ente: from death to new instance, on this machine",
            limit: "0.1 ms",
            found: wasm_restart(findings),
            why: findings.restarts.as_ref().map(|_| WHY_RESTART.to_owned()),
        },
        Target {
            what: "16 native services, from the hand-over",
            limit: "1.3 × busybox init",
            found: sixteen_native(findings),
            why: None,
        },
        Target {
            what: "an event of the supervisor: the most Entes beside the fewest",
            limit: "2 ×: independent of their number",
            found: growth(findings),
            why: Some(WHY_GROWTH.to_owned()),
        },
    ]
}

/// The program's parts cannot be told from here; this is what its crates are.
const WHY_ENTE_ZERO: &str = "`ente-zero` holds the engine, WASI 0.2 with files and sockets, an HTTP server \
    and client, tokio and the C library.";

const WHY_RESTART: &str = "A Wasm Ente: the trap, waking the loop, and the memory of the new instance, mapped and \
    touched for the first time, are most of it.";

const WHY_GROWTH: &str = "An event looks at the same number of Entes in every population; what grows is what the \
    tables miss in the processor's caches.";

fn why_image(sizes: &Sizes) -> String {
    format!(
        "The minimal image is mostly `ente-zero` ({} before compression); `ente` is {}, which a machine can boot \
         without.",
        Bytes(sizes.ente_zero()),
        Bytes(sizes.ente())
    )
}

fn why_cold(findings: &Findings) -> Option<String> {
    let steps = &findings.starts.as_ref()?.steps;
    let [verify, make, link, first] = [
        &steps.verify,
        &steps.deserialize,
        &steps.link,
        &steps.instantiate,
    ]
    .map(|samples| samples.median().map(Time));
    Some(format!(
        "Not in memory: without an actor, {} go into reading and hashing, {} into making the component of its \
         artifact, {} into linking, {} into the first instance and the image of its memory. The rest is the \
         actor, and caches that another component left.",
        verify?, make?, link?, first?
    ))
}

fn why_warm(findings: &Findings) -> Option<String> {
    let again = findings.starts.as_ref()?.steps.again.median()?;
    Some(format!(
        "Already loaded: wasmtime alone takes {} for an instance (three mappings and three changes of \
         protection for memory, image and fibre, and the page faults of what is touched). The rest is the \
         actor: its task, mailbox, ledger and output, and the audit of its imports.",
        Time(again)
    ))
}

fn why_idle(findings: &Findings) -> Option<String> {
    findings.memory.as_ref()?;
    Some(
        "An idle Ente holds the touched pages of its memory and of its fibre's stack, its instance, its \
         store and its actor."
            .to_owned(),
    )
}

fn why_sixteen(findings: &Findings) -> Option<String> {
    let boots = findings.boots.as_ref()?;
    let (awake, each) = (boots.awake()?, boots.each_further()?);
    Some(format!(
        "Of 16 Wasm Entes, PID 1 itself takes {} until its first line, and each Ente after the first {}.",
        Time(awake),
        Time(each)
    ))
}

/// Whether one of the small calls takes so small a part of another one.
fn beside(findings: &Findings, ours: usize, theirs: usize, part: f64) -> Option<(String, bool)> {
    let small = findings.bus.as_ref()?.small()?;
    let found = ratio(small[theirs], small[ours])?;
    let text = format!(
        "{} of {} = 1/{}",
        Time(small[ours]),
        Time(small[theirs]),
        significant(found)
    );
    Some((text, found >= part))
}

fn faster_than_socket(findings: &Findings) -> Option<(String, bool)> {
    let [capability, ty, _, socket] = findings.bus.as_ref()?.small()?;
    let text = format!("{} and {}, {}", Time(capability), Time(ty), Time(socket));
    Some((text, capability < socket && ty < socket))
}

fn deployment(findings: &Findings) -> Option<(String, bool)> {
    let (whole, paused) = findings.bus.as_ref()?.deployment()?;
    let met = whole <= Duration::from_millis(300) && paused <= Duration::from_millis(1);
    Some((format!("{}; {}", Time(whole), Time(paused)), met))
}

fn cold(findings: &Findings) -> Option<(String, bool)> {
    let starts = findings.starts.as_ref()?;
    let (cold, spawn) = (starts.cold.median()?, starts.spawn.median()?);
    let part = ratio(cold, spawn)?;
    let text = format!("{} of {} = {}", Time(cold), Time(spawn), significant(part));
    Some((text, cold * COLD_PER_SPAWN <= spawn))
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

fn native_restart(findings: &Findings) -> Option<(String, bool)> {
    let took = findings.services.as_ref()?.restart()?;
    Some((Time(took).to_string(), took <= NATIVE_RESTART))
}

fn wasm_restart(findings: &Findings) -> Option<(String, bool)> {
    let took = findings.restarts.as_ref()?.from_last_word.median()?;
    Some((Time(took).to_string(), took <= WASM_RESTART))
}

fn sixteen_native(findings: &Findings) -> Option<(String, bool)> {
    let (native, busybox) = findings.boots.as_ref()?.sixteen_native()?;
    let [same, bare] = [ratio(native, busybox[0])?, ratio(native, busybox[1])?];
    let text = format!(
        "{} × (one that mounts nothing: {} ×)",
        significant(same),
        significant(bare)
    );
    Some((text, same <= SIXTEEN_NATIVE))
}

fn growth(findings: &Findings) -> Option<(String, bool)> {
    let growth = findings.supervisors.as_ref()?.growth()?;
    Some((format!("{} ×", significant(growth)), growth <= GROWTH))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::start::Starts;
    use crate::stats::Samples;

    fn findings(cold: u64, warm: u64, spawn: u64) -> Findings {
        let one = |us| Samples::from_iter([Duration::from_micros(us)]);
        let mut starts = Starts::default();
        (starts.cold, starts.warm, starts.spawn) = (one(cold), one(warm), one(spawn));
        Findings {
            starts: Some(starts),
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
                .skip_while(|line| !line.contains("verify + load"))
                .take(2)
                .filter_map(|line| line.trim_end_matches(['|', ' ']).rsplit(' ').next())
                .collect();
            assert_eq!(found, verdicts, "{text}");
        }
    }

    #[test]
    fn what_was_not_measured_says_so() {
        let text = table(&Findings::default()).to_string();
        assert_eq!(text.matches("not measured").count(), 15, "{text}");
    }

    #[test]
    fn sizes_are_decimal() {
        assert!(size(8_000_000, ENTE_ZERO).1);
        assert!(!size(8_000_001, ENTE_ZERO).1);
    }
}
