//! The one place that knows whether the host is real: imports in a component, [`fake`](crate::fake)
//! elsewhere.

#[cfg(target_family = "wasm")]
pub(crate) use crate::bindings::{
    bus::arje::bus::bus::{
        announce, current_call, invoke, list_entes, update_capabilities, whoami,
    },
    host::arje::ente::clock::{monotonic, wall},
    host::arje::ente::log::log,
    host::arje::ente::timer::{cancel as cancel_timer, set as set_timer},
};
#[cfg(not(target_family = "wasm"))]
pub(crate) use crate::fake::{
    bus::imports::{announce, current_call, invoke, list_entes, update_capabilities, whoami},
    imports::{cancel_timer, log, monotonic, set_timer, wall},
};

/// `arje:ente/supervisor`.
pub(crate) mod supervisor {
    #[cfg(target_family = "wasm")]
    pub(crate) use crate::bindings::supervisor::arje::ente::supervisor::{
        kill, list, remove, restart, spawn, start, status, stop, subscribe, unsubscribe,
    };
    #[cfg(not(target_family = "wasm"))]
    pub(crate) use crate::fake::supervisor::imports::{
        kill, list, remove, restart, spawn, start, status, stop, subscribe, unsubscribe,
    };
}
