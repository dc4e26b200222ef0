//! `third-party NAME [VERSION]`: builds somebody else's program as a component, and prints its path.

use arje_guest_artifacts::builder::{third_party, toolchain};
use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (name, version) = match args.as_slice() {
        [name] => (name, None),
        [name, version] => (name, Some(version.as_str())),
        _ => {
            eprintln!("usage: third-party NAME [VERSION]");
            return ExitCode::from(2);
        }
    };
    let folders = arje_guest_artifacts::folders();
    let built = toolchain::choose(&folders)
        .and_then(|toolchain| third_party::build(&toolchain, &folders, name, version));
    match built {
        Ok(path) => {
            println!("{}", path.display());
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
