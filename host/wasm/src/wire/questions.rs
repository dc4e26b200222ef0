//! Calls in both directions, and what components ask of PID 1, as bodies of frames.
//!
//! The types are those of the bus; the encoding is the one of this wire, which is a fifth of the code.

use super::body::{Reader, Writer, refused};
use super::{Malformed, tend};
use crate::calls::Call;
use crate::event::EnteInfo;
use crate::tend::{Tended, Wish};
use arje_bus::limits::{MAX_NAMED, MAX_TEXT};
use arje_bus::{
    Announce, CallError, CallFrom, CallOrigin, EnteState, Invoke, ListEntes, MAX_PAYLOAD, Process,
    UpdateCapabilities,
};
use arje_card::{Capability, Card, DeviceClass, Entry, Id, InterfaceId, Netlink, Payload, Pin};
use std::time::{Duration, Instant};

/// Questions that an Ente with the entry `http` may have under way, one for each of its requests: with 1 MiB in each, as
/// much as one Ente may have waiting on the bus.
const MOST_AT_ONCE: usize = 16;

/// Bytes after which a page of Entes ends, with the Ente that exceeds them. Whoever wants more asks for the next one.
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
    /// `arje:ente/supervisor`
    Tend(Wish),
    /// To call a function of a typed service, of the imported interface that the call's capability names.
    Typed {
        /// Its number among the functions of the import, in the order in which the component's type has them.
        function: u64,
        /// The call; its payload are the values.
        call: Invoke,
    },
}

/// What PID 1 answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// To [`Question::Invoke`] and [`Question::Typed`].
    Invoked(Result<Vec<u8>, CallError>),
    /// To [`Question::Announce`] and [`Question::Update`].
    Registered(Result<(), String>),
    /// To [`Question::List`].
    Page(Vec<EnteInfo>),
    /// To [`Question::Tend`].
    Tended(Tended),
    /// To [`Question::Typed`]: the provider means something else by it.
    Differs(String),
}

const INVOKE: u8 = 0;
const ANNOUNCE: u8 = 1;
const UPDATE: u8 = 2;
const LIST: u8 = 3;
const LIST_AFTER: u8 = 4;
const TEND: u8 = 6;
const TYPED: u8 = 5;

const INVOKED: u8 = 0;
const REGISTERED: u8 = 1;
const NOT_REGISTERED: u8 = 2;
const PAGE_OF_ENTES: u8 = 3;
const NO_PROVIDER: u8 = 4;
const OVERLOADED: u8 = 5;
const DEADLINE: u8 = 6;
const PROVIDER_DIED: u8 = 7;
const DEADLOCK: u8 = 8;
const TOO_LARGE: u8 = 9;
const REFUSED: u8 = 10;
const TENDED: u8 = 16;
const DIFFERS: u8 = 11;

impl Question {
    pub(super) fn write(&self, writer: Writer) -> Writer {
        match self {
            Question::Invoke(call) => write_invoke(writer.u8(INVOKE), call),
            Question::Announce(announce) => write_list(writer.u8(ANNOUNCE), &announce.capabilities),
            Question::Update(update) => {
                write_list(write_list(writer.u8(UPDATE), &update.adds), &update.removes)
            }
            Question::List(list) => match list.after {
                None => writer.u8(LIST),
                Some(id) => writer.u8(LIST_AFTER).bytes(&id.to_bytes()),
            },
            Question::Tend(wish) => tend::write_wish(writer.u8(TEND), wish),
            Question::Typed { function, call } => {
                write_invoke(writer.u8(TYPED).u64(*function), call)
            }
        }
    }

