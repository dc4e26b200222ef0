//! The seed and the session fragments: reading, pinning, validating, and looking whether the image has what
//! their Cards name.

use std::path::{Path, PathBuf};

use arje_card::{Card, Document, Format, LoadError, Payload, Report, Visit};

use crate::elf;
use crate::error::Error;
use crate::pins::{Components, PinChange, PinProblem, resolve};
use crate::tree::{Node, Tree};

/// Session fragments in one folder: a machine has a handful of sessions.
const MAX_FRAGMENTS: usize = 256;

/// A Card file that goes into the image, pinned and valid.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// Where it was read from.
    pub source: PathBuf,
    /// The Card.
    pub card: Card,
    /// The pins that differ from the file's.
    pub changes: Vec<PinChange>,
}

/// Reads a Card file, sets the pins of Cards that name their component, and applies every rule.
///
/// # Errors
/// [`Error::Seed`] with everything that is wrong; [`Error::Io`].
pub fn load(path: &Path, components: &Components) -> Result<Loaded, Error> {
    let mut document = match Document::load_unchecked(path) {
        Ok(document) => document,
        // The checked reader also applies the rules to what has the right shape: one list of everything.
        Err(LoadError::Invalid { report, .. }) => {
            return Err(match Document::load(path) {
                Err(error) => refused(path, error),
                Ok(_) => invalid(path, &report),
            });
        }
        Err(error) => return Err(refused(path, error)),
    };
    let resolution = resolve(&mut document.card, components);
    let mut violations: Vec<String> = resolution
        .problems
        .iter()
        .filter(|problem| !is_satisfied(problem, components))
        .map(ToString::to_string)
        .collect();
    violations.extend(broken_rules(&document));
    if !violations.is_empty() {
        return Err(Error::Seed {
            path: path.to_owned(),
            violations,
        });
    }
    Ok(Loaded {
        source: path.to_owned(),
        card: document.card,
        changes: resolution.changes,
    })
}

/// Applies the rules once more, to a Card that was changed after it was read.
///
/// # Errors
/// [`Error::Seed`].
pub fn validate(loaded: &Loaded) -> Result<(), Error> {
    loaded
        .card
        .validate()
        .map_err(|report| invalid(&loaded.source, &report))
}

/// A name that is not at hand does no harm when the pinned component is.
fn is_satisfied(problem: &PinProblem, components: &Components) -> bool {
    match problem {
        PinProblem::Unknown { pin, .. } => components.wasm(*pin).is_some(),
        PinProblem::NotAString { .. } | PinProblem::NotWasm { .. } => false,
    }
}

/// Applies the rules to the document as it would be written, so that paths are those of the file.
fn broken_rules(document: &Document) -> Vec<String> {
    let as_json = Document {
        format: Format::Json,
        ..document.clone()
    };
    match as_json.to_text() {
        Ok(text) => match Document::parse(text.as_bytes(), Format::Json) {
            Ok(_) => Vec::new(),
            Err(report) => lines(&report),
        },
        Err(error) => vec![error.to_string()],
    }
}

fn refused(path: &Path, error: LoadError) -> Error {
    match error {
        LoadError::Io { file, source } => Error::Io {
            action: "read",
            path: file,
            source,
        },
        LoadError::Invalid { report, .. } => invalid(path, &report),
        other => Error::Seed {
            path: path.to_owned(),
            violations: vec![other.to_string()],
        },
    }
}

fn invalid(path: &Path, report: &Report) -> Error {
    Error::Seed {
        path: path.to_owned(),
        violations: lines(report),
    }
}

fn lines(report: &Report) -> Vec<String> {
    let mut lines: Vec<String> = report
        .violations()
        .iter()
        .map(ToString::to_string)
        .collect();
    if report.omitted() > 0 {
        lines.push(format!("and {} more", report.omitted()));
    }
    lines
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
        let name = path.file_name().and_then(|name| name.to_str());
        if name.is_some_and(|name| name.starts_with("session-") && name.ends_with(".card.json")) {
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

/// What the Cards name and the image has not, one line each.
pub fn missing(card: &Card, tree: &Tree, components: &Components) -> Vec<String> {
    let mut missing = Vec::new();
    for Visit { card, path, .. } in card.walk() {
        let lacking = match &card.payload {
            Payload::Wasm(wasm) => lacks_module(wasm.module_sha256, components),
            Payload::Native(native) => lacks_program(&native.exec, tree),
            Payload::Legacy(legacy) => lacks_program(&legacy.exec, tree),
            Payload::Virtual => None,
        };
        if let Some(lacking) = lacking {
            missing.push(format!("Card {:?} ({path}): {lacking}", card.label));
        }
    }
    missing
}

fn lacks_module(pin: arje_card::Pin, components: &Components) -> Option<String> {
    components.wasm(pin).is_none().then(|| {
        format!(
            "module {pin} is neither in components/ beside the seed nor in the folders given with --components; build it, or pin the one at hand with `ente pin`"
        )
    })
}

fn lacks_program(exec: &str, tree: &Tree) -> Option<String> {
    let Some((path, entry)) = tree.resolve(exec) else {
        return Some(format!(
            "exec {exec} is not in the image; add it with --bin {exec}=FILE"
        ));
    };
    if !tree.is_executable(&path) {
        return Some(format!(
            "exec {exec} is not an executable file in the image"
        ));
    }
    lacks_interpreter(exec, entry, tree)
}

/// A script needs the program in its first line.
fn lacks_interpreter(exec: &str, entry: &crate::tree::Entry, tree: &Tree) -> Option<String> {
    let Node::File(data) = &entry.node else {
        return None;
    };
    let interpreter = elf::script_interpreter(data)?;
    (!tree.is_executable(&interpreter)).then(|| {
        format!("exec {exec} is a script for {interpreter}, which is not in the image; add it with --bin {interpreter}=FILE")
    })
}
