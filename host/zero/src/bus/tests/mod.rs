//! The server over real sockets, without a core loop.

mod calls;
mod caps;
mod leaving;
mod rights;
mod spawn;
mod turns;

use super::caller::Caller;
use super::limits::{MAX_INBOUND, MAX_OUTBOUND, MAX_PER_OWNER, MAX_SUBSCRIPTIONS, SMALL_FRAME};
use super::*;
use crate::console::Console;
use crate::logs::Captured;
use arje_bus::limits::MAX_FRAME;
use arje_bus::{EnteState, Happening, Log, LogEntry, Request, encode};
use arje_wasm::Level;
use nix::sys::resource::setrlimit;
use rights::{card, member};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::io::{Read as _, Write as _};
use std::time::Duration;
use tempfile::TempDir;

const NOW: Millis = Millis(1000);

/// A server, and a clock that only the test moves.
struct Rig {
    bus: Bus,
    poller: Poller,
    now: Millis,
    caller: Caller,
    logs: Logs,
    folder: TempDir,
}

impl Rig {
    fn new() -> Rig {
        let mut poller = Poller::new().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let console = Console::start(io::sink(), Level::Error).unwrap();
        let logs = Logs::start(console, poller.wake_handle()).unwrap();
        let bus = Bus::listen(&folder.path().join("bus"), logs.clone(), &mut poller).unwrap();
        Rig {
            bus,
            poller,
            now: NOW,
            caller: user(0),
            logs,
            folder,
        }
    }

    fn connect(&self) -> UnixStream {
        let stream = UnixStream::connect(self.folder.path().join("bus")).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        stream
    }

    /// A turn of the loop for all sockets at once; every request is answered with `Ok`.
    fn turn(&mut self) {
        let tokens: Vec<u64> = self.bus.connections.keys().copied().collect();
        for token in [self.bus.listener_token].into_iter().chain(tokens) {
            let caller = self.caller.clone();
            self.bus
                .ready(token, self.now, &mut self.poller, |_| caller.clone());
        }
        loop {
            self.bus.begin_turn(); // as many as there are
            let Some(incoming) = self.bus.next_request(self.now, &mut self.poller) else {
                break;
            };
            match incoming.frame {
                Ok(frame) => {
                    self.bus
                        .reply(incoming.token, frame.serial, Response::Ok, self.now);
                }
                Err(_) => self.bus.close(incoming.token),
            }
        }
        self.bus.flush(self.now, &mut self.poller);
    }

    fn pass(&mut self, time: Duration) {
        self.now = self.now.plus(time.as_millis() as u64);
        self.bus.expire(self.now, &mut self.poller);
    }

    /// A connection that has said hello.
    fn greeted(&mut self) -> UnixStream {
        let mut stream = self.connect();
        send(&mut stream, &Hello::new());
        self.turn();
        self.turn();
        let answer: HelloAnswer = receive(&mut stream).unwrap();
        assert!(matches!(answer, HelloAnswer::Welcome(_)), "{answer:?}");
        stream
    }
}

fn user(uid: u32) -> Caller {
    Caller {
        pid: 7,
        uid,
        gid: uid,
        ente: None,
    }
}

fn send(stream: &mut UnixStream, value: &impl Serialize) {
    stream.write_all(&encode(value).unwrap()).unwrap();
}

/// The next frame; none at the end of the connection.
fn receive<T: DeserializeOwned>(stream: &mut UnixStream) -> Option<T> {
    let mut length = [0; 4];
    stream.read_exact(&mut length).ok()?;
    let mut body = vec![0; u32::from_be_bytes(length) as usize];
    stream.read_exact(&mut body).ok()?;
    decode(&body)
}

fn is_closed(stream: &mut UnixStream) -> bool {
    let mut rest = Vec::new();
    match stream.read_to_end(&mut rest) {
        Ok(_) => true,
        Err(error) => error.kind() == io::ErrorKind::ConnectionReset,
    }
}

fn who_am_i(serial: u32) -> RequestFrame {
    RequestFrame {
        serial,
        request: Request::WhoAmI,
    }
}