    pub(super) fn read(body: &mut Reader<'_>) -> Result<Question, Malformed> {
        let list = |after| Question::List(ListEntes { after });
        Ok(match body.u8()? {
            INVOKE => Question::Invoke(read_invoke(body)?),
            ANNOUNCE => Question::Announce(Announce {
                capabilities: read_list(body)?,
            }),
            UPDATE => Question::Update(UpdateCapabilities {
                adds: read_list(body)?,
                removes: read_list(body)?,
            }),
            LIST => list(None),
            LIST_AFTER => list(Some(read_id(body)?)),
            TEND => Question::Tend(tend::read_wish(body)?),
            TYPED => Question::Typed {
                function: body.u64()?,
                call: read_invoke(body)?,
            },
            _ => return Err(Malformed("no such question")),
        })
    }
}

impl Told {
    pub(super) fn write(&self, writer: Writer) -> Writer {
        match self {
            Told::Invoked(Ok(bytes)) => writer.u8(INVOKED).bytes(bytes),
            Told::Invoked(Err(error)) => write_error(writer, error),
            Told::Registered(Ok(())) => writer.u8(REGISTERED),
            Told::Registered(Err(why)) => writer.u8(NOT_REGISTERED).rest(why),
            Told::Page(entes) => write_page(writer.u8(PAGE_OF_ENTES), entes),
            Told::Tended(tended) => tend::write_tended(writer.u8(TENDED), tended),
            Told::Differs(why) => writer.u8(DIFFERS).rest(why),
        }
    }

    pub(super) fn read(body: &mut Reader<'_>) -> Result<Told, Malformed> {
        Ok(match body.u8()? {
            INVOKED => Told::Invoked(Ok(body.bytes())),
            REGISTERED => Told::Registered(Ok(())),
            NOT_REGISTERED => Told::Registered(Err(body.rest()?)),
            PAGE_OF_ENTES => Told::Page(read_page(body)?),
            TENDED => Told::Tended(tend::read_tended(body)?),
            NO_PROVIDER => Told::Invoked(Err(CallError::NoProvider)),
            OVERLOADED => Told::Invoked(Err(CallError::Overloaded)),
            DEADLINE => Told::Invoked(Err(CallError::Deadline)),
            PROVIDER_DIED => Told::Invoked(Err(CallError::ProviderDied)),
            DEADLOCK => Told::Invoked(Err(CallError::Deadlock)),
            TOO_LARGE => Told::Invoked(Err(CallError::TooLarge(read_u32(body)?))),
            REFUSED => Told::Invoked(Err(CallError::Refused(body.refused()?))),
            DIFFERS => Told::Differs(body.rest()?),
            _ => return Err(Malformed("no such answer")),
        })
    }
}

fn write_error(writer: Writer, error: &CallError) -> Writer {
    let kind = match error {
        CallError::NoProvider => NO_PROVIDER,
        CallError::Overloaded => OVERLOADED,
        CallError::Deadline => DEADLINE,
        CallError::ProviderDied => PROVIDER_DIED,
        CallError::Deadlock => DEADLOCK,
        CallError::TooLarge(most) => return writer.u8(TOO_LARGE).u64(u64::from(*most)),
        CallError::Refused(error) => return refused(writer.u8(REFUSED), error),
    };
    writer.u8(kind)
}

// --- what they are made of -----------------------------------------------------------------------

/// A call: up to the end of the frame.
pub(super) fn write_invoke(writer: Writer, call: &Invoke) -> Writer {
    write_capability(writer, &call.capability)
        .u64(call.deadline_ms)
        .bytes(&call.payload)
}

pub(super) fn read_invoke(body: &mut Reader<'_>) -> Result<Invoke, Malformed> {
    let call = Invoke {
        capability: read_capability(body)?,
        deadline_ms: body.u64()?,
        payload: body.bytes(),
    };
    match call.payload.len() <= MAX_PAYLOAD {
        true => Ok(call),
        false => Err(Malformed("a payload that is larger than allowed")),
    }
}

