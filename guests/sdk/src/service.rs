//! What a component implements.

use crate::{CardInfo, StopReason};
use alloc::string::String;

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
    /// Called every half of the Card's `liveness_ms`.
    ///
    /// # Errors
    /// The supervisor restarts the Ente; the text is logged.
    fn health(&mut self) -> Result<(), String>;
}
