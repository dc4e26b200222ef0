//! Calls in both directions, and what components ask of PID 1, as bodies of frames.
//!
//! Capabilities, callers and payloads are encoded as on the bus (`arje_bus`), whose golden test holds their numbers.

use super::Malformed;
use super::body::{Reader, Writer};
use crate::calls::Call;
use crate::event::EnteInfo;
use arje_bus::limits::{MAX_NAMED, MAX_TEXT};
use arje_bus::{
    Announce, CallError, CallFrom, CallOrigin, Caller, EnteState, Invoke, Invoked, ListEntes,
    MAX_PAYLOAD, Origin, UpdateCapabilities,
};
use arje_card::{Capability, Card, Entry, Id, Payload, Pin, Supervision};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Questions that an Ente with the entry `http` may have under way, one for each of its requests: with 1 MiB in each, as
/// much as one Ente may have waiting on the bus.
const MOST_AT_ONCE: usize = 16;

/// Bytes after which a page of Entes ends. Whoever wants more asks for the next one.
const PAGE: usize = 1 << 20;

/// How many questions the component of a Card may have under way: one for each instance, which waits for the answer.
#[must_use]
pub fn questions_at_once(card: &Card) -> usize {
    match &card.payload {
        Payload::Wasm(payload) if payload.entry == Entry::Http => {
            (card.limits.mailbox as usize).clamp(1, MOST_AT_ONCE)
        }
        _ => 1,
    }
}

/// Whether a capability can be named on this wire: the bus has a longest name.
#[must_use]
pub fn can_name(capability: &Capability) -> bool {
    match capability {
        Capability::Wit(name) => name.to_string().len() <= MAX_TEXT,
        _ => true,
    }
}

/// What a component in a worker process asks of PID 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Question {
    /// To call whoever provides a capability. `deadline_ms` is what is left.
    Invoke(Invoke),
    /// `bus.announce`
    Announce(Announce),
    /// `bus.update-capabilities`
    Update(UpdateCapabilities),
    /// `bus.list-entes`
    List(ListEntes),
}

/// What PID 1 answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// To [`Question::Invoke`].
    Invoked(Result<Vec<u8>, CallError>),
    /// To [`Question::Announce`] and [`Question::Update`].
    Registered(Result<(), String>),
    /// To [`Question::List`].
    Page(Vec<EnteInfo>),
}

const INVOKE: u8 = 0;
const ANNOUNCE: u8 = 1;
const UPDATE: u8 = 2;
const LIST: u8 = 3;

const INVOKED: u8 = 0;
const REGISTERED: u8 = 1;
const PAGE_OF_ENTES: u8 = 2;

impl Question {
    pub(super) fn write(&self, writer: Writer) -> Writer {
        match self {
            Question::Invoke(invoke) => writer.u8(INVOKE).value(invoke),
            Question::Announce(announce) => writer.u8(ANNOUNCE).value(announce),
            Question::Update(update) => writer.u8(UPDATE).value(update),
            Question::List(list) => writer.u8(LIST).value(list),
        }
    }

    pub(super) fn read(body: &mut Reader<'_>) -> Result<Question, Malformed> {
        Ok(match body.u8()? {
            INVOKE => Question::Invoke(invoke(body.value()?)?),
            ANNOUNCE => {
                let announce: Announce = body.value()?;
                few(&announce.capabilities)?;
                Question::Announce(announce)
            }
            UPDATE => {
                let update: UpdateCapabilities = body.value()?;
                few(&update.adds)?;
                few(&update.removes)?;
                Question::Update(update)
            }
            LIST => Question::List(body.value()?),
            _ => return Err(Malformed("no such question")),
        })
    }
}

/// A call whose payload is not too large.
pub(super) fn invoke(invoke: Invoke) -> Result<Invoke, Malformed> {
    match invoke.payload.len() <= MAX_PAYLOAD {
        true => Ok(invoke),
        false => Err(Malformed("a payload that is larger than allowed")),
    }
}

fn few(list: &[Capability]) -> Result<(), Malformed> {
    match list.len() <= MAX_NAMED {
        true => Ok(()),
        false => Err(Malformed("more capabilities than one question may name")),
    }
}

