//! Which payload answers calls to what.

use super::Bodies;
use arje_bus::{CallError, Place, Provider, Routes};
use arje_card::{Capability, Card, Id};
use arje_wasm::Delivery;
use std::sync::Arc;

impl Bodies {
    /// From now on calls to this capability may go to this Ente.
    pub fn provided(&self, card: &Card, capability: Capability) {
        let place = match Bodies::is_component(card) {
            true => Place::Component,
            false => Place::Process,
        };
        let provider = Provider {
            id: card.id,
            priority: card.priority,
            place,
        };
        self.routes.provide(capability, provider);
    }

    /// From now on calls to this capability may no longer go to this Ente.
    pub fn withdrawn(&self, capability: &Capability, by: Id) {
        self.routes.withdraw(capability, by);
    }

    /// The table itself.
    #[must_use]
    pub fn routes(&self) -> Arc<Routes> {
        Arc::clone(&self.routes)
    }

    /// Who is to answer the next call to this capability.
    #[must_use]
    pub fn provider(&self, capability: &Capability) -> Option<Provider> {
        self.routes.resolve(capability)
    }

    /// Makes a call to a component. Never waits; `then` gets the answer, on another thread unless there is none, and not
    /// any more if what is returned is dropped.
    pub fn deliver(
        &self,
        to: Id,
        call: arje_wasm::Call,
        then: impl FnOnce(Result<Vec<u8>, CallError>) + Send + 'static,
    ) -> Option<Delivery> {
        let Some(host) = &self.host else {
            then(Err(CallError::NoProvider));
            return None;
        };
        Some(host.deliver(to, call, then))
    }
}
