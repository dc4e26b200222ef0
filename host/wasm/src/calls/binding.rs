//! Where typed calls lead: who answers them, and whether both sides mean the same.

use super::face::{Answering, Face, Target};
use super::shape::{same, signature};
use super::typed::{Function, TypedImport};
use super::typed_call::TypedCall;
use crate::host::Shared;
use crate::loader::Loaded;
use arje_bus::{Caller, Place};
use arje_card::Id;
use std::sync::{Arc, Weak};
use std::time::Instant;
use wasmtime::component::ComponentExportIndex;
use wasmtime::component::types::ComponentItem;

/// Which component a function was looked up in.
#[derive(Debug, Clone)]
pub(crate) enum Of {
    Here(Weak<Loaded>),
    There(Weak<Face>),
}

impl Of {
    pub(crate) fn is(&self, target: Target<'_>) -> bool {
        match (self, target) {
            (Of::Here(of), Target::Here(loaded)) => std::ptr::eq(of.as_ptr(), loaded),
            (Of::There(of), Target::There(face)) => std::ptr::eq(of.as_ptr(), face),
            _ => false,
        }
    }
}

impl From<&Answering> for Of {
    fn from(answering: &Answering) -> Of {
        match answering {
            Answering::Here(loaded) => Of::Here(Arc::downgrade(loaded)),
            Answering::There(face) => Of::There(Arc::downgrade(face)),
        }
    }
}

/// The functions of an import in the component that answers at the moment, in the import's order. One in a worker process
/// looks them up itself.
#[derive(Debug)]
struct Binding {
    of: Of,
    functions: Vec<Option<ComponentExportIndex>>,
}

/// Why an import has no provider.
#[derive(Debug)]
pub(crate) enum Unbound {
    /// Nobody who is Ready provides it.
    Nobody,
    /// Its provider means something else by it.
    Differs(String),
}

/// Where a component's imports lead at the moment.
#[derive(Debug, Default)]
pub(crate) struct Bindings(Vec<Option<Binding>>);

impl Bindings {
    /// A call of function `number` of the import with this index, and whom it goes to.
    pub(crate) fn call(
        &mut self,
        shared: &Shared,
        (import, index, number): (&Arc<TypedImport>, usize, usize),
        (caller, params, deadline): (Caller, Vec<u8>, Instant),
    ) -> Result<(Id, TypedCall), Unbound> {
        let (provider, binding) = self.bound(shared, import, index)?;
        let function = binding.functions.get(number).ok_or(Unbound::Nobody)?;
        let called = import.function(number).ok_or(Unbound::Nobody)?;
        let call = TypedCall {
            caller,
            capability: import.capability().clone(),
            deadline,
            params,
            ty: called.ty.clone(),
            way: called.way,
            function: *function,
            of: binding.of.clone(),
            again: Some((Arc::clone(import), number)),
        };
        Ok((provider, call))
    }

    /// Who provides the import with this index, and its functions there, looked at anew if it is another
    /// component than last time.
    fn bound(
        &mut self,
        shared: &Shared,
        import: &TypedImport,
        index: usize,
    ) -> Result<(Id, &Binding), Unbound> {
        let provider = shared.resolve(import.capability()).ok_or(Unbound::Nobody)?;
        if provider.place == Place::Process {
            return Err(Unbound::Differs(format!(
                "{} is provided by a process, and typed services are between components; call it with \
                 `arje:bus/bus.invoke`",
                import.name()
            )));
        }
        let answering = shared.answering(provider.id).ok_or(Unbound::Nobody)?;
        if self.0.len() <= index {
            self.0.resize_with(index + 1, || None);
        }
        let slot = &mut self.0[index];
        if let Some(binding) = slot.take_if(|binding| !binding.of.is(answering.target())) {
            drop(binding); // of the one before
        }
        let binding = match slot {
            Some(binding) => binding,
            None => slot.insert(Binding {
                functions: import.bind(answering.target()).map_err(Unbound::Differs)?,
                of: Of::from(&answering),
            }),
        };
        Ok((provider.id, binding))
    }
}

/// Whether every typed import of a component has the types of whoever provides it at the moment.
///
/// # Errors
///
/// What differs.
pub(crate) fn check(shared: &Shared, imports: &[Arc<TypedImport>]) -> Result<(), String> {
    let mut bindings = Bindings::default();
    for (index, import) in imports.iter().enumerate() {
        match bindings.bound(shared, import, index) {
            Ok(_) | Err(Unbound::Nobody) => {}
            Err(Unbound::Differs(why)) => return Err(why),
        }
    }
    Ok(())
}

impl TypedImport {
    /// The functions in a component that provides the interface.
    ///
    /// # Errors
    ///
    /// It lacks one, or has it with other types.
    pub(crate) fn bind(
        &self,
        provider: Target<'_>,
    ) -> Result<Vec<Option<ComponentExportIndex>>, String> {
        let interface = provider.interface(self.interface()).ok_or_else(|| {
            format!(
                "the component that provides {} does not export it",
                self.name()
            )
        })?;
        let find = |function: &Function| {
            let Function { name, ty, .. } = function;
            match interface.get(name) {
                Some((ComponentItem::ComponentFunc(its), index)) if same(ty, &its) => Ok(index),
                Some((ComponentItem::ComponentFunc(its), _)) => Err(format!(
                    "{} has other types on the two sides: imported `{}`, provided `{}`; build both from \
                     the same WIT",
                    self.name(),
                    signature(name, ty),
                    signature(name, &its)
                )),
                _ => Err(format!(
                    "{}: imported `{}`, which the provider does not have; build both from the same WIT",
                    self.name(),
                    signature(name, ty)
                )),
            }
        };
        self.functions().iter().map(find).collect()
    }
}
