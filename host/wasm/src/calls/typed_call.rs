//! A call by type on its way: into a component of this process, out to a worker process, or in there.

use super::binding::Of;
use super::face::{Face, Target};
use super::typed::TypedImport;
use super::values::Way;
use super::{Call, Work};
use crate::host::InvokeError;
use crate::loader::Loaded;
use arje_bus::{Caller, HandlerError};
use arje_card::Capability;
use std::sync::Arc;
use std::time::Instant;
use wasmtime::component::ComponentExportIndex;
use wasmtime::component::types::{ComponentFunc, ComponentItem};

/// A call of a function of a typed service.
#[derive(Debug)]
pub(crate) struct TypedCall {
    pub(crate) caller: Caller,
    pub(crate) capability: Capability,
    pub(crate) deadline: Instant,
    /// The bytes of its parameters. Those that a worker sent have been [checked](super::values::check).
    pub(crate) params: Vec<u8>,
    pub(crate) ty: ComponentFunc,
    pub(super) way: Way,
    /// In the component that answered when the call was made; absent if that is in another process.
    pub(super) function: Option<ComponentExportIndex>,
    pub(super) of: Of,
    /// What was called, for another component that answers meanwhile; absent in a worker process, which has one.
    pub(super) again: Option<(Arc<TypedImport>, usize)>,
}

impl TypedCall {
    /// The function in the component that is to answer. It may be another one than when the call was made: the mailbox goes
    /// from an incarnation to its successor.
    ///
    /// # Errors
    ///
    /// That one has no such function, or means something else by it.
    fn function_in(&self, target: Target<'_>) -> Result<Option<ComponentExportIndex>, InvokeError> {
        if self.of.is(target) {
            return Ok(self.function);
        }
        let unsupported = InvokeError::Refused(HandlerError::Unsupported);
        let (import, number) = self.again.as_ref().ok_or(unsupported.clone())?;
        // The caller's own affair.
        let differs = |why| InvokeError::Refused(HandlerError::Failed(why));
        let functions = import.bind(target).map_err(differs)?;
        functions.get(*number).copied().ok_or(unsupported)
    }

    /// Where the function is in the component of this process that is to answer.
    ///
    /// # Errors
    ///
    /// As above.
    pub(crate) fn made_in(self, loaded: &Loaded) -> Result<TypedJob, InvokeError> {
        let function = self.function_in(Target::Here(loaded))?;
        Ok(TypedJob {
            function: function.ok_or(InvokeError::Refused(HandlerError::Unsupported))?,
            params: self.params,
            ty: self.ty,
            way: self.way,
        })
    }

    /// The name of the function, and the call as the worker process of the component that is to answer gets it.
    ///
    /// # Errors
    ///
    /// As above.
    pub(crate) fn sent_to(self, face: &Face) -> Result<(String, Call), InvokeError> {
        self.function_in(Target::There(face))?;
        let called = self.again.as_ref();
        let called = called.and_then(|(import, number)| import.function(*number));
        let called = called.ok_or(InvokeError::Refused(HandlerError::Unsupported))?;
        let call = Call {
            payload: self.params,
            caller: self.caller,
            capability: self.capability,
            deadline: self.deadline,
        };
        Ok((called.name.clone(), call))
    }
}

/// A function of a typed service in the component that answers, and what it is called with.
#[derive(Debug)]
pub(crate) struct TypedJob {
    pub(crate) function: ComponentExportIndex,
    pub(crate) params: Vec<u8>,
    pub(crate) ty: ComponentFunc,
    pub(crate) way: Way,
}

/// A call as a worker process gets it, for its component.
///
/// # Errors
///
/// The component has no such function.
pub(crate) fn received(
    loaded: &Arc<Loaded>,
    function: &str,
    call: Call,
) -> Result<Work, InvokeError> {
    let missing = || InvokeError::NoSuchFunction(function.to_owned());
    let Capability::Wit(interface) = &call.capability else {
        return Err(missing());
    };
    let found = Target::Here(loaded)
        .interface(interface)
        .and_then(|interface| interface.get(function));
    let Some((ComponentItem::ComponentFunc(ty), index)) = found else {
        return Err(missing());
    };
    Ok(Work::Typed(TypedCall {
        caller: call.caller,
        capability: call.capability,
        deadline: call.deadline,
        params: call.payload,
        way: Way::of(&ty),
        ty,
        function: index,
        of: Of::Here(Arc::downgrade(loaded)),
        again: None,
    }))
}
