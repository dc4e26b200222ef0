//! Frames of the bus, in both directions.

use super::zeros;
use arje_bus::limits::MAX_FRAME;
use arje_bus::{
    Broken, FrameReader, Hello, HelloAnswer, Request, RequestFrame, Response, ServerFrame, decode,
    encode,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt::Debug;

/// A stream of bytes. The first one says in which pieces the rest comes.
pub fn check(input: &[u8]) {
    let Some((piece, stream)) = input.split_first() else {
        return;
    };
    // Numbers are what a byte grows to most: a capability of one byte has 40 (and there is the reader's copy).
    crate::within(4096 + 256 * stream.len(), || {
        read(stream, usize::from(*piece) + 1);
    });
}

fn read(stream: &[u8], piece: usize) {
    let mut reader = FrameReader::new();
    for piece in stream.chunks(piece) {
        reader.push(piece);
        loop {
            let has = reader.has_frame();
            match reader.take() {
                Ok(Some(body)) => {
                    assert!(has && body.len() <= MAX_FRAME);
                    crate::drive::count(1);
                    decode_all(&body);
                }
                Ok(None) => {
                    assert!(!has);
                    break;
                }
                Err(Broken::TooLong(length)) => {
                    assert!(has && length as usize > MAX_FRAME);
                    return;
                }
            }
        }
    }
    assert!(reader.held() <= stream.len());
}

/// A body, taken for each kind of frame.
fn decode_all(body: &[u8]) {
    same::<Hello>(body);
    same::<HelloAnswer>(body);
    same::<ServerFrame>(body);
    if let Ok(frame) = RequestFrame::decode(body) {
        let _ = frame.request.check();
        let bytes = encode(&frame).unwrap();
        assert_eq!(RequestFrame::decode(&bytes[4..]), Ok(frame));
    }
}

/// What can be read means the same when it is written and read again.
fn same<T: Serialize + DeserializeOwned + PartialEq + Debug>(body: &[u8]) {
    if let Some(value) = decode::<T>(body) {
        let bytes = encode(&value).unwrap();
        assert_eq!(decode::<T>(&bytes[4..]), Some(value));
    }
}

/// A frame of each kind, and all of them in one stream.
pub fn seeds() -> Vec<Vec<u8>> {
    let requests = Request::NUMBERS
        .iter()
        .map(|(number, _)| vec![7, *number as u8]);
    let known = |body: &[u8]| RequestFrame::decode(body).is_ok();
    let requests = requests.filter_map(|head| zeros(head, known));
    let server = |body: &[u8]| decode::<ServerFrame>(body).is_some();
    let replies = Response::NUMBERS
        .iter()
        .map(|(number, _)| vec![0, 7, *number as u8]);
    let others = ServerFrame::NUMBERS
        .iter()
        .map(|(number, _)| vec![*number as u8]);
    let frames = replies.chain(others).filter_map(|head| zeros(head, server));
    let answers = HelloAnswer::NUMBERS
        .iter()
        .map(|(number, _)| vec![*number as u8]);
    let answers =
        answers.filter_map(|head| zeros(head, |body| decode::<HelloAnswer>(body).is_some()));
    let hello = encode(&Hello::new()).unwrap()[4..].to_vec();
    let bodies = [hello]
        .into_iter()
        .chain(requests)
        .chain(frames)
        .chain(answers);
    let framed = |body: Vec<u8>| [&(body.len() as u32).to_be_bytes()[..], &body].concat();
    let mut seeds: Vec<Vec<u8>> = bodies.map(framed).collect();
    seeds.push(seeds.concat());
    seeds
        .into_iter()
        .map(|stream| [&[40][..], &stream].concat())
        .collect()
}
