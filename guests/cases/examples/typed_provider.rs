//! Host: links its `test:shapes/shapes`, which it exports, to those who require it.
#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use arje_sdk::{Capability, CardInfo, Endpoint, Service, bus, clock, freestanding, service};
use core::time::Duration;

wit_bindgen::generate!({ path: ["wit", "wit-shapes"], world: "test:shapes/typed-provider", generate_all });

use exports::test::shapes::shapes::{Colour, Failure, Guest, Rights, Shape};

struct Case;

impl Service for Case {
    fn start(_card: &CardInfo) -> Result<Self, String> {
        Ok(Self)
    }
}

type Numbers = (u8, i64, f32, bool);

impl Guest for Case {
    fn text(text: String) -> String {
        text
    }

    fn bytes(bytes: Vec<u8>) -> Vec<u8> {
        bytes
    }

    fn add(a: u32, b: u32) -> u32 {
        a.wrapping_add(b)
    }

    fn all(
        shape: Shape,
        rights: Rights,
        colour: Colour,
        letter: char,
        numbers: Numbers,
    ) -> Result<(Shape, Rights, Colour, char, Numbers), Failure> {
        Ok((shape, rights, colour, letter, numbers))
    }

    fn fail(text: String) -> Result<(), Failure> {
        Err(Failure::Mine(text))
    }

    fn spin(ms: u64) -> Result<(), Failure> {
        let end = clock::monotonic() + Duration::from_millis(ms);
        while clock::monotonic() < end {}
        Ok(())
    }

    fn die() -> Result<(), String> {
        #[cfg(target_family = "wasm")]
        core::arch::wasm32::unreachable();
        #[cfg(not(target_family = "wasm"))]
        Ok(())
    }

    fn who() -> String {
        match bus::current_call() {
            Some(call) => format!(
                "{} within {}",
                call.caller.label.unwrap_or_default(),
                call.left_ms
            ),
            None => String::new(),
        }
    }

    fn back(endpoint: u16) -> String {
        let endpoint = Capability::Endpoint(Endpoint {
            high: 0x7e57_0000_0000_0000, // as `bus_peer` has them
            low: 0,
            version: endpoint,
        });
        format!("{:?}", bus::invoke(&endpoint, b""))
    }
}

freestanding!();
service!(Case);
export!(Case);