/// Who calls. Only an Ente has a label.
pub(super) fn write_caller(writer: Writer, from: &CallFrom) -> Writer {
    let writer = match from.ente {
        None => writer.u8(0),
        Some(id) => writer
            .u8(1)
            .bytes(&id.to_bytes())
            .text(from.label.as_deref().unwrap_or_default()),
    };
    match from.origin {
        CallOrigin::Component => writer.u8(0),
        CallOrigin::Process(Process { pid, uid, gid }) => {
            let numbers = [pid, uid, gid].into_iter();
            numbers.fold(writer.u8(1), |writer, number| writer.u64(u64::from(number)))
        }
    }
}

pub(super) fn read_caller(body: &mut Reader<'_>) -> Result<CallFrom, Malformed> {
    let (ente, label) = match body.u8()? {
        0 => (None, None),
        1 => (Some(read_id(body)?), Some(body.text()?.to_owned())),
        _ => return Err(Malformed("no such caller")),
    };
    let origin = match body.u8()? {
        0 => CallOrigin::Component,
        1 => CallOrigin::Process(Process {
            pid: read_u32(body)?,
            uid: read_u32(body)?,
            gid: read_u32(body)?,
        }),
        _ => return Err(Malformed("no such caller")),
    };
    Ok(CallFrom {
        ente,
        label,
        origin,
    })
}

#[inline(never)]
pub(super) fn read_id(body: &mut Reader<'_>) -> Result<Id, Malformed> {
    let mut id = [0; 16];
    id.copy_from_slice(body.take(16)?);
    Ok(Id::from_bytes(id))
}

#[inline(never)]
pub(super) fn read_u32(body: &mut Reader<'_>) -> Result<u32, Malformed> {
    u32::try_from(body.u64()?).map_err(|_| Malformed("a number that is too large"))
}

const FAMILIES: [Netlink; 4] = [
    Netlink::Uevent,
    Netlink::Route,
    Netlink::Generic,
    Netlink::Audit,
];

/// The place of a value in the list of all; each is in it.
pub(super) fn place<T: PartialEq>(of: &T, all: &[T]) -> u8 {
    all.iter().position(|one| one == of).unwrap_or_default() as u8
}

#[inline(never)]
fn write_capability(writer: Writer, capability: &Capability) -> Writer {
    let kind = match capability {
        Capability::FilesystemRoot => 0,
        Capability::LegacyLogind => 1,
        Capability::Spawn => 2,
        Capability::Journal => 3,
        Capability::SwitchRoot => 4,
        Capability::Power => 5,
        Capability::KernelNetlink(family) => return writer.u8(6).u8(place(family, &FAMILIES)),
        Capability::Device { class } => return writer.u8(7).u8(place(class, &DeviceClass::ALL)),
        Capability::Endpoint { interface, version } => {
            let writer = writer.u8(8).bytes(&interface.0);
            return writer.u64(u64::from(*version));
        }
        Capability::Wit(name) => return writer.u8(9).text(&name.to_string()),
    };
    writer.u8(kind)
}

#[inline(never)]
fn read_capability(body: &mut Reader<'_>) -> Result<Capability, Malformed> {
    const UNKNOWN: Malformed = Malformed("no such capability");
    Ok(match body.u8()? {
        0 => Capability::FilesystemRoot,
        1 => Capability::LegacyLogind,
        2 => Capability::Spawn,
        3 => Capability::Journal,
        4 => Capability::SwitchRoot,
        5 => Capability::Power,
        6 => Capability::KernelNetlink(*FAMILIES.get(body.u8()? as usize).ok_or(UNKNOWN)?),
        7 => Capability::Device {
            class: *DeviceClass::ALL.get(body.u8()? as usize).ok_or(UNKNOWN)?,
        },
        8 => Capability::Endpoint {
            interface: InterfaceId(read_id(body)?.to_bytes()),
            version: u16::try_from(body.u64()?).map_err(|_| UNKNOWN)?,
        },
        9 => {
            let name = body.text()?;
            let short = Some(name).filter(|name| name.len() <= MAX_TEXT);
            Capability::Wit(short.and_then(|name| name.parse().ok()).ok_or(UNKNOWN)?)
        }
        _ => return Err(UNKNOWN),
    })
}

