//! A pretended bus: answers each request from a table, so that transcripts are the same everywhere.

use std::io::{Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::thread;

use arje_bus::{
    BusError, CallError, EntePage, EnteState, EnteStatus, EnteSummary, ErrorCode, Event, Exit,
    ExitKind, FrameReader, HandlerError, Happening, HelloAnswer, Identity, Invoked, Log, LogEntry,
    LogLine, LogRecord, LogSource, LostLines, Notice, PayloadKind, Reply, Request, RequestFrame,
    Response, Rights, ServerFrame, Target, Telemetry, Transition, Versions, Welcome, encode,
};
use arje_card::Id;

/// Serves two sockets in this folder: `bus.sock`, and `future.sock`, which speaks later versions only.
pub fn serve(folder: &Path) {
    serve_at(&folder.join("bus.sock"), talk);
    serve_at(&folder.join("future.sock"), |mut stream| {
        let versions = Versions {
            oldest: 7,
            newest: 9,
        };
        let _ = stream.write_all(&encode(&HelloAnswer::Unsupported(versions)).unwrap());
    });
}

fn serve_at(path: &Path, serve: impl Fn(UnixStream) + Send + 'static) {
    let listener = UnixListener::bind(path).unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            serve(stream.unwrap());
        }
    });
}

/// One connection, until the client goes.
fn talk(mut stream: UnixStream) {
    let mut reader = FrameReader::new();
    let mut chunk = [0; 4096];
    let mut greeted = false;
    let mut stopped = false;
    let mut asked = 0;
    while let Ok(count) = stream.read(&mut chunk) {
        if count == 0 {
            return;
        }
        reader.push(&chunk[..count]);
        while let Some(body) = reader.take().unwrap() {
            let mut out = Vec::new();
            if greeted {
                let frame = RequestFrame::decode(&body).unwrap();
                stopped |= matches!(frame.request, Request::Stop(_));
                asked += usize::from(matches!(frame.request, Request::EnteStatus(_)));
                answer(&frame, stopped, asked, &mut out);
            } else {
                let welcome = Welcome {
                    version: 1,
                    server: "pretended".into(),
                };
                out.extend(encode(&HelloAnswer::Welcome(welcome)).unwrap());
                greeted = true;
            }
            if stream.write_all(&out).is_err() {
                return;
            }
        }
    }
}

/// `asked`: how often this connection has asked for a status.
fn answer(frame: &RequestFrame, stopped: bool, asked: usize, out: &mut Vec<u8>) {
    let serial = frame.serial;
    let mut followed_by = None;
    let response = match &frame.request {
        Request::WhoAmI => Response::You(identity()),
        Request::ListEntes(_) => Response::Entes(EntePage {
            entes: entes(),
            more: false,
        }),
        Request::EnteStatus(target) => found(target).map_or_else(Response::Error, |ente| {
            Response::Status(status(ente, stopped, asked))
        }),
        Request::EnteTelemetry(target) => found(target).map_or_else(Response::Error, |_| {
            Response::Telemetry(Telemetry {
                mem_bytes: Some(5 << 20),
                nproc: Some(1),
                cpu_usec: Some(1_234_567),
                restarts: 2,
            })
        }),
        Request::Subscribe(_) => {
            followed_by = Some(ServerFrame::Event(Notice {
                serial,
                content: event(),
            }));
            Response::Ok
        }
        Request::Logs(logs) => found(&logs.target).map_or_else(Response::Error, |_| {
            followed_by = Some(ServerFrame::Log(Notice {
                serial,
                content: log(3, false),
            }));
            Response::Log(log(1, true))
        }),
        Request::PowerOff(_) => Response::Error(BusError::new(
            ErrorCode::Forbidden,
            "user 1000 may not: PowerOff needs user 0, or an Ente whose Card holds Power",
        )),
        Request::Invoke(invoke) => Response::Invoked(Invoked {
            result: match invoke.payload.as_slice() {
                b"late" => Err(CallError::Deadline),
                b"typed" => Err(CallError::Refused(HandlerError::Unsupported)),
                payload => Ok([b"you said ", payload].concat()),
            },
        }),
        _ => Response::Ok,
    };
    out.extend(encode(&ServerFrame::Reply(Reply { serial, response })).unwrap());
    out.extend(followed_by.iter().flat_map(|frame| encode(frame).unwrap()));
}

