//! Steps as bytes: one for the kind of step and the client, then what the step needs. Whatever the bytes are, they are a
//! script, so that a change of some of them changes some steps.

use super::client::capability;
use crate::targets::bus_frames;
use arje_card::Capability;

/// What happens next.
#[derive(Debug)]
pub enum Step<'a> {
    /// One more client, of this caller.
    Connect(u8),
    /// Bytes, as they are.
    Raw(&'a [u8]),
    /// A frame with this body.
    Frame(&'a [u8]),
    /// The hello.
    Hello,
    /// Answers the oldest call that came, with so many bytes.
    Answer(usize),
    /// Reads no longer, or again.
    Slow,
    /// Sends nothing more.
    HalfClose,
    /// Goes away.
    Close,
    /// Milliseconds pass.
    Pass(u64),
    /// The life of an Ente ends.
    End(u8),
    /// What waits for a component or a deployment has its answer.
    Late,
    /// So many zeroes.
    Zeros(usize),
    /// A call with so many bytes, and a deadline.
    Invoke(Capability, usize, u64),
    /// Takes calls from now on.
    Announce,
    /// Takes a capability back.
    Update(Capability),
    /// Turns of the loop in which nobody does anything.
    Turns(u8),
}

const CONNECT: u8 = 0;
const RAW: u8 = 1;
const FRAME: u8 = 2;
const HELLO: u8 = 3;
const ANSWER: u8 = 4;
const SLOW: u8 = 5;
const HALF_CLOSE: u8 = 6;
const CLOSE: u8 = 7;
const PASS: u8 = 8;
const END: u8 = 9;
const LATE: u8 = 10;
const ZEROS: u8 = 11;
const INVOKE: u8 = 12;
const ANNOUNCE: u8 = 13;
const UPDATE: u8 = 14;
const TURNS: u8 = 15;

/// The steps of an input.
pub struct Steps<'a>(&'a [u8]);

impl<'a> Steps<'a> {
    pub fn of(input: &'a [u8]) -> Self {
        Self(input)
    }

    fn byte(&mut self) -> u8 {
        let Some((byte, rest)) = self.0.split_first() else {
            return 0;
        };
        self.0 = rest;
        *byte
    }

    /// As many bytes as two say, as far as there are.
    fn bytes(&mut self) -> &'a [u8] {
        let length = usize::from(u16::from_le_bytes([self.byte(), self.byte()]));
        let (bytes, rest) = self.0.split_at(length.min(self.0.len()));
        self.0 = rest;
        bytes
    }
}

/// Up to a megabyte and somewhat more: small steps first, and the limits within reach.
fn size(byte: u8) -> usize {
    match byte {
        0..=99 => usize::from(byte),
        _ => usize::from(byte - 99) * 7000,
    }
}

impl<'a> Iterator for Steps<'a> {
    type Item = (usize, Step<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        let step = match first & 15 {
            CONNECT => Step::Connect(self.byte()),
            RAW => Step::Raw(self.bytes()),
            FRAME => Step::Frame(self.bytes()),
            HELLO => Step::Hello,
            ANSWER => Step::Answer(size(self.byte())),
            SLOW => Step::Slow,
            HALF_CLOSE => Step::HalfClose,
            CLOSE => Step::Close,
            PASS => Step::Pass(u64::from(self.byte()) * 100),
            END => Step::End(self.byte()),
            LATE => Step::Late,
            ZEROS => Step::Zeros(size(self.byte())),
            INVOKE => {
                let about = capability(self.byte());
                Step::Invoke(about, size(self.byte()), u64::from(self.byte()) * 100)
            }
            ANNOUNCE => Step::Announce,
            UPDATE => Step::Update(capability(self.byte())),
            _ => Step::Turns(self.byte() % 4),
        };
        Some((usize::from(first >> 4), step))
    }
}

fn frame(client: u8, body: &[u8]) -> Vec<u8> {
    [
        &[client << 4 | FRAME][..],
        &(body.len() as u16).to_le_bytes(),
        body,
    ]
    .concat()
}

/// Scripts to begin with.
pub fn seeds() -> Vec<Vec<u8>> {
    // Callers as `core.rs` has them.
    let everybody: Vec<u8> = (0..6)
        .flat_map(|who| [CONNECT, who, who << 4 | HELLO])
        .collect();
    let bodies: Vec<Vec<u8>> = bus_frames::seeds()
        .into_iter()
        .map(|stream| stream[5..].to_vec())
        .collect();
    // Each caller says everything there is, and all of them say each thing.
    let says_all = (0..6).map(|who| bodies.iter().flat_map(|body| frame(who, body)).collect());
    let groups = bodies.chunks(8).map(|some| {
        let all = some
            .iter()
            .flat_map(|body| (0..6).flat_map(|who| frame(who, body)));
        all.collect()
    });
    let asks = says_all
        .chain(groups)
        .map(|frames: Vec<u8>| [&everybody[..], &frames].concat());
    let card = br#"{"schema_version":1,"id":"01JQ0000000000000000000001","label":"made","payload":{"Native":{"exec":"/bin/true"}},"supervision":"OneShot"}"#;
    let run_card = [&[9, 20, card.len() as u8 | 0x80, 1][..], card].concat();
    let calls: &[u8] = &[
        2 << 4 | ANNOUNCE,
        1 << 4 | INVOKE,
        0,
        5,
        0,
        1 << 4 | INVOKE,
        0,
        200,
        3,
        INVOKE,
        1,
        1,
        0,
        2 << 4 | ANSWER,
        3,
        2 << 4 | ANSWER,
        240,
        LATE,
        INVOKE,
        2,
        0,
        0,
    ];
    let ends: &[&[u8]] = &[
        &[PASS, 60],
        &[1 << 4 | CLOSE, 2 << 4 | ANSWER, 1],
        &[2 << 4 | CLOSE, TURNS, 1],
        &[2 << 4 | UPDATE, 0],
        &[END, 0, TURNS, 1],
        &[1 << 4 | HALF_CLOSE, 2 << 4 | ANSWER, 1],
        &[2 << 4 | HALF_CLOSE, 1 << 4 | INVOKE, 0, 5, 0],
        &[1 << 4 | SLOW, 2 << 4 | ANSWER, 255, PASS, 255, PASS, 255],
        &[1 << 4 | ZEROS, 255, 1 << 4 | ZEROS, 255],
        &[RAW, 4, 0, 0, 16, 0, 0, PASS, 120],
    ];
    let waiting: &[u8] = &[1 << 4 | INVOKE, 0, 5, 0, 1 << 4 | INVOKE, 1, 5, 0];
    let ended = ends
        .iter()
        .map(|end| [&everybody[..], &calls[..1], waiting, end].concat());
    asks.chain(ended)
        .chain([
            [&everybody[..], calls].concat(),
            [&everybody[..], &frame(0, &run_card)].concat(),
        ])
        .collect()
}
