//! From a pin to something that can be instantiated: verify, load, link — once per module.

use crate::calls::face::{Face, speaks_types};
use crate::calls::typed::{self, TypedImport};
use crate::ctx::Ctx;
use crate::exports::Exports;
use crate::linker::{is_hosts, linker_for};
use crate::sealed::{SealedModule, seal};
use crate::trap::one_line;
use arje_card::{Card, Pin, grants};
use arje_store::{Artifact, Sha256, Store};
use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use wasmtime::Engine;
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, InstancePre};

/// Modules kept in memory though no Ente runs them, so that a restart does not load again. Enough
/// for those that happen to be between two incarnations. There may be more for as long as Entes run
/// that loaded them: see [`Loader::forget_surplus`].
const KEPT: usize = 16;

/// Bytes of a `.wasm` from which on verifying and mapping it is left to a thread of its own; below
/// it takes well under a millisecond, which is less than handing it over.
const LARGE_MODULE: u64 = 1 << 20;

/// Why a Card's component did not come to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadError(pub(crate) String);

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for LoadError {}

/// A module in memory, linked against exactly what it imports.
pub(crate) struct Loaded {
    pub(crate) component: Component,
    pub(crate) exports: Exports,
    pub(crate) uses_wasi: bool,
    /// What others have to provide.
    pub(crate) typed: Vec<Arc<TypedImport>>,
    imports: Vec<String>,
    /// Absent when the host lacks an import or has it with another type: the reason.
    pre: Result<InstancePre<Ctx>, String>,
}

impl Loaded {
    /// What to instantiate for `card`, if the card grants all that the component imports.
    pub(crate) fn granted(&self, card: &Card) -> Result<&InstancePre<Ctx>, LoadError> {
        grants::audit(card, self.imports.iter().map(String::as_str)).map_err(|surplus| {
            LoadError(format!(
                "the component imports more than its Card grants: {}",
                grants::summary(&surplus)
            ))
        })?;
        self.pre.as_ref().map_err(|error| LoadError(error.clone()))
    }
}

/// Where artifacts come from. Whatever it is, their bytes have been verified.
pub(crate) enum Source {
    /// A store, which verifies them when they are asked for.
    Store {
        store: Store,
        /// Of the engine that is to run them.
        engine: Sha256,
    },
    /// The one module of a worker process, which PID 1 verified.
    Sealed(SealedModule),
}

impl Source {
    /// The store, for an engine.
    pub(crate) fn store(store: Store, engine: &Engine) -> Source {
        let engine = arje_engine::fingerprint(engine).into();
        Source::Store { store, engine }
    }

    /// Whether verifying this module takes long.
    fn is_large(&self, pin: &Pin) -> bool {
        match self {
            Source::Store { store, .. } => {
                let path = store.module_path((*pin.as_bytes()).into());
                std::fs::metadata(path).is_ok_and(|meta| meta.len() > LARGE_MODULE)
            }
            Source::Sealed(_) => false, // nobody else waits
        }
    }

    /// The verified bytes of a module's artifact.
    pub(crate) fn artifact(&self, pin: &Pin) -> Result<Vec<u8>, LoadError> {
        match self {
            Source::Store { store, engine } => store
                .artifact((*pin.as_bytes()).into(), *engine)
                .map(Artifact::into_bytes)
                .map_err(|error| LoadError(format!("payload.Wasm.module_sha256: {error}"))),
            Source::Sealed(module) if module.pin() == *pin => module
                .read()
                .map_err(|error| LoadError(format!("module {pin}: {error}"))),
            Source::Sealed(module) => Err(LoadError(format!(
                "module {pin}: this process was handed {} and has no other",
                module.pin()
            ))),
        }
    }
}

/// Loads modules and remembers those in use.
pub(crate) struct Loader {
    engine: Engine,
    source: Source,
    cache: Mutex<Cache>,
}

type Slot = Arc<tokio::sync::Mutex<Weak<Loaded>>>;

#[derive(Default)]
struct Cache {
    /// One lock per module being loaded or loaded, so that two Entes with the same module load it
    /// once and different modules load at the same time.
    by_pin: HashMap<Pin, Slot>,
    kept: VecDeque<Arc<Loaded>>,
}

