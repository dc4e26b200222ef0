//! The seed and the session fragments: reading them, pinning them, and everything that is wrong with them, so that
//! it is told in one go.

use std::path::{Path, PathBuf};

use arje_card::{Card, Document, LoadError, Reading};
use arje_verify::modules::Modules;
use arje_verify::pins::{PinChange, resolve};
use arje_verify::{Findings, Place, Problem, verify_reading};

use crate::error::Error;
use crate::lacks;
use crate::tree::Tree;

/// Session fragments in one folder: a machine has a handful of sessions.
const MAX_FRAGMENTS: usize = 256;

/// A Card file that is to go into the image, pinned and judged.
#[derive(Debug, Clone)]
pub(crate) struct Loaded {
    /// Where it was read from.
    pub source: PathBuf,
    /// What could be read.
    pub reading: Reading,
    /// The pins that differ from the file's.
    pub changes: Vec<PinChange>,
    /// What is wrong and what is odd.
    pub findings: Findings,
}

impl Loaded {
    /// The Card.
    pub fn card(&self) -> &Card {
        &self.reading.document.card
    }

    /// Adds what the image would lack.
    pub fn judge_against(&mut self, tree: &Tree) {
        let lacking = lacks::judge(&self.reading, tree);
        self.findings.problems.extend(lacking);
    }

    /// Adds the pins that are not those of the file: for `--locked`.
    pub fn refuse_changes(&mut self) {
        for change in &self.changes {
            let found = self
                .reading
                .walk()
                .find(|visit| visit.card.label == change.label);
            let path = found.map_or_else(|| "$".to_owned(), |visit| visit.path);
            let place = Place::of(format!("{path}.payload.Wasm.module_sha256"), &change.label);
            let text = format!(
                "--locked: found the pin {}; expected {}, the sha256 of {}.wasm; run `ente pin` on the seed or build \
                 the pinned component",
                change.old, change.new, change.module
            );
            self.findings.problems.push(Problem::at(place, text));
        }
    }
}

/// Reads a Card file, sets the pins of Cards that name their component, and judges it.
///
/// # Errors
/// [`Error::Io`]; [`Error::Cards`] for a file that is too large. All else that is wrong is in the findings.
pub(crate) fn load(path: &Path, modules: &mut Modules) -> Result<Loaded, Error> {
    let mut loaded = Loaded {
        source: path.to_owned(),
        reading: Reading::of(Card::new(
            Default::default(),
            "",
            Default::default(),
            Default::default(),
        )),
        changes: Vec::new(),
        findings: Findings::default(),
    };
    match Reading::load(path) {
        Ok(reading) => loaded.reading = reading,
        Err(LoadError::Invalid { report, .. }) => {
            loaded.findings = Findings::of_report(&report);
            return Ok(loaded);
        }
        Err(error) => return Err(unreadable(path, error)),
    }
    loaded.changes = resolve(&mut loaded.reading.document.card, modules.components()).changes;
    loaded.findings = verify_reading(&loaded.reading, Some(modules));
    Ok(loaded)
}

/// Reads the Card of a seed that was packed before. Its rules were applied then.
///
/// # Errors
/// [`Error::Io`]; [`Error::Cards`] when it does not have the shape of a Card.
pub fn read(path: &Path) -> Result<Card, Error> {
    let document = Document::load_unchecked(path).map_err(|error| unreadable(path, error))?;
    Ok(document.card)
}

fn unreadable(path: &Path, error: LoadError) -> Error {
    match error {
        LoadError::Io { file, source } => Error::Io {
            action: "read",
            path: file,
            source,
        },
        LoadError::Invalid { report, .. } => {
            Error::cards([(path, &Findings::of_report(&report))], None)
        }
        LoadError::TooLarge { .. } => {
            let problem = Problem {
                place: None,
                text: error.to_string(),
            };
            let findings = Findings {
                problems: vec![problem],
                ..Findings::default()
            };
            Error::cards([(path, &findings)], None)
        }
    }
}

/// The name of the session of which this is the fragment.
pub fn session_of(path: &Path) -> Option<&str> {
    let name = path.file_name()?.to_str()?;
    name.strip_prefix("session-")?.strip_suffix(".card.json")
}

/// The session fragments in a folder, sorted: `session-NAME.card.json`.
///
/// # Errors
/// [`Error::Io`] when the folder cannot be read, [`Error::TooLarge`] for more than 256.
pub fn fragments(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let entries = std::fs::read_dir(folder).map_err(Error::io("list", folder))?;
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.map_err(Error::io("list", folder))?.path();
        if session_of(&path).is_some() {
            found.push(path);
        }
    }
    if found.len() > MAX_FRAGMENTS {
        return Err(Error::TooLarge {
            what: format!("session fragments in {}", folder.display()),
            found: found.len() as u64,
            cap: MAX_FRAGMENTS as u64,
        });
    }
    found.sort();
    Ok(found)
}
