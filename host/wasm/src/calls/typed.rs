//! Typed services: a component's import that another Ente provides.
//!
//! An import that the host does not have itself, and that holds functions, is linked to whoever provides
//! `{"Wit": …}` of that name. What crosses is values: lifted from the caller's memory, put into the provider's mailbox, and
//! lowered into its memory. Whether both sides mean the same types is looked at before the first value crosses, and
//! again whenever another component answers.

use super::shape::{Failure, cannot_cross, same, signature};
use super::{Answer, Work};
use crate::ctx::Ctx;
use crate::host::Shared;
use crate::loader::Loaded;
use arje_bus::{CallError, Caller, DEFAULT_DEADLINE, Place};
use arje_card::{Capability, Id, InterfaceName};
use std::sync::{Arc, Weak};
use std::time::Instant;
use wasmtime::component::types::{ComponentFunc, ComponentInstance, ComponentItem};
use wasmtime::component::{Component, ComponentExportIndex, Linker, Val};
use wasmtime::{Engine, Error, Result, StoreContextMut};

/// A call of a function of a typed service.
#[derive(Debug)]
pub(crate) struct TypedCall {
    pub(crate) caller: Caller,
    pub(crate) capability: Capability,
    /// In the component that answered when the call was made.
    function: ComponentExportIndex,
    of: Weak<Loaded>,
    /// What was called, for another component that answers meanwhile.
    import: Arc<TypedImport>,
    number: usize,
    pub(crate) params: Vec<Val>,
    /// How many values it returns.
    pub(crate) results: usize,
    pub(crate) deadline: Instant,
}

impl TypedCall {
    /// The function in the component that is to answer. It may be another one than when the call was made: the mailbox goes
    /// from an incarnation to its successor.
    ///
    /// # Errors
    ///
    /// That one has no such function, or means something else by it.
    pub(crate) fn function_in(&self, loaded: &Loaded) -> Result<ComponentExportIndex, String> {
        if std::ptr::eq(self.of.as_ptr(), loaded) {
            return Ok(self.function);
        }
        let functions = self.import.bind(loaded)?;
        functions
            .get(self.number)
            .copied()
            .ok_or_else(|| self.import.name.clone())
    }
}

/// An imported interface that another Ente provides.
#[derive(Debug)]
pub(crate) struct TypedImport {
    /// As the component writes it.
    name: String,
    capability: Capability,
    functions: Vec<Function>,
}

#[derive(Debug)]
struct Function {
    name: String,
    ty: ComponentFunc,
    failure: Failure,
}

