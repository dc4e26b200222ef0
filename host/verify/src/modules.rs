//! [`Modules`]: the components that Cards are checked against, from folders of `NAME.wasm` and from a
//! store. Each is read and looked into once, however many Cards pin it.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use arje_card::Pin;
use arje_store::{Store, StoreError};

use crate::component::{Component, NotAComponent};
use crate::folder::FolderError;
use crate::pins::Components;

/// Components by name and by hash.
#[derive(Debug, Default)]
pub struct Modules {
    components: Components,
    names: Vec<String>,
    folders: Vec<PathBuf>,
    store: Option<Store>,
    /// Whether what the store has compiled is none of our business.
    only_modules: bool,
    /// What is behind each pin asked for so far; `None` where nothing was found.
    looked_into: BTreeMap<Pin, Option<Looked>>,
    /// What is wrong with the artifacts of each pin asked for so far.
    artifacts: BTreeMap<Pin, Vec<String>>,
    /// Whether what is wrong with the index has been told.
    index_told: bool,
}

/// A module that was found, and what it is.
type Looked = Result<Rc<Component>, ModuleProblem>;

/// Why a folder of components or a store cannot be used.
#[derive(Debug)]
pub enum ModulesError {
    /// A folder, or a file in it.
    Folder(FolderError),
    /// A store.
    Store(StoreError),
}

impl fmt::Display for ModulesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(error) => error.fmt(f),
            Self::Store(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for ModulesError {}

/// Why a Card has no component.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ModuleProblem {
    /// The component of the name that the Card gives is another one.
    Differs {
        /// The name.
        name: String,
        /// What the Card pins.
        pinned: Pin,
        /// The hash of the file.
        at_hand: Pin,
    },
    /// Nothing with this hash was found.
    Missing {
        /// What the Card pins.
        pinned: Pin,
        /// The name that the Card gives.
        name: Option<String>,
        /// The known name it may be meant for, when it is unknown.
        nearest: Option<String>,
        /// Where it was looked for.
        places: Vec<PathBuf>,
    },
    /// The store refuses it, with its reason.
    Store(String),
    /// The file has the hash, but is no component.
    NotAComponent {
        /// What the Card pins.
        pinned: Pin,
        /// What it is.
        why: NotAComponent,
    },
}

impl fmt::Display for ModuleProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Differs {
                name,
                pinned,
                at_hand,
            } => write!(
                f,
                "found the pin {pinned}; expected {at_hand}, the sha256 of {name}.wasm; write it with \
                 `ente pin`"
            ),
            Self::Missing {
                pinned,
                name,
                nearest,
                places,
            } => {
                write!(f, "found no module {pinned}")?;
                if let Some(name) = name {
                    write!(f, " and no {name}.wasm")?;
                }
                let places: Vec<String> = places.iter().map(|p| p.display().to_string()).collect();
                match places.as_slice() {
                    [] => write!(f, ", as no folder of components was given")?,
                    places => write!(f, " in {}", places.join(", "))?,
                }
                match nearest {
                    Some(name) => write!(f, "; did you mean {name:?}?"),
                    None => f.write_str("; build it, or pin the one at hand with `ente pin`"),
                }
            }
            Self::Store(why) => f.write_str(why),
            Self::NotAComponent { pinned, why } => write!(f, "module {pinned}: {why}"),
        }
    }
}

impl std::error::Error for ModuleProblem {}

impl Modules {
    /// Reads the folders (earlier ones win where a name is in several) and opens the store.
    ///
    /// # Errors
    /// [`ModulesError`].
    pub fn open(folders: &[PathBuf], store: Option<&Path>) -> Result<Self, ModulesError> {
        let mut modules = Self::of_folders(folders).map_err(ModulesError::Folder)?;
        if let Some(root) = store {
            modules.store = Some(Store::open(root).map_err(ModulesError::Store)?);
        }
        Ok(modules)
    }

    /// The same without a store.
    ///
    /// # Errors
    /// [`FolderError`].
    pub fn of_folders(folders: &[PathBuf]) -> Result<Self, FolderError> {
        let mut modules = Self {
            folders: folders.to_vec(),
            ..Self::default()
        };
        for folder in folders {
            modules.components.add_folder(folder)?;
            let names = names(folder).map_err(FolderError::io("list", folder))?;
            modules.names.extend(names);
        }
        Ok(modules)
    }

    /// Also finds modules that are in this store, if there is one, without looking at what it has compiled from them.
    #[must_use]
    pub fn or_in_store(mut self, store: &Path) -> Self {
        self.store = Store::open(store).ok();
        self.only_modules = true;
        self
    }

