//! What an idle Ente costs: a process of its own for each population, so that none inherits the heap of
//! another.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arje_card::Card;
use arje_wasm::{Event, EventKind};

use crate::error::Error;
use crate::places::Places;
use crate::plan::Plan;
use crate::rig::{Rig, hello};
use crate::stats::{Bytes, Time, significant};
use crate::table::Table;

/// The argument that makes this program such a process.
pub const CHILD: &str = "memory-child";

/// Mappings that a process may have (Documentation/admin-guide/sysctl/vm.rst), and what PID 1 sets.
const MAX_MAP_COUNT: &str = "/proc/sys/vm/max_map_count";
const RAISED: &str = "1048576";

/// How long one more Ready may take.
const DEADLINE: Duration = Duration::from_secs(60);

/// What a process holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Held {
    /// Resident, in KiB, each mapping counting the whole of a shared page.
    rss: u64,
    /// Resident, in KiB, each mapping counting its share of a shared page.
    pss: u64,
    /// Page tables, in KiB; the kernel's, so not part of the above.
    page_tables: u64,
    /// Mappings.
    mappings: u64,
}

/// One population.
#[derive(Debug, Clone, Copy)]
struct Population {
    count: u64,
    none: Held,
    all: Held,
    took: Duration,
}

/// What was measured.
#[derive(Debug, Default)]
pub struct Memory {
    populations: Vec<Population>,
    failures: Vec<String>,
}

/// Measures each population in a process of its own.
///
/// # Errors
/// The component is missing. A population that cannot be reached is a row that says so.
pub fn measure(places: &Places, plan: &Plan) -> Result<Memory, Error> {
    places.stock("hello")?;
    let raised = Raised::now();
    let mut memory = Memory::default();
    if let Err(error) = &raised {
        memory.failures.push(format!(
            "{MAX_MAP_COUNT} cannot be raised ({error}); large populations need root"
        ));
    }
    for count in plan.populations {
        match run_child(*count) {
            Ok(population) => memory.populations.push(population),
            Err(error) => memory.failures.push(format!("{count} Entes: {error}")),
        }
    }
    Ok(memory)
}

/// The kernel's limit on mappings, raised until this is dropped.
struct Raised {
    before: String,
}

impl Raised {
    fn now() -> Result<Self, Error> {
        let path = Path::new(MAX_MAP_COUNT);
        let before = std::fs::read_to_string(path).map_err(Error::io("read", path))?;
        std::fs::write(path, RAISED).map_err(Error::io("write", path))?;
        Ok(Self { before })
    }
}

impl Drop for Raised {
    fn drop(&mut self) {
        // It could be written before, so it can be now.
        let _ = std::fs::write(MAX_MAP_COUNT, self.before.trim());
    }
}

fn run_child(count: usize) -> Result<Population, Error> {
    let program = std::env::current_exe().map_err(Error::io("find", "arje-bench"))?;
    let output = Command::new(&program)
        .args([CHILD, &count.to_string()])
        .output()
        .map_err(|error| Error::program(&program, error))?;
    let text = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(Error::program(&program, said));
    }
    parse(count as u64, &text).ok_or_else(|| Error::program(&program, format!("said {text:?}")))
}

/// Nine numbers: four before, four after, and the microseconds in between.
fn parse(count: u64, text: &str) -> Option<Population> {
    let numbers: Option<Vec<u64>> = text
        .split_whitespace()
        .map(|word| word.parse().ok())
        .collect();
    let numbers: [u64; 9] = numbers?.try_into().ok()?;
    let held = |at: usize| Held {
        rss: numbers[at],
        pss: numbers[at + 1],
        page_tables: numbers[at + 2],
        mappings: numbers[at + 3],
    };
    Some(Population {
        count,
        none: held(0),
        all: held(4),
        took: Duration::from_micros(numbers[8]),
    })
}

/// The child: starts so many idle services and prints what that took.
///
/// # Errors
/// One of them does not come up.
pub fn child(count: usize) -> Result<(), Error> {
    let places = Places::find()?;
    let pin = places.stock("hello")?;
    let rig = Rig::new(&places)?;
    // The engine, the module and the first fibre are there before anything is counted.
    let first = hello(pin);
    rig.start_ready(&first)?;
    let before = Held::now()?;
    let cards: Vec<Arc<Card>> = (0..count).map(|_| hello(pin)).collect();
    let begin = Instant::now();
    cards.iter().for_each(|card| rig.start(card));
    (0..count).try_for_each(|_| wait_ready(&rig))?;
    let took = begin.elapsed();
    let after = Held::now()?;
    println!("{} {} {}", before.words(), after.words(), took.as_micros());
    Ok(())
}

