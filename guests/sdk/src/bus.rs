//! Calls to whoever provides a capability: `arje:bus/bus`. The Card needs `"permissions": {"ipc": {"allow":
//! ["wit-v1"]}}`.

use crate::{Capability, host};
use alloc::vec::Vec;
use core::time::Duration;

pub use crate::bindings::bus::arje::bus::types::{
    CallInfo, Caller, HandlerError, InvokeError, Origin, Process, RegisterError,
};
pub use crate::bindings::host::arje::ente::types::{EnteInfo, EnteState};

/// Calls the provider of this capability, and waits at most 5 seconds for its answer.
///
/// # Errors
/// See [`InvokeError`].
pub fn invoke(capability: &Capability, payload: &[u8]) -> Result<Vec<u8>, InvokeError> {
    host::invoke(capability, payload, 0)
}

/// Calls the provider of this capability, and waits at most so long for its answer (whole milliseconds, at least
/// one).
///
/// # Errors
/// See [`InvokeError`].
pub fn invoke_within(
    capability: &Capability,
    payload: &[u8],
    within: Duration,
) -> Result<Vec<u8>, InvokeError> {
    let millis = u64::try_from(within.as_millis()).unwrap_or(u64::MAX);
    host::invoke(capability, payload, millis.max(1))
}

/// Says that this Ente serves these capabilities, all of which its Card lists in `provides`. With `"readiness":
/// "announce"` it is Ready from then on.
///
/// # Errors
/// See [`RegisterError`].
pub fn announce(capabilities: &[Capability]) -> Result<(), RegisterError> {
    host::announce(capabilities)
}

/// Takes back and offers capabilities of the Card's `provides`, removes first.
///
/// # Errors
/// See [`RegisterError`].
pub fn update_capabilities(
    adds: &[Capability],
    removes: &[Capability],
) -> Result<(), RegisterError> {
    host::update_capabilities(adds, removes)
}

/// All Entes, in order of id.
#[must_use]
pub fn list_entes() -> Vec<EnteInfo> {
    let mut all: Vec<EnteInfo> = Vec::new();
    loop {
        let page = host::list_entes(all.last().map(|last| last.id.as_str()));
        if page.is_empty() {
            return all;
        }
        all.extend(page);
    }
}

/// As whom others see this Ente.
#[must_use]
pub fn whoami() -> Caller {
    host::whoami()
}

/// The call that is being answered, in [`Handler::handle`](crate::Handler) and in the functions of a typed service.
#[must_use]
pub fn current_call() -> Option<CallInfo> {
    host::current_call()
}
