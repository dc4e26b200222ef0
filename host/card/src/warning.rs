//! [`Warning`]: a key that nobody knows. It is kept, but somebody may have meant another one.

use std::fmt;

use crate::Card;
use crate::nearest::nearest;
use crate::path::Path;
use crate::report::{quoted, shortened};

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

/// An unknown key of a Card.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// Where, as a JSON path.
    pub path: String,
    /// Label of the Card.
    pub label: String,
    /// The key.
    pub key: String,
    /// The known key it may be meant for.
    pub nearest: Option<&'static str>,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            path,
            label,
            key,
            nearest,
        } = self;
        let (label, key) = (shortened(label), quoted(key));
        write!(
            f,
            "{path} (Card {label:?}): unknown key {key}, kept and without effect"
        )?;
        match nearest {
            Some(name) => write!(f, "; did you mean {name:?}?"),
            None => Ok(()),
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
            key: key.clone(),
            nearest: nearest(key, CARD_KEYS.iter().copied())
                .or_else(|| nearest(key, EXTENSION_KEYS.iter().copied())),
        });
    }
    let genesis = at.key("genesis");
    for (index, child) in card.genesis.iter().enumerate() {
        collect(child, &genesis.index(index), warnings);
    }
}
