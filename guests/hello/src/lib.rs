//! The smallest service: says its label once, then stays, idle. Imports nothing but
//! `arje:ente/log`.
#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;

use alloc::string::String;
use arje_sdk::{CardInfo, Service, freestanding, info, service};

/// The service; it has no state.
#[derive(Debug)]
pub struct Hello;

impl Service for Hello {
    fn start(card: &CardInfo) -> Result<Self, String> {
        info!("hello"; label = card.label);
        Ok(Self)
    }
}

freestanding!();
service!(Hello);

#[cfg(test)]
mod tests {
    use super::*;
    use arje_sdk::fake::Host;

    #[test]
    fn says_its_label() {
        let host = Host::new();
        Hello::start(&host.card("demo.hello")).unwrap();
        let fields = [("label".into(), "demo.hello".into())];
        assert_eq!(host.lines()[0].fields, fields);
    }
}
