//! The seed that runs, with the components at hand, and which Ente of it runs which component.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use arje_card::{Card, Document, Entry, Format, Id, LoadError, Payload, Pin, Reading};
use arje_store::{Sha256, Store, StoreError};
use arje_verify::modules::Modules;
use arje_verify::pins::{self, MODULE_KEY};
use arje_verify::{Findings, verify_reading};

/// The seed of a folder.
pub const SEED: &str = "seed.card.json";
/// Where finished components are, beside the seed.
pub const COMPONENTS: &str = "components";

/// An Ente that runs a component which may change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Runs {
    /// The Ente.
    pub id: Id,
    /// Its name for people.
    pub label: String,
    /// The name of its component.
    pub module: String,
    /// The component that it was given last, or that was refused.
    pub pin: Pin,
    /// Whether another component can take its place while it lives (docs/deployment.md).
    pub can_be_replaced: bool,
}

/// A seed that can be run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// With the pins of the components at hand.
    pub text: String,
    /// The same with the names of the components in the place of their pins, which change with each deployment.
    cards: String,
    /// The Entes whose components may change.
    pub entes: Vec<Runs>,
}

impl Plan {
    /// Whether the Cards are the same, whichever components they are pinned to.
    #[must_use]
    pub fn has_cards_of(&self, other: &Self) -> bool {
        self.cards == other.cards
    }
}

/// Reads a seed, writes the pins of components into it, in memory, and checks it with them as `ente verify` does. A component
/// without a name may also be in the store, which need not be there yet.
///
/// # Errors
/// Everything that is wrong with it, a line each.
pub fn plan(seed: &Path, components: &Path, store: &Path) -> Result<Plan, Vec<String>> {
    planned(seed, components, store).map(|(plan, _)| plan)
}

/// The same for a seed that is going to run: its components are in the store then, so that it runs with these, whatever
/// becomes of their files meanwhile.
///
/// # Errors
/// Everything that is wrong with it, a line each.
pub fn prepare(seed: &Path, components: &Path, store: &Path) -> Result<Plan, Vec<String>> {
    let (plan, modules) = planned(seed, components, store)?;
    keep(&plan, modules.components(), store)
        .map_err(|error| vec![format!("{}: {error}", store.display())])?;
    Ok(plan)
}

