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

use test::shapes::shapes::{self, Colour, Failure, Joined, Point, Rights, Shape, Wide};

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

/// What comes back of values of every kind on the stack and in lists that is not what was sent.
fn stack() -> String {
    let mut wrong = Vec::new();
    let mut check = |what: &str, sent: String, got: String| {
        if sent != got {
            wrong.push(format!("{what}: {got} for {sent}"));
        }
    };
    let narrow = (
        i8::MIN,
        i16::MIN,
        200,
        60_000,
        true,
        f32::NAN,
        -0.0,
        i64::MIN,
        '\u{10ffff}',
    );
    let (a, b, c, d, e, f, g, h, i) = narrow;
    let got = shapes::narrow(a, b, c, d, e, f, g, h, i);
    check("narrow", format!("{narrow:?}"), format!("{got:?}"));
    let bits = |n: (i8, i16, u8, u16, bool, f32, f64, i64, char)| (n.5.to_bits(), n.6.to_bits());
    check(
        "bits",
        format!("{:?}", bits(narrow)),
        format!("{:?}", bits(got)),
    );
    let both = Joined::Both((255, f64::MIN));
    let cases = [
        Joined::None,
        Joined::Single(-1.5),
        Joined::Large(u64::MAX),
        Joined::Small(-1),
        Joined::Double(f64::MAX),
        Joined::Words("é".to_owned()),
        both,
        Joined::Set(Wide::A | Wide::I | Wide::L),
    ];
    for case in &cases {
        let got = shapes::join(case);
        check("join", format!("{case:?}"), format!("{got:?}"));
    }
    let texts = ["", "two words", "\u{1f980}"].map(ToOwned::to_owned);
    let lists = (
        [-128, 0, 127].to_vec(),
        [0, 1, u16::MAX].to_vec(),
        [0.1, f64::INFINITY].to_vec(),
        [true, false, true].to_vec(),
        ['a', '\u{d7ff}', '\u{e000}'].to_vec(),
        texts.to_vec(),
        cases.to_vec(),
    );
    let (a, b, c, d, e, f, g) = &lists;
    let got = shapes::lists(a, b, c, d, e, f, g);
    check("lists", format!("{lists:?}"), format!("{got:?}"));
    let none = (Vec::<i8>::new(), Vec::<Joined>::new());
    let got = shapes::lists(&none.0, &[], &[], &[], &[], &[], &none.1);
    check(
        "no lists",
        format!("{none:?}"),
        format!("{:?}", (got.0, got.6)),
    );
    for a in [None, Some(None), Some(Some("deep"))] {
        let point = Point {
            x: -1,
            y: i32::MAX,
            name: None,
        };
        let b = a
            .map(|_| [point.clone(), point].to_vec())
            .ok_or(Colour::Green);
        let c = [[].to_vec(), [1, u32::MAX].to_vec()];
        let d = Wide::B | Wide::K;
        let got = shapes::nested(a, b.as_deref(), &c, d);
        let sent = format!("{:?}", (a, &b, &c, d));
        check("nested", sent, format!("{got:?}"));
    }
    check(
        "turn",
        "Colour::Red".to_owned(),
        format!("{:?}", shapes::turn(Colour::Blue)),
    );
    shapes::nothing();
    shapes::drop("text", 1);
    const N: [u64; 17] = [
        3,
        1 << 40,
        5,
        7,
        u64::MAX,
        13,
        17,
        19,
        23,
        29,
        31,
        37,
        41,
        43,
        47,
        53,
        59,
    ];
    let sums = [
        shapes::p0(),
        shapes::p1(N[0]),
        shapes::p2(N[0], N[1]),
        shapes::p3(N[0], N[1], N[2]),
        shapes::p4(N[0], N[1], N[2], N[3]),
        shapes::p5(N[0], N[1], N[2], N[3], N[4]),
        shapes::p6(N[0], N[1], N[2], N[3], N[4], N[5]),
        shapes::p7(N[0], N[1], N[2], N[3], N[4], N[5], N[6]),
        shapes::p8(N[0], N[1], N[2], N[3], N[4], N[5], N[6], N[7]),
        shapes::p9(N[0], N[1], N[2], N[3], N[4], N[5], N[6], N[7], N[8]),
        shapes::p10(N[0], N[1], N[2], N[3], N[4], N[5], N[6], N[7], N[8], N[9]),
        shapes::p11(
            N[0], N[1], N[2], N[3], N[4], N[5], N[6], N[7], N[8], N[9], N[10],
        ),
        shapes::p12(
            N[0], N[1], N[2], N[3], N[4], N[5], N[6], N[7], N[8], N[9], N[10], N[11],
        ),
        shapes::p13(
            N[0], N[1], N[2], N[3], N[4], N[5], N[6], N[7], N[8], N[9], N[10], N[11], N[12],
        ),
        shapes::p14(
            N[0], N[1], N[2], N[3], N[4], N[5], N[6], N[7], N[8], N[9], N[10], N[11], N[12], N[13],
        ),
        shapes::p15(
            N[0], N[1], N[2], N[3], N[4], N[5], N[6], N[7], N[8], N[9], N[10], N[11], N[12], N[13],
            N[14],
        ),
        shapes::p16(
            N[0], N[1], N[2], N[3], N[4], N[5], N[6], N[7], N[8], N[9], N[10], N[11], N[12], N[13],
            N[14], N[15],
        ),
        shapes::p17(
            N[0], N[1], N[2], N[3], N[4], N[5], N[6], N[7], N[8], N[9], N[10], N[11], N[12], N[13],
            N[14], N[15], N[16],
        ),
    ];
    let mut sum = 7_u64;
    for (n, got) in sums.into_iter().enumerate() {
        check(&format!("p{n}"), sum.to_string(), got.to_string());
        sum = sum
            .wrapping_mul(31)
            .wrapping_add(N.get(n).copied().unwrap_or_default());
    }
    match wrong.is_empty() {
        true => "all the same".to_owned(),
        false => wrong.join("\n"),
    }
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
            "stack" => stack().into_bytes(),
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
