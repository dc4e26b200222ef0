//! What a component wants of the supervisor, what came of it, and what it is told, as bodies of frames.

use super::Malformed;
use super::body::{Reader, Writer};
use super::questions::{place, read_id, read_pin, read_state, read_u32, write_pin, write_state};
use crate::tend::{EnteStatus, MAX_CARD, Tended, Wish};
use arje_bus::limits::MAX_LABEL;
use arje_bus::{BusError, ErrorCode, Event, Exit, ExitKind, Happening, Target};

const STATUS: u8 = 0;
const SPAWN: u8 = 1;
const START: u8 = 2;
const STOP: u8 = 3;
const RESTART: u8 = 4;
const KILL: u8 = 5;
const REMOVE: u8 = 6;
const SUBSCRIBE: u8 = 7;
const SUBSCRIBE_TO_ALL: u8 = 8;
const UNSUBSCRIBE: u8 = 9;

pub(super) fn write_wish(writer: Writer, wish: &Wish) -> Writer {
    let (kind, target) = match wish {
        Wish::Spawn(card) => return writer.u8(SPAWN).rest(card),
        Wish::Kill(target, signal) => {
            return write_target(writer.u8(KILL).u8(*signal), target);
        }
        Wish::Subscribe(None) => return writer.u8(SUBSCRIBE_TO_ALL),
        Wish::Unsubscribe => return writer.u8(UNSUBSCRIBE),
        Wish::Status(target) => (STATUS, target),
        Wish::Start(target) => (START, target),
        Wish::Stop(target) => (STOP, target),
        Wish::Restart(target) => (RESTART, target),
        Wish::Remove(target) => (REMOVE, target),
        Wish::Subscribe(Some(target)) => (SUBSCRIBE, target),
    };
    write_target(writer.u8(kind), target)
}

pub(super) fn read_wish(body: &mut Reader<'_>) -> Result<Wish, Malformed> {
    let of: fn(Target) -> Wish = match body.u8()? {
        SPAWN => {
            let card = body.rest()?;
            return match card.len() <= MAX_CARD {
                true => Ok(Wish::Spawn(card)),
                false => Err(Malformed("a Card that is larger than allowed")),
            };
        }
        KILL => {
            let signal = body.u8()?;
            return Ok(Wish::Kill(read_target(body)?, signal));
        }
        SUBSCRIBE_TO_ALL => return Ok(Wish::Subscribe(None)),
        UNSUBSCRIBE => return Ok(Wish::Unsubscribe),
        STATUS => Wish::Status,
        START => Wish::Start,
        STOP => Wish::Stop,
        RESTART => Wish::Restart,
        REMOVE => Wish::Remove,
        SUBSCRIBE => |target| Wish::Subscribe(Some(target)),
        _ => return Err(Malformed("no such wish")),
    };
    read_target(body).map(of)
}

fn write_target(writer: Writer, target: &Target) -> Writer {
    match target {
        Target::Id(id) => writer.u8(0).bytes(id),
        Target::Label(label) => writer.u8(1).text(label),
    }
}

fn read_target(body: &mut Reader<'_>) -> Result<Target, Malformed> {
    match body.u8()? {
        0 => Ok(Target::Id(read_id(body)?.to_bytes())),
        1 => {
            let label = body.text()?;
            let short = Some(label).filter(|label| label.len() <= MAX_LABEL);
            let label = short.ok_or(Malformed("a label that is longer than labels are"))?;
            Ok(Target::Label(label.to_owned()))
        }
        _ => Err(Malformed("no such target")),
    }
}

const CODES: [ErrorCode; 8] = [
    ErrorCode::BadRequest,
    ErrorCode::Unsupported,
    ErrorCode::Forbidden,
    ErrorCode::UnknownEnte,
    ErrorCode::Refused,
    ErrorCode::Busy,
    ErrorCode::Failed,
    ErrorCode::Incompatible,
];

/// Up to the end of the frame.
pub(super) fn write_tended(writer: Writer, tended: &Tended) -> Writer {
    match tended {
        Ok(None) => writer.u8(0),
        Ok(Some(status)) => write_status(writer.u8(1), status),
        Err(error) => writer
            .u8(2)
            .u8(place(&error.code, &CODES))
            .rest(&error.message),
    }
}

