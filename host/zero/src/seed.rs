//! Finding, reading and completing the Seed Card.

use crate::platform;
use arje_card::Card;
use arje_native::cgroup::Support;
use arje_supervisor::{Event, EventKind, Millis, Supervisor};
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
/// The seed cannot be read, is invalid, or asks for something that cannot be enforced here. A bad
/// fragment is not an error: it is a warning, and the base boots.
pub fn load(path: &Path, session: Option<&str>, support: &Support) -> Result<Seed, BadSeed> {
    let mut card = read(path)?;
    let mut warnings: Vec<String> = card.warnings().iter().map(ToString::to_string).collect();
    // Reading has validated it, and the core is about to adopt it; only this is left to ask.
    enforceable(&card, support)?;
    if let Some(name) = session {
        warnings.extend(append_session(&mut card, name, support));
    }
    Ok(Seed {
        card,
        path: path.to_owned(),
        warnings,
    })
}

fn read(path: &Path) -> Result<Card, BadSeed> {
    Card::load(path)
        .map_err(|error| BadSeed(error.to_string().lines().map(str::to_owned).collect()))
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
    let appended = read(&path).and_then(|fragment| {
        let skipped = arje_card::append_fragment(&mut with, fragment);
        bootable(&with, support).map(|()| skipped)
    });
    match appended {
        Ok(skipped) => {
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

/// Whether this version, on this machine, does all that the tree asks for.
fn enforceable(card: &Card, support: &Support) -> Result<(), BadSeed> {
    match platform::problems(card, support) {
        problems if problems.is_empty() => Ok(()),
        problems => Err(BadSeed(problems)),
    }
}

/// Whether a tree put together here can come to life: valid as a whole, nothing in it that this version cannot
/// do, and nothing that the supervisor refuses (a circle, for example).
fn bootable(card: &Card, support: &Support) -> Result<(), BadSeed> {
    let lines = |text: String| BadSeed(text.lines().map(str::to_owned).collect());
    card.validate()
        .map_err(|report| lines(report.to_string()))?;
    enforceable(card, support)?;
    let adopt = EventKind::Adopt {
        parent: None,
        cards: vec![card.clone()],
    };
    let tried = Supervisor::new().step(Event::new(Millis(0), adopt));
    tried
        .map(drop)
        .map_err(|refusal| lines(refusal.to_string()))
}
