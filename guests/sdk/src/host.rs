//! The one place that knows whether the host is real: imports in a component, [`fake`](crate::fake)
//! elsewhere.

#[cfg(target_family = "wasm")]
pub(crate) use crate::bindings::host::arje::ente::{
    clock::{monotonic, wall},
    log::log,
    timer::{cancel as cancel_timer, set as set_timer},
};
#[cfg(not(target_family = "wasm"))]
pub(crate) use crate::fake::imports::{cancel_timer, log, monotonic, set_timer, wall};
