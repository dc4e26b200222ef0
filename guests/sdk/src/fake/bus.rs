//! The fake host's bus: providers are closures.

use super::{Host, state};
use crate::Capability;
use crate::bus::{CallInfo, Caller, EnteInfo, InvokeError, Origin, RegisterError};
use alloc::rc::Rc;
use alloc::vec::Vec;

type Provider = Rc<dyn Fn(&[u8]) -> Result<Vec<u8>, InvokeError>>;

/// What the fake host knows of others.
#[derive(Default)]
pub(crate) struct Bus {
    providers: Vec<(Capability, Provider)>,
    entes: Vec<EnteInfo>,
    current: Option<CallInfo>,
    offered: Vec<Capability>,
}

impl Host {
    /// From now on calls to this capability are answered by this function.
    pub fn provide(
        &self,
        capability: Capability,
        provider: impl Fn(&[u8]) -> Result<Vec<u8>, InvokeError> + 'static,
    ) {
        let provider: Provider = Rc::new(provider);
        state(|s| {
            s.bus.providers.retain(|(known, _)| *known != capability);
            s.bus.providers.push((capability, provider));
        });
    }

    /// From now on [`bus::list_entes`](crate::bus::list_entes) gives these.
    pub fn set_entes(&self, entes: Vec<EnteInfo>) {
        state(|s| s.bus.entes = entes);
    }

    /// From now on [`bus::current_call`](crate::bus::current_call) gives this.
    pub fn set_current_call(&self, call: Option<CallInfo>) {
        state(|s| s.bus.current = call);
    }

    /// What was announced, and not taken back.
    #[must_use]
    pub fn offered(&self) -> Vec<Capability> {
        state(|s| s.bus.offered.clone())
    }

    /// A caller with this label, as a handler sees it.
    #[must_use]
    pub fn caller(&self, label: &str) -> Caller {
        Caller {
            id: Some("01ARZ3NDEKTSV4RRFFQ69G5FAW".into()),
            label: Some(label.into()),
            origin: Origin::Component,
        }
    }
}

/// The functions a component would import.
pub(crate) mod imports {
    use super::*;

    pub(crate) fn invoke(
        capability: &Capability,
        payload: &[u8],
        _deadline_ms: u64,
    ) -> Result<Vec<u8>, InvokeError> {
        let found = state(|s| {
            let mut providers = s.bus.providers.iter();
            let found = providers.find(|(known, _)| known == capability);
            found.map(|(_, provider)| Rc::clone(provider))
        });
        // Outside of the state, so that a provider may use the host, too.
        found.map_or(Err(InvokeError::NoProvider), |provider| provider(payload))
    }

    pub(crate) fn announce(capabilities: &[Capability]) -> Result<(), RegisterError> {
        update_capabilities(capabilities, &[])
    }

    pub(crate) fn update_capabilities(
        adds: &[Capability],
        removes: &[Capability],
    ) -> Result<(), RegisterError> {
        state(|s| {
            s.bus.offered.retain(|one| !removes.contains(one));
            for add in adds {
                if !s.bus.offered.contains(add) {
                    s.bus.offered.push(add.clone());
                }
            }
        });
        Ok(())
    }

    pub(crate) fn list_entes(after: Option<&str>) -> Vec<EnteInfo> {
        let is_after = |ente: &&EnteInfo| after.is_none_or(|after| ente.id.as_str() > after);
        state(|s| s.bus.entes.iter().filter(is_after).cloned().collect())
    }

    pub(crate) fn whoami() -> Caller {
        Host(()).caller("fake")
    }

    pub(crate) fn current_call() -> Option<CallInfo> {
        state(|s| s.bus.current.clone())
    }
}
