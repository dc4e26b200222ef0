//! `arje-component FOLDER [INTO]`: builds the package in FOLDER as a component, puts it into INTO (default:
//! `FOLDER/components`), and prints its path.

use arje_guest_artifacts::builder::{component, toolchain};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let (package, into) = match args.as_slice() {
        [package] if !is_option(package) => (package, package.join("components")),
        [package, into] => (package, into.clone()),
        _ => {
            eprintln!("usage: arje-component FOLDER [INTO]");
            return ExitCode::from(2);
        }
    };
    let folders = arje_guest_artifacts::folders();
    let built = toolchain::choose(&folders)
        .and_then(|toolchain| component::build(&toolchain, &folders, package, into));
    match built {
        Ok(entry) => {
            println!("{}", entry.path.display());
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn is_option(word: &Path) -> bool {
    word.to_string_lossy().starts_with('-')
}
