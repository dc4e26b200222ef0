//! `ente pin`: writes the hashes of components into the Cards that name them.

use std::io::Write;
use std::path::{Path, PathBuf};

use arje_card::{Document, LoadError};
use arje_verify::modules::Modules;
use arje_verify::pins::{self, PinProblem, Resolution};
use clap::Args;
use ente::file;

use super::{Failure, Outcome, count};

/// Write the sha256 of components into a seed
///
/// Every Wasm Card that names its component (`"module": "NAME"`) gets the sha256 of DIR/NAME.wasm as
/// its `module_sha256`. Format and unknown keys are kept. The file is replaced as a whole, and only
/// when a pin changes.
#[derive(Args)]
pub struct Arguments {
    /// The Card file (JSON, or TOML by its extension)
    seed: PathBuf,
    /// Folder of NAME.wasm components; may be given several times, earlier ones win
    #[arg(long, value_name = "DIR", required = true)]
    modules: Vec<PathBuf>,
    /// Write nothing, and fail if a pin would change
    #[arg(long)]
    locked: bool,
    /// Write here instead of into SEED
    #[arg(long, value_name = "FILE", conflicts_with = "locked")]
    out: Option<PathBuf>,
}

impl Arguments {
    pub fn run(self, out: &mut dyn Write) -> Result<Outcome, Failure> {
        let mut document = read(&self.seed)?;
        let modules = Modules::open(&self.modules, None).map_err(Failure::unusable)?;
        let Resolution { changes, problems } =
            pins::resolve(&mut document.card, modules.components());
        if !problems.is_empty() {
            return Err(Failure::Refused(self.refusal(&problems, &modules)));
        }
        let target = self.out.as_ref().unwrap_or(&self.seed);
        if !self.locked && (!changes.is_empty() || self.out.is_some()) {
            write(&document, target)?;
        }
        for change in &changes {
            let (label, module) = (&change.label, &change.module);
            let (old, new) = (change.old, change.new);
            writeln!(out, "Card {label:?}: {module}: {old} -> {new}")?;
        }
        let number = count(changes.len(), "pin");
        if self.locked && !changes.is_empty() {
            return Err(Failure::Refused(format!(
                "{}: {number} would change, and --locked forbids it; run `ente pin` without it, and \
                 commit the result",
                self.seed.display()
            )));
        }
        writeln!(out, "{}: {number} changed", target.display())?;
        Ok(Outcome::Done)
    }

    fn refusal(&self, problems: &[PinProblem], modules: &Modules) -> String {
        let lines = problems.iter().map(|problem| {
            let nearest = match problem {
                PinProblem::Unknown { module, .. } => modules.nearest(module),
                PinProblem::NotAString { .. } | PinProblem::NotWasm { .. } => None,
            };
            match nearest {
                Some(name) => format!("\n  {problem}; did you mean {name:?}?"),
                None => format!("\n  {problem}"),
            }
        });
        let lines: String = lines.collect();
        format!("{}: nothing was written:{lines}", self.seed.display())
    }
}

fn read(seed: &Path) -> Result<Document, Failure> {
    // Unchecked: a seed whose pins are not written yet breaks a rule.
    Document::load_unchecked(seed).map_err(|error| match error {
        LoadError::Io { .. } | LoadError::TooLarge { .. } => Failure::unusable(error),
        LoadError::Invalid { .. } => Failure::refused(error),
    })
}

fn write(document: &Document, target: &Path) -> Result<(), Failure> {
    let text = document
        .to_text()
        .map_err(|error| Failure::Refused(format!("{}: {error}", target.display())))?;
    file::replace(target, text.as_bytes()).map_err(|error| {
        Failure::Unusable(format!("{}: cannot be written: {error}", target.display()))
    })
}
