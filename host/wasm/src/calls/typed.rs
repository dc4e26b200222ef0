//! Typed services: a component's import that another Ente provides.
//!
//! An import that the host does not have itself, and that holds functions, is linked to whoever provides
//! `{"Wit": …}` of that name ([`link`](super::link)). Whether both sides mean the same types is looked at before the first
//! value crosses, and again whenever another component answers ([`binding`](super::binding)).

use super::shape::{Failure, cannot_cross, same, signature};
use super::values::Way;
use crate::loader::Loaded;
use arje_card::{Capability, InterfaceName};
use std::sync::Arc;
use wasmtime::Engine;
use wasmtime::component::Component;
use wasmtime::component::types::{ComponentFunc, ComponentInstance, ComponentItem};

/// An imported interface that another Ente provides.
#[derive(Debug)]
pub(crate) struct TypedImport {
    /// As the component writes it.
    name: String,
    interface: InterfaceName,
    capability: Capability,
    functions: Vec<Function>,
}

/// A function of an imported interface.
#[derive(Debug)]
pub(crate) struct Function {
    pub(super) name: String,
    pub(crate) ty: ComponentFunc,
    pub(super) way: Way,
    pub(super) failure: Failure,
}

/// The imports of a component that others have to provide: interfaces with functions that the host does not have.
///
/// # Errors
///
/// One cannot cross from one component to another, or has no version that could be matched.
pub(crate) fn imports_of(
    engine: &Engine,
    component: &Component,
    is_hosts: impl Fn(&str) -> bool,
) -> Result<Vec<Arc<TypedImport>>, String> {
    let mut found = Vec::new();
    for (name, import) in component.component_type().imports(engine) {
        let ComponentItem::ComponentInstance(instance) = &import.ty else {
            continue;
        };
        let path = name.split('@').next().unwrap_or(name);
        if is_hosts(path) || !has_functions(engine, instance) {
            continue;
        }
        if let Ok(interface) = name.parse::<InterfaceName>() {
            found.push(Arc::new(TypedImport::new(engine, interface, instance)?));
        }
    }
    Ok(found)
}

/// Whether an instance has anything that can be called.
pub(crate) fn has_functions(engine: &Engine, instance: &ComponentInstance) -> bool {
    let is_type = |item: &ComponentItem| matches!(item, ComponentItem::Type(_));
    instance.exports(engine).any(|(_, item)| !is_type(&item.ty))
}

impl TypedImport {
    fn new(
        engine: &Engine,
        interface: InterfaceName,
        instance: &ComponentInstance,
    ) -> Result<TypedImport, String> {
        let name = interface.to_string();
        let mut functions = Vec::new();
        for (function, item) in instance.exports(engine) {
            let ty = match &item.ty {
                ComponentItem::ComponentFunc(ty) => ty.clone(),
                ComponentItem::Type(_) => continue,
                ComponentItem::Resource(_) => {
                    return Err(format!(
                        "{name} has the resource {function}, and resources do not cross from one Ente to \
                         another; build the interface without"
                    ));
                }
                _ => {
                    return Err(format!(
                        "{name} has {function}, which is neither a function nor a type; build it without"
                    ));
                }
            };
            if let Some(why) = cannot_cross(&ty) {
                return Err(format!(
                    "{name}: {function} {why}, which does not cross from one Ente to another; build the \
                     interface without"
                ));
            }
            functions.push(Function {
                name: function.to_owned(),
                failure: Failure::of(&ty),
                way: Way::of(&ty),
                ty,
            });
        }
        Ok(TypedImport {
            name,
            capability: Capability::Wit(interface.clone()),
            interface,
            functions,
        })
    }

    /// As the component writes it.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn interface(&self) -> &InterfaceName {
        &self.interface
    }

    pub(crate) fn capability(&self) -> &Capability {
        &self.capability
    }

    pub(super) fn functions(&self) -> &[Function] {
        &self.functions
    }

    pub(crate) fn function(&self, number: usize) -> Option<&Function> {
        self.functions.get(number)
    }
}

/// Whether a component exports whatever of this interface another one exports, with the same types.
///
/// # Errors
///
/// What it lacks, with both types.
pub(crate) fn same_exports(name: &str, old: &Loaded, new: &Loaded) -> Result<(), String> {
    let Some((ComponentItem::ComponentInstance(instance), _)) =
        old.component.get_export(None, name)
    else {
        return Ok(()); // nobody could call it so far
    };
    let new = &new.component;
    let interface = new
        .get_export_index(None, name)
        .ok_or_else(|| format!("the component does not export {name}, which its Card provides"))?;
    for (function, item) in instance.exports(old.component.engine()) {
        let ComponentItem::ComponentFunc(ty) = &item.ty else {
            continue;
        };
        match new.get_export(Some(&interface), function) {
            Some((ComponentItem::ComponentFunc(its), _)) if same(ty, &its) => {}
            Some((ComponentItem::ComponentFunc(its), _)) => {
                return Err(format!(
                    "{name} has other types than in the component that runs: that one has `{}`, this one `{}`; those who call it were built with the former",
                    signature(function, ty),
                    signature(function, &its)
                ));
            }
            _ => {
                return Err(format!(
                    "{name} lacks `{}`, which the component that runs has",
                    signature(function, ty)
                ));
            }
        }
    }
    Ok(())
}
