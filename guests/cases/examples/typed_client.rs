//! Host: links its import `test:shapes/shapes` to whoever provides it, and calls it by `arje:test/calls#echo` with a
//! command as text.
#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use arje_sdk::{CardInfo, Service, freestanding, service};

wit_bindgen::generate!({ path: ["wit", "wit-shapes"], world: "test:shapes/typed-client", generate_all });

use test::shapes::shapes::{self, Colour, Failure, Point, Rights, Shape};

struct Case;

impl Service for Case {
    fn start(_card: &CardInfo) -> Result<Self, String> {
        Ok(Self)
    }
}

fn failure(failure: Failure) -> String {
    match failure {
        Failure::Deadline => "deadline".to_owned(),
        Failure::Unavailable(why) => format!("unavailable: {why}"),
        Failure::Mine(why) => format!("mine: {why}"),
    }
}

/// Sends one value of every kind of type there and back.
fn all() -> String {
    let point = |x, name: Option<&str>| Point {
        x,
        y: -x,
        name: name.map(ToString::to_string),
    };
    let shapes = [
        Shape::Nothing,
        Shape::Circle(1.5),
        Shape::Line((point(1, None), point(i32::MIN + 1, Some("é")))),
        Shape::Many(alloc::vec![point(2, Some("")), point(3, None)]),
    ];
    let numbers = (u8::MAX, i64::MIN, -0.25, true);
    for shape in shapes {
        let sent = format!("{shape:?}");
        let rights = Rights::READ | Rights::RUN;
        match shapes::all(&shape, rights, Colour::Blue, '\u{10ffff}', numbers) {
            Ok((shape, got, Colour::Blue, '\u{10ffff}', there))
                if format!("{shape:?}") == sent && got == rights && there == numbers => {}
            Ok(other) => return format!("{other:?}"),
            Err(error) => return failure(error),
        }
    }
    "all the same".to_owned()
}

impl exports::arje::test::calls::Guest for Case {
    fn echo(bytes: Vec<u8>) -> Vec<u8> {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let (word, rest) = text.split_once(' ').unwrap_or((&text, ""));
        let number = || rest.parse::<u64>().unwrap_or(0);
        match word {
            // text-many COUNT TEXT, bytes-many COUNT BYTES: the last answer
            "text-many" | "bytes-many" => {
                let (count, rest) = rest.split_once(' ').unwrap_or(("0", ""));
                let count: u32 = count.parse().unwrap_or(0);
                let call = |_| match word {
                    "text-many" => shapes::text(rest).into_bytes(),
                    _ => shapes::bytes(rest.as_bytes()),
                };
                (0..count).map(call).last().unwrap_or_default()
            }
            "text" => shapes::text(rest).into_bytes(),
            "bytes" => shapes::bytes(rest.as_bytes()),
            "add" => shapes::add(number() as u32, 1).to_string().into_bytes(),
            "all" => all().into_bytes(),
            "fail" => shapes::fail(rest)
                .map_err(failure)
                .err()
                .unwrap_or_default()
                .into_bytes(),
            "spin" => shapes::spin(number())
                .map_err(failure)
                .err()
                .unwrap_or_default()
                .into_bytes(),
            "die" => shapes::die().err().unwrap_or_default().into_bytes(),
            // A text of so many bytes that goes there, and comes back with more about it.
            "long" => match shapes::fail(&"x".repeat(number() as usize)) {
                Err(Failure::Mine(text)) => text.len().to_string().into_bytes(),
                other => other
                    .map_err(failure)
                    .err()
                    .unwrap_or_default()
                    .into_bytes(),
            },
            "who" => shapes::who().into_bytes(),
            "back" => shapes::back(number() as u16).into_bytes(),
            _ => b"what?".to_vec(),
        }
    }

    fn count() -> u64 {
        0
    }

    fn spin(_ms: u64) {}
}

freestanding!();
service!(Case);
export!(Case);
