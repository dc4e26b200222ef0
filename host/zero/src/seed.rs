//! Finding, reading and completing the Seed Card.

use arje_card::{Card, Format, LoadError, Reading};
use arje_native::cgroup::Support;
use arje_verify::{Findings, Machine, judge};
use std::fmt;
use std::path::{Path, PathBuf};

/// Where the image has its seed, in the order in which they are tried.
pub const IN_IMAGE: &[&str] = &["/ente/seed.card.json", "/ente/seed.card"];

/// Where the image has its session fragments.
const FRAGMENTS: &str = "/ente/fragments";

/// A seed that can be booted.
#[derive(Debug)]
pub struct Seed {
    /// The Card.
    pub card: Card,
    /// Where it was read.
    pub path: PathBuf,
    /// What is odd about it, but no reason not to boot.
    pub warnings: Vec<String>,
}

/// A seed that cannot be booted: everything that is wrong with it, a line each.
#[derive(Debug, PartialEq, Eq)]
pub struct BadSeed(pub Vec<String>);

impl BadSeed {
    /// What was found in a file, as `ente verify` prints it.
    fn of(path: &Path, findings: &Findings) -> Self {
        let file = path.display();
        let lines = findings.lines().into_iter();
        Self(lines.map(|line| format!("{file}: {line}")).collect())
    }
}

impl fmt::Display for BadSeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}

/// The first of the usual places that has a seed.
#[must_use]
pub fn find_in_image() -> PathBuf {
    IN_IMAGE
        .iter()
        .map(PathBuf::from)
        .find(|path| path.exists())
        .unwrap_or_else(|| IN_IMAGE[0].into())
}

/// Reads a seed, appends the session's fragment, and holds the whole against what this machine and
/// this version can do.
///
/// # Errors
///
/// The seed cannot be read, breaks rules, asks for something that cannot be enforced here, or cannot come to
/// life: all of it, not the first of it. A bad fragment is not an error: it is a warning, and the base boots.
pub fn load(path: &Path, session: Option<&str>, support: &Support) -> Result<Seed, BadSeed> {
    let (mut card, mut warnings) = read(path, support)?;
    if let Some(name) = session {
        warnings.extend(append_session(&mut card, name, support));
    }
    Ok(Seed {
        card,
        path: path.to_owned(),
        warnings,
    })
}

/// A file with a Card that can be brought to life here, and what is odd about it.
///
/// # Errors
///
/// As [`load`].
pub fn read(path: &Path, support: &Support) -> Result<(Card, Vec<String>), BadSeed> {
    match Reading::load(path) {
        Ok(reading) => judged(reading, path, support),
        Err(LoadError::Invalid { report, .. }) => {
            Err(BadSeed::of(path, &Findings::of_report(&report)))
        }
        Err(error) => Err(BadSeed(vec![error.to_string()])),
    }
}

/// As [`read`], of a text in JSON that came as `name`.
///
/// # Errors
///
/// As [`load`].
pub fn parse(text: &str, name: &Path, support: &Support) -> Result<(Card, Vec<String>), BadSeed> {
    match Reading::parse(text.as_bytes(), Format::Json) {
        Ok(reading) => judged(reading, name, support),
        Err(report) => Err(BadSeed::of(name, &Findings::of_report(&report))),
    }
}

fn judged(
    reading: Reading,
    path: &Path,
    support: &Support,
) -> Result<(Card, Vec<String>), BadSeed> {
    let findings = judge(&reading, Machine::This(support));
    if !findings.problems.is_empty() {
        return Err(BadSeed::of(path, &findings));
    }
    let warnings = findings.warnings.iter().map(ToString::to_string);
    Ok((reading.document.card, warnings.collect()))
}

/// Appends `session-NAME.card.json`; the warnings that came of it.
fn append_session(card: &mut Card, name: &str, support: &Support) -> Vec<String> {
    if name.is_empty()
        || !name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
    {
        return vec![format!(
            "arje.session={name:?}: not the name of a session; ignored"
        )];
    }
    let path = Path::new(FRAGMENTS).join(format!("session-{name}.card.json"));
    let mut with = card.clone();
    let appended = read(&path, support).and_then(|(fragment, _)| {
        let skipped = arje_card::append_fragment(&mut with, fragment);
        // Each can be booted; whether both together can, is another question.
        let reading = Reading::of(with);
        let findings = judge(&reading, Machine::This(support));
        if findings.problems.is_empty() {
            Ok((reading.document.card, skipped))
        } else {
            Err(BadSeed::of(&path, &findings))
        }
    });
    match appended {
        Ok((with, skipped)) => {
            *card = with;
            let known = skipped.into_iter();
            known
                .map(|label| format!("session {name}: `{label}` is in the seed already; skipped"))
                .collect()
        }
        Err(BadSeed(lines)) => lines
            .into_iter()
            .map(|line| format!("session {name}: {line}; booting without it"))
            .collect(),
    }
}
