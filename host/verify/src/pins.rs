//! Resolving component names to pins.
//!
//! In a seed's source a Wasm Card may say, beside its pin, which component it means: the extension key
//! `module` on the Card, for example `"module": "hello"`. The pin stays a real sha256; this module rewrites it
//! when the component of that name was built anew. The same function serves the builder, in memory,
//! and `ente pin`, which writes the seed back.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use arje_card::{Card, Payload, Pin};
use arje_store::{MAX_MODULE_BYTES, Sha256};

use crate::folder::{FolderError, read_capped};

/// The extension key of a Card that names a component.
pub const MODULE_KEY: &str = "module";

/// Components in the folders given; a whole distribution's would fit.
const MAX_COMPONENTS: usize = 10_000;

/// The components at hand, by name and by hash.
#[derive(Debug, Clone, Default)]
pub struct Components {
    by_name: BTreeMap<String, Pin>,
    by_pin: BTreeMap<Pin, Vec<u8>>,
}

impl Components {
    /// Reads every `NAME.wasm` in a folder. A name that is there already stays what it is, so earlier folders
    /// win; all contents can be found by hash.
    ///
    /// # Errors
    /// [`FolderError::Io`] when the folder or a file cannot be read, [`FolderError::TooLarge`] past a cap.
    pub fn add_folder(&mut self, folder: &Path) -> Result<(), FolderError> {
        let entries = std::fs::read_dir(folder).map_err(FolderError::io("list", folder))?;
        for entry in entries {
            let path = entry.map_err(FolderError::io("list", folder))?.path();
            let name = path.file_stem().and_then(|name| name.to_str());
            if let (Some(name), Some("wasm")) = (name, path.extension().and_then(|e| e.to_str())) {
                self.add(name, read_capped(&path, MAX_MODULE_BYTES)?);
            }
            if self.by_name.len() > MAX_COMPONENTS {
                return Err(FolderError::TooLarge {
                    what: format!("components in {}", folder.display()),
                    found: self.by_name.len() as u64,
                    cap: MAX_COMPONENTS as u64,
                });
            }
        }
        Ok(())
    }

    /// Adds one component.
    pub fn add(&mut self, name: &str, wasm: Vec<u8>) {
        let pin = Pin(*Sha256::of(&wasm).as_bytes());
        self.by_name.entry(name.to_owned()).or_insert(pin);
        self.by_pin.insert(pin, wasm);
    }

    /// The pin of the component of this name.
    #[must_use]
    pub fn pin(&self, name: &str) -> Option<Pin> {
        self.by_name.get(name).copied()
    }

    /// The component with this hash.
    #[must_use]
    pub fn wasm(&self, pin: Pin) -> Option<&[u8]> {
        self.by_pin.get(&pin).map(Vec::as_slice)
    }
}

/// A pin that is no longer what the seed says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PinChange {
    /// The Card's label.
    pub label: String,
    /// The component it names.
    pub module: String,
    /// The pin in the seed.
    pub old: Pin,
    /// The hash of the component at hand.
    pub new: Pin,
}

impl fmt::Display for PinChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            label,
            module,
            old,
            new,
        } = self;
        write!(
            f,
            "Card {label:?}: module {module:?}: pinned {old}, at hand {new}"
        )
    }
}

/// The same changes told by component, one line each: a rebuilt component moves the pin of every Card that
/// names it, and a hundred lines would say one thing.
#[must_use]
pub fn by_component(changes: &[PinChange]) -> Vec<String> {
    let mut groups: BTreeMap<(&str, Pin, Pin), Vec<&str>> = BTreeMap::new();
    for change in changes {
        groups
            .entry((&change.module, change.old, change.new))
            .or_default()
            .push(&change.label);
    }
    groups
        .into_iter()
        .map(|((module, old, new), labels)| {
            let cards = match labels.as_slice() {
                [label] => format!("Card {label:?}"),
                [first, rest @ ..] => format!("Card {first:?} and {} more", rest.len()),
                [] => String::new(),
            };
            format!("module {module:?}: {cards}: pinned {old}, packed {new} (`ente pin` writes it into the seed)")
        })
        .collect()
}

