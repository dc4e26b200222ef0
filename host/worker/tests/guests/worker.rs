//! What is particular to worker processes: how they end, and that PID 1 believes nothing.

use crate::cases::refusal;
use crate::place::{command, ended_by};
use crate::rig::{self, Rig, card};
use arje_bus::{Announce, Invoke, ListEntes};
use arje_card::{Capability, Card};
use arje_wasm::wire::{Frames, MAX_COMMAND, Question, Report, receive_start};
use arje_wasm::{End, EventKind, Level, StartRequest, StopReason};
use nix::sys::signal::Signal;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::thread;

#[test]
fn a_worker_exits_when_its_component_has_ended() {
    let (rig, card) = (Rig::new(), card("run_ok", "run"));
    assert_eq!(rig.run(&card), End::Exited(0));
    assert!(rig.place.exit_status(&card).success());
}

#[test]
fn a_worker_that_is_killed_is_lost() {
    for signal in [Signal::SIGKILL, Signal::SIGTERM, Signal::SIGABRT] {
        let (rig, card) = (Rig::new(), card("service_ok", "service"));
        rig.start_ready(&card);
        rig.place.signal(&card, signal).unwrap();
        let ended = rig.wait(&card, |kind| matches!(kind, EventKind::Ended { .. }));
        assert!(
            matches!(ended.kind, EventKind::Ended { end: End::Lost, .. }),
            "{ended:?}"
        );
        assert!(ended_by(rig.place.exit_status(&card), signal));
    }
}

#[test]
fn a_worker_ends_with_its_pid_1() {
    let (rig, card) = (Rig::new(), card("loop_forever_in_run", "run"));
    let (ours, theirs) = UnixStream::pair().unwrap();
    let mut child = command(theirs).spawn().unwrap();
    rig.host.start_remote(request(&card), ours);
    rig.wait(&card, |kind| matches!(kind, EventKind::Started { .. }));
    drop(rig);
    assert_eq!(child.wait().unwrap().code(), Some(1));
}

#[test]
fn a_worker_without_a_socket_says_so() {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_ente-worker"))
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.contains("descriptor 3") && said.contains("ente-zero"),
        "{said}"
    );
}

#[test]
fn a_worker_leaves_when_it_is_given_nothing() {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let child = command(theirs)
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    drop(ours);
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr.len()), (Some(1), 0));
}

// --- hostile workers ---------------------------------------------------------------------------

pub fn request(card: &Card) -> StartRequest {
    StartRequest {
        card: Arc::new(card.clone()),
        incarnation: 1,
        sockets: Vec::new(),
    }
}

/// A worker that is handed its component and then does what the test wants.
pub fn impostor(rig: &Rig, card: &Card, act: impl FnOnce(UnixStream) + Send + 'static) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    rig.host.start_remote(request(card), ours);
    thread::spawn(move || {
        receive_start(&theirs, &mut Frames::new(MAX_COMMAND)).unwrap();
        act(theirs);
    });
}

/// What becomes of a worker that sends these bytes and then waits.
pub fn end_after(card: &Card, bytes: Vec<u8>) -> End {
    let rig = Rig::new();
    impostor(&rig, card, move |mut socket| {
        let _ = socket.write_all(&bytes); // it may be hung up on
        let _ = socket.read(&mut [0]);
    });
    rig.end_of(card)
}

#[test]
fn nonsense_is_the_end_of_a_worker() {
    let service = card("service_ok", "service");
    let line = Report::Line {
        level: Level::Info,
        text: "x".into(),
    };
    let answer = Report::Answer {
        number: 1,
        answer: Ok(Vec::new()),
    };
    let cases = [
        vec![0xff, 0xff, 0xff, 0x7f],    // a frame of 2 GiB
        vec![0, 0, 0, 0],                // an empty one
        vec![1, 0, 0, 0, 0xee],          // an unknown one
        vec![3, 0, 0, 0, 0x44, 2, 0xff], // a line that is not UTF-8
        Report::Ready.encode(),          // ready before it started
        Report::Alive.encode(),          // alive, though nobody asks
        answer.encode(),                 // an answer to no call
        [Report::Started.encode(), Report::Started.encode()].concat(),
        [line.encode(), vec![1, 0, 0, 0, 0x43]].concat(),
    ];
    for bytes in cases {
        let end = end_after(&service, bytes.clone());
        assert!(matches!(end, End::Broken(_)), "{bytes:?}: {end:?}");
    }
    let mut lively = card("service_health", "service");
    lively.liveness_ms = Some(60_000);
    let mut bytes = [Report::Started.encode(), Report::Ready.encode()].concat();
    bytes.extend(std::iter::repeat_n(Report::Alive.encode(), 1000).flatten());
    let end = end_after(&lively, bytes);
    assert!(matches!(end, End::Broken(_)), "{end:?}");
}