/// The functions of an import in the component that answers at the moment, in the import's order.
#[derive(Debug)]
pub(crate) struct Binding {
    of: Weak<Loaded>,
    functions: Vec<ComponentExportIndex>,
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
                ty,
            });
        }
        Ok(TypedImport {
            name,
            capability: Capability::Wit(interface),
            functions,
        })
    }

    /// The functions in a component that provides the interface.
    ///
    /// # Errors
    ///
    /// It lacks one, or has it with other types.
    fn bind(&self, provider: &Loaded) -> Result<Vec<ComponentExportIndex>, String> {
        let component = &provider.component;
        // Versions match as semver does.
        let interface = component
            .get_export_index(None, self.name.as_str())
            .ok_or_else(|| {
                format!(
                    "the component that provides {} does not export it",
                    self.name
                )
            })?;
        let find = |function: &Function| {
            let Function { name, ty, .. } = function;
            let found = component.get_export(Some(&interface), name.as_str());
            match found {
                Some((ComponentItem::ComponentFunc(its), index)) if same(ty, &its) => Ok(index),
                Some((ComponentItem::ComponentFunc(its), _)) => Err(format!(
                    "{} has other types on the two sides: imported `{}`, provided `{}`; build both from \
                     the same WIT",
                    self.name,
                    signature(name, ty),
                    signature(name, &its)
                )),
                _ => Err(format!(
                    "{}: imported `{}`, which the provider does not have; build both from the same WIT",
                    self.name,
                    signature(name, ty)
                )),
            }
        };
        self.functions.iter().map(find).collect()
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
                    "{name} has other types than in the component that runs: that one has `{}`, this one `{}`; those                      who call it were built with the former",
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

/// Links every import to whoever provides it when it is called.
pub(crate) fn add_to_linker(linker: &mut Linker<Ctx>, imports: &[Arc<TypedImport>]) -> Result<()> {
    for (index, import) in imports.iter().enumerate() {
        let mut instance = linker.instance(&import.name)?;
        for (number, function) in import.functions.iter().enumerate() {
            let import = Arc::clone(import);
            instance.func_new_async(&function.name, move |store, _, params, results| {
                let import = Arc::clone(&import);
                Box::new(
                    async move { call(store, &import, (index, number), params, results).await },
                )
            })?;
        }
    }
    Ok(())
}

/// A component calls function `number` of its import `index`.
async fn call(
    mut store: StoreContextMut<'_, Ctx>,
    import: &Arc<TypedImport>,
    (index, number): (usize, usize),
    params: &[Val],
    results: &mut [Val],
) -> Result<()> {
    let function = &import.functions[number];
    let signal = Arc::clone(&store.data().signal);
    let peer = &mut store.data_mut().peer;
    let answer = match peer.bound(import, index, number) {
        Ok((provider, function, of)) => {
            let deadline = peer.deadline(DEFAULT_DEADLINE);
            let call = TypedCall {
                caller: peer.caller(),
                capability: import.capability.clone(),
                function,
                of,
                import: Arc::clone(import),
                number,
                params: params.to_vec(),
                results: results.len(),
                deadline,
            };
            let (shared, asker) = (Arc::clone(peer.shared()), peer.asker(&signal));
            let work = Work::Typed(call);
            shared.ask(&asker, provider, work, deadline).await
        }
        Err(Unbound::Nobody) => Err(CallError::NoProvider),
        Err(Unbound::Differs(why)) => return Err(Error::msg(why)),
    };
    match answer {
        Ok(Answer::Values(values)) if values.len() == results.len() => {
            for (result, value) in results.iter_mut().zip(values) {
                *result = value;
            }
            Ok(())
        }
        Ok(_) => Err(failed(import, function, &CallError::ProviderDied)),
        Err(error) => match (function.failure.say(&error), results.first_mut()) {
            (Some(said), Some(result)) => {
                *result = said;
                Ok(())
            }
            _ => Err(failed(import, function, &error)),
        },
    }
}

fn failed(import: &TypedImport, function: &Function, error: &CallError) -> Error {
    Error::msg(format!("{}#{}: {error}", import.name, function.name))
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
    /// Who provides the import with this index, and its functions there, looked at anew if it is another
    /// component than last time.
    pub(crate) fn bound(
        &mut self,
        shared: &Shared,
        import: &TypedImport,
        index: usize,
    ) -> Result<(Id, &[ComponentExportIndex], Weak<Loaded>), Unbound> {
        let provider = shared
            .routes
            .resolve(&import.capability)
            .ok_or(Unbound::Nobody)?;
        if provider.place == Place::Process {
            return Err(Unbound::Differs(format!(
                "{} is provided by a process, and typed services are between components; call it with \
                 `arje:bus/bus.invoke`",
                import.name
            )));
        }
        let loaded = shared.loaded(provider.id).ok_or(Unbound::Nobody)?;
        if self.0.len() <= index {
            self.0.resize_with(index + 1, || None);
        }
        let slot = &mut self.0[index];
        let is_bound = slot
            .as_ref()
            .is_some_and(|binding| binding.of.as_ptr() == Arc::as_ptr(&loaded));
        if !is_bound {
            *slot = Some(Binding {
                functions: import.bind(&loaded).map_err(Unbound::Differs)?,
                of: Arc::downgrade(&loaded),
            });
        }
        let functions = slot.as_ref().map_or(&[][..], |binding| &binding.functions);
        Ok((provider.id, functions, Arc::downgrade(&loaded)))
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
