//! The folders that are built, the seed that runs, and which Ente of it runs which component.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use arje_card::{Card, Document, Entry, Format, Id, LoadError, Payload, Pin, Reading};
use arje_store::Sha256;
use arje_verify::modules::Modules;
use arje_verify::pins::{self, MODULE_KEY};
use arje_verify::{Findings, Machine, judge};

use super::child;
use super::sources::{Snapshot, Sources};
use super::watch::Watch;

/// The seed of a folder.
pub const SEED: &str = "seed.card.json";
/// Where finished components are, beside the seed.
pub const COMPONENTS: &str = "components";
/// Tells a command that builds where its component goes.
pub const COMPONENTS_VARIABLE: &str = "ARJE_COMPONENTS";
/// The target of cargo's results.
const TARGET: &str = "wasm32-wasip2";

/// How a package is built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Builder {
    /// As `arje-component` does it.
    Cargo,
    /// By a line for sh(1), which leaves `NAME.wasm` in the folder for components.
    Shell(String),
}

/// A folder that is built to a component.
#[derive(Debug)]
pub struct Package {
    /// Its last name.
    pub name: String,
    builder: Builder,
    sources: Sources,
    known: Snapshot,
    /// Whether it was built at least once.
    pub built: bool,
    /// Whether it did not build the last time.
    pub broken: bool,
}

impl Package {
    /// The package in this folder. `skipped` is not of its sources, though it may be in it; absolute.
    ///
    /// # Errors
    /// There is no such folder, or nobody knows how to build what is in it.
    pub fn open(folder: &Path, command: Option<&str>, skipped: &[&Path]) -> Result<Self, String> {
        let shown = folder.display();
        let path = folder.canonicalize();
        let path = path.map_err(|error| format!("{shown}: {error}"))?;
        let builder = match (path.join("Cargo.toml").is_file(), command) {
            (true, _) => Builder::Cargo,
            (false, Some(command)) => Builder::Shell(command.to_owned()),
            (false, None) => {
                return Err(format!(
                    "{shown}: there is no Cargo.toml; name folders of packages with --path, or say how others are built \
                     with --build COMMAND"
                ));
            }
        };
        let name = path.file_name().unwrap_or(path.as_os_str());
        let mut skipped: Vec<PathBuf> = skipped.iter().map(|path| path.to_path_buf()).collect();
        skipped.extend(env::var_os("CARGO_TARGET_DIR").and_then(absolute));
        Ok(Self {
            name: name.to_string_lossy().into_owned(),
            builder,
            sources: Sources {
                folder: path,
                skipped,
                elsewhere: Vec::new(),
            },
            known: Snapshot::default(),
            built: false,
            broken: false,
        })
    }

    /// Whether its sources are others than when it was last asked. While it is built, cargo writes its lock file, which
    /// is no change.
    ///
    /// # Errors
    /// They cannot be read, or not be watched.
    pub fn has_changed(&mut self, watch: &Watch, is_built_now: bool) -> Result<bool, String> {
        let now = self.sources.look(watch)?;
        if is_built_now {
            self.take_in_lock(&now);
        }
        let changed = now != self.known;
        self.known = now;
        Ok(changed)
    }

    /// Whether our own builder builds it, which prints the path of the component.
    #[must_use]
    pub fn is_cargos(&self) -> bool {
        self.builder == Builder::Cargo
    }

    /// What builds it.
    #[must_use]
    pub fn command(&self, components: &Path) -> Command {
        let folder = &self.sources.folder;
        match &self.builder {
            Builder::Cargo => {
                let mut command = Command::new(child::program("arje-component"));
                command.arg(folder).arg(components);
                command
            }
            Builder::Shell(line) => {
                let mut command = Command::new("/bin/sh");
                command.arg("-c").arg(line).current_dir(folder);
                command.env(COMPONENTS_VARIABLE, components);
                command
            }
        }
    }

    /// It was built; `said` is what the builder printed: the path of the component. What the compiler read from elsewhere
    /// counts from now on, and that cargo wrote its lock file is no change.
    ///
    /// # Errors
    /// The sources cannot be read, or not be watched.
    pub fn was_built(&mut self, said: &str, watch: &Watch) -> Result<(), String> {
        (self.built, self.broken) = (true, false);
        if !self.is_cargos() {
            return Ok(());
        }
        let folder = self.sources.folder.clone();
        let before = self.sources.elsewhere.clone();
        let target = env::var_os("CARGO_TARGET_DIR").and_then(absolute);
        let results = target.unwrap_or_else(|| folder.join("target"));
        let results = results.join(TARGET).join("release");
        if let Some(name) = Path::new(said.trim()).file_stem() {
            self.sources
                .take_in_dep_info(&results, &name.to_string_lossy());
        }
        let now = self.sources.look(watch)?;
        self.take_in_lock(&now);
        for file in self
            .sources
            .elsewhere
            .iter()
            .filter(|f| !before.contains(f))
        {
            self.known.adopt(file, &now);
        }
        let gone = before
            .iter()
            .filter(|f| !self.sources.elsewhere.contains(f));
        for file in gone {
            self.known.adopt(file, &now);
        }
        Ok(())
    }

