//! Entries: which of a component's exports the host drives.
//!
//! The words are those of the host, so that `ente verify` and a refused start read alike.

use std::fmt;

use arje_card::{Entry, InterfaceName};

use crate::component::{Component, ExportKind};

/// A word that may stand for an entry, and the exports it needs.
struct Word {
    entry: Entry,
    /// The interface, in the version that the host asks for. Compatible ones do too.
    interface: &'static str,
    functions: &'static [&'static str],
    /// How the interface is named in messages.
    shown: &'static str,
}

const WORDS: [Word; 3] = [
    Word {
        entry: Entry::Run,
        interface: "wasi:cli/run@0.2.0",
        functions: &["run"],
        shown: "wasi:cli/run@0.2.x",
    },
    Word {
        entry: Entry::Service,
        interface: "arje:ente/service@1.0.0",
        functions: &["start", "stop"],
        shown: "arje:ente/service@1.x",
    },
    Word {
        entry: Entry::Http,
        interface: "wasi:http/incoming-handler@0.2.0",
        functions: &["handle"],
        shown: "wasi:http/incoming-handler@0.2.x",
    },
];

/// The export that a Card with `liveness_ms` needs.
const HEALTH: &str = "arje:ente/health@1.0.0";

/// The component cannot be driven by the entry that its Card names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MissingEntry {
    /// The entry.
    pub entry: Entry,
    /// Names of what the component exports, functions of interfaces as `interface#function`.
    pub exports: Vec<String>,
}

impl fmt::Display for MissingEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let entry = &self.entry;
        let name = entry.as_str();
        match WORDS.iter().find(|word| word.entry == *entry) {
            Some(word) => write!(
                f,
                "payload.Wasm.entry is {name:?}, but the component does not export {}",
                word.shown
            )?,
            None => write!(
                f,
                "payload.Wasm.entry is {name:?}, but the component exports no such function; write \
                 `run`, `service`, `http`, `name` or `namespace:package/interface#name`"
            )?,
        }
        f.write_str(&self.exported())
    }
}

impl std::error::Error for MissingEntry {}

impl MissingEntry {
    /// `; it exports …`: the end of a message.
    #[must_use]
    pub fn exported(&self) -> String {
        match self.exports.as_slice() {
            [] => "; it exports no function".to_owned(),
            exports => format!("; it exports {}", exports.join(", ")),
        }
    }
}

/// Whether a component can be driven by this entry.
///
/// # Errors
/// [`MissingEntry`].
pub fn check(component: &Component, entry: &Entry) -> Result<(), MissingEntry> {
    let found = match WORDS.iter().find(|word| word.entry == *entry) {
        Some(word) => word.is_exported_by(component),
        None => has_full_name(component, entry.as_str()),
    };
    if found {
        return Ok(());
    }
    Err(MissingEntry {
        entry: entry.clone(),
        exports: callable(component),
    })
}

/// The words by which a component can be driven.
#[must_use]
pub fn offered(component: &Component) -> Vec<Entry> {
    WORDS
        .iter()
        .filter(|word| word.is_exported_by(component))
        .map(|word| word.entry.clone())
        .collect()
}

/// Whether a component exports `arje:ente/health`, which `liveness_ms` calls.
#[must_use]
pub fn has_health(component: &Component) -> bool {
    has_function(component, HEALTH, "health")
}

impl Word {
    fn is_exported_by(&self, component: &Component) -> bool {
        self.functions
            .iter()
            .all(|function| has_function(component, self.interface, function))
    }
}

/// `name` for a function of the world, `interface#name` for one of an exported interface.
fn has_full_name(component: &Component, name: &str) -> bool {
    match name.split_once('#') {
        Some((interface, function)) => has_function(component, interface, function),
        None => component
            .exports
            .iter()
            .any(|export| export.name == name && export.kind == ExportKind::Function),
    }
}

pub(crate) fn has_function(component: &Component, interface: &str, function: &str) -> bool {
    component.exports.iter().any(|export| match &export.kind {
        ExportKind::Interface(functions) => {
            is_compatible(&export.name, interface) && functions.iter().any(|name| name == function)
        }
        ExportKind::Function | ExportKind::Other => false,
    })
}

/// As the component model's linkers compare names: equal, or versions compatible by semver.
fn is_compatible(exported: &str, wanted: &str) -> bool {
    let parse = |text: &str| text.parse::<InterfaceName>().ok();
    exported == wanted
        || parse(exported)
            .zip(parse(wanted))
            .is_some_and(|(exported, wanted)| exported.compatible_with(&wanted))
}

fn callable(component: &Component) -> Vec<String> {
    let mut names = Vec::new();
    for export in &component.exports {
        match &export.kind {
            ExportKind::Function => names.push(export.name.clone()),
            ExportKind::Interface(functions) => {
                names.extend(
                    functions
                        .iter()
                        .map(|name| format!("{}#{name}", export.name)),
                );
            }
            ExportKind::Other => {}
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::component::Export;

    fn component(exports: &[(&str, &[&str])]) -> Component {
        let export = |(name, functions): &(&str, &[&str])| Export {
            name: (*name).to_owned(),
            kind: match functions {
                [] => ExportKind::Function,
                functions => {
                    ExportKind::Interface(functions.iter().map(ToString::to_string).collect())
                }
            },
        };
        Component {
            imports: Vec::new(),
            exports: exports.iter().map(export).collect(),
        }
    }

    #[test]
    fn words_and_names_need_their_exports() {
        let command = component(&[("wasi:cli/run@0.2.6", &["run"])]);
        let service = component(&[("arje:ente/service@1.3.0", &["start", "stop"])]);
        let half = component(&[("arje:ente/service@1.0.0", &["start"])]);
        let later = component(&[("wasi:cli/run@0.3.0", &["run"])]);
        let plain = component(&[("main", &[]), ("a:b/c@1.0.0", &["go"])]);
        let cases = [
            (&command, "run", true),
            (&command, "service", false),
            (&command, "wasi:cli/run@0.2.0#run", true),
            (&service, "service", true),
            (&service, "run", false),
            (&half, "service", false),
            (&later, "run", false),
            (&plain, "main", true),
            (&plain, "go", false),
            (&plain, "a:b/c@1.0.0#go", true),
            (&plain, "a:b/c@1.0.0", false),
            (&plain, "http", false),
        ];
        for (component, entry, expected) in cases {
            let found = check(component, &entry.into());
            assert_eq!(found.is_ok(), expected, "{entry}: {found:?}");
        }
        assert_eq!(offered(&command), [Entry::Run]);
        assert_eq!(offered(&plain), []);
    }

    #[test]
    fn a_missing_entry_says_what_there_is() {
        let shown = |component: &Component, entry: &str| {
            check(component, &entry.into()).unwrap_err().to_string()
        };
        let command = component(&[("wasi:cli/run@0.2.6", &["run"])]);
        assert_eq!(
            shown(&command, "service"),
            "payload.Wasm.entry is \"service\", but the component does not export \
             arje:ente/service@1.x; it exports wasi:cli/run@0.2.6#run"
        );
        assert!(shown(&component(&[]), "x").ends_with("; it exports no function"));
    }
}
