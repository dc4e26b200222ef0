//! One run: the sections in turn, each printed as soon as it is there, and the whole written to a file.

use std::time::Instant;

use crate::boot::{self, Boots, Services};
use crate::bus::{self, Bus};
use crate::calls::{self, Calls};
use crate::error::Error;
use crate::memory::{self, Memory};
use crate::peers::{self, OneShots};
use crate::places::Places;
use crate::plan::Plan;
use crate::ratios;
use crate::restart::{self, Restarts};
use crate::sizes::{self, Sizes};
use crate::start::{self, Starts};
use crate::supervise::{self, Supervisors};
use crate::table::Table;
use crate::verdict;

/// What each section found; a section that failed is missing.
#[derive(Default)]
pub struct Findings {
    /// Loading and spawning.
    pub starts: Option<Starts>,
    /// Calls.
    pub calls: Option<Calls>,
    /// Calls between Entes, and deployment.
    pub bus: Option<Bus>,
    /// Whole one-shots.
    pub shots: Option<OneShots>,
    /// Idle Entes.
    pub memory: Option<Memory>,
    /// Programs and the image.
    pub sizes: Option<Sizes>,
    /// The supervisor alone.
    pub supervisors: Option<Supervisors>,
    /// Restarts of a Wasm Ente.
    pub restarts: Option<Restarts>,
    /// Boots.
    pub boots: Option<Boots>,
    /// Native services under arje and under its peers.
    pub services: Option<Services>,
}

/// Which sections are measured: all, or those named.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Selection(Vec<String>);

/// The sections, in order.
pub const SECTIONS: [&str; 10] = [
    "starts",
    "calls",
    "bus",
    "one-shots",
    "memory",
    "sizes",
    "supervisor",
    "restarts",
    "boots",
    "services",
];

impl Selection {
    /// Adds a section; false when there is none of this name.
    pub fn add(&mut self, name: &str) -> bool {
        self.0.push(name.to_owned());
        SECTIONS.contains(&name)
    }

    fn has(&self, name: &str) -> bool {
        self.0.is_empty() || self.0.iter().any(|it| it == name)
    }
}

/// The text so far.
struct Report<'s> {
    selection: &'s Selection,
    text: String,
    failed: usize,
}

impl Report<'_> {
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
        if !self.selection.has(name) {
            return None;
        }
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

/// Measures what is selected. True when nothing failed; a missed target is no failure.
///
/// # Errors
/// The run cannot begin, or its report not be written.
pub fn run(plan: &Plan, selection: &Selection) -> Result<bool, Error> {
    let places = Places::prepare()?;
    let begin = Instant::now();
    let mut report = Report {
        selection,
        text: String::new(),
        failed: 0,
    };
    report.say("## arje bench\n");
    let findings = measure(&places, plan, &mut report);
    report.say(&ratios::table(&findings).to_string());
    report.say(&verdict::table(&findings).to_string());
    report.say(&format!("The run took {} s.", begin.elapsed().as_secs()));
    let path = places.work.join("report.md");
    std::fs::write(&path, &report.text).map_err(Error::io("write", &path))?;
    eprintln!("bench: written to {}", path.display());
    Ok(report.failed == 0)
}

fn measure(places: &Places, plan: &Plan, report: &mut Report) -> Findings {
    Findings {
        starts: report.section("starts", || start::measure(places, plan), Starts::tables),
        calls: report.section("calls", || calls::measure(places, plan), Calls::tables),
        bus: report.section("bus", || bus::measure(places, plan), Bus::tables),
        shots: report.section(
            "one-shots",
            || peers::measure(places, plan),
            OneShots::tables,
        ),
        memory: report.section("memory", || memory::measure(places, plan), Memory::tables),
        sizes: report.section("sizes", || sizes::measure(places), Sizes::tables),
        supervisors: report.section(
            "supervisor",
            || supervise::measure(plan),
            Supervisors::tables,
        ),
        restarts: report.section(
            "restarts",
            || restart::measure(places, plan),
            Restarts::tables,
        ),
        boots: report.section("boots", || boot::measure(places, plan), Boots::tables),
        services: report.section(
            "services",
            || boot::measure_services(places, plan),
            Services::tables,
        ),
    }
}