/// A `module` key that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PinProblem {
    /// Its value is not a string.
    NotAString {
        /// The Card's label.
        label: String,
        /// The value, as JSON.
        found: String,
    },
    /// The Card's payload is not Wasm.
    NotWasm {
        /// The Card's label.
        label: String,
    },
    /// There is no component of that name at hand; the pin stays as it is.
    Unknown {
        /// The Card's label.
        label: String,
        /// The name.
        module: String,
        /// The pin that stays.
        pin: Pin,
    },
}

impl PinProblem {
    /// The label of the Card.
    #[must_use]
    pub fn label(&self) -> &str {
        match self {
            Self::NotAString { label, .. }
            | Self::NotWasm { label }
            | Self::Unknown { label, .. } => label,
        }
    }

    /// What is wrong with the key, without the Card it is in.
    #[must_use]
    pub fn reason(&self) -> String {
        match self {
            Self::NotAString { found, .. } => {
                format!(
                    "`{MODULE_KEY}` is {found}, expected a component's name as a string; write one, or remove it"
                )
            }
            Self::NotWasm { .. } => {
                format!("`{MODULE_KEY}` names a component, but the payload is not Wasm; remove it")
            }
            Self::Unknown { module, .. } => {
                format!("no component {module:?} at hand (no {module}.wasm in the folders given)")
            }
        }
    }
}

impl fmt::Display for PinProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Card {:?}: {}", self.label(), self.reason())
    }
}

/// What is wrong with a Card's [`MODULE_KEY`], if it has one, whatever components are at hand.
#[must_use]
pub fn unusable(card: &Card) -> Option<PinProblem> {
    let value = card.extensions.get(MODULE_KEY)?;
    let label = card.label.clone();
    match (&card.payload, value.as_str()) {
        (_, None) => Some(PinProblem::NotAString {
            label,
            found: value.to_string(),
        }),
        (Payload::Wasm(_), Some(_)) => None,
        (_, Some(_)) => Some(PinProblem::NotWasm { label }),
    }
}

/// What [`resolve`] found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Resolution {
    /// The pins it changed, in the order of the Cards.
    pub changes: Vec<PinChange>,
    /// What it could not use.
    pub problems: Vec<PinProblem>,
}

/// Sets the pin of every Wasm Card in the tree that names its component in [`MODULE_KEY`].
///
/// Cards without the key are left alone. It goes on after a problem, so that all are known.
pub fn resolve(card: &mut Card, components: &Components) -> Resolution {
    let mut resolution = Resolution::default();
    walk(card, components, &mut resolution);
    resolution
}

fn walk(card: &mut Card, components: &Components, resolution: &mut Resolution) {
    resolution.problems.extend(unusable(card));
    if let (Some(module), Payload::Wasm(wasm)) = (
        card.extensions.get(MODULE_KEY).and_then(|m| m.as_str()),
        &mut card.payload,
    ) {
        let (label, module) = (card.label.clone(), module.to_owned());
        match components.pin(&module) {
            Some(new) if new != wasm.module_sha256 => {
                let old = std::mem::replace(&mut wasm.module_sha256, new);
                resolution.changes.push(PinChange {
                    label,
                    module,
                    old,
                    new,
                });
            }
            Some(_) => {}
            None => resolution.problems.push(PinProblem::Unknown {
                label,
                module,
                pin: wasm.module_sha256,
            }),
        }
    }
    for child in &mut card.genesis {
        walk(child, components, resolution);
    }
}

#[cfg(test)]
mod tests {
    use arje_card::{Entry, Id, NativePayload, Supervision, WasmPayload};
    use serde_json::{Value, json};

    use super::*;

    fn card(label: &str, payload: Payload, module: Option<Value>) -> Card {
        let id = Id::from_parts(1, *b"0123456789");
        let mut card = Card::new(id, label, payload, Supervision::OneShot);
        if let Some(module) = module {
            card.extensions.insert(MODULE_KEY.to_owned(), module);
        }
        card
    }