pub(super) fn read_tended(body: &mut Reader<'_>) -> Result<Tended, Malformed> {
    match body.u8()? {
        0 => Ok(Ok(None)),
        1 => Ok(Ok(Some(Box::new(read_status(body)?)))),
        2 => {
            let code = *CODES
                .get(body.u8()? as usize)
                .ok_or(Malformed("no such error"))?;
            let message = body.rest()?;
            Ok(Err(BusError { code, message }))
        }
        _ => Err(Malformed("no such answer")),
    }
}

fn write_status(writer: Writer, status: &EnteStatus) -> Writer {
    let writer = writer.bytes(&status.id.to_bytes()).text(&status.label);
    let writer = write_state(writer, status.state)
        .u64(status.since_ms)
        .u8(u8::from(status.wanted))
        .u64(status.incarnation)
        .u64(status.restarts)
        .u64(status.pid.map_or(0, u64::from)); // no process has the number 0
    let writer = write_pin(writer, status.pin.as_ref());
    let writer = match &status.held_by {
        None => writer.u8(0),
        Some(text) => writer.u8(1).text(text),
    };
    write_exit(writer, status.last_exit.as_ref())
}

fn read_status(body: &mut Reader<'_>) -> Result<EnteStatus, Malformed> {
    Ok(EnteStatus {
        id: read_id(body)?,
        label: body.text()?.to_owned(),
        state: read_state(body)?,
        since_ms: body.u64()?,
        wanted: body.u8()? != 0,
        incarnation: body.u64()?,
        restarts: body.u64()?,
        pid: Some(read_u32(body)?).filter(|pid| *pid != 0),
        pin: read_pin(body)?,
        held_by: match body.u8()? {
            0 => None,
            _ => Some(body.text()?.to_owned()),
        },
        last_exit: read_exit(body)?,
    })
}

const EXITS: [ExitKind; 5] = [
    ExitKind::Code,
    ExitKind::Signal,
    ExitKind::Trap,
    ExitKind::Error,
    ExitKind::StartFailed,
];

fn write_exit(writer: Writer, exit: Option<&Exit>) -> Writer {
    match exit {
        None => writer.u8(0),
        Some(exit) => writer
            .u8(1 + place(&exit.kind, &EXITS))
            .u64(i64::from(exit.number).cast_unsigned())
            .text(&exit.text),
    }
}

fn read_exit(body: &mut Reader<'_>) -> Result<Option<Exit>, Malformed> {
    const UNKNOWN: Malformed = Malformed("no such end");
    let Some(kind) = body.u8()?.checked_sub(1) else {
        return Ok(None);
    };
    Ok(Some(Exit {
        kind: *EXITS.get(kind as usize).ok_or(UNKNOWN)?,
        number: i32::try_from(body.u64()?.cast_signed()).map_err(|_| UNKNOWN)?,
        text: body.text()?.to_owned(),
    }))
}

/// How an event is made of what happened.
type Make = fn(Happening) -> Event;

const EVENTS: [Make; 11] = [
    Event::Ready,
    Event::Crashed,
    Event::Restarting,
    Event::Exited,
    Event::Parked,
    Event::Failed,
    Event::Starting,
    Event::Stopping,
    Event::Stopped,
    Event::Waiting,
    Event::Deployed,
];

/// The place in `EVENTS`.
fn place_of(event: &Event) -> u8 {
    match event {
        Event::Lagged(_) | Event::Ready(_) => 0,
        Event::Crashed(_) => 1,
        Event::Restarting(_) => 2,
        Event::Exited(_) => 3,
        Event::Parked(_) => 4,
        Event::Failed(_) => 5,
        Event::Starting(_) => 6,
        Event::Stopping(_) => 7,
        Event::Stopped(_) => 8,
        Event::Waiting(_) => 9,
        Event::Deployed(_) => 10,
    }
}

pub(super) fn write_event(writer: Writer, event: &Event) -> Writer {
    let what = match event {
        Event::Lagged(count) => return writer.u8(0).u64(*count),
        other => other.happening(),
    };
    let Some(what) = what else {
        return writer.u8(0).u64(0); // there is no such event
    };
    let writer = writer
        .u8(1 + place_of(event))
        .u64(what.at_ms)
        .bytes(&what.id.to_bytes())
        .text(&what.label)
        .u64(what.incarnation);
    let writer = write_state(writer, what.state).text(&what.cause);
    write_exit(writer, what.exit.as_ref())
}

