//! The bounded run: every input of the corpus, and then as many changed ones as are asked for.

use crate::targets::Target;
use crate::{memory, mutate, shrink::shrink};
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::FileExt as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// What can be asked for.
pub const USAGE: &str = "[--runs N] [--units N] [--seed N]   the corpus, and then N inputs made of it, or inputs with N units
       arje-fuzz TARGET FILE...                            these files
       arje-fuzz TARGET --input NUMBER [--seed N]          writes the input with this number to standard output
       arje-fuzz TARGET --corpus FOLDER                    writes the corpus to a folder, for cargo-fuzz";

/// The seed of the runs of `./dev test`.
pub const SEED: u64 = 1;

/// What may stay in use after many runs and is no leak: tables that were made when they were first needed.
const KEPT: usize = 1 << 20;

/// Bytes of a failing input that are printed; the file has all.
const SHOWN: usize = 400;

/// What a target counts beside its runs.
static UNITS: AtomicU64 = AtomicU64::new(0);

/// The words of the last panic.
static SAID: Mutex<String> = Mutex::new(String::new());

/// Counts what an input consists of, such as frames.
pub fn count(units: u64) {
    UNITS.fetch_add(units, Relaxed);
}

#[derive(Debug, Default)]
struct Wanted {
    runs: Option<u64>,
    units: Option<u64>,
    seed: u64,
    input: Option<u64>,
    progress: Option<PathBuf>,
    corpus: Option<PathBuf>,
    files: Vec<PathBuf>,
}

impl Wanted {
    fn read(mut arguments: impl Iterator<Item = String>) -> Option<Self> {
        let mut wanted = Self {
            seed: SEED,
            ..Self::default()
        };
        while let Some(argument) = arguments.next() {
            let mut number = || arguments.next()?.parse().ok();
            match argument.as_str() {
                "--runs" => wanted.runs = Some(number()?),
                "--units" => wanted.units = Some(number()?),
                "--seed" => wanted.seed = number()?,
                "--input" => wanted.input = Some(number()?),
                "--progress" => wanted.progress = Some(arguments.next()?.into()),
                "--corpus" => wanted.corpus = Some(arguments.next()?.into()),
                file if !file.starts_with('-') => wanted.files.push(file.into()),
                _ => return None,
            }
        }
        Some(wanted)
    }
}

/// The program of a target.
pub fn main(target: &Target, arguments: impl Iterator<Item = String>) -> ExitCode {
    let Some(wanted) = Wanted::read(arguments) else {
        eprintln!("usage: arje-fuzz TARGET {USAGE}");
        return ExitCode::from(2);
    };
    match perform(target, &wanted) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("{}: {error}", target.name);
            ExitCode::FAILURE
        }
    }
}

