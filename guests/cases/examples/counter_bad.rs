//! Host: deploys it in place of `counter`; depending on its incarnation it traps or fails in `start`, is not well, or does
//! not take the state, and the counter goes on.
#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;

use alloc::string::String;
use alloc::vec::Vec;
use arje_sdk::bus::{Caller, HandlerError};
use arje_sdk::{Capability, CardInfo, Handler, Handoff, Health, Service, freestanding, service};

struct Bad(u64);

fn trap() -> ! {
    #[cfg(target_family = "wasm")]
    core::arch::wasm32::unreachable();
    #[cfg(not(target_family = "wasm"))]
    panic!("trap")
}

impl Service for Bad {
    fn start(card: &CardInfo) -> Result<Self, String> {
        match card.incarnation {
            101 => trap(),
            102 => Err("not today".into()),
            _ => Ok(Self(card.incarnation)),
        }
    }
}

impl Health for Bad {
    fn health(&mut self) -> Result<(), String> {
        match self.0 {
            103 => Err("I am ill".into()),
            _ => Ok(()),
        }
    }
}

impl Handoff for Bad {
    fn save(&mut self) -> Vec<u8> {
        trap()
    }

    fn restore(&mut self, _state: &[u8]) -> Result<(), String> {
        match self.0 {
            104 => Err("what is this?".into()),
            105 => trap(),
            106 => loop {
                core::hint::spin_loop();
            },
            _ => Ok(()),
        }
    }
}

impl Handler for Bad {
    fn handle(
        &mut self,
        _caller: Caller,
        _capability: Capability,
        _payload: Vec<u8>,
    ) -> Result<Vec<u8>, HandlerError> {
        Ok(b"bad".to_vec())
    }
}

freestanding!();
service!(Bad, handler, handoff, health);
