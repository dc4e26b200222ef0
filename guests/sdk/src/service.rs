//! What a component implements.

use crate::bus::{Caller, HandlerError};
use crate::supervisor::Event;
use crate::{Capability, CardInfo, StopReason};
use alloc::string::String;
use alloc::vec::Vec;

/// A service: `arje:ente/service`. Export it with [`service!`](crate::service!).
pub trait Service: Sized + 'static {
    /// Called once, first. The Ente is Ready when this returned `Ok`.
    ///
    /// # Errors
    /// The text becomes the Ente's exit status; the supervisor decides what follows.
    fn start(card: &CardInfo) -> Result<Self, String>;

    /// Called once, last, within the Card's `stop_timeout_ms`. Not called when the component
    /// trapped.
    fn stop(self, reason: StopReason) {
        let _ = reason;
    }
}

/// A service that sets timers (see [`timer`](crate::timer)): `arje:ente/timer-handler`.
/// Exported by `service!(Type, timers)`.
pub trait Timers: Service {
    /// The timer with this token has come due. It is no longer set.
    fn on_timer(&mut self, token: u64);
}

/// A service that can tell whether it is well: `arje:ente/health`.
/// Exported by `service!(Type, health)`.
pub trait Health: Service {
    /// Called every third of the Card's `liveness_ms`, between other calls.
    ///
    /// # Errors
    /// The supervisor restarts the Ente; the text is logged.
    fn health(&mut self) -> Result<(), String>;
}

/// A service that hears what happens to Entes (see [`supervisor::subscribe`](crate::supervisor::subscribe)):
/// `arje:ente/supervisor-handler`. Exported by `service!(Type, events)`.
pub trait Events: Service {
    /// Something happened. Called between calls, in the order in which it happened.
    fn on_event(&mut self, event: Event);
}

/// A service that answers calls of others (see [`bus::invoke`](crate::bus::invoke)): `arje:bus/handler`.
/// Exported by `service!(Type, handler)`; the Card lists in `provides` what it answers to.
pub trait Handler: Service {
    /// Answers a call, within the Card's `limits.call_ms`.
    ///
    /// # Errors
    /// They go to the caller.
    fn handle(
        &mut self,
        caller: Caller,
        capability: Capability,
        payload: Vec<u8>,
    ) -> Result<Vec<u8>, HandlerError>;
}

/// A service that hands what it knows to its next version (`ente deploy`): `arje:state/handoff`. Exported by
/// `service!(Type, handoff)`.
pub trait Handoff: Service {
    /// What the next version is to know; at most 16 MiB. This one may be called again: if the next version does not take
    /// it, this one goes on.
    fn save(&mut self) -> Vec<u8>;

    /// Takes what the version before knew. Called after `start` and before any call.
    ///
    /// # Errors
    /// The version before goes on; the text is told to whoever deploys.
    fn restore(&mut self, state: &[u8]) -> Result<(), String>;
}

/// Reaches the service from functions that know nothing of it: those of a typed service that its component exports.
/// [`service!`](crate::service!) implements it.
pub trait Instance: Service {
    /// Gives a function the service.
    ///
    /// # Panics
    /// The service has not started, or has stopped. The host calls nothing then.
    fn with<R>(then: impl FnOnce(&mut Self) -> R) -> R;

    /// Puts a service there, for [`fake::Host::start`](crate::fake::Host::start).
    #[cfg(not(target_family = "wasm"))]
    #[doc(hidden)]
    fn put(service: Self);
}
