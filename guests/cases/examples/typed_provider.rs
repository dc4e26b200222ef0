//! Host: links its `test:shapes/shapes`, which it exports, to those who require it.
#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use arje_sdk::{Capability, CardInfo, Endpoint, Service, bus, clock, freestanding, service};
use core::time::Duration;

wit_bindgen::generate!({ path: ["wit", "wit-shapes"], world: "test:shapes/typed-provider", generate_all });

use exports::test::shapes::shapes::{Colour, Failure, Guest, Joined, Point, Rights, Shape, Wide};

struct Case;

impl Service for Case {
    fn start(_card: &CardInfo) -> Result<Self, String> {
        Ok(Self)
    }
}

type Numbers = (u8, i64, f32, bool);
type Narrow = (i8, i16, u8, u16, bool, f32, f64, i64, char);
type Lists = (
    Vec<i8>,
    Vec<u16>,
    Vec<f64>,
    Vec<bool>,
    Vec<char>,
    Vec<String>,
    Vec<Joined>,
);
type Nested = (
    Option<Option<String>>,
    Result<Vec<Point>, Colour>,
    Vec<Vec<u32>>,
    Wide,
);

/// Functions that weigh their parameters.
macro_rules! weigh {
    ($($name:ident($($param:ident)*))*) => {
        $(
            #[allow(clippy::too_many_arguments, reason = "that many are the point")]
            fn $name($($param: u64),*) -> u64 {
                let params: &[u64] = &[$($param),*];
                params.iter().fold(7, |sum, n| sum.wrapping_mul(31).wrapping_add(*n))
            }
        )*
    };
}

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

    fn narrow(a: i8, b: i16, c: u8, d: u16, e: bool, f: f32, g: f64, h: i64, i: char) -> Narrow {
        (a, b, c, d, e, f, g, h, i)
    }

    fn lists(
        a: Vec<i8>,
        b: Vec<u16>,
        c: Vec<f64>,
        d: Vec<bool>,
        e: Vec<char>,
        f: Vec<String>,
        g: Vec<Joined>,
    ) -> Lists {
        (a, b, c, d, e, f, g)
    }

    fn nested(
        a: Option<Option<String>>,
        b: Result<Vec<Point>, Colour>,
        c: Vec<Vec<u32>>,
        d: Wide,
    ) -> Nested {
        (a, b, c, d)
    }

    fn join(value: Joined) -> Joined {
        value
    }

    fn turn(colour: Colour) -> Colour {
        match colour {
            Colour::Red => Colour::Green,
            Colour::Green => Colour::Blue,
            Colour::Blue => Colour::Red,
        }
    }

    fn nothing() {}

    fn drop(_text: String, _number: u8) {}

    weigh! {
        p0()
        p1(a)
        p2(a b)
        p3(a b c)
        p4(a b c d)
        p5(a b c d e)
        p6(a b c d e f)
        p7(a b c d e f g)
        p8(a b c d e f g h)
        p9(a b c d e f g h i)
        p10(a b c d e f g h i j)
        p11(a b c d e f g h i j k)
        p12(a b c d e f g h i j k l)
        p13(a b c d e f g h i j k l m)
        p14(a b c d e f g h i j k l m n)
        p15(a b c d e f g h i j k l m n o)
        p16(a b c d e f g h i j k l m n o p)
        p17(a b c d e f g h i j k l m n o p q)
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
