//! The folders that are built to components.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::child;
use super::sources::{Change, Snapshot, Sources};
use super::watch::Watch;

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
    /// The name of its component, once it was built. Of one that others build that is not known.
    pub module: Option<String>,
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
            module: None,
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

    /// What became of its sources since it was last asked. While it is built, cargo writes its lock file, which
    /// is no change.
    ///
    /// # Errors
    /// They cannot be read, or not be watched.
    pub fn change(&mut self, watch: &Watch, is_built_now: bool) -> Result<Change, String> {
        let now = self.sources.look(watch)?;
        if is_built_now {
            self.take_in_lock(&now);
        }
        let change = now.since(&self.known);
        self.known = now;
        Ok(change)
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
        // What a builder wrote again is no save.
        let now = self.sources.look(watch)?;
        if now.since(&self.known) == Change::Saved {
            self.known = now;
        }
        if !self.is_cargos() {
            return Ok(());
        }
        let folder = self.sources.folder.clone();
        let before = self.sources.elsewhere.clone();
        let target = env::var_os("CARGO_TARGET_DIR").and_then(absolute);
        let results = target.unwrap_or_else(|| folder.join("target"));
        let results = results.join(TARGET).join("release");
        if let Some(name) = Path::new(said.trim()).file_stem() {
            let name = name.to_string_lossy().into_owned();
            self.sources.take_in_dep_info(&results, &name);
            self.module = Some(name);
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

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
