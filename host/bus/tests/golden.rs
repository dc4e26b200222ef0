//! The bytes of the protocol. A number that is on the wire once never means anything else, so a line here is never
//! changed; new variants get new lines.

#![expect(clippy::unwrap_used, reason = "tests say what they expect")]

#[path = "golden/calls.rs"]
mod calls;

use std::collections::BTreeSet;
use std::fmt::Debug;

use arje_bus::{
    BusError, CallError, CallOrigin, EntePage, EnteState, EnteStatus, EnteSummary, ErrorCode,
    Event, Exit, ExitKind, Filter, HandlerError, Happening, Hello, HelloAnswer, Identity, KillEnte,
    ListEntes, Log, LogEntry, LogLine, LogRecord, LogSource, Logs, LostLines, Notice, PayloadKind,
    Reply, Request, RequestFrame, Response, Rights, ServerFrame, StopEnte, Subscribe, SwitchRoot,
    Target, Telemetry, Transition, Versions, Welcome, decode, encode,
};
use arje_card::Id;
use serde::Serialize;
use serde::de::DeserializeOwned;

fn id() -> Id {
    Id::from_bytes([0xa1; 16])
}

const ID: &str = "a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1";

fn label() -> Target {
    Target::Label("web".into())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The value has these bytes, and these bytes are the value.
fn golden<T: Serialize + DeserializeOwned + PartialEq + Debug>(value: &T, bytes: &str) {
    let frame = encode(value).unwrap();
    let body = hex(&frame[4..]);
    assert_eq!(body, bytes.replace([' ', '|'], ""), "{value:?}");
    assert_eq!(frame[..4], (frame.len() as u32 - 4).to_be_bytes());
    assert_eq!(decode::<T>(&frame[4..]).as_ref(), Some(value));
}

#[test]
fn frames_begin_with_their_length_in_big_endian() {
    let frame = encode(&Hello::new()).unwrap();
    assert_eq!(hex(&frame), "00000008 06 7769742d7631 01".replace(' ', ""));
}

#[test]
fn hellos() {
    let versions = Versions {
        oldest: 1,
        newest: 3,
    };
    golden(&HelloAnswer::Unsupported(versions), "01 01 03");
    let welcome = Welcome {
        version: 1,
        server: "z".into(),
    };
    golden(&HelloAnswer::Welcome(welcome), "00 01 017a");
    let error = BusError::new(ErrorCode::Forbidden, "no");
    golden(&HelloAnswer::Refused(error), "02 02 026e6f");
}

#[test]
fn requests() {
    let frame = RequestFrame {
        serial: 300,
        request: Request::WhoAmI,
    };
    golden(&frame, "ac02 00");
    let after = Some(id());
    let filter = Filter {
        target: Some(label()),
        kinds: Some(0b110),
    };
    let stop = StopEnte {
        target: label(),
        now: true,
    };
    let kill = KillEnte {
        target: label(),
        signal: 15,
    };
    let logs = Logs {
        target: label(),
        lines: 200,
        follow: true,
    };
    let switch = SwitchRoot {
        new_root: "/n".into(),
        init: Some("/i".into()),
    };
    let cases: Vec<(Request, String)> = vec![
        (Request::WhoAmI, "00".into()),
        (
            Request::ListEntes(ListEntes { after }),
            format!("01 01 {ID}"),
        ),
        (Request::ListEntes(ListEntes::default()), "01 00".into()),
        (Request::EnteStatus(Target::id(id())), format!("02 00 {ID}")),
        (Request::EnteStatus(label()), "02 01 03776562".into()),
        (Request::EnteTelemetry(label()), "03 01 03776562".into()),
        (Request::Start(label()), "04 01 03776562".into()),
        (Request::Stop(stop), "05 01 03776562 01".into()),
        (Request::Restart(label()), "06 01 03776562".into()),
        (Request::KillEnte(kill), "07 01 03776562 0f".into()),
        (Request::PowerOff(true), "08 01".into()),
        (Request::Reboot(false), "09 00".into()),
        (Request::Halt(false), "0a 00".into()),
        (
            Request::Subscribe(Subscribe { filter }),
            "0b 01 01 03776562 01 06".into(),
        ),
        (Request::Logs(logs), "0c 01 03776562 c801 01".into()),
        (Request::Reexec, "0d".into()),
        (Request::SwitchRoot(switch), "0e 022f6e 01 022f69".into()),
    ];
    for (request, bytes) in cases {
        golden(&request, &bytes);
    }
}

fn summary() -> EnteSummary {
    EnteSummary {
        id: id(),
        label: "web".into(),
        parent: None,
        payload: PayloadKind::Wasm,
        state: EnteState::Backoff,
        since_ms: 5,
        wanted: true,
        incarnation: 7,
        restarts: 6,
        pid: Some(300),
        pin: Some([0xb2; 32]),
        held_by: Some("x".into()),
        provides: vec!["p".into()],
        provides_total: 1,
    }
}

fn summary_bytes() -> String {
    let pin = "b2".repeat(32);
    format!("{ID} 03776562 00 01 06 05 01 07 06 01 ac02 01 {pin} 01 0178 01 0170 01")
}

#[test]
fn responses() {
    let reply = Reply {
        serial: 300,
        response: Response::Ok,
    };
    golden(&ServerFrame::Reply(reply), "00 ac02 00");
    let rights = Rights {
        entes: true,
        power: false,
        switch_root: true,
    };
    let identity = Identity {
        pid: 9,
        uid: 0,
        gid: 1,
        ente: None,
        label: None,
        rights,
    };
    let error = BusError::new(ErrorCode::UnknownEnte, "no");
    let page = EntePage {
        entes: vec![summary()],
        more: true,
    };
    let exit = Exit {
        kind: ExitKind::Signal,
        number: -1,
        text: "e".into(),
    };
    let transition = Transition {
        ago_ms: 1,
        incarnation: 7,
        from: EnteState::Ready,
        to: EnteState::Backoff,
        cause: "c".into(),
    };
    let status = EnteStatus {
        summary: summary(),
        starts: 8,
        started_ms: Some(9),
        ready_after_ms: None,
        last_exit: Some(exit),
        next_in_ms: Some(2),
        history: vec![transition],
        says: Some("s".into()),
    };
    let telemetry = Telemetry {
        mem_bytes: Some(1),
        nproc: None,
        cpu_usec: Some(2),
        restarts: 3,
    };
    let summary = summary_bytes();
    let cases: Vec<(Response, String)> = vec![
        (Response::Ok, "00".into()),
        (Response::Error(error), "01 03 026e6f".into()),
        (Response::You(identity), "02 09 00 01 00 00 01 00 01".into()),
        (Response::Entes(page), format!("03 01 {summary} 01")),
        (
            Response::Status(Box::new(status)),
            format!("04 {summary} 08 0109 00 01 01 01 0165 0102 01 01 07 03 06 0163 010173"),
        ),
        (Response::Telemetry(telemetry), "05 0101 00 0102 03".into()),
        (Response::Log(log()), format!("06 {LOG}")),
    ];
    for (response, bytes) in cases {
        golden(&response, &bytes);
    }
}

fn log() -> Log {
    let record = |entry| LogRecord {
        number: 9,
        time_us: 300,
        incarnation: 2,
        entry,
    };
    let line = LogLine {
        source: LogSource::Stderr,
        text: "l".into(),
    };
    let lost = LostLines { lines: 5, bytes: 6 };
    Log {
        missed: 4,
        records: vec![record(LogEntry::Line(line)), record(LogEntry::Lost(lost))],
        more: true,
    }
}

const LOG: &str = "04 02 09 ac02 02 00 01 016c 09 ac02 02 01 05 06 01";

#[test]
fn events_and_lines_carry_the_serial_of_their_request() {
    let what = |state| Happening {
        at_ms: 1,
        id: id(),
        label: "web".into(),
        incarnation: 2,
        state,
        cause: "c".into(),
        exit: None,
    };
    let tail = |state: &str| format!("01 {ID} 03776562 02 {state} 0163 00");
    let cases: Vec<(Event, String)> = vec![
        (Event::Lagged(3), "00 03".into()),
        (
            Event::Ready(what(EnteState::Ready)),
            format!("01 {}", tail("03")),
        ),
        (
            Event::Crashed(what(EnteState::Backoff)),
            format!("02 {}", tail("06")),
        ),
        (
            Event::Restarting(what(EnteState::Starting)),
            format!("03 {}", tail("02")),
        ),
        (
            Event::Exited(what(EnteState::Done)),
            format!("04 {}", tail("05")),
        ),
        (
            Event::Parked(what(EnteState::Parked)),
            format!("05 {}", tail("07")),
        ),
        (
            Event::Failed(what(EnteState::Failed)),
            format!("06 {}", tail("08")),
        ),
        (
            Event::Starting(what(EnteState::Starting)),
            format!("07 {}", tail("02")),
        ),
        (
            Event::Stopping(what(EnteState::Stopping)),
            format!("08 {}", tail("04")),
        ),
        (
            Event::Stopped(what(EnteState::Declared)),
            format!("09 {}", tail("00")),
        ),
        (
            Event::Waiting(what(EnteState::Waiting)),
            format!("0a {}", tail("01")),
        ),
        (
            Event::Deployed(what(EnteState::Ready)),
            format!("0c {}", tail("03")),
        ),
    ];
    for (event, bytes) in cases {
        assert_eq!(bytes[..2], format!("{:02x}", event.kind()));
        let notice = Notice {
            serial: 5,
            content: event,
        };
        golden(&ServerFrame::Event(notice), &format!("01 05 {bytes}"));
    }
    let notice = Notice {
        serial: 5,
        content: log(),
    };
    golden(&ServerFrame::Log(notice), &format!("02 05 {LOG}"));
}

#[test]
fn small_enums() {
    let codes = [
        ErrorCode::BadRequest,
        ErrorCode::Unsupported,
        ErrorCode::Forbidden,
        ErrorCode::UnknownEnte,
        ErrorCode::Refused,
        ErrorCode::Busy,
        ErrorCode::Failed,
        ErrorCode::Incompatible,
    ];
    for (number, code) in codes.iter().enumerate() {
        golden(code, &format!("{number:02x}"));
    }
    let states = [
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
    for (number, state) in states.iter().enumerate() {
        golden(state, &format!("{number:02x}"));
    }
    let kinds = [
        PayloadKind::Virtual,
        PayloadKind::Wasm,
        PayloadKind::Native,
        PayloadKind::Legacy,
    ];
    for (number, kind) in kinds.iter().enumerate() {
        golden(kind, &format!("{number:02x}"));
    }
    let exits = [
        ExitKind::Code,
        ExitKind::Signal,
        ExitKind::Trap,
        ExitKind::Error,
        ExitKind::StartFailed,
    ];
    for (number, exit) in exits.iter().enumerate() {
        golden(exit, &format!("{number:02x}"));
    }
    let streams = [
        LogSource::Stdout,
        LogSource::Stderr,
        LogSource::Trace,
        LogSource::Debug,
        LogSource::Info,
        LogSource::Warn,
        LogSource::Error,
    ];
    for (number, stream) in streams.iter().enumerate() {
        golden(stream, &format!("{number:02x}"));
    }
}

/// What the tests above do not see: a variant without a line.
#[test]
fn all_numbers_are_known_here() {
    let count = |numbers: &[(u32, &str)]| {
        let distinct: BTreeSet<u32> = numbers.iter().map(|(number, _)| *number).collect();
        assert_eq!(distinct.len(), numbers.len(), "{numbers:?}");
        numbers.len()
    };
    assert_eq!(count(Request::NUMBERS), 32);
    assert_eq!(count(Response::NUMBERS), 9);
    assert_eq!(count(Event::NUMBERS), 12);
    assert_eq!(count(ServerFrame::NUMBERS), 4);
    assert_eq!(count(HelloAnswer::NUMBERS), 3);
    assert_eq!(count(ErrorCode::NUMBERS), 8);
    assert_eq!(count(EnteState::NUMBERS), 9);
    assert_eq!(count(Target::NUMBERS), 2);
    assert_eq!(count(CallError::NUMBERS), 7);
    assert_eq!(count(HandlerError::NUMBERS), 4);
    assert_eq!(count(CallOrigin::NUMBERS), 2);
    let reserved = [Request::NUMBERS, Request::RESERVED].concat();
    assert_eq!(count(&reserved), 34);
    let names: BTreeSet<&str> = reserved.iter().map(|(_, name)| *name).collect();
    assert_eq!(names.len(), reserved.len());
}
