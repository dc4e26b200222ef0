//! `arje-bench`: measures arje beside its peers in one run, and prints the tables of
//! docs/benchmarks.md. `./dev bench` builds everything that it measures and runs it.

mod bare;
mod boot;
mod calls;
mod error;
mod memory;
mod native;
mod peers;
mod places;
mod plan;
mod report;
mod rig;
mod sizes;
mod start;
mod stats;
mod table;
mod verdict;

use std::process::ExitCode;

use plan::Plan;

const USAGE: &str = "\
usage: arje-bench [--quick]

Measures starts, calls, memory, sizes and boots, and prints tables in Markdown; they are also written to
target/bench/report.md. --quick takes fewer samples and ends within three minutes. Exit 0 when everything
could be measured, whatever came out.
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match arguments.as_slice() {
        [] => report::run(&Plan::FULL),
        ["--quick"] => report::run(&Plan::QUICK),
        [memory::CHILD, count] => match count.parse() {
            Ok(count) => memory::child(count).map(|()| true),
            Err(_) => return usage(),
        },
        _ => return usage(),
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

fn usage() -> ExitCode {
    eprint!("{USAGE}");
    ExitCode::from(2)
}
