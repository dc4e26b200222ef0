//! Where a component keeps its one service between calls.

use crate::bus::{Caller, HandlerError};
use crate::supervisor::Event;
use crate::{Capability, CardInfo, Events, Handler, Handoff, Health, Service, StopReason, Timers};
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::Cell;

/// Holds the service from `start` to `stop`.
///
/// A call takes the service out and puts it back, so no two calls ever share it: a trap in the
/// middle leaves the slot empty, and the host never enters the instance again anyway.
pub struct Slot<T>(Cell<Option<T>>);

// SAFETY: the slot lives in a static of a component (`service!` makes none elsewhere), and
// `wasm32-wasip2` has one thread per instance; the component model forbids re-entry.
#[cfg(target_family = "wasm")]
unsafe impl<T> Sync for Slot<T> {}

impl<T: Service> Slot<T> {
    /// An empty slot.
    #[must_use]
    pub const fn empty() -> Self {
        Self(Cell::new(None))
    }

    /// `service.start`.
    ///
    /// # Errors
    /// The service's own.
    pub fn start(&self, card: &CardInfo) -> Result<(), String> {
        self.0.set(Some(T::start(card)?));
        Ok(())
    }

    /// Puts a service there.
    #[cfg(not(target_family = "wasm"))]
    pub fn put(&self, service: T) {
        self.0.set(Some(service));
    }

    /// `service.stop`; does nothing before `start`.
    pub fn stop(&self, reason: StopReason) {
        if let Some(service) = self.0.take() {
            service.stop(reason);
        }
    }

    /// Gives a call the service; `None` before `start` and after `stop`.
    pub fn with<R>(&self, call: impl FnOnce(&mut T) -> R) -> Option<R> {
        let mut service = self.0.take()?;
        let result = call(&mut service);
        self.0.set(Some(service));
        Some(result)
    }
}

impl<T: Timers> Slot<T> {
    /// `timer-handler.on-timer`; nothing before `start`.
    pub fn on_timer(&self, token: u64) {
        self.with(|service| service.on_timer(token));
    }
}

impl<T: Events> Slot<T> {
    /// `supervisor-handler.on-event`; nothing before `start`.
    pub fn on_event(&self, event: Event) {
        self.with(|service| service.on_event(event));
    }
}

impl<T: Health> Slot<T> {
    /// `health.health`.
    ///
    /// # Errors
    /// The service's own, or that it has not started.
    pub fn health(&self) -> Result<(), String> {
        self.with(Health::health)
            .unwrap_or_else(|| Err(String::from("not started")))
    }
}

impl<T: Handler> Slot<T> {
    /// `handler.handle`.
    ///
    /// # Errors
    /// The service's own, or that it has not started.
    pub fn handle(
        &self,
        caller: Caller,
        capability: Capability,
        payload: Vec<u8>,
    ) -> Result<Vec<u8>, HandlerError> {
        self.with(|service| service.handle(caller, capability, payload))
            .unwrap_or(Err(HandlerError::Unsupported))
    }
}

impl<T: Handoff> Slot<T> {
    /// `handoff.save`; nothing before `start`.
    pub fn save(&self) -> Vec<u8> {
        self.with(Handoff::save).unwrap_or_default()
    }

    /// `handoff.restore`.
    ///
    /// # Errors
    /// The service's own, or that it has not started.
    pub fn restore(&self, state: &[u8]) -> Result<(), String> {
        self.with(|service| service.restore(state))
            .unwrap_or_else(|| Err(String::from("not started")))
    }
}