fn perform(target: &Target, wanted: &Wanted) -> io::Result<ExitCode> {
    if !wanted.files.is_empty() {
        for file in &wanted.files {
            (target.check)(&fs::read(file)?);
        }
        println!(
            "{}: {} files, and nothing wrong",
            target.name,
            wanted.files.len()
        );
        return Ok(ExitCode::SUCCESS);
    }
    let corpus = corpus(target)?;
    if let Some(number) = wanted.input {
        io::stdout().write_all(&mutate::input(&corpus, target.longest, wanted.seed, number))?;
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(folder) = &wanted.corpus {
        fs::create_dir_all(folder)?;
        for (number, input) in corpus.iter().enumerate() {
            fs::write(folder.join(format!("{number:04}")), input)?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    // A failure is said once, with its input; not at each step of its shrinking.
    std::panic::set_hook(Box::new(|info| {
        *SAID.lock().unwrap_or_else(PoisonError::into_inner) = info.to_string();
    }));
    Ok(match run(target, &corpus, wanted)? {
        None => ExitCode::SUCCESS,
        Some(failed) => report(target, &failed),
    })
}

/// Every input that a target begins with: what follows from the types, what was found and kept in its folder, and the
/// files of others.
///
/// # Errors
///
/// A file cannot be read.
pub fn corpus(target: &Target) -> io::Result<Vec<Vec<u8>>> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut corpus = (target.seeds)();
    let own = here.join("corpus").join(target.name);
    let others = target
        .also
        .iter()
        .map(|folder| here.join("..").join(folder));
    // A folder that is not there yet holds nothing: no input was kept, or no component built.
    for folder in std::iter::once(own)
        .chain(others)
        .filter(|folder| folder.is_dir())
    {
        let mut files = fs::read_dir(folder)?
            .map(|entry| Ok(entry?.path()))
            .collect::<io::Result<Vec<PathBuf>>>()?;
        files.retain(|file| file.is_file());
        files.sort(); // so that every run is the same
        for file in files {
            let input = fs::read(file)?;
            if input.len() <= target.longest {
                corpus.push(input);
            }
        }
    }
    Ok(corpus)
}

/// The input that failed, and what was said.
struct Failed {
    input: Vec<u8>,
    said: String,
    number: Option<u64>,
    seed: u64,
}

fn run(target: &Target, corpus: &[Vec<u8>], wanted: &Wanted) -> io::Result<Option<Failed>> {
    let began = Instant::now();
    let seed = wanted.seed;
    let progress = wanted.progress.as_ref().map(File::create).transpose()?;
    // Before each input, so that it is known which one ended the process.
    let note = |number: u64| match &progress {
        Some(file) => file.write_all_at(&number.to_le_bytes(), 0),
        None => Ok(()),
    };
    let failed = |input: &[u8], said, number| {
        let input = input.to_vec();
        Ok(Some(Failed {
            input,
            said,
            number,
            seed,
        }))
    };
    for (number, input) in corpus.iter().enumerate() {
        note(u64::MAX - number as u64)?; // from the end: the corpus, before it is changed
        if let Err(said) = attempt(target, input) {
            return failed(input, said, None);
        }
    }
    let kept = memory::live() + KEPT;
    let most = wanted.runs.unwrap_or(target.runs);
    let mut number = 0;
    let enough = |number| match wanted.units {
        Some(units) => UNITS.load(Relaxed) >= units,
        None => number >= most,
    };
    while !enough(number) {
        note(number)?;
        let input = mutate::input(corpus, target.longest, seed, number);
        let mut result = attempt(target, &input);
        let live = memory::live() - input.capacity();
        if result.is_ok() && live > kept {
            result = Err(format!("{live} bytes stay in use after it"));
        }
        if let Err(said) = result {
            return failed(&input, said, Some(number));
        }
        number += 1;
    }
    let units = match UNITS.load(Relaxed) {
        0 => String::new(),
        units => format!(", {units} frames in all,"),
    };
    println!(
        "{}: {} inputs of the corpus and {number} others{units} in {:.1} s, seed {seed}, and nothing wrong",
        target.name,
        corpus.len(),
        began.elapsed().as_secs_f64()
    );
    Ok(None)
}

fn attempt(target: &Target, input: &[u8]) -> Result<(), String> {
    let result = catch_unwind(AssertUnwindSafe(|| (target.check)(input)));
    result.map_err(|_| SAID.lock().unwrap_or_else(PoisonError::into_inner).clone())
}

/// Says what failed, with an input that is as small as can be found.
fn report(target: &Target, failed: &Failed) -> ExitCode {
    let name = target.name;
    let small = shrink(&failed.input, |input| attempt(target, input).is_err());
    let from = match failed.number {
        Some(number) => format!("input {number} of seed {}", failed.seed),
        None => "an input of the corpus".to_owned(),
    };
    let shown = &small[..small.len().min(SHOWN)];
    eprintln!(
        "{name}: {from} fails:\n{}\n{} bytes of {}: {}",
        failed.said,
        small.len(),
        failed.input.len(),
        shown.escape_ascii()
    );
    let file = std::env::temp_dir().join(format!("arje-fuzz-{name}"));
    if fs::write(&file, &small).is_ok() {
        eprintln!("again with: arje-fuzz {name} {}", file.display());
    }
    ExitCode::FAILURE
}
