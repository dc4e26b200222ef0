//! What a worker says to PID 1, and PID 1 to a worker.

use super::zeros;
use arje_wasm::wire::{Command, Frames, MAX_COMMAND, MAX_REPORT, Report};

/// A stream of bytes. The first one says who talks, and in which pieces.
pub fn check(input: &[u8]) {
    let Some((how, stream)) = input.split_first() else {
        return;
    };
    let piece = usize::from(how >> 1) + 1;
    crate::within(16_384 + 256 * stream.len(), || match how & 1 {
        0 => read(stream, piece, MAX_REPORT, report),
        _ => read(stream, piece, MAX_COMMAND, command),
    });
}

fn read(stream: &[u8], piece: usize, longest: usize, decode: fn(&[u8])) {
    let mut frames = Frames::new(longest);
    for piece in stream.chunks(piece) {
        assert!(frames.wanted() <= longest + 4 + 4096);
        frames.push(piece);
        loop {
            match frames.next_frame() {
                Ok(Some(frame)) => {
                    crate::drive::count(1);
                    decode(frame);
                }
                Ok(None) => break,
                Err(_) => return, // the end of the worker
            }
        }
    }
}

/// What can be read means the same when it is written and read again.
fn report(frame: &[u8]) {
    if let Ok(report) = Report::decode(frame) {
        let bytes = report.encode();
        assert!(bytes.len() <= MAX_REPORT + 4);
        let again = Report::decode(&bytes[4..]);
        assert_eq!(again, Ok(report));
    }
}

fn command(frame: &[u8]) {
    if let Ok(command) = Command::decode(frame) {
        let bytes = command.encode();
        assert_eq!(Command::decode(&bytes[4..]), Ok(command));
    }
}

/// A frame of each kind, of those whose form follows from zeroes.
pub fn seeds() -> Vec<Vec<u8>> {
    let kinds = (0..=u8::MAX).map(|kind| vec![kind]);
    let second = |kind: &Vec<u8>| {
        (0..16)
            .map(|byte| [&kind[..], &[0; 8], &[byte]].concat())
            .collect::<Vec<_>>()
    };
    let heads: Vec<Vec<u8>> = kinds
        .flat_map(|kind| [vec![kind.clone()], second(&kind)].concat())
        .collect();
    let seeds = |who: u8, known: fn(&[u8]) -> bool| {
        let bodies = heads
            .iter()
            .cloned()
            .filter_map(move |head| zeros(head, known));
        bodies
            .map(move |body| [&[who + 40][..], &(body.len() as u32).to_le_bytes(), &body].concat())
    };
    let reports = seeds(0, |body| Report::decode(body).is_ok());
    reports
        .chain(seeds(1, |body| Command::decode(body).is_ok()))
        .collect()
}