#[inline(never)]
fn write_list(writer: Writer, list: &[Capability]) -> Writer {
    list.iter()
        .fold(writer.u64(list.len() as u64), write_capability)
}

#[inline(never)]
fn read_list(body: &mut Reader<'_>) -> Result<Vec<Capability>, Malformed> {
    let count = body.u64()?;
    if count > MAX_NAMED as u64 {
        return Err(Malformed("more capabilities than may be named at once"));
    }
    (0..count).map(|_| read_capability(body)).collect()
}

const STATES: [EnteState; 9] = [
    EnteState::Declared,
    EnteState::Waiting,
    EnteState::Starting,
    EnteState::Ready,
    EnteState::Stopping,
    EnteState::Done,
    EnteState::Backoff,
    EnteState::Parked,
    EnteState::Failed,
];

pub(super) fn write_state(writer: Writer, state: EnteState) -> Writer {
    writer.u8(place(&state, &STATES))
}

#[inline(never)]
pub(super) fn read_state(body: &mut Reader<'_>) -> Result<EnteState, Malformed> {
    let state = STATES.get(body.u8()? as usize);
    state.copied().ok_or(Malformed("no such state"))
}

#[inline(never)]
pub(super) fn write_pin(writer: Writer, pin: Option<&Pin>) -> Writer {
    match pin {
        None => writer.u8(0),
        Some(pin) => writer.u8(1).bytes(&pin.0),
    }
}

#[inline(never)]
pub(super) fn read_pin(body: &mut Reader<'_>) -> Result<Option<Pin>, Malformed> {
    match body.u8()? {
        0 => Ok(None),
        1 => {
            let mut pin = [0; 32];
            pin.copy_from_slice(body.take(32)?);
            Ok(Some(Pin(pin)))
        }
        _ => Err(Malformed("no such component")),
    }
}

/// As many Entes as a page holds.
fn write_page(mut writer: Writer, entes: &[EnteInfo]) -> Writer {
    for ente in entes {
        let named = ente.provides.iter().filter(|one| can_name(one));
        let provides: Vec<Capability> = named.take(MAX_NAMED).cloned().collect();
        writer = writer
            .bytes(&ente.id.to_bytes())
            .text(&ente.label)
            .u64(ente.incarnation)
            .u8(place(&ente.state, &STATES))
            .u64(ente.pid.map_or(0, u64::from)); // no process has the number 0
        writer = write_list(write_pin(writer, ente.pin.as_ref()), &provides);
        if writer.len() > PAGE {
            break; // one Ente beyond it, with 256 names of 512 bytes at most, is far from the longest command
        }
    }
    writer
}

fn read_page(body: &mut Reader<'_>) -> Result<Vec<EnteInfo>, Malformed> {
    let mut entes = Vec::new();
    while !body.is_empty() {
        entes.push(EnteInfo {
            id: read_id(body)?,
            label: body.text()?.to_owned(),
            incarnation: body.u64()?,
            state: read_state(body)?,
            pid: Some(read_u32(body)?).filter(|pid| *pid != 0),
            pin: read_pin(body)?,
            provides: read_list(body)?,
        });
    }
    Ok(entes)
}

// --- calls ---------------------------------------------------------------------------------------

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

/// Milliseconds until then, begun ones counted: who gives up in half a millisecond still asks.
#[must_use]
pub fn left_ms(deadline: Instant) -> u64 {
    let left = deadline.saturating_duration_since(Instant::now());
    left.as_micros().div_ceil(1000) as u64
}

/// In so many milliseconds, but at most as long as anybody waits.
#[must_use]
pub fn within(ms: u64) -> Instant {
    Instant::now() + Duration::from_millis(ms).min(crate::calls::peer::MAX_PATIENCE)
}