fn keep(plan: &Plan, components: &pins::Components, store: &Path) -> Result<(), StoreError> {
    if plan.entes.is_empty() {
        return Ok(());
    }
    let store = Store::create(store)?;
    for wasm in plan.entes.iter().filter_map(|it| components.wasm(it.pin)) {
        match store.put_module(wasm) {
            // One Ente that is refused when it is loaded, and not the others.
            Ok(_) | Err(StoreError::Mismatch(_)) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn planned(seed: &Path, components: &Path, store: &Path) -> Result<(Plan, Modules), Vec<String>> {
    let file = seed.display();
    let bad = |findings: &Findings| -> Vec<String> {
        let lines = findings.lines().into_iter();
        lines.map(|line| format!("{file}: {line}")).collect()
    };
    // Unchecked: the pins are not written yet.
    let mut document = match Document::load_unchecked(seed) {
        Ok(document) => document,
        Err(LoadError::Invalid { report, .. }) => return Err(bad(&Findings::of_report(&report))),
        Err(error) => return Err(vec![error.to_string()]),
    };
    let modules = Modules::of_folders(&[components.to_owned()]);
    let mut modules = modules
        .map_err(|error| vec![error.to_string()])?
        .or_in_store(store);
    let resolved = pins::resolve(&mut document.card, modules.components());
    if !resolved.problems.is_empty() {
        let lines = resolved.problems.iter();
        return Err(lines.map(|problem| format!("{file}: {problem}")).collect());
    }
    let text = document
        .to_text()
        .map_err(|error| vec![format!("{file}: {error}")])?;
    let reading = Reading::parse(text.as_bytes(), Format::of(seed))
        .map_err(|report| bad(&Findings::of_report(&report)))?;
    let findings = verify_reading(&reading, Some(&mut modules));
    if !findings.problems.is_empty() {
        return Err(bad(&findings));
    }
    let entes = reading.walk().filter_map(|visit| runs(visit.card));
    let entes: Vec<Runs> = entes.collect();
    let cards = entes.iter().fold(text.clone(), |text, ente| {
        text.replace(&ente.pin.to_string(), &ente.module)
    });
    Ok((Plan { text, cards, entes }, modules))
}

fn runs(card: &Card) -> Option<Runs> {
    let Payload::Wasm(payload) = &card.payload else {
        return None;
    };
    let module = card.extensions.get(MODULE_KEY)?.as_str()?;
    Some(Runs {
        id: card.id,
        label: card.label.clone(),
        module: module.to_owned(),
        pin: payload.module_sha256,
        can_be_replaced: matches!(payload.entry, Entry::Service | Entry::Http)
            && card.soma.is_off(),
    })
}

/// The components in a folder, as far as they can be read.
#[must_use]
pub fn at_hand(components: &Path) -> BTreeMap<String, Pin> {
    let entries = fs::read_dir(components).into_iter().flatten().flatten();
    let component = |path: &Path| {
        let name = path.file_stem()?.to_str()?.to_owned();
        let wasm = fs::read(path.extension().filter(|e| *e == "wasm").map(|_| path)?).ok()?;
        Some((name, Pin(*Sha256::of(&wasm).as_bytes())))
    };
    let paths = entries.map(|entry| entry.path());
    paths.filter_map(|path| component(&path)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};
    use std::path::PathBuf;

    /// A service and a command.
    const BOTH: &str = r#"(component
        (core module $m (func (export "f")))
        (core instance $i (instantiate $m))
        (func $f (canon lift (core func $i "f")))
        (instance $r (export "run" (func $f)))
        (instance $s (export "start" (func $f)) (export "stop" (func $f)))
        (export "wasi:cli/run@0.2.0" (instance $r))
        (export "arje:ente/service@1.0.0" (instance $s)))"#;

    fn wasm(number: u8, entry: &str, module: &str) -> Value {
        json!({
            "schema_version": 1, "id": format!("01J0000000000000000000000{number}"),
            "label": format!("ente{number}"), "supervision": "OneShot", "module": module,
            "payload": { "Wasm": { "module_sha256": "0".repeat(64), "entry": entry } },
        })
    }

    fn seed(folder: &Path, genesis: &[Value]) -> PathBuf {
        let seed = json!({
            "schema_version": 1, "id": "01J00000000000000000000000", "label": "seed",
            "supervision": "OneShot", "payload": "Virtual", "genesis": genesis,
        });
        let path = folder.join(SEED);
        fs::write(&path, seed.to_string()).unwrap();
        path
    }

    /// A folder with a folder of components, in which `a` is one.
    fn folder() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let components = folder.path().join(COMPONENTS);
        fs::create_dir(&components).unwrap();
        fs::write(components.join("a.wasm"), wat::parse_str(BOTH).unwrap()).unwrap();
        (folder, components)
    }

    #[test]
    fn a_seed_is_planned_with_the_components_at_hand() {
        let (folder, components) = folder();
        let mut twin = wasm(2, "service", "a");
        twin["soma"] = json!({ "rlimits": { "nofile": 64 } });
        let once = wasm(3, "run", "a");
        let path = seed(folder.path(), &[wasm(1, "service", "a"), twin, once]);
        let before = fs::read(&path).unwrap();
        let planned = plan(&path, &components, folder.path()).unwrap();
        let pin = at_hand(&components)["a"];
        let replaceable: Vec<_> = planned.entes.iter().map(|e| e.can_be_replaced).collect();
        assert_eq!(replaceable, [true, false, false]);
        assert!(planned.entes.iter().all(|ente| ente.pin == pin));
        assert!(planned.text.contains(&pin.to_string()));
        assert_eq!(fs::read(&path).unwrap(), before, "the file is the author's");
    }

    #[test]
    fn another_component_makes_no_other_cards() {
        let (folder, components) = folder();
        let path = seed(folder.path(), &[wasm(1, "service", "a")]);
        let before = plan(&path, &components, folder.path()).unwrap();
        let other = [wat::parse_str(BOTH).unwrap(), vec![0, 3, 1, b'v', 2]].concat();
        fs::write(components.join("a.wasm"), other).unwrap();
        let after = plan(&path, &components, folder.path()).unwrap();
        assert!(after != before && after.has_cards_of(&before));
        // One that was deployed meanwhile is in the place of the one that it began with.
        let mut running = before.clone();
        running.entes[0].pin = after.entes[0].pin;
        assert!(after.has_cards_of(&running) && running.has_cards_of(&after));
        seed(folder.path(), &[wasm(2, "service", "a")]);
        let renamed = plan(&path, &components, folder.path()).unwrap();
        assert!(!renamed.has_cards_of(&before));
    }

    #[test]
    fn what_is_wrong_with_a_seed_is_told() {
        let (folder, components) = folder();
        let told = |genesis: &[Value]| {
            let path = seed(folder.path(), genesis);
            plan(&path, &components, folder.path()).unwrap_err()
        };
        let absent = told(&[wasm(1, "service", "absent")]);
        assert!(absent[0].contains("absent.wasm"), "{absent:?}");
        let misspelt = told(&[wasm(1, "servce", "a")]);
        assert!(
            misspelt[0].contains("servce") && misspelt[0].contains("exports no such function"),
            "{misspelt:?}"
        );
        let path = folder.path().join(SEED);
        fs::write(&path, "{").unwrap();
        assert!(plan(&path, &components, folder.path()).is_err());
        fs::remove_file(&path).unwrap();
        let gone = plan(&path, &components, folder.path()).unwrap_err();
        assert!(gone[0].contains(SEED), "{gone:?}");
    }

    #[test]
    fn what_is_going_to_run_is_kept() {
        let (folder, components) = folder();
        let path = seed(folder.path(), &[wasm(1, "service", "a")]);
        let place = folder.path().join("store");
        plan(&path, &components, &place).unwrap();
        assert!(!place.exists(), "looking at it leaves nothing");
        let planned = prepare(&path, &components, &place).unwrap();
        fs::remove_file(components.join("a.wasm")).unwrap();
        let store = Store::open(&place).unwrap();
        let kept = store.module_path((*planned.entes[0].pin.as_bytes()).into());
        assert!(kept.exists());
    }

    #[test]
    fn a_component_without_a_name_may_be_in_the_store() {
        let (folder, components) = folder();
        let bytes = fs::read(components.join("a.wasm")).unwrap();
        fs::remove_file(components.join("a.wasm")).unwrap();
        let mut card = wasm(1, "service", "a");
        card.as_object_mut().unwrap().remove("module");
        card["payload"]["Wasm"]["module_sha256"] = Sha256::of(&bytes).to_string().into();
        let path = seed(folder.path(), &[card]);
        let place = folder.path().join("store");
        assert!(plan(&path, &components, &place).is_err());
        let store = Store::create(&place).unwrap();
        store.put_module(&bytes).unwrap();
        assert!(plan(&path, &components, &place).unwrap().entes.is_empty());
    }
}
