//! The bounded run of one target: `docs/fuzzing.md`.

use arje_fuzz::{drive, targets};
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let name = arguments.next().unwrap_or_default();
    match targets::named(&name) {
        Some(target) => drive::main(target, arguments),
        None => {
            eprintln!("usage: arje-fuzz TARGET {}", drive::USAGE);
            eprintln!("targets:");
            for target in targets::ALL {
                eprintln!("  {:<12} {}", target.name, target.about);
            }
            ExitCode::from(2)
        }
    }
}
