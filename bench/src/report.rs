//! One run: the sections in turn, each printed as soon as it is there, and the whole written to a file.

use std::fmt::Write as _;
use std::time::Instant;

use crate::boot::{self, Boots};
use crate::calls::{self, Calls};
use crate::error::Error;
use crate::memory::{self, Memory};
use crate::peers::{self, OneShots};
use crate::places::Places;
use crate::plan::Plan;
use crate::sizes::{self, Sizes};
use crate::start::{self, Starts};
use crate::table::Table;
use crate::verdict;

/// What each section found; a section that failed is missing.
#[derive(Default)]
pub struct Findings {
    /// Loading and spawning.
    pub starts: Option<Starts>,
    /// Calls.
    pub calls: Option<Calls>,
    /// Whole one-shots.
    pub shots: Option<OneShots>,
    /// Idle Entes.
    pub memory: Option<Memory>,
    /// Programs and the image.
    pub sizes: Option<Sizes>,
    /// Boots.
    pub boots: Option<Boots>,
}

/// The text so far.
#[derive(Default)]
struct Report {
    text: String,
    failed: usize,
}

impl Report {
    fn say(&mut self, text: &str) {
        println!("{text}");
        self.text.push_str(text);
        self.text.push('\n');
    }

    /// Runs one section. That it fails is part of the report.
    fn section<T>(
        &mut self,
        name: &str,
        measure: impl FnOnce() -> Result<T, Error>,
        tables: impl Fn(&T) -> Vec<Table>,
    ) -> Option<T> {
        eprintln!("bench: {name}");
        match measure() {
            Ok(found) => {
                let tables = tables(&found);
                tables.iter().for_each(|table| self.say(&table.to_string()));
                Some(found)
            }
            Err(error) => {
                self.failed += 1;
                self.say(&format!("### {name}\n\nNot measured: {error}\n"));
                None
            }
        }
    }
}

/// Measures everything. True when nothing failed; a missed target is no failure.
///
/// # Errors
/// The run cannot begin, or its report not be written.
pub fn run(plan: &Plan) -> Result<bool, Error> {
    let places = Places::prepare()?;
    let (mut report, begin) = (Report::default(), Instant::now());
    report.say("## arje bench\n");
    let findings = measure(&places, plan, &mut report);
    report.say(&verdict::table(&findings).to_string());
    let mut end = String::new();
    // Writing into a String cannot fail.
    let _ = write!(end, "The run took {} s.", begin.elapsed().as_secs());
    report.say(&end);
    let path = places.work.join("report.md");
    std::fs::write(&path, &report.text).map_err(Error::io("write", &path))?;
    eprintln!("bench: written to {}", path.display());
    Ok(report.failed == 0)
}

fn measure(places: &Places, plan: &Plan, report: &mut Report) -> Findings {
    Findings {
        starts: report.section("starting", || start::measure(places, plan), Starts::tables),
        calls: report.section("calling", || calls::measure(places, plan), Calls::tables),
        shots: report.section("one-shots", || peers::measure(places, plan), OneShots::tables),
        memory: report.section("memory", || memory::measure(places, plan), Memory::tables),
        sizes: report.section("sizes", || sizes::measure(places), Sizes::tables),
        boots: report.section("booting", || boot::measure(places, plan), Boots::tables),
    }
}