    /// The store whose artifacts are to be looked at.
    fn compiled(&self) -> Option<&Store> {
        self.store.as_ref().filter(|_| !self.only_modules)
    }

    /// The components of the folders.
    #[must_use]
    pub fn components(&self) -> &Components {
        &self.components
    }

    /// The known name nearest to an unknown one.
    #[must_use]
    pub fn nearest(&self, unknown: &str) -> Option<&str> {
        arje_card::nearest(unknown, self.names.iter().map(String::as_str))
    }

    /// How many different modules Cards asked for so far.
    #[must_use]
    pub fn asked_for(&self) -> usize {
        self.looked_into.len()
    }

    /// The component with this pin, which the Card may also name.
    ///
    /// # Errors
    /// [`ModuleProblem`].
    pub fn component(
        &mut self,
        pinned: Pin,
        name: Option<&str>,
    ) -> Result<Rc<Component>, ModuleProblem> {
        if let Some(name) = name
            && let Some(at_hand) = self.components.pin(name)
            && at_hand != pinned
        {
            return Err(ModuleProblem::Differs {
                name: name.to_owned(),
                pinned,
                at_hand,
            });
        }
        let looked = match self.looked_into.get(&pinned) {
            Some(known) => known.clone(),
            None => {
                let looked = self.look_into(pinned);
                self.looked_into.insert(pinned, looked.clone());
                looked
            }
        };
        looked.unwrap_or_else(|| Err(self.missing(pinned, name)))
    }

    fn look_into(&self, pinned: Pin) -> Option<Looked> {
        // A module that the store has but refuses is a problem even where a folder has a sound one.
        let stored = match self.stored(pinned) {
            Ok(stored) => stored,
            Err(problem) => return Some(Err(problem)),
        };
        let wasm = self.components.wasm(pinned).or(stored.as_deref())?;
        let component = Component::read(wasm).map(Rc::new);
        Some(component.map_err(|why| ModuleProblem::NotAComponent { pinned, why }))
    }

    fn stored(&self, pinned: Pin) -> Result<Option<Vec<u8>>, ModuleProblem> {
        let Some(store) = &self.store else {
            return Ok(None);
        };
        match store.get_module((*pinned.as_bytes()).into()) {
            Ok(wasm) => Ok(Some(wasm)),
            Err(StoreError::NoModule { .. }) => Ok(None),
            Err(error) => Err(ModuleProblem::Store(error.to_string())),
        }
    }

    /// What is wrong with what the store has compiled from a module, for whichever engine, in the store's words. That
    /// nothing is compiled yet is not wrong.
    pub fn artifact_problems(&mut self, pinned: Pin) -> Vec<String> {
        if let Some(known) = self.artifacts.get(&pinned) {
            return known.clone();
        }
        let Some(store) = self.compiled() else {
            return Vec::new();
        };
        // An index that cannot be used is told once, not for every Card.
        let checked = store.check_artifacts((*pinned.as_bytes()).into());
        let problems = checked.unwrap_or_default();
        let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
        self.artifacts.insert(pinned, problems.clone());
        problems
    }

    /// What is wrong with the store's index, in the store's words; told to the first who asks. Whose record a damaged
    /// one was nobody can say.
    pub fn index_problems(&mut self) -> Vec<String> {
        if std::mem::replace(&mut self.index_told, true) {
            return Vec::new();
        }
        let Some(store) = self.compiled() else {
            return Vec::new();
        };
        let path = store.index_path();
        match store.index() {
            Err(error) => vec![error.to_string()],
            Ok(index) => {
                let told = |damaged| {
                    let path = path.display();
                    format!(
                        "{path}: {damaged}; remove the index, so that what is pinned is compiled again, or rebuild the image"
                    )
                };
                index.damaged().iter().map(told).collect()
            }
        }
    }

    fn missing(&self, pinned: Pin, name: Option<&str>) -> ModuleProblem {
        // A store knows no names.
        let unknown = name.filter(|_| !self.folders.is_empty());
        let store = self.store.iter().map(|store| store.root().to_owned());
        ModuleProblem::Missing {
            pinned,
            name: unknown.map(str::to_owned),
            nearest: unknown
                .and_then(|name| self.nearest(name))
                .map(str::to_owned),
            places: self.folders.iter().cloned().chain(store).collect(),
        }
    }
}

/// Names of the components in a folder, as [`Components::add_folder`] understands them, sorted.
fn names(folder: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_stem().and_then(|name| name.to_str());
        if let (Some(name), Some("wasm")) = (name, path.extension().and_then(|e| e.to_str())) {
            names.push(name.to_owned());
        }
    }
    names.sort();
    Ok(names)
}