fn an_event(label: &str) -> Event {
    Event::Ready(Happening {
        at_ms: 1,
        id: Id::from_bytes([1; 16]),
        label: label.into(),
        incarnation: 1,
        state: EnteState::Ready,
        cause: "ready".into(),
        exit: None,
    })
}

/// Supervisor and bus know nothing of each other; people see one set of words.
#[test]
fn a_state_has_the_same_name_everywhere() {
    for state in arje_supervisor::State::ALL {
        assert_eq!(view::state(state).name(), state.name());
    }
    assert_eq!(EnteState::NUMBERS.len(), arje_supervisor::State::ALL.len());
}

#[test]
fn requests_are_answered_in_order_also_those_sent_ahead() {
    let mut rig = Rig::new();
    let mut stream = rig.connect();
    send(&mut stream, &Hello::new());
    for serial in 0..200 {
        send(&mut stream, &who_am_i(serial));
    }
    for _ in 0..4 {
        rig.turn();
    }
    let _: HelloAnswer = receive(&mut stream).unwrap();
    for serial in 0..200 {
        let reply: ServerFrame = receive(&mut stream).unwrap();
        let response = Response::Ok;
        assert_eq!(reply, ServerFrame::Reply(Reply { serial, response }));
    }
}

#[test]
fn other_versions_are_told_which_there_are() {
    let mut rig = Rig::new();
    for (protocol, version) in [(PROTOCOL, 2), ("brahman", 1)] {
        let mut stream = rig.connect();
        let protocol = protocol.to_owned();
        send(&mut stream, &Hello { protocol, version });
        rig.turn();
        rig.turn();
        let answer: HelloAnswer = receive(&mut stream).unwrap();
        assert_eq!(answer, HelloAnswer::Unsupported(SUPPORTED));
        assert!(is_closed(&mut stream));
    }
    assert!(rig.bus.connections.is_empty());
}

#[test]
fn an_ente_without_the_bus_in_its_card_is_refused_by_name() {
    let mut rig = Rig::new();
    rig.caller = member(&card("shy", |_| {}), 0);
    let mut stream = rig.connect();
    send(&mut stream, &Hello::new());
    rig.turn();
    rig.turn();
    match receive(&mut stream).unwrap() {
        HelloAnswer::Refused(error) => {
            assert_eq!(error.code, ErrorCode::Forbidden);
            assert!(
                error.message.contains("Card `shy`: permissions.ipc.allow"),
                "{error}"
            );
        }
        other => panic!("{other:?}"),
    }
    assert!(is_closed(&mut stream));
}

#[test]
fn half_open_connections_are_closed_by_their_deadlines() {
    let mut rig = Rig::new();
    let mut silent = rig.connect();
    let mut begun = rig.greeted();
    let mut idle = rig.greeted();
    begun.write_all(&[0, 0, 0, 9, 1]).unwrap();
    rig.turn();
    assert_eq!(rig.bus.connections.len(), 3);
    rig.pass(limits::HELLO_TIME);
    assert!(is_closed(&mut silent));
    assert_eq!(rig.bus.connections.len(), 2);
    rig.pass(limits::FRAME_TIME);
    assert!(is_closed(&mut begun));
    rig.pass(Duration::from_secs(100_000));
    send(&mut idle, &who_am_i(1));
    rig.turn();
    assert!(receive::<ServerFrame>(&mut idle).is_some());
    assert_eq!(rig.bus.next_deadline(), None);
}

#[test]
fn a_slow_reader_costs_its_queue_and_is_closed() {
    let mut rig = Rig::new();
    let stream = rig.greeted();
    let token = *rig.bus.connections.keys().next().unwrap();
    rig.bus.subscribe(token, 1, None, u64::MAX).unwrap();
    let event = an_event(&"x".repeat(200));
    for _ in 0..20_000 {
        rig.bus.publish(&event, rig.now);
        rig.bus.flush(rig.now, &mut rig.poller);
    }
    let connection = &rig.bus.connections[&token];
    assert!(
        connection.waiting() <= MAX_OUTBOUND + 400,
        "{}",
        connection.waiting()
    );
    assert!(connection.subscriptions[0].lagged > 10_000);
    rig.pass(limits::READ_TIME);
    assert!(rig.bus.connections.is_empty());
    drop(stream);
}