    /// It was not built.
    ///
    /// # Errors
    /// As for [`Package::was_built`].
    pub fn was_not_built(&mut self, watch: &Watch) -> Result<(), String> {
        self.broken = true;
        let now = self.sources.look(watch)?;
        self.take_in_lock(&now);
        Ok(())
    }

    fn take_in_lock(&mut self, now: &Snapshot) {
        if self.is_cargos() {
            self.known
                .adopt(&self.sources.folder.join("Cargo.lock"), now);
        }
    }
}

fn absolute(folder: std::ffi::OsString) -> Option<PathBuf> {
    std::path::absolute(folder).ok()
}

/// An Ente that runs a component which may change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Runs {
    /// The Ente.
    pub id: Id,
    /// Its name for people.
    pub label: String,
    /// The name of its component.
    pub module: String,
    /// The component that it was given last.
    pub pin: Pin,
    /// Whether another component can take its place while it lives (docs/deployment.md).
    pub can_be_replaced: bool,
}

/// A seed that can be run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// With the pins of the components at hand.
    pub text: String,
    /// The Entes whose components may change.
    pub entes: Vec<Runs>,
}

/// Reads a seed and writes the pins of components into it, in memory.
///
/// # Errors
/// Everything that is wrong with it, a line each.
pub fn plan(seed: &Path, components: &Path) -> Result<Plan, Vec<String>> {
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
    let modules =
        Modules::of_folders(&[components.to_owned()]).map_err(|error| vec![error.to_string()])?;
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
    let findings = judge(&reading, Machine::Any);
    if !findings.problems.is_empty() {
        return Err(bad(&findings));
    }
    let entes = reading.walk().filter_map(|visit| runs(visit.card));
    let entes = entes.collect();
    Ok(Plan { text, entes })
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

/// The component of this name, as far as there is one.
#[must_use]
pub fn pin_of(components: &Path, module: &str) -> Option<Pin> {
    let wasm = fs::read(components.join(format!("{module}.wasm"))).ok()?;
    Some(Pin(*Sha256::of(&wasm).as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

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

    #[test]
    fn a_seed_is_planned_with_the_components_at_hand() {
        let folder = tempfile::tempdir().unwrap();
        let components = folder.path().join(COMPONENTS);
        fs::create_dir(&components).unwrap();
        fs::write(components.join("a.wasm"), "one").unwrap();
        let mut twin = wasm(2, "service", "a");
        twin["soma"] = json!({ "rlimits": { "nofile": 64 } });
        let once = wasm(3, "run", "a");
        let path = seed(folder.path(), &[wasm(1, "service", "a"), twin, once]);
        let before = fs::read(&path).unwrap();
        let planned = plan(&path, &components).unwrap();
        let pin = pin_of(&components, "a").unwrap();
        let replaceable: Vec<_> = planned.entes.iter().map(|e| e.can_be_replaced).collect();
        assert_eq!(replaceable, [true, false, false]);
        assert!(planned.entes.iter().all(|ente| ente.pin == pin));
        assert!(planned.text.contains(&pin.to_string()));
        assert_eq!(fs::read(&path).unwrap(), before, "the file is the author's");
    }

    #[test]
    fn what_is_wrong_with_a_seed_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let components = folder.path().join(COMPONENTS);
        fs::create_dir(&components).unwrap();
        let path = seed(folder.path(), &[wasm(1, "service", "absent")]);
        let told = plan(&path, &components).unwrap_err();
        assert!(told[0].contains("absent.wasm"), "{told:?}");
        fs::write(&path, "{").unwrap();
        assert!(plan(&path, &components).is_err());
        fs::remove_file(&path).unwrap();
        assert!(plan(&path, &components).unwrap_err()[0].contains(SEED));
    }

    #[test]
    fn how_a_folder_is_built_is_known() {
        let folder = tempfile::tempdir().unwrap();
        let told = Package::open(folder.path(), None, &[]).unwrap_err();
        assert!(told.contains("--build"), "{told}");
        let package = Package::open(folder.path(), Some("make"), &[]).unwrap();
        assert_eq!(package.builder, Builder::Shell("make".to_owned()));
        fs::write(folder.path().join("Cargo.toml"), "").unwrap();
        let package = Package::open(folder.path(), Some("make"), &[]).unwrap();
        assert_eq!(package.builder, Builder::Cargo);
        assert!(Package::open(&folder.path().join("no"), None, &[]).is_err());
    }
}
