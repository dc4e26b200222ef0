//! Frames from strangers: whatever comes, memory stays bounded and nothing panics.

use arje_bus::limits::{MAX_FRAME, MAX_LABEL, MAX_LOG_LINES, MAX_NAMED, MAX_PATH, MAX_TEXT};
use arje_bus::{
    Announce, Answer, Broken, Call, CallError, CallFrom, CallId, CallOrigin, CardFile, FrameReader,
    HandlerError, Hello, HelloAnswer, Logs, MAX_PAYLOAD, Request, RequestFrame, ServerFrame,
    SetMemory, SetWeight, StopEnte, SwitchRoot, Target, Undecodable, decode, encode,
};
use arje_card::{Capability, Id};
use proptest::prelude::*;

fn request(serial: u32) -> RequestFrame {
    let stop = StopEnte {
        target: Target::of("web"),
        now: false,
    };
    RequestFrame {
        serial,
        request: Request::Stop(stop),
    }
}

/// All bodies in a stream that arrives in pieces of this size.
fn bodies(stream: &[u8], piece: usize) -> Result<Vec<Vec<u8>>, Broken> {
    let mut reader = FrameReader::new();
    let mut bodies = Vec::new();
    for piece in stream.chunks(piece) {
        reader.push(piece);
        loop {
            let has = reader.has_frame();
            match reader.take() {
                Ok(body) if body.is_some() != has => unreachable!("has_frame said {has}"),
                Ok(Some(body)) => bodies.push(body),
                Ok(None) => break,
                Err(broken) => return Err(broken),
            }
        }
    }
    Ok(bodies)
}

#[test]
fn frames_survive_any_cut() {
    let frames: Vec<u8> = (0..20).flat_map(|n| encode(&request(n)).unwrap()).collect();
    for piece in 1..=frames.len() {
        let found: Vec<RequestFrame> = bodies(&frames, piece)
            .unwrap()
            .iter()
            .map(|body| RequestFrame::decode(body).unwrap())
            .collect();
        assert_eq!(found, (0..20).map(request).collect::<Vec<_>>());
    }
}

#[test]
fn a_length_above_the_cap_is_refused_before_its_bytes() {
    let mut reader = FrameReader::new();
    let length = (MAX_FRAME as u32 + 1).to_be_bytes();
    reader.push(&length);
    assert!(reader.has_frame());
    assert_eq!(reader.take(), Err(Broken::TooLong(MAX_FRAME as u32 + 1)));
    assert_eq!(reader.held(), 4);
    let mut reader = FrameReader::new();
    reader.push(&(MAX_FRAME as u32).to_be_bytes());
    assert_eq!(reader.take(), Ok(None));
    assert!(encode(&vec![0u8; MAX_FRAME + 1]).is_err());
}

#[test]
fn requests_of_other_versions_can_be_answered() {
    let with = |number: u32| {
        [
            encode(&(7u32, number)).unwrap()[4..].to_vec(),
            vec![1, 2, 3],
        ]
        .concat()
    };
    assert_eq!(
        RequestFrame::decode(&with(31)),
        Err(Undecodable::Reserved {
            serial: 7,
            name: "Checkpoint"
        })
    );
    assert_eq!(
        RequestFrame::decode(&with(999)),
        Err(Undecodable::Unknown {
            serial: 7,
            number: 999
        })
    );
    // WhoAmI with something behind it.
    assert_eq!(
        RequestFrame::decode(&with(0)),
        Err(Undecodable::Malformed { serial: 7 })
    );
    assert_eq!(RequestFrame::decode(&[0x80]), Err(Undecodable::Garbage));
}

#[test]
fn values_out_of_bounds_are_named() {
    let target = |label: usize| Target::Label("x".repeat(label));
    let path = |length: usize| format!("/{}", "x".repeat(length - 1));
    let switch = |new_root: &str, init: Option<String>| {
        Request::SwitchRoot(SwitchRoot {
            new_root: new_root.into(),
            init,
        })
    };
    let logs = |lines| {
        Request::Logs(Logs {
            target: target(1),
            lines,
            follow: false,
        })
    };
    let file = |name: &str| Request::SpawnCardFromDisk(CardFile { name: name.into() });
    let weight = |weight| {
        Request::SetIoWeight(SetWeight {
            target: target(1),
            weight,
        })
    };
    let memory = |bytes| {
        Request::SetMemoryHigh(SetMemory {
            target: target(1),
            bytes,
        })
    };
    for good in [
        weight(10_000),
        memory((1 << 40) - 1),
        file("web.card.json"),
        Request::Start(target(MAX_LABEL)),
        switch(&path(MAX_PATH - 1), None),
        logs(MAX_LOG_LINES),
    ] {
        assert_eq!(good.check(), Ok(()));
    }
    for (field, bad) in [
        ("target: ", Request::Start(target(MAX_LABEL + 1))),
        ("new_root: ", switch(&path(MAX_PATH), None)),
        ("new_root: ", switch("new", None)),
        ("init: ", switch("/new", Some("/a\0b".into()))),
        ("lines: ", logs(MAX_LOG_LINES + 1)),
        ("weight: ", weight(0)),
        ("weight: ", weight(10_001)),
        ("bytes: ", memory(0)),
        ("bytes: ", memory(1 << 40)),
        ("name: ", file("")),
        ("name: ", file("..")),
        ("name: ", file("../seed.card.json")),
        ("name: ", file(".hidden")),
        ("name: ", file(&"x".repeat(256))),
        (
            "capabilities: ",
            Request::Announce(Announce {
                capabilities: vec![Capability::Journal; MAX_NAMED + 1],
            }),
        ),
    ] {
        let problem = bad.check().unwrap_err();
        assert!(problem.starts_with(field), "{problem}");
    }
}

