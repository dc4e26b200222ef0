//! `arje-bench`: measures arje beside its peers in one run, and prints the tables of
//! docs/benchmarks.md. `./dev bench` builds everything that it measures and runs it.

mod bare;
mod boot;
mod bus;
mod calls;
mod error;
mod memory;
mod native;
mod peers;
mod places;
mod plan;
mod ratios;
mod report;
mod restart;
mod rig;
mod sizes;
mod start;
mod stats;
mod supervise;
mod table;
mod verdict;

use std::process::ExitCode;

use plan::Plan;
use report::Selection;

const USAGE: &str = "\
usage: arje-bench [--quick] [--only SECTION]...

Measures starts, calls, the bus, one-shots, memory, sizes, the supervisor, restarts, boots and services, and prints
tables in Markdown; they are also written to target/bench/report.md. --quick takes fewer samples and ends
within four minutes. --only takes one of starts, calls, bus, one-shots, memory, sizes, supervisor, restarts,
boots, services. Exit 0 when everything could be measured, whatever
came out.
";

/// What the command line asks for.
enum Wanted {
    Run(Plan, Selection),
    /// A process of the section on memory.
    Child(usize),
    /// A process of the section on the bus.
    Answer,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match read(&arguments) {
        Some(Wanted::Run(plan, selection)) => report::run(&plan, &selection),
        Some(Wanted::Child(count)) => memory::child(count).map(|()| true),
        Some(Wanted::Answer) => bus::answer().map(|()| true),
        None => {
            eprint!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("arje-bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn read(arguments: &[&str]) -> Option<Wanted> {
    if let [memory::CHILD, count] = arguments {
        return Some(Wanted::Child(count.parse().ok()?));
    }
    if arguments == [bus::ANSWER] {
        return Some(Wanted::Answer);
    }
    let (mut plan, mut selection) = (Plan::FULL, Selection::default());
    let mut rest = arguments;
    loop {
        rest = match rest {
            [] => return Some(Wanted::Run(plan, selection)),
            ["--quick", rest @ ..] => {
                plan = Plan::QUICK;
                rest
            }
            ["--only", section, rest @ ..] if selection.add(section) => rest,
            _ => return None,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use report::SECTIONS;

    #[test]
    fn the_command_line() {
        for (arguments, understood) in [
            (&[][..], true),
            (&["--quick"], true),
            (&["--only", "boots", "--quick"], true),
            (&["--only", "shoes"], false),
            (&["--only"], false),
            (&["--fast"], false),
            (&[memory::CHILD, "10"], true),
            (&[memory::CHILD], false),
            (&[bus::ANSWER], true),
        ] {
            assert_eq!(read(arguments).is_some(), understood, "{arguments:?}");
        }
        assert!(SECTIONS.iter().all(|section| USAGE.contains(section)));
    }
}
