//! [`Warning`]: what is allowed, but hardly meant: a key that nobody knows, a life that cannot become Ready.

use std::fmt;

use crate::nearest::nearest;
use crate::path::Path;
use crate::payload::{Entry, Payload};
use crate::report::{quoted, shortened};
use crate::{Card, Readiness, Supervision};

/// Every key of a Card that this version knows.
pub const CARD_KEYS: &[&str] = &[
    "schema_version",
    "id",
    "lineage",
    "label",
    "provides",
    "requires",
    "holds",
    "contracts",
    "permissions",
    "soma",
    "payload",
    "supervision",
    "lifecycle",
    "priority",
    "readiness",
    "liveness_ms",
    "start_limit",
    "restart_on",
    "stop_timeout_ms",
    "listen",
    "dbus",
    "limits",
    "credentials",
    "flow",
    "service_socket",
    "references",
    "kind",
    "data",
    "priority_contexts",
    "genesis",
];

/// Keys that are no part of schema 1 but have a reader in this tree, so they are not warned about: the
/// one by which editors find a JSON Schema, a component's name for `ente pin` and the image builder,
/// and the terminal of a native Ente.
pub const EXTENSION_KEYS: &[&str] = &["$schema", "module", "console"];

/// Something odd in a Card.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// Where, as a JSON path.
    pub path: String,
    /// Label of the Card.
    pub label: String,
    /// What.
    pub oddity: Oddity,
}

/// What is odd.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Oddity {
    /// A key that nobody knows. It is kept, but somebody may have meant another one.
    UnknownKey {
        /// The key.
        key: String,
        /// The known key it may be meant for.
        nearest: Option<&'static str>,
    },
    /// Ready is to be the end, and what the Card runs ends only when it is stopped.
    NeverReady {
        /// What the Card says that makes it so.
        says: &'static str,
        /// What is driven.
        entry: &'static str,
    },
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            path,
            label,
            oddity,
        } = self;
        f.write_str(path)?;
        // A Card that is told about although its shape is wrong may have none.
        if !label.is_empty() {
            write!(f, " (Card {:?})", shortened(label))?;
        }
        write!(f, ": {oddity}")
    }
}

impl fmt::Display for Oddity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownKey { key, nearest } => {
                let key = quoted(key);
                write!(f, "unknown key {key}, kept and without effect")?;
                match nearest {
                    Some(name) => write!(f, "; did you mean {name:?}?"),
                    None => Ok(()),
                }
            }
            Self::NeverReady { says, entry } => write!(
                f,
                "{says} makes it Ready when it has ended, but the entry {entry:?} goes on until it is stopped, so it \
                 never is; use {{\"Restart\": …}} with the readiness \"started\""
            ),
        }
    }
}

pub(crate) fn of(card: &Card, at: &Path<'_>) -> Vec<Warning> {
    let mut warnings = Vec::new();
    collect(card, at, &mut warnings);
    warnings
}

fn collect(card: &Card, at: &Path<'_>, warnings: &mut Vec<Warning>) {
    let unread = |key: &&String| !EXTENSION_KEYS.contains(&key.as_str());
    for key in card.extensions.keys().filter(unread) {
        warnings.push(Warning {
            path: at.key(key).to_string(),
            label: card.label.clone(),
            oddity: Oddity::UnknownKey {
                key: key.clone(),
                nearest: nearest(key, CARD_KEYS.iter().copied())
                    .or_else(|| nearest(key, EXTENSION_KEYS.iter().copied())),
            },
        });
    }
    if let Some((key, oddity)) = never_ready(card) {
        warnings.push(Warning {
            path: at.key(key).to_string(),
            label: card.label.clone(),
            oddity,
        });
    }
    let genesis = at.key("genesis");
    for (index, child) in card.genesis.iter().enumerate() {
        collect(child, &genesis.index(index), warnings);
    }
}

/// Whether a component that is served until it is stopped is to be Ready by its end. A function or a command ends by
/// itself; of a process nobody knows.
fn never_ready(card: &Card) -> Option<(&'static str, Oddity)> {
    let Payload::Wasm(wasm) = &card.payload else {
        return None;
    };
    let entry = match wasm.entry {
        Entry::Service => "service",
        Entry::Http => "http",
        _ => return None,
    };
    let (key, says) = match (card.readiness, &card.supervision) {
        (Readiness::Exit, _) => ("readiness", "\"exit\""),
        (Readiness::Started, Supervision::OneShot) => ("supervision", "\"OneShot\""),
        _ => return None,
    };
    Some((key, Oddity::NeverReady { says, entry }))
}