pub(super) fn read_event(body: &mut Reader<'_>) -> Result<Event, Malformed> {
    let Some(kind) = body.u8()?.checked_sub(1) else {
        return Ok(Event::Lagged(body.u64()?));
    };
    let make = EVENTS
        .get(kind as usize)
        .ok_or(Malformed("no such event"))?;
    Ok(make(Happening {
        at_ms: body.u64()?,
        id: read_id(body)?,
        label: body.text()?.to_owned(),
        incarnation: body.u64()?,
        state: read_state(body)?,
        cause: body.text()?.to_owned(),
        exit: read_exit(body)?,
    }))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::wire::Command;
    use arje_bus::EnteState;
    use arje_card::{Id, Pin};
    use std::sync::Arc;

    /// One of each.
    pub(in crate::wire) fn wishes() -> Vec<Wish> {
        let label = || Target::Label("é".into());
        vec![
            Wish::Status(Target::Id([3; 16])),
            Wish::Spawn("{}".into()),
            Wish::Start(label()),
            Wish::Stop(label()),
            Wish::Restart(label()),
            Wish::Kill(label(), 15),
            Wish::Remove(label()),
            Wish::Subscribe(Some(label())),
            Wish::Subscribe(None),
            Wish::Unsubscribe,
        ]
    }

    fn exits() -> Vec<Option<Exit>> {
        let exit = |kind| Exit {
            kind,
            number: -3,
            text: "why".into(),
        };
        let all = EXITS.iter().map(|kind| Some(exit(*kind)));
        all.chain([None]).collect()
    }

    /// One of each.
    pub(in crate::wire) fn tended() -> Vec<Tended> {
        let status = |last_exit: Option<Exit>| EnteStatus {
            id: Id::from_bytes([4; 16]),
            label: "é".into(),
            state: EnteState::Failed,
            since_ms: 7,
            wanted: last_exit.is_some(),
            incarnation: u64::MAX,
            restarts: 9,
            pid: last_exit.as_ref().map(|_| 12),
            pin: last_exit.as_ref().map(|_| Pin([6; 32])),
            held_by: last_exit.as_ref().map(|exit| exit.text.clone()),
            last_exit,
        };
        let statuses = exits()
            .into_iter()
            .map(|exit| Ok(Some(Box::new(status(exit)))));
        let errors = CODES
            .iter()
            .map(|code| Err(BusError::new(*code, "because")));
        statuses.chain(errors).chain([Ok(None)]).collect()
    }

    /// One of each, and one for each way to end.
    pub(in crate::wire) fn events() -> Vec<Command> {
        let what = |exit| Happening {
            at_ms: 6,
            id: Id::from_bytes([2; 16]),
            label: "é".into(),
            incarnation: 8,
            state: EnteState::Backoff,
            cause: "because".into(),
            exit,
        };
        let kinds = [
            Event::Ready,
            Event::Crashed,
            Event::Restarting,
            Event::Exited,
            Event::Parked,
            Event::Failed,
            Event::Starting,
            Event::Stopping,
            Event::Stopped,
            Event::Waiting,
            Event::Deployed,
        ];
        let kinds = kinds.into_iter().map(|kind| kind(what(None)));
        let exits = exits().into_iter().map(|exit| Event::Exited(what(exit)));
        let all = kinds.chain(exits).chain([Event::Lagged(5)]);
        all.map(|event| Command::Event(Arc::new(event))).collect()
    }

    #[test]
    fn a_card_that_is_too_large_is_no_wish() {
        let refused = |wish: Wish| {
            let frame = write_wish(Writer::new(0), &wish).frame();
            let (_, mut body) = Reader::new(&frame[4..]).unwrap();
            read_wish(&mut body).unwrap_err().0
        };
        let card = Wish::Spawn("x".repeat(MAX_CARD + 1));
        assert!(refused(card).contains("a Card"));
        let label = Wish::Start(Target::Label("x".repeat(MAX_LABEL + 1)));
        assert!(refused(label).contains("a label"));
    }
}