impl Told {
    pub(super) fn write(&self, writer: Writer) -> Writer {
        match self {
            Told::Invoked(result) => {
                let result = result.clone();
                writer.u8(INVOKED).value(&Invoked { result })
            }
            Told::Registered(Ok(())) => writer.u8(REGISTERED).u8(0),
            Told::Registered(Err(why)) => writer.u8(REGISTERED).u8(1).rest(why),
            Told::Page(entes) => page(writer.u8(PAGE_OF_ENTES), entes),
        }
    }

    pub(super) fn read(body: &mut Reader<'_>) -> Result<Told, Malformed> {
        Ok(match body.u8()? {
            INVOKED => Told::Invoked(body.value::<Invoked>()?.result),
            REGISTERED => Told::Registered(match body.u8()? {
                0 => Ok(()),
                1 => Err(body.rest()?),
                _ => return Err(Malformed("no such answer")),
            }),
            PAGE_OF_ENTES => Told::Page(read_page(body)?),
            _ => return Err(Malformed("no such answer")),
        })
    }
}

/// An Ente on a page: id, label, incarnation, state, process, component, what it provides.
type Listed = (
    [u8; 16],
    String,
    u64,
    EnteState,
    Option<u32>,
    Option<[u8; 32]>,
    Announce,
);

fn page(mut writer: Writer, entes: &[EnteInfo]) -> Writer {
    let mut room = PAGE;
    for ente in entes {
        let named = ente.provides.iter().filter(|one| can_name(one));
        let listed: Listed = (
            ente.id.to_bytes(),
            ente.label.clone(),
            ente.incarnation,
            ente.state,
            ente.pid,
            ente.pin.map(|pin| pin.0),
            Announce {
                capabilities: named.take(MAX_NAMED).cloned().collect(),
            },
        );
        let before = writer.len();
        writer = writer.block(&Writer::new(0).value(&listed).into_body());
        match room.checked_sub(writer.len() - before) {
            Some(left) => room = left,
            None => break, // the first one always has room: 256 names of 512 bytes
        }
    }
    writer
}

fn read_page(body: &mut Reader<'_>) -> Result<Vec<EnteInfo>, Malformed> {
    let mut entes = Vec::new();
    while !body.is_empty() {
        let listed: Listed = Reader::over(body.block()?).value()?;
        let (id, label, incarnation, state, pid, pin, provides) = listed;
        entes.push(EnteInfo {
            id: Id::from_bytes(id),
            label,
            incarnation,
            state,
            pid,
            pin: pin.map(Pin),
            provides: provides.capabilities,
        });
    }
    Ok(entes)
}

/// A call as it is sent: who calls, and what is asked, with what is left of its time.
pub(crate) fn sent(call: Call) -> (CallFrom, Invoke) {
    let from = CallFrom::from(&call.caller);
    let invoke = Invoke {
        capability: call.capability,
        payload: call.payload,
        deadline_ms: left_ms(call.deadline),
    };
    (from, invoke)
}

/// The call that was sent.
#[must_use]
pub fn received(from: CallFrom, invoke: Invoke) -> Call {
    let card = from.ente.map(|id| {
        // Nothing else of the caller's Card is told, and nobody looks at it.
        let label = from.label.unwrap_or_default();
        Arc::new(Card::new(id, label, Payload::Virtual, Supervision::OneShot))
    });
    let origin = match from.origin {
        CallOrigin::Component => Origin::Component,
        CallOrigin::Process(process) => Origin::Process {
            pid: process.pid,
            uid: process.uid,
            gid: process.gid,
        },
    };
    Call {
        caller: Caller { card, origin },
        capability: invoke.capability,
        payload: invoke.payload,
        deadline: within(invoke.deadline_ms),
    }
}

/// Milliseconds until then, begun ones counted: who gives up in half a millisecond still asks.
#[must_use]
pub fn left_ms(deadline: Instant) -> u64 {
    let left = deadline.saturating_duration_since(Instant::now());
    left.as_micros().div_ceil(1000) as u64
}

/// In so many milliseconds, but at most as long as anybody waits.
pub(crate) fn within(ms: u64) -> Instant {
    Instant::now() + Duration::from_millis(ms).min(crate::calls::peer::MAX_PATIENCE)
}