fn wait_ready(rig: &Rig) -> Result<(), Error> {
    loop {
        match rig.next_event(DEADLINE) {
            Some(Event {
                kind: EventKind::Ready,
                ..
            }) => return Ok(()),
            Some(Event {
                kind: EventKind::Ended { end, .. },
                ..
            }) => return Err(Error::guest("hello", end)),
            Some(_) => {}
            None => return Err(Error::guest("hello", "it did not become Ready")),
        }
    }
}

impl Held {
    fn now() -> Result<Self, Error> {
        let read = |path: &str| std::fs::read_to_string(path).map_err(Error::io("read", path));
        let rollup = read("/proc/self/smaps_rollup")?;
        let status = read("/proc/self/status")?;
        let mappings = read("/proc/self/maps")?.lines().count() as u64;
        Ok(Self {
            rss: field(&rollup, "Rss:"),
            pss: field(&rollup, "Pss:"),
            page_tables: field(&status, "VmPTE:"),
            mappings,
        })
    }

    fn words(&self) -> String {
        let Self {
            rss,
            pss,
            page_tables,
            mappings,
        } = self;
        format!("{rss} {pss} {page_tables} {mappings}")
    }
}

/// The number in a line such as `Rss:    1234 kB`.
fn field(text: &str, name: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let word = line.and_then(|line| line.split_whitespace().next());
    word.and_then(|word| word.parse().ok()).unwrap_or(0)
}

impl Population {
    fn each(&self, of: impl Fn(&Held) -> u64) -> f64 {
        of(&self.all).saturating_sub(of(&self.none)) as f64 / self.count as f64
    }
}

impl Memory {
    /// KiB resident per Ente in the largest population, if that is at least `count`.
    #[must_use]
    pub fn resident_at(&self, count: u64) -> Option<f64> {
        let largest = self.populations.iter().max_by_key(|it| it.count)?;
        (largest.count >= count).then(|| largest.each(|held| held.rss))
    }

    /// The tables of this section.
    #[must_use]
    pub fn tables(&self) -> Vec<Table> {
        let head = [
            "idle Entes (`hello`, Ready)",
            "resident each (RSS)",
            "share (PSS)",
            "page tables",
            "mappings each",
            "RSS before",
            "until all Ready",
        ];
        let mut table = Table::new("Memory of an idle Ente", &head);
        for it in &self.populations {
            let kib = |value: f64| format!("{} KiB", significant(value));
            table.row([
                it.count.to_string(),
                kib(it.each(|held| held.rss)),
                kib(it.each(|held| held.pss)),
                kib(it.each(|held| held.page_tables)),
                significant(it.each(|held| held.mappings)),
                Bytes(it.none.rss * 1024).to_string(),
                Time(it.took).to_string(),
            ]);
        }
        table.note(
            "Differences of /proc/self/smaps_rollup, in a process of its own for each row; the Cards count too. RSS counts a page \
             of the module's initial memory once for each Ente that maps it, PSS counts it once in all. Page tables are the \
             kernel's and in neither.",
        );
        self.failures.iter().for_each(|failure| table.note(failure));
        vec![table]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_is_understood() {
        let population = parse(10, "100 90 8 20 500 290 48 90 1500\n").unwrap();
        assert_eq!(population.each(|held| held.rss), 40.0);
        assert_eq!(population.each(|held| held.pss), 20.0);
        assert_eq!(population.each(|held| held.page_tables), 4.0);
        assert_eq!(population.each(|held| held.mappings), 7.0);
        assert_eq!(population.took, Duration::from_micros(1500));
        for bad in ["", "1 2 3", "1 2 3 4 5 6 7 8 x", "1 2 3 4 5 6 7 8 9 10"] {
            assert!(parse(1, bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn the_kernels_fields() {
        let text = "00400000-7fff [rollup]\nRss:       123 kB\nPss:  45 kB\n";
        assert_eq!(
            (field(text, "Rss:"), field(text, "Pss:"), field(text, "No:")),
            (123, 45, 0)
        );
        assert!(Held::now().unwrap().rss > 0);
    }

    #[test]
    fn only_a_population_large_enough_counts() {
        let memory = Memory {
            populations: vec![parse(1000, "0 0 0 0 4000 0 0 0 1").unwrap()],
            failures: Vec::new(),
        };
        assert_eq!(memory.resident_at(1000), Some(4.0));
        assert_eq!(memory.resident_at(10_000), None);
    }
}
