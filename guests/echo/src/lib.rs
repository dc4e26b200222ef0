//! The smallest provider: answers every call with its own payload. Its Card provides the echo interface,
//! `{"Endpoint": {"interface": "ec40a100-0000-0000-0180-00deadbeefca", "version": 1}}`.
#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;

use alloc::string::String;
use alloc::vec::Vec;
use arje_sdk::bus::{Caller, HandlerError};
use arje_sdk::{Capability, CardInfo, Handler, Service, freestanding, service};

/// The service; it has no state.
#[derive(Debug)]
pub struct Echo;

impl Service for Echo {
    fn start(_card: &CardInfo) -> Result<Self, String> {
        Ok(Self)
    }
}

impl Handler for Echo {
    fn handle(
        &mut self,
        _caller: Caller,
        _capability: Capability,
        payload: Vec<u8>,
    ) -> Result<Vec<u8>, HandlerError> {
        Ok(payload)
    }
}

freestanding!();
service!(Echo, handler);

#[cfg(test)]
mod tests {
    use super::*;
    use arje_sdk::fake::Host;

    #[test]
    fn answers_with_what_it_was_asked() {
        let host = Host::new();
        let mut echo = Echo::start(&host.card("echo")).unwrap();
        let caller = host.caller("somebody");
        let answer = echo.handle(caller, Capability::Journal, b"hello".to_vec());
        assert_eq!(answer.unwrap(), b"hello");
    }
}
