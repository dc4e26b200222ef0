//! Typed services and workers that lie.

use crate::rig::{Rig, card};
use crate::typed::{client, provider};
use crate::worker::{end_after, impostor};
use arje_bus::Invoke;
use arje_card::{Capability, Card};
use arje_wasm::wire::{Command, Frames, MAX_COMMAND, Question, Report};
use arje_wasm::{End, EventKind, InvokeError};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

/// How many functions `shapes` has. Which number is whose does not matter here.
const FUNCTIONS: u64 = 34;

fn shapes() -> Capability {
    Capability::Wit("test:shapes/shapes@1.2.0".parse().unwrap())
}

fn asks(number: u64, function: u64, capability: Capability, payload: &[u8]) -> Vec<u8> {
    let call = Invoke {
        capability,
        payload: payload.into(),
        deadline_ms: 60_000,
    };
    let question = Question::Typed { function, call };
    Report::Asks { number, question }.encode()
}

#[test]
fn a_typed_call_that_cannot_be_is_the_end_of_a_worker() {
    let broken = |card: &Card, bytes: Vec<u8>| match end_after(card, bytes) {
        End::Broken(why) => why,
        end => panic!("{end:?}"),
    };
    let why = broken(&client(), asks(1, FUNCTIONS, shapes(), &[]));
    assert!(why.contains("a function that it does not import"), "{why}");
    let why = broken(&client(), asks(1, u64::MAX, shapes(), &[]));
    assert!(why.contains("a function that it does not import"), "{why}");
    // An interface that its component does not import, one that its Card does not require, and none at all.
    let other = Capability::Wit("test:shapes/shapes@1.1.0".parse().unwrap());
    let mut unasked = client();
    unasked.requires.clear();
    for (card, capability) in [
        (client(), other),
        (unasked, shapes()),
        (client(), Capability::Power),
        (card("service_ok", "service"), shapes()),
    ] {
        let why = broken(&card, asks(1, 0, capability, &[0; 8]));
        assert!(
            why.contains("an interface that it does not import"),
            "{why}"
        );
    }
    // No function of the interface takes these.
    for function in 0..FUNCTIONS {
        let why = broken(&client(), asks(1, function, shapes(), &[0xff; 9]));
        assert!(why.contains("not of the function's type"), "{why}");
    }
    let twice = (0..FUNCTIONS).map(|function| asks(1, function, shapes(), &[0; 4]).repeat(2));
    let ends: Vec<String> = twice.map(|bytes| broken(&client(), bytes)).collect();
    assert!(ends.iter().any(|why| why.contains("at once")), "{ends:?}");
}

/// The next command; none when PID 1 has hung up.
fn next(socket: &mut UnixStream, frames: &mut Frames) -> Option<Command> {
    loop {
        if let Some(frame) = frames.next_frame().unwrap() {
            return Some(Command::decode(frame).unwrap());
        }
        let mut bytes = [0; 4096];
        match socket.read(&mut bytes) {
            Ok(read) if read > 0 => frames.push(&bytes[..read]),
            _ => return None,
        }
    }
}

/// A provider that is ready, answers its first call with these bytes of its number, and then waits.
fn answering(rig: &Rig, card: &Card, answer: impl FnOnce(u64) -> Vec<u8> + Send + 'static) {
    impostor(rig, card, move |mut socket| {
        let ready = [Report::Started.encode(), Report::Ready.encode()].concat();
        socket.write_all(&ready).unwrap();
        let mut frames = Frames::new(MAX_COMMAND);
        if let Some(Command::Typed { number, .. }) = next(&mut socket, &mut frames) {
            let _ = socket.write_all(&answer(number)); // it may be hung up on
        }
        let _ = socket.read(&mut [0]);
    });
    rig.wait(card, |kind| matches!(kind, EventKind::Ready));
    rig.provide(card);
}

fn answers(number: u64, bytes: &[u8]) -> Vec<u8> {
    let answer = Ok(bytes.into());
    Report::Answer { number, answer }.encode()
}

/// The bytes that a provider answers a call of this number with.
type Lie = fn(u64) -> Vec<u8>;

/// What a client is told, and what becomes of a provider that answers like that.
fn told(
    inside: bool,
    command: &str,
    answer: impl FnOnce(u64) -> Vec<u8> + Send + 'static,
) -> (Result<String, InvokeError>, End) {
    let rig = Rig::new();
    if inside {
        rig.place.keep_inside("typed_client");
    }
    let (provider, client) = (provider(), client());
    answering(&rig, &provider, answer);
    rig.start_ready(&client);
    let said = rig.invoke(&client, crate::calls::COMMAND, command.as_bytes());
    let said = said.map(|bytes| String::from_utf8(bytes).unwrap());
    (said, rig.end_of(&provider))
}

#[test]
fn an_answer_that_is_none_is_the_end_of_a_worker_and_told_as_one() {
    let died = "unavailable: the provider ended before it answered";
    for inside in [true, false] {
        // `fail: func(text: string) -> result<_, failure>`
        let lies: [(&str, Lie); 6] = [
            ("not of the function's type", |n| answers(n, &[2])),
            ("not of the function's type", |n| answers(n, &[])),
            ("not of the function's type", |n| answers(n, &[0, 0])),
            ("not of the function's type", |n| {
                answers(n, &[1, 2, 0xff, 0xff, 0xff, 0xff])
            }),
            ("an answer to no call", |n| answers(n + 1, &[0])),
            ("", |_| vec![0xff, 0xff, 0x20, 0]), // 2 MiB are to come
        ];
        for (why, lie) in lies {
            let (said, end) = told(inside, "fail x", lie);
            assert_eq!(said.as_deref(), Ok(died), "{why}");
            let End::Broken(text) = end else {
                panic!("{why}: {end:?}");
            };
            assert!(text.contains(why), "{text}");
        }
        // The first answer is one, and the second is none.
        let twice = |number| answers(number, &[1, 2, 1, 0, 0, 0, b'a']).repeat(2);
        let (said, end) = told(inside, "fail x", twice);
        assert_eq!(said.as_deref(), Ok("mine: a"));
        assert!(matches!(end, End::Broken(_)), "{end:?}");
    }
}

#[test]
fn a_card_that_provides_what_its_component_does_not_export_is_found_out() {
    let rig = Rig::new();
    let mut liar = card("service_ok", "service");
    liar.provides = [shapes()].into();
    let _liar = rig.serve(liar);
    let End::Refused(why) = rig.run(&client()) else {
        panic!("it started");
    };
    assert_eq!(
        why,
        "the component that provides test:shapes/shapes@1.2.0 does not export it"
    );
}
