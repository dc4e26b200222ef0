//! Which payload answers calls to what.

use super::Bodies;
use arje_bus::{CallError, Place, Provider};
use arje_card::{Capability, Card, Id};

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

    /// Who is to answer the next call to this capability.
    #[must_use]
    pub fn provider(&self, capability: &Capability) -> Option<Provider> {
        self.routes.resolve(capability)
    }

    /// Makes a call to a component. Never waits; `then` gets the answer, on another thread unless there is none.
    pub fn deliver(
        &self,
        to: Id,
        call: arje_wasm::Call,
        then: impl FnOnce(Result<Vec<u8>, CallError>) + Send + 'static,
    ) {
        match &self.host {
            Some(host) => host.deliver(to, call, then),
            None => then(Err(CallError::NoProvider)),
        }
    }
}
