//! Typed services: a component's import that another Ente provides.
//!
//! An import that the host does not have itself, and that holds functions, is linked to whoever provides
//! `{"Wit": …}` of that name. What crosses is values: lifted from the caller's memory, put into the provider's mailbox, and
//! lowered into its memory. Whether both sides mean the same types is looked at before the first value crosses, and
//! again whenever another component answers ([`binding`](super::binding)). To and from a worker process they cross as
//! bytes ([`values`](super::values)).

use super::binding::Unbound;
use super::peer::Peer;
use super::shape::{Failure, cannot_cross, same, signature};
use super::values::{Unfit, Values, decode, encode, fit, params as types_of, results};
use super::{Answer, Call, Work};
use crate::ctx::Ctx;
use crate::event::{Ask, EventKind, NoAnswer};
use crate::host::InvokeError;
use crate::loader::Loaded;
use arje_bus::{CallError, DEFAULT_DEADLINE, MAX_PAYLOAD};
use arje_card::{Capability, InterfaceName};
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::oneshot;
use tokio::time::timeout_at;
use wasmtime::component::types::{ComponentFunc, ComponentInstance, ComponentItem};
use wasmtime::component::{Component, Linker, Val};
use wasmtime::{Engine, Error, Result, StoreContextMut};

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
    failure: Failure,
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
    let deadline = peer.deadline(DEFAULT_DEADLINE);
    let answer = if peer.shared().is_worker {
        ask_pid_1(peer, import, number, params, deadline).await
    } else if let Err(too_large) = fit(params, || types_of(&function.ty)) {
        Err(unfit(too_large))
    } else {
        match peer.typed_call((import, index, number), params.to_vec(), deadline) {
            Ok((provider, call)) => {
                let (shared, asker) = (Arc::clone(peer.shared()), peer.asker(&signal));
                let answer = shared.ask(&asker, provider, Work::Typed(call), deadline);
                answered(answer.await, function).map_err(NoAnswer::Call)
            }
            Err(Unbound::Nobody) => Err(NoAnswer::Call(CallError::NoProvider)),
            Err(Unbound::Differs(why)) => Err(NoAnswer::Differs(why)),
        }
    };
    match answer {
        Ok(values) if values.len() == results.len() => {
            for (result, value) in results.iter_mut().zip(values) {
                *result = value;
            }
            Ok(())
        }
        Ok(_) => Err(failed(import, function, &CallError::ProviderDied)),
        Err(NoAnswer::Differs(why)) => Err(Error::msg(why)),
        Err(NoAnswer::Call(error)) => match (function.failure.say(&error), results.first_mut()) {
            (Some(said), Some(result)) => {
                *result = said;
                Ok(())
            }
            _ => Err(failed(import, function, &error)),
        },
    }
}

/// In a worker process: what PID 1 makes of the call.
async fn ask_pid_1(
    peer: &Peer,
    import: &TypedImport,
    number: usize,
    values: &[Val],
    deadline: Instant,
) -> Result<Vec<Val>, NoAnswer> {
    let function = &import.functions[number];
    let (reply, answer) = oneshot::channel();
    let call = Call {
        caller: peer.caller(),
        capability: import.capability.clone(),
        payload: encode(values, &types_of(&function.ty)).map_err(unfit)?,
        deadline,
    };
    let ask = Ask::Typed {
        function: number as u64,
        call,
        reply,
    };
    let (id, incarnation) = (peer.card().id, peer.incarnation());
    peer.shared().send(id, incarnation, EventKind::Asks(ask));
    let answer = match timeout_at(deadline.into(), answer).await {
        Ok(Ok(answer)) => answer?,
        Ok(Err(_)) => return Err(NoAnswer::Call(CallError::ProviderDied)),
        Err(_) => return Err(NoAnswer::Call(CallError::Deadline)),
    };
    decode(&answer, &results(&function.ty)).map_err(unfit)
}

/// The values of an answer.
fn answered(answer: Result<Answer, CallError>, function: &Function) -> Result<Vec<Val>, CallError> {
    match answer? {
        Answer::Values(values) => {
            let types = || results(&function.ty);
            let values = match values {
                Values::Here(values) => fit(&values, types).map(|()| values),
                sent @ Values::Sent(_) => sent.into_vals(&types()),
            };
            values.map_err(|unfit| InvokeError::from(unfit).into())
        }
        Answer::Bytes(_) => Err(CallError::ProviderDied), // nobody answers values so
    }
}

fn unfit(unfit: Unfit) -> NoAnswer {
    NoAnswer::Call(match unfit {
        Unfit::TooLarge => CallError::TooLarge(MAX_PAYLOAD as u32),
        Unfit::Malformed => CallError::ProviderDied, // neither side sends such
    })
}

fn failed(import: &TypedImport, function: &Function, error: &CallError) -> Error {
    Error::msg(format!("{}#{}: {error}", import.name, function.name))
}
