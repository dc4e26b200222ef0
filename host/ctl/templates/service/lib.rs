//! A service: greets, and counts whom it has greeted. Its interface is in `wit/`.
#![cfg_attr(target_family = "wasm", no_std)]
extern crate alloc;

use alloc::{format, string::String, vec::Vec};
use arje_sdk::{CardInfo, Handoff, Instance, Service, freestanding, info, service};
use exports::example::@SNAKE@::greeting::{Error, Guest};

wit_bindgen::generate!({ path: "wit", world: "service", additional_derives: [PartialEq] });

/// What the service keeps from one call to the next.
struct Greeter {
    greeted: u64,
}

impl Service for Greeter {
    fn start(card: &CardInfo) -> Result<Self, String> {
        info!("ready to greet"; label = card.label);
        Ok(Self { greeted: 0 })
    }
}

impl Guest for Greeter {
    fn greet(name: String) -> Result<String, Error> {
        if name.is_empty() {
            return Err(Error::NoName);
        }
        Self::with(|greeter| {
            greeter.greeted += 1;
            info!("greeted"; name = name, number = greeter.greeted);
            Ok(format!("Hello, {name}, you are number {}", greeter.greeted))
        })
    }
}

/// What the next version is to know when it is deployed while this one runs.
impl Handoff for Greeter {
    fn save(&mut self) -> Vec<u8> {
        self.greeted.to_le_bytes().to_vec()
    }

    fn restore(&mut self, state: &[u8]) -> Result<(), String> {
        let bytes = state.try_into();
        let bytes = bytes.map_err(|_| String::from("the state is not 8 bytes"))?;
        self.greeted = u64::from_le_bytes(bytes);
        Ok(())
    }
}

freestanding!();
service!(Greeter, handoff);
export!(Greeter);

#[cfg(test)]
mod tests {
    use super::*;
    use arje_sdk::fake::Host;

    #[test]
    fn greets_and_counts() {
        let host = Host::new();
        host.start::<Greeter>("@NAME@").unwrap();
        assert_eq!(Greeter::greet("Ada".into()), Ok("Hello, Ada, you are number 1".into()));
        assert_eq!(Greeter::greet("".into()), Err(Error::NoName));
        assert_eq!(Greeter::greet("Bob".into()), Ok("Hello, Bob, you are number 2".into()));
        assert_eq!(host.messages(), ["ready to greet", "greeted", "greeted"]);
    }

    #[test]
    fn the_next_version_goes_on_counting() {
        let host = Host::new();
        host.start::<Greeter>("@NAME@").unwrap();
        Greeter::greet("Ada".into()).unwrap();
        let state = Greeter::with(Greeter::save);
        host.start::<Greeter>("@NAME@").unwrap();
        Greeter::with(|next| next.restore(&state)).unwrap();
        assert_eq!(Greeter::greet("Bob".into()), Ok("Hello, Bob, you are number 2".into()));
        assert!(Greeter::with(|next| next.restore(b"")).is_err());
    }
}
