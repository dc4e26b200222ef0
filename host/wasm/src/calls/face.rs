//! What is known in this process of a component that runs in another one: its types.
//!
//! They are read from the verified artifact, which is loaded for that and let go, so that nothing has to be believed of the
//! worker process in which it runs. Its code does not stay, and none of it is run.

use super::typed::{self, TypedImport};
use crate::linker::is_hosts;
use crate::loader::Loaded;
use arje_card::{Capability, Card, InterfaceName, grants};
use std::fmt;
use std::sync::Arc;
use wasmtime::Engine;
use wasmtime::component::types::{ComponentInstance, ComponentItem};
use wasmtime::component::{Component, ComponentExportIndex};

/// The types of a component in a worker process.
pub(crate) struct Face {
    engine: Engine,
    imports: Vec<Arc<TypedImport>>,
    exports: Vec<(InterfaceName, ComponentInstance)>,
}

/// Whether a Card has anything to do with typed services.
pub(crate) fn speaks_types(card: &Card) -> bool {
    let mut all = card.provides.iter().chain(&card.requires);
    all.any(|one| matches!(one, Capability::Wit(_)))
}

impl Face {
    /// That of a component, with the imports that its Card grants.
    pub(crate) fn of(component: &Component, card: &Card) -> Face {
        let engine = component.engine();
        // Where they cannot cross, the worker process says so.
        let mut imports = typed::imports_of(engine, component, is_hosts).unwrap_or_default();
        imports.retain(|import| grants::audit(card, [import.name()]).is_ok());
        let ty = component.component_type();
        let exports = ty.exports(engine).filter_map(|(name, export)| {
            let name = name.parse().ok()?;
            match export.ty {
                ComponentItem::ComponentInstance(instance) => Some((name, instance)),
                _ => None,
            }
        });
        Face {
            imports,
            exports: exports.collect(),
            engine: engine.clone(),
        }
    }

    /// Those of its typed imports that its Card requires.
    pub(crate) fn imports(&self) -> &[Arc<TypedImport>] {
        &self.imports
    }

    /// The export that is this interface, or else the newest compatible one, as the engine finds it in a component of this
    /// process.
    fn interface(&self, wanted: &InterfaceName) -> Option<&ComponentInstance> {
        let alike = self
            .exports
            .iter()
            .filter(|(name, _)| name.compatible_with(wanted));
        let best = alike.max_by_key(|(name, _)| (name == wanted, name.version()))?;
        Some(&best.1)
    }
}

impl fmt::Debug for Face {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.exports.iter().map(|(name, _)| name);
        f.debug_set().entries(names).finish()
    }
}

/// The component that answers for an Ente.
pub(crate) enum Answering {
    /// It is in this process.
    Here(Arc<Loaded>),
    /// It is in a worker process.
    There(Arc<Face>),
}

impl Answering {
    pub(crate) fn target(&self) -> Target<'_> {
        match self {
            Answering::Here(loaded) => Target::Here(loaded),
            Answering::There(face) => Target::There(face),
        }
    }
}

/// The same, borrowed.
#[derive(Clone, Copy)]
pub(crate) enum Target<'a> {
    Here(&'a Loaded),
    There(&'a Face),
}

/// An interface that a component exports.
pub(crate) enum Interface<'a> {
    Here(&'a Component, ComponentExportIndex),
    There(&'a Engine, &'a ComponentInstance),
}

impl<'a> Target<'a> {
    /// An exported interface; versions match as semver does.
    pub(crate) fn interface(self, wanted: &InterfaceName) -> Option<Interface<'a>> {
        Some(match self {
            Target::Here(loaded) => {
                let component = &loaded.component;
                let index = component.get_export_index(None, wanted.to_string().as_str())?;
                Interface::Here(component, index)
            }
            Target::There(face) => Interface::There(&face.engine, face.interface(wanted)?),
        })
    }
}

impl Interface<'_> {
    /// What it has under this name, and where in a component of this process.
    pub(crate) fn get(&self, name: &str) -> Option<(ComponentItem, Option<ComponentExportIndex>)> {
        match self {
            Interface::Here(component, interface) => {
                let (item, index) = component.get_export(Some(interface), name)?;
                Some((item, Some(index)))
            }
            Interface::There(engine, instance) => {
                Some((instance.get_export(engine, name)?.ty, None))
            }
        }
    }
}
