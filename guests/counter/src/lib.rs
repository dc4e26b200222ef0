//! A counter that keeps its number when another version takes its place (`ente deploy`). A call with the text `add N`
//! adds, any other asks; the answer is the number.
#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use arje_sdk::bus::{Caller, HandlerError};
use arje_sdk::{Capability, CardInfo, Handler, Handoff, Health, Service, freestanding, service};

/// The service.
#[derive(Debug, Default)]
pub struct Counter {
    number: u64,
}

impl Service for Counter {
    fn start(_card: &CardInfo) -> Result<Self, String> {
        Ok(Self::default())
    }
}

impl Handler for Counter {
    fn handle(
        &mut self,
        _caller: Caller,
        _capability: Capability,
        payload: Vec<u8>,
    ) -> Result<Vec<u8>, HandlerError> {
        if let Some(number) = payload.strip_prefix(b"add ") {
            let number = core::str::from_utf8(number).ok();
            let number: Option<u64> = number.and_then(|text| text.parse().ok());
            let number = number.ok_or_else(|| HandlerError::BadRequest("no number".into()))?;
            self.number = self.number.wrapping_add(number);
        }
        Ok(self.number.to_string().into_bytes())
    }
}

impl Handoff for Counter {
    fn save(&mut self) -> Vec<u8> {
        self.number.to_le_bytes().to_vec()
    }

    fn restore(&mut self, state: &[u8]) -> Result<(), String> {
        let bytes = state.try_into();
        let bytes = bytes.map_err(|_| String::from("the state is not 8 bytes"))?;
        self.number = u64::from_le_bytes(bytes);
        Ok(())
    }
}

impl Health for Counter {
    fn health(&mut self) -> Result<(), String> {
        Ok(())
    }
}

freestanding!();
service!(Counter, handler, handoff, health);

#[cfg(test)]
mod tests {
    use super::*;
    use arje_sdk::fake::Host;

    #[test]
    fn the_next_version_goes_on_counting() {
        let host = Host::new();
        let mut old = Counter::start(&host.card("counter")).unwrap();
        let mut say = |counter: &mut Counter, text: &str| {
            let answer = counter.handle(host.caller("x"), Capability::Journal, text.into());
            answer.map(|bytes| String::from_utf8(bytes).unwrap())
        };
        assert_eq!(say(&mut old, "add 40").unwrap(), "40");
        assert!(say(&mut old, "add much").is_err());
        let mut new = Counter::start(&host.card("counter")).unwrap();
        new.restore(&old.save()).unwrap();
        assert_eq!(say(&mut new, "add 2").unwrap(), "42");
        assert!(new.restore(b"").is_err());
        assert_eq!(say(&mut new, "").unwrap(), "42");
    }
}
