//! `initrd-builder`: makes an initramfs from a Seed Card and prints what went in.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use initrd_builder::cli::{Environment, ImageArgs};
use initrd_builder::{Error, Summary, build};

/// Makes a reproducible initramfs from a Seed Card.
#[derive(Parser)]
#[command(name = "initrd-builder", version)]
struct Arguments {
    /// The Seed Card (JSON, or TOML by its extension)
    #[arg(long, value_name = "FILE")]
    seed: PathBuf,
    /// Where the image is written
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    #[command(flatten)]
    image: ImageArgs,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(summary) => {
            // A reader that closed the pipe does not make the image any less built.
            let _ = write!(std::io::stdout(), "{summary}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("initrd-builder: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<Summary, Error> {
    let options = arguments
        .image
        .options(&arguments.seed, &Environment::of_process())?;
    build(&options, &arguments.out)
}