/// A call of the largest payload, from the caller with the longest names, fits in a frame; and no provider makes the
/// server send a larger one.
#[test]
fn the_largest_calls_fit() {
    let name = format!("a:b/{}@1.0.0", "c".repeat(MAX_TEXT - 10));
    let call = Call {
        id: CallId([0xff; 16]),
        caller: CallFrom {
            ente: Some(Id::from_bytes([0xff; 16])),
            label: Some("x".repeat(MAX_LABEL)),
            origin: CallOrigin::Component,
        },
        capability: Capability::Wit(name.parse().unwrap()),
        payload: vec![0xff; MAX_PAYLOAD],
        left_ms: u64::MAX,
    };
    let frame = encode(&ServerFrame::Call(call.clone())).unwrap();
    assert_eq!(decode(&frame[4..]), Some(ServerFrame::Call(call)));
    let answer = |result| Answer {
        call: CallId([0; 16]),
        result,
    };
    let most = vec![0; MAX_PAYLOAD];
    assert_eq!(answer(Ok(most.clone())).bounded(), Ok(most));
    assert_eq!(
        answer(Ok(vec![0; MAX_PAYLOAD + 1])).bounded(),
        Err(CallError::TooLarge(MAX_PAYLOAD as u32))
    );
    let long = "\u{e9}".repeat(MAX_TEXT);
    match answer(Err(HandlerError::Failed(long))).bounded() {
        Err(CallError::Refused(HandlerError::Failed(why))) => assert_eq!(why.len(), MAX_TEXT),
        other => unreachable!("{other:?}"),
    }
}

#[test]
fn a_capability_that_makes_no_sense_is_malformed() {
    let invoke = |name: &str| {
        let mut body = encode(&(7u32, 18u32, 9u32, name)).unwrap()[4..].to_vec();
        body.extend([0, 0]);
        RequestFrame::decode(&body)
    };
    assert!(invoke("acme:kv/store@1.0.0").is_ok());
    let malformed = Err(Undecodable::Malformed { serial: 7 });
    assert_eq!(invoke("acme"), malformed);
    assert_eq!(
        invoke(&format!("a:b/{}@1.0.0", "c".repeat(MAX_TEXT))),
        malformed
    );
}

#[test]
fn targets_are_ids_or_labels() {
    let id = "01ARZ3NDEKTSV4RRFFQ69G5FAV";
    assert_eq!(Target::of(id), Target::id(id.parse().unwrap()));
    assert_eq!(Target::of("web"), Target::Label("web".into()));
    assert_eq!(Target::of("web").to_string(), "`web`");
    assert_eq!(Target::of(id).to_string(), id);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Bytes of a stranger: the reader takes them apart without holding more than it was given.
    #[test]
    fn strangers_are_taken_apart(stream in proptest::collection::vec(any::<u8>(), 0..300), piece in 1usize..40) {
        if let Ok(bodies) = bodies(&stream, piece) {
            let taken: usize = bodies.iter().map(|body| body.len() + 4).sum();
            prop_assert!(taken <= stream.len());
        }
    }

    /// The body of a stranger is a value or is refused, on either side.
    #[test]
    fn bodies_of_strangers_are_refused(body in proptest::collection::vec(any::<u8>(), 0..120)) {
        if let Ok(frame) = RequestFrame::decode(&body) {
            let _ = frame.request.check();
        }
        let _ = decode::<Hello>(&body);
        let _ = decode::<HelloAnswer>(&body);
        let _ = decode::<ServerFrame>(&body);
    }

    /// A request in which some bytes were changed: still a value or an error, and one that says which request it was
    /// as long as its head is whole.
    #[test]
    fn damaged_requests_are_answered(at in 1usize..9, byte in any::<u8>()) {
        let mut body = encode(&request(5)).unwrap()[4..].to_vec();
        if let Some(place) = body.get_mut(at) {
            *place = byte;
        }
        match RequestFrame::decode(&body) {
            Ok(frame) => prop_assert_eq!(frame.serial, 5),
            Err(Undecodable::Garbage) => {}
            Err(
                Undecodable::Unknown { serial, .. }
                | Undecodable::Reserved { serial, .. }
                | Undecodable::Malformed { serial },
            ) => prop_assert_eq!(serial, 5),
        }
    }
}