#[test]
fn a_reader_that_comes_back_is_told_what_it_missed() {
    let mut rig = Rig::new();
    let mut stream = rig.greeted();
    let token = *rig.bus.connections.keys().next().unwrap();
    rig.bus.subscribe(token, 9, None, u64::MAX).unwrap();
    let published = 20_000;
    for number in 0..published {
        let event = an_event(&number.to_string());
        rig.bus.publish(&event, rig.now);
        rig.bus.flush(rig.now, &mut rig.poller);
    }
    let mut seen = 0;
    let lagged = loop {
        rig.turn();
        match receive(&mut stream).unwrap() {
            ServerFrame::Event(notice) => match notice.content {
                Event::Lagged(count) => break count,
                event => {
                    let label = &event.happening().unwrap().label;
                    assert_eq!(label, &seen.to_string(), "no gap before the report of one");
                    seen += 1;
                }
            },
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(seen + lagged, published);
    rig.bus.publish(&an_event("after"), rig.now);
    rig.turn();
    match receive(&mut stream).unwrap() {
        ServerFrame::Event(notice) => {
            assert_eq!(notice.content.happening().unwrap().label, "after");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_owner_has_so_many_connections_and_idle_ones_hold_no_buffers() {
    let mut rig = Rig::new();
    let mut streams: Vec<UnixStream> = (0..MAX_PER_OWNER).map(|_| rig.greeted()).collect();
    let mut surplus = rig.connect();
    rig.turn();
    match receive(&mut surplus).unwrap() {
        HelloAnswer::Refused(error) => assert_eq!(error.code, ErrorCode::Busy),
        other => panic!("{other:?}"),
    }
    assert_eq!(rig.bus.connections.len(), MAX_PER_OWNER);
    assert!(
        rig.bus
            .connections
            .values()
            .all(|one| one.waiting() == 0 && one.held() == 0)
    );
    // Another owner is not concerned.
    rig.caller = user(1000);
    drop(rig.greeted());
    rig.caller = user(0);
    drop(streams.pop());
    rig.turn();
    drop(rig.greeted());
}

#[test]
fn a_thousand_idle_connections_cost_little_and_keep_nobody_out() {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).unwrap();
    let mut rig = Rig::new();
    let mut streams = Vec::new();
    for owner in 1..=8 {
        rig.caller = user(owner);
        streams.extend((0..125).map(|_| rig.greeted()));
    }
    assert_eq!(rig.bus.connections.len(), 1000);
    let buffers = |one: &Connection| one.waiting() + one.held() + one.subscriptions.capacity();
    assert_eq!(rig.bus.connections.values().map(buffers).sum::<usize>(), 0);
    assert_eq!(rig.bus.next_deadline(), None);
    assert!(
        size_of::<Connection>() <= 512,
        "{}",
        size_of::<Connection>()
    );
    rig.caller = user(0);
    let mut root = rig.greeted();
    send(&mut root, &who_am_i(1));
    rig.turn();
    assert!(receive::<ServerFrame>(&mut root).is_some());
}

#[test]
fn unfinished_frames_of_one_owner_are_bounded_together() {
    let mut rig = Rig::new();
    let frame = MAX_FRAME - 100;
    let most = MAX_INBOUND / MAX_FRAME;
    let count = most + 2;
    let mut streams: Vec<UnixStream> = (0..count).map(|_| rig.greeted()).collect();
    for stream in &mut streams {
        stream.set_nonblocking(true).unwrap();
        stream.write_all(&(MAX_FRAME as u32).to_be_bytes()).unwrap();
    }
    let mut sent = vec![0; count];
    for _ in 0..2000 {
        for (stream, sent) in streams.iter_mut().zip(&mut sent) {
            let chunk = vec![0; (frame - *sent).min(16 * 1024)];
            *sent += stream.write(&chunk).unwrap_or(0);
        }
        rig.turn();
        let held: usize = rig.bus.connections.values().map(Connection::held).sum();
        assert!(held <= MAX_INBOUND + count * SMALL_FRAME, "{held}");
    }
    // So many of them fit, and the others had to go.
    assert_eq!(rig.bus.connections.len(), most);
    assert_eq!(sent.iter().filter(|sent| **sent == frame).count(), most);
}

#[test]
fn a_connection_has_so_many_subscriptions() {
    let mut rig = Rig::new();
    let _stream = rig.greeted();
    let token = *rig.bus.connections.keys().next().unwrap();
    for serial in 0..MAX_SUBSCRIPTIONS as u32 {
        rig.bus.subscribe(token, serial, None, 1).unwrap();
    }
    let error = rig.bus.subscribe(token, 99, None, 1).unwrap_err();
    assert_eq!(error.code, ErrorCode::Busy);
}

/// The texts of a part of a log, each with its number.
fn lines(log: Log) -> Vec<(u64, String)> {
    let records = log.records.into_iter();
    records
        .map(|record| match record.entry {
            LogEntry::Line(line) => (record.number, line.text),
            LogEntry::Lost(lost) => (record.number, format!("{lost:?}")),
        })
        .collect()
}

#[test]
fn a_log_comes_in_parts_and_goes_on() {
    let mut rig = Rig::new();
    let mut stream = rig.greeted();
    let token = *rig.bus.connections.keys().next().unwrap();
    let id = Id::from_bytes([1; 16]);
    let (stdout, mut out) = UnixStream::pair().unwrap();
    let (stderr, _err) = UnixStream::pair().unwrap();
    stdout.set_nonblocking(true).unwrap();
    stderr.set_nonblocking(true).unwrap();
    rig.logs.open(id);
    rig.logs.attach(Captured {
        id,
        label: "talker".into(),
        incarnation: 1,
        stdout: stdout.into(),
        stderr: stderr.into(),
    });
    rig.logs.hand_on();
    let text = |number: u64| format!("{number:0>200}");
    for number in 0..200 {
        writeln!(out, "{}", text(number)).unwrap();
    }
    rig.logs.flush(Duration::from_secs(20));

    // Not followed: the last so many, and an end.
    let ends = rig.bus.log(token, 1, id, 3, false).unwrap();
    let Response::Log(log) = ends else {
        panic!("{ends:?}");
    };
    assert!(!log.more && log.missed == 0);
    let last_three: Vec<_> = (197..200).map(|number| (number, text(number))).collect();
    assert_eq!(lines(log), last_three);

    // Followed: more than fits into one part, without a gap, and whatever comes then.
    let first = rig.bus.log(token, 2, id, 150, true).unwrap();
    let Response::Log(log) = first else {
        panic!("{first:?}");
    };
    let mut found = lines(log);
    assert!(found.len() < 150);
    writeln!(out, "{}", text(200)).unwrap();
    rig.logs.flush(Duration::from_secs(20));
    rig.bus.logs_grew();
    while found.len() < 151 {
        rig.turn();
        match receive(&mut stream).unwrap() {
            ServerFrame::Log(notice) => {
                assert_eq!((notice.serial, notice.content.more), (2, true));
                found.extend(lines(notice.content));
            }
            other => panic!("{other:?}"),
        }
    }
    let expected: Vec<_> = (50..201).map(|number| (number, text(number))).collect();
    assert_eq!(found, expected);
}

#[test]
fn strangers_do_no_harm() {
    let mut rig = Rig::new();
    let mut state = 1_u64;
    let mut random = move || {
        // xorshift64 (Marsaglia 2003), so that the bytes are the same each time.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    for round in 0..500 {
        let mut stream = if round % 2 == 0 {
            rig.connect()
        } else {
            rig.greeted()
        };
        let mut bytes: Vec<u8> = (0..random() % 600).map(|_| random() as u8).collect();
        if round % 3 == 0 {
            // Frames of sensible length, so that what is in them is looked at.
            bytes = bytes
                .chunks(20)
                .flat_map(|body| [&(body.len() as u32).to_be_bytes()[..], body].concat())
                .collect();
        }
        stream.write_all(&bytes).unwrap();
        for _ in 0..3 {
            rig.turn();
        }
    }
    rig.turn();
    rig.turn();
    assert_eq!(rig.bus.connections.len(), 0, "all have gone");
    drop(rig.greeted());
}