    fn wasm(pin: Pin) -> Payload {
        Payload::Wasm(WasmPayload {
            module_sha256: pin,
            entry: Entry::Run,
            argv: Vec::new(),
            envp: arje_card::Env::default(),
            preopens: Vec::new(),
        })
    }

    fn pin_of(card: &Card) -> Pin {
        match &card.payload {
            Payload::Wasm(wasm) => wasm.module_sha256,
            _ => Pin::ZERO,
        }
    }

    #[test]
    fn names_become_pins_throughout_the_tree() {
        let mut components = Components::default();
        components.add("hello", b"one".to_vec());
        let hello = components.pin("hello").unwrap();
        let other = Pin([7; 32]);
        let mut seed = card("seed", Payload::Virtual, None);
        let mut group = card("group", Payload::Virtual, None);
        group
            .genesis
            .push(card("deep", wasm(Pin::ZERO), Some(json!("hello"))));
        seed.genesis = vec![
            card("named", wasm(other), Some(json!("hello"))),
            card("current", wasm(hello), Some(json!("hello"))),
            card("pinned", wasm(other), None),
            group,
        ];
        let resolution = resolve(&mut seed, &components);
        let labels: Vec<&str> = resolution
            .changes
            .iter()
            .map(|c| c.label.as_str())
            .collect();
        assert_eq!(labels, ["named", "deep"]);
        assert_eq!(resolution.problems, []);
        let told = by_component(&resolution.changes);
        assert_eq!(told.len(), 2, "each old pin has its line: {told:?}");
        let twice = [resolution.changes.clone(), resolution.changes.clone()].concat();
        let told = by_component(&twice);
        assert_eq!(told.len(), 2);
        assert!(
            told.iter()
                .any(|line| line.contains("\"named\" and 1 more")),
            "{told:?}"
        );
        assert_eq!(pin_of(&seed.genesis[0]), hello);
        assert_eq!(
            pin_of(&seed.genesis[2]),
            other,
            "a Card without the key is left alone"
        );
        assert_eq!(pin_of(&seed.genesis[3].genesis[0]), hello);
        assert_eq!(resolve(&mut seed, &components), Resolution::default());
    }

    #[test]
    fn every_problem_is_told_and_changes_nothing() {
        let native = Payload::Native(NativePayload::default());
        let mut seed = card("seed", Payload::Virtual, Some(json!("hello")));
        seed.genesis = vec![
            card("number", wasm(Pin::ZERO), Some(json!(3))),
            card("native", native, Some(json!("hello"))),
            card("unknown", wasm(Pin([1; 32])), Some(json!("absent"))),
        ];
        let before = seed.clone();
        let resolution = resolve(&mut seed, &Components::default());
        assert_eq!(resolution.changes, []);
        let shown: Vec<String> = resolution
            .problems
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(shown.len(), 4);
        for (text, part) in shown.iter().zip(["seed", "is 3", "native", "absent.wasm"]) {
            assert!(text.contains(part), "{text}");
        }
        assert_eq!(seed, before);
    }

    #[test]
    fn earlier_folders_win_and_all_contents_are_found() {
        let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        std::fs::write(first.path().join("a.wasm"), "a1").unwrap();
        std::fs::write(first.path().join("notes.txt"), "x").unwrap();
        std::fs::write(second.path().join("a.wasm"), "a2").unwrap();
        std::fs::write(second.path().join("b.wasm"), "b").unwrap();
        let mut components = Components::default();
        components.add_folder(first.path()).unwrap();
        components.add_folder(second.path()).unwrap();
        let a = components.pin("a").unwrap();
        assert_eq!(components.wasm(a), Some(&b"a1"[..]));
        let a2 = Pin(*Sha256::of(b"a2").as_bytes());
        assert_eq!(components.wasm(a2), Some(&b"a2"[..]));
        assert!(components.pin("b").is_some() && components.pin("notes").is_none());
        assert!(components.add_folder(&first.path().join("none")).is_err());
    }
}