impl Loader {
    pub(crate) fn new(engine: Engine, source: Source) -> Loader {
        Loader {
            engine,
            source,
            cache: Mutex::default(),
        }
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The module with this pin, from memory or from the store.
    pub(crate) async fn load(self: &Arc<Self>, pin: &Pin) -> Result<Arc<Loaded>, LoadError> {
        let slot = self.slot(pin);
        let mut slot = slot.lock().await;
        if let Some(loaded) = slot.upgrade() {
            return Ok(loaded);
        }
        let loaded = if self.source.is_large(pin) {
            let (this, pin) = (Arc::clone(self), *pin);
            tokio::task::spawn_blocking(move || this.verify(&pin))
                .await
                .unwrap_or_else(|error| Err(LoadError(format!("loading failed: {error}"))))?
        } else {
            self.verify(pin)?
        };
        *slot = Arc::downgrade(&loaded);
        self.keep(&loaded);
        Ok(loaded)
    }

    fn verify(&self, pin: &Pin) -> Result<Arc<Loaded>, LoadError> {
        let artifact = self.source.artifact(pin)?;
        self.link(pin, &artifact).map(Arc::new)
    }

    /// The verified bytes of a module's artifact, sealed, for another process, and its types, if the Card has to do with
    /// typed services. Reading, hashing and copying them is left to a thread of its own.
    pub(crate) async fn sealed(
        self: &Arc<Self>,
        pin: &Pin,
        card: &Arc<Card>,
    ) -> Result<(OwnedFd, Option<Arc<Face>>), LoadError> {
        let (this, pin, card) = (Arc::clone(self), *pin, Arc::clone(card));
        let sealing = move || {
            let bytes = this.source.artifact(&pin)?;
            let sealed = seal(&bytes)
                .map_err(|error| LoadError(format!("module {pin}: cannot seal it: {error}")))?;
            let face = match speaks_types(&card) {
                true => Some(Arc::new(Face::of(&this.component(&pin, &bytes)?, &card))),
                false => None,
            };
            Ok((sealed, face))
        };
        tokio::task::spawn_blocking(sealing)
            .await
            .unwrap_or_else(|error| Err(LoadError(format!("loading failed: {error}"))))
    }

    fn cache(&self) -> MutexGuard<'_, Cache> {
        // Every change of the cache is one insert or remove; a panic cannot leave it half-made.
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn slot(&self, pin: &Pin) -> Slot {
        let mut cache = self.cache();
        if cache.by_pin.len() > 2 * KEPT && !cache.by_pin.contains_key(pin) {
            // Forget what nobody holds, so that the table is bounded by what runs.
            cache.by_pin.retain(|_, slot| {
                Arc::strong_count(slot) > 1
                    || slot.try_lock().is_ok_and(|slot| slot.strong_count() > 0)
            });
        }
        Arc::clone(cache.by_pin.entry(*pin).or_default())
    }

    fn keep(&self, loaded: &Arc<Loaded>) {
        self.cache().kept.push_back(Arc::clone(loaded));
    }

    /// Drops what is kept beyond [`KEPT`], oldest first. Called at the end of each incarnation and
    /// not when a module is loaded, since unmapping another one takes as long as a tenth of a start.
    /// Each load belongs to an incarnation, so what is kept is bounded by those that run.
    pub(crate) fn forget_surplus(&self) {
        loop {
            let surplus = {
                let mut cache = self.cache();
                if cache.kept.len() <= KEPT {
                    return;
                }
                cache.kept.pop_front()
            };
            drop(surplus); // not while others wait for the cache
        }
    }

    /// Names of what somebody has to supply: all imports but types, and interfaces that hold nothing else.
    fn supplied(&self, component: &Component) -> Vec<String> {
        let ty = component.component_type();
        let imports = ty.imports(&self.engine);
        let supplied = imports.filter(|(_, import)| match &import.ty {
            ComponentItem::Type(_) => false,
            ComponentItem::ComponentInstance(instance) => {
                typed::has_functions(&self.engine, instance)
            }
            _ => true,
        });
        supplied.map(|(name, _)| name.to_owned()).collect()
    }

    fn component(&self, pin: &Pin, artifact: &[u8]) -> Result<Component, LoadError> {
        // SAFETY: an artifact is native code, so loading it is trusting it. These are the very
        // bytes that the store hashed and found in an index it trusts: `Source::artifact` gives no
        // others, or, in a worker process, those of whose seal and origin the maker of the
        // `SealedModule` vouched. wasmtime itself refuses an artifact for another engine or version.
        unsafe { Component::deserialize(&self.engine, artifact) }
            .map_err(|error| LoadError(format!("module {pin}: {}", one_line(&error))))
    }

    fn link(&self, pin: &Pin, artifact: &[u8]) -> Result<Loaded, LoadError> {
        let component = self.component(pin, artifact)?;
        let imports = self.supplied(&component);
        let interfaces = imports.iter().filter_map(|name| name.split('@').next());
        let (typed, cannot) = match typed::imports_of(&self.engine, &component, is_hosts) {
            Ok(typed) => (typed, None),
            Err(why) => (Vec::new(), Some(why)),
        };
        let pre = linker_for(&self.engine, interfaces, &typed)
            .and_then(|linker| linker.instantiate_pre(&component))
            .map_err(|error| one_line(&error));
        let pre = cannot
            .map_or(pre, Err)
            .map_err(|why| format!("module {pin} cannot be linked: {why}"));
        Ok(Loaded {
            typed,
            exports: Exports::of(&component),
            uses_wasi: imports.iter().any(|name| name.starts_with("wasi:")),
            component,
            imports,
            pre,
        })
    }
}