fn id(number: u8) -> Id {
    Id::from_parts(1, [number; 10])
}

fn entes() -> Vec<EnteSummary> {
    let ente = |number, label: &str, state| EnteSummary {
        id: id(number),
        label: label.into(),
        parent: (number > 0).then(|| id(0)),
        payload: PayloadKind::Native,
        state,
        since_ms: 61_000,
        wanted: true,
        incarnation: 3,
        restarts: 2,
        pid: None,
        pin: None,
        held_by: None,
        provides: Vec::new(),
        provides_total: 0,
    };
    let mut root = ente(0, "root", EnteState::Starting);
    root.payload = PayloadKind::Virtual;
    let mut web = ente(1, "web", EnteState::Ready);
    web.pid = Some(77);
    web.provides = vec!["Journal".into()];
    web.provides_total = 2;
    let mut ticker = ente(2, "ticker", EnteState::Ready);
    ticker.payload = PayloadKind::Wasm;
    ticker.pin = Some([0xab; 32]);
    let mut late = ente(3, "late", EnteState::Waiting);
    late.held_by = Some("needs Power".into());
    let broken = ente(4, "broken", EnteState::Failed);
    vec![root, web, ticker, late, broken]
}

fn found(target: &Target) -> Result<EnteSummary, BusError> {
    let is_meant = |ente: &EnteSummary| match target {
        Target::Id(bytes) => ente.id.to_bytes() == *bytes,
        Target::Label(label) => ente.label == *label,
    };
    entes().into_iter().find(is_meant).ok_or_else(|| {
        BusError::new(
            ErrorCode::UnknownEnte,
            format!("no Ente {target}; `ente status` shows all"),
        )
    })
}

fn status(mut summary: EnteSummary, stopped: bool, asked: usize) -> Box<EnteStatus> {
    // What holds an Ente back changes without an event of that Ente: it was told of one, and looked then.
    if asked > 3 && summary.held_by.is_some() {
        summary.held_by = Some("needs Journal".into());
    }
    if stopped {
        summary.state = EnteState::Declared;
        summary.wanted = false;
    }
    let change = |ago_ms, from, to, cause: &str| Transition {
        ago_ms,
        incarnation: 3,
        from,
        to,
        cause: cause.into(),
    };
    Box::new(EnteStatus {
        summary,
        starts: 3,
        started_ms: Some(62_000),
        ready_after_ms: Some(12),
        last_exit: Some(Exit {
            kind: ExitKind::Signal,
            number: 9,
            text: "ended by signal 9".into(),
        }),
        next_in_ms: None,
        history: vec![
            change(
                62_000,
                EnteState::Backoff,
                EnteState::Starting,
                "its delay has passed",
            ),
            change(61_988, EnteState::Starting, EnteState::Ready, "ready"),
        ],
        says: Some("serving 3 clients".into()),
    })
}

fn identity() -> Identity {
    let rights = Rights {
        entes: true,
        power: false,
        switch_root: false,
    };
    Identity {
        pid: 80,
        uid: 1000,
        gid: 1000,
        ente: Some(id(1)),
        label: Some("web".into()),
        rights,
    }
}

/// An end of `web`. The connection goes on, as that of a real bus would.
fn event() -> Event {
    Event::Crashed(Happening {
        at_ms: 65_012,
        id: id(1),
        label: "web".into(),
        incarnation: 3,
        state: EnteState::Backoff,
        cause: "ended by signal 9".into(),
        exit: None,
    })
}

fn log(from: u64, more: bool) -> Log {
    let record = |number, entry| LogRecord {
        number,
        time_us: 1_000_000,
        incarnation: 3,
        entry,
    };
    let line = |text: &str| {
        LogEntry::Line(LogLine {
            source: LogSource::Stdout,
            text: text.into(),
        })
    };
    let lost = LostLines {
        lines: 7,
        bytes: 700,
    };
    Log {
        missed: if more { 0 } else { 4 },
        records: vec![
            record(from, line(&format!("line {from}"))),
            record(
                from + 1,
                if more {
                    LogEntry::Lost(lost)
                } else {
                    line("the last one")
                },
            ),
        ],
        more,
    }
}