/// A service that may use the bus, and provides one capability.
fn peer() -> Card {
    let mut card = card("bus_peer", "service");
    card.permissions.ipc.allow = vec!["wit-v1".into()];
    card.provides = [Capability::Journal].into();
    card
}

fn asks(question: Question) -> Vec<u8> {
    let number = 1;
    Report::Asks { number, question }.encode()
}

fn invoke(payload: Vec<u8>) -> Vec<u8> {
    asks(Question::Invoke(Invoke {
        capability: Capability::Power,
        payload,
        deadline_ms: 60_000,
    }))
}

fn announce(capability: Capability) -> Vec<u8> {
    let capabilities = vec![capability];
    asks(Question::Announce(Announce { capabilities }))
}

#[test]
fn a_question_that_may_not_be_asked_is_the_end_of_a_worker() {
    let broken = |card: &Card, bytes: Vec<u8>| match end_after(card, bytes) {
        End::Broken(why) => why,
        end => panic!("{end:?}"),
    };
    let why = broken(&peer(), invoke(vec![0; arje_bus::MAX_PAYLOAD + 1]));
    assert!(why.contains("payload"), "{why}");
    let why = broken(&peer(), announce(Capability::Power));
    assert!(why.contains("does not provide"), "{why}");
    // Its component has one instance, which waits for its answer.
    let twice = announce(Capability::Journal).repeat(2);
    let why = broken(&peer(), twice);
    assert!(why.contains("at once"), "{why}");
    // Without the grant nothing may be asked, whatever it is.
    let mut silent = peer();
    silent.permissions.ipc.allow.clear();
    let list = asks(Question::List(ListEntes { after: None }));
    for question in [invoke(vec![]), announce(Capability::Journal), list] {
        let why = broken(&silent, question);
        assert!(why.contains("does not allow"), "{why}");
    }
}

#[test]
fn words_of_a_worker_are_cut_and_made_printable() {
    let rig = Rig::new();
    let card = card("service_ok", "service");
    impostor(&rig, &card, |mut socket| {
        let line = Report::Line {
            level: Level::Info,
            text: "\x1b[2Ja\nb".into(),
        };
        let end = Report::Ended {
            end: End::Failed("\x07".repeat(10_000)),
            memory_peak: 0,
        };
        socket.write_all(&line.encode()).unwrap();
        socket.write_all(&end.encode()).unwrap();
    });
    let End::Failed(message) = rig.end_of(&card) else {
        panic!("it failed")
    };
    assert!(message.starts_with("\\u{7}") && message.len() < 32 * 1024);
    assert_eq!(rig.lines.of(&card), ["\\u{1b}[2Ja\\nb"]);
}

#[test]
fn a_worker_that_floods_does_not_hold_up_a_neighbour() {
    let rig = Rig::new();
    let flooding = card("stdout_100mb", "run");
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    impostor(&rig, &flooding, move |mut socket| {
        socket.write_all(&Report::Started.encode()).unwrap();
        let line = Report::Line {
            level: Level::Trace,
            text: "x".into(),
        };
        let frame = line.encode().repeat(1000);
        while stopped.try_recv() == Err(std::sync::mpsc::TryRecvError::Empty) {
            if socket.write_all(&frame).is_err() {
                return;
            }
        }
    });
    for _ in 0..3 {
        assert_eq!(rig.run(&card("run_ok", "run")), End::Exited(0));
    }
    drop(stop);
}

#[test]
fn a_worker_that_does_not_listen_can_be_killed() {
    let rig = Rig::new();
    let card = card("service_ok", "service");
    impostor(&rig, &card, |mut socket| {
        let ready = [Report::Started.encode(), Report::Ready.encode()].concat();
        socket.write_all(&ready).unwrap();
        thread::park();
    });
    rig.wait(&card, |kind| matches!(kind, EventKind::Ready));
    rig.stop(&card, StopReason::Requested).unwrap();
    rig.host.kill(card.id, 1).unwrap(); // its process is gone
    assert_eq!(rig.end_of(&card), End::Killed);
}

#[test]
fn what_cannot_be_handed_over_is_refused() {
    let rig = Rig::new();
    let unknown = rig::card_for(arje_card::Pin([7; 32]), "unknown", "run");
    assert!(refusal(rig.run(&unknown)).contains("0707"));
}
