//! One test per guest, under its name. Shared by the tests of components in this process and of
//! components in a worker process: a component cannot tell where it runs.

use crate::rig::{self, Rig, card, wasm};
use arje_card::{Bind, Filesystem, Networking};
use arje_wasm::{End, EventKind, InvokeError, StopReason};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

macro_rules! a_test_for_each {
    ($($case:ident)*) => { $(const _: fn() = $case;)* };
}
arje_guest_artifacts::foreach_case!(a_test_for_each);

const ECHO: &str = "arje:test/calls@1.0.0#echo";

fn trap(end: &End) -> &'static str {
    match end {
        End::Trapped { kind, .. } => kind,
        end => panic!("not a trap: {end:?}"),
    }
}

pub fn refusal(end: End) -> String {
    match end {
        End::Refused(message) => message,
        end => panic!("not refused: {end:?}"),
    }
}

// --- commands ---------------------------------------------------------------------------------

#[test]
fn run_ok() {
    let (rig, card) = (Rig::new(), card("run_ok", "run"));
    assert_eq!(rig.run(&card), End::Exited(0));
    assert_eq!(rig.lines.of(&card), ["ok"]);
}

#[test]
fn run_exit_3() {
    // `wasi:cli/exit` carries ok or error, no number.
    assert_eq!(Rig::new().run(&card("run_exit_3", "run")), End::Exited(1));
}

#[test]
fn run_returns_err() {
    let (rig, card) = (Rig::new(), card("run_returns_err", "run"));
    assert_eq!(rig.run(&card), End::Exited(1));
    assert!(rig.lines.of(&card).concat().contains("the reason"));
}

#[test]
fn run_panics() {
    let (rig, card) = (Rig::new(), card("run_panics", "run"));
    assert_eq!(trap(&rig.run(&card)), "unreachable");
    assert!(rig.lines.of(&card).contains(&"the message".to_owned()));
}

#[test]
fn run_echo_args_env() {
    let (rig, mut card) = (Rig::new(), card("run_echo_args_env", "run"));
    wasm(&mut card).argv = vec!["a b".into(), "".into()];
    wasm(&mut card).envp.0 = vec![("K".into(), "v=1".into())];
    assert_eq!(rig.run(&card), End::Exited(0));
    let lines = rig.lines.of(&card);
    let args: Vec<&String> = lines
        .iter()
        .filter(|line| line.starts_with("arg "))
        .collect();
    assert_eq!(args, ["arg 0=run_echo_args_env", "arg 1=a b", "arg 2="]);
    let env: Vec<&String> = lines
        .iter()
        .filter(|line| line.starts_with("env "))
        .collect();
    assert_eq!(env, ["env K=v=1"], "nothing of the host's own environment");
}

fn with_folder(name: &str, argv: &str, ro: bool) -> (arje_card::Card, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("in"), "the content").unwrap();
    let mut card = card(name, "run");
    wasm(&mut card).argv = vec![argv.into()];
    wasm(&mut card).preopens = vec![Bind {
        source: folder.path().to_str().unwrap().into(),
        target: "/data".into(),
        ro,
    }];
    card.permissions.filesystem = Filesystem::ReadWrite;
    (card, folder)
}

#[test]
fn run_reads_preopen() {
    let rig = Rig::new();
    let (card, _folder) = with_folder("run_reads_preopen", "/data/in", true);
    assert_eq!(rig.run(&card), End::Exited(0));
    assert_eq!(rig.lines.of(&card), ["the content"]);
    for outside in ["/etc/passwd", "/data/../etc/passwd"] {
        let (card, _folder) = with_folder("run_reads_preopen", outside, true);
        assert_ne!(rig.run(&card), End::Exited(0), "{outside}");
    }
    let (mut card, folder) = with_folder("run_reads_preopen", "/data/in", true);
    drop(folder);
    assert!(refusal(rig.run(&card)).contains("preopens: cannot open the folder"));
    wasm(&mut card).preopens.clear();
    assert_ne!(rig.run(&card), End::Exited(0), "no preopen, no file");
}

#[test]
fn run_writes_preopen() {
    let rig = Rig::new();
    let (card, folder) = with_folder("run_writes_preopen", "/data/out", false);
    assert_eq!(rig.run(&card), End::Exited(0));
    assert_eq!(
        std::fs::read_to_string(folder.path().join("out"))
            .unwrap()
            .trim(),
        "written"
    );

    let (read_only_bind, folder) = with_folder("run_writes_preopen", "/data/out", true);
    assert_ne!(rig.run(&read_only_bind), End::Exited(0));
    assert!(!folder.path().join("out").exists());

    let (mut read_only, folder) = with_folder("run_writes_preopen", "/data/out", false);
    read_only.permissions.filesystem = Filesystem::ReadOnly;
    assert_ne!(rig.run(&read_only), End::Exited(0));
    assert!(!folder.path().join("out").exists());
}

#[test]
fn run_stdin_empty() {
    let (rig, card) = (Rig::new(), card("run_stdin_empty", "run"));
    assert_eq!(rig.run(&card), End::Exited(0));
    assert_eq!(rig.lines.of(&card), ["0 bytes"]);
}

#[test]
fn run_sleeps() {
    // More sleepers than workers, each longer than its call deadline: they wait at the same time
    // and no deadline ends them.
    let rig = Rig::new();
    let cards: Vec<_> = (0..32)
        .map(|_| {
            let mut card = card("run_sleeps", "run");
            wasm(&mut card).argv = vec!["3000".into()];
            card.limits.call_ms = 2000;
            card
        })
        .collect();
    cards.iter().for_each(|card| rig.start(card));
    let mut ended = 0;
    while ended < cards.len() {
        let event = rig.host.wait_event(rig::DEADLINE).unwrap();
        if let EventKind::Ended { end, .. } = event.kind {
            assert_eq!(end, End::Exited(0));
            ended += 1;
        }
    }
}

fn with_network(name: &str, networking: Networking, argv: &[&str]) -> arje_card::Card {
    let mut card = card(name, "run");
    card.permissions.networking = networking;
    wasm(&mut card).argv = argv.iter().map(|arg| (*arg).to_owned()).collect();
    card
}

#[test]
fn run_connects_tcp() {
    let rig = Rig::new();
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = server.local_addr().unwrap().to_string();
    let answering = thread::spawn(move || {
        for _ in 0..2 {
            let (mut stream, _) = server.accept().unwrap();
            let mut asked = String::new();
            stream.read_to_string(&mut asked).unwrap();
            assert_eq!(asked, "ping\n");
            stream.write_all(b"pong\n").unwrap();
        }
    });
    for networking in [Networking::Outbound, Networking::Loopback] {
        let card = with_network("run_connects_tcp", networking, &[&address]);
        assert_eq!(rig.run(&card), End::Exited(0), "{networking:?}");
        assert!(rig.lines.of(&card).concat().contains("pong"));
    }
    answering.join().unwrap();
    let card = with_network("run_connects_tcp", Networking::None, &[&address]);
    let message = refusal(rig.run(&card));
    assert!(
        message.contains("wasi:sockets/") && message.contains("networking"),
        "{message}"
    );
    // A documentation address (RFC 5737): refused by the check, nothing is sent.
    let card = with_network("run_connects_tcp", Networking::Loopback, &["192.0.2.1:80"]);
    assert_ne!(rig.run(&card), End::Exited(0));
}

#[test]
fn run_listens_tcp() {
    let rig = Rig::new();
    let card = with_network("run_listens_tcp", Networking::Full, &["127.0.0.1:0"]);
    rig.start(&card);
    let line = rig.lines.wait_for(&card, "listening ");
    let address = line.trim_start_matches("listening ");
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(b"hello").unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut echoed = String::new();
    stream.read_to_string(&mut echoed).unwrap();
    assert_eq!(echoed, "hello");
    assert_eq!(rig.end_of(&card), End::Exited(0));
    let card = with_network("run_listens_tcp", Networking::Outbound, &["127.0.0.1:0"]);
    assert_ne!(rig.run(&card), End::Exited(0));
}

#[test]
fn run_resolves_name() {
    let rig = Rig::new();
    let card = with_network("run_resolves_name", Networking::Outbound, &["localhost"]);
    assert_eq!(rig.run(&card), End::Exited(0));
    assert!(rig.lines.of(&card).concat().contains("127.0.0.1"));
    let card = with_network("run_resolves_name", Networking::None, &["localhost"]);
    assert!(refusal(rig.run(&card)).contains("wasi:sockets/ip-name-lookup"));
    // Linked, since a program that connects to an address imports it, too, but nothing is asked.
    let card = with_network("run_resolves_name", Networking::Loopback, &["localhost"]);
    assert_eq!(rig.run(&card), End::Exited(1));
}

#[test]
fn run_fetches_http() {
    let rig = Rig::new();
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = server.local_addr().unwrap().to_string();
    let answering = thread::spawn(move || {
        let (mut stream, _) = server.accept().unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        assert!(
            head.starts_with(b"GET /a/b HTTP/1.1\r\n"),
            "{}",
            String::from_utf8_lossy(&head)
        );
        stream
            .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\nthe body")
            .unwrap();
    });
    let card = with_network("run_fetches_http", Networking::Outbound, &[&address, "a/b"]);
    let end = rig.run(&card);
    let text = rig.lines.of(&card).join("\n");
    assert_eq!(end, End::Exited(0), "{text}");
    answering.join().unwrap();
    assert!(text.contains("200") && text.contains("the body"), "{text}");
    let card = with_network("run_fetches_http", Networking::None, &[&address, "a/b"]);
    assert!(refusal(rig.run(&card)).contains("wasi:http/outgoing-handler"));
}

// --- services ---------------------------------------------------------------------------------

#[test]
fn service_ok() {
    let (rig, card) = (Rig::new(), card("service_ok", "service"));
    rig.start_ready(&card);
    rig.stop(&card, StopReason::Requested).unwrap();
    assert_eq!(rig.end_of(&card), End::Exited(0));
    let lines = rig.lines.of(&card);
    assert!(
        lines[0].contains("service_ok") && lines[0].contains("incarnation=\"1\""),
        "{lines:?}"
    );
    assert!(lines[1].contains("requested"), "{lines:?}");
    assert!(
        rig.stop(&card, StopReason::Requested).is_err(),
        "it is over"
    );
}

#[test]
fn service_start_err() {
    let end = Rig::new().run(&card("service_start_err", "service"));
    assert_eq!(end, End::Failed("no such thing".into()));
}

#[test]
fn service_start_traps() {
    let end = Rig::new().run(&card("service_start_traps", "service"));
    assert_eq!(trap(&end), "unreachable");
}

#[test]
fn service_stop_hangs() {
    let (rig, mut card) = (Rig::new(), card("service_stop_hangs", "service"));
    card.stop_timeout_ms = 50;
    rig.start_ready(&card);
    rig.stop(&card, StopReason::Shutdown).unwrap();
    let stop = End::Deadline {
        call: "stop",
        after_ms: 50,
    };
    assert_eq!(rig.end_of(&card), stop);
}

#[test]
fn service_health() {
    let (rig, mut card) = (Rig::new(), card("service_health", "service"));
    card.liveness_ms = Some(3000);
    rig.start_ready(&card);
    for _ in 0..2 {
        rig.wait(&card, |kind| matches!(kind, EventKind::Alive));
    }
    assert_eq!(rig.end_of(&card), End::Unhealthy("ill".into()));
    let mut without = self::card("service_ok", "service");
    without.liveness_ms = Some(20);
    assert!(refusal(rig.run(&without)).contains("arje:ente/health"));
}

#[test]
fn service_timer() {
    let (rig, card) = (Rig::new(), card("service_timer", "service"));
    rig.start_ready(&card);
    let sevens = |lines: &[String]| lines.iter().filter(|line| line.contains("\"7\"")).count();
    while sevens(&rig.lines.of(&card)) < 3 {
        // Any further line wakes this; the last one is the third.
        rig.lines.wait_for(&card, "\"7\"");
        thread::yield_now();
    }
    rig.stop(&card, StopReason::Requested).unwrap();
    assert_eq!(rig.end_of(&card), End::Exited(0));
    let lines = rig.lines.of(&card);
    assert_eq!(sevens(&lines), 3, "{lines:?}");
    assert!(lines.iter().any(|line| line.contains("\"9\"")), "{lines:?}");
    assert!(
        !lines.iter().any(|line| line.contains("\"8\"")),
        "{lines:?}"
    );
}

#[test]
fn service_timer_flood() {
    let (rig, card) = (Rig::new(), card("service_timer_flood", "service"));
    rig.start_ready(&card);
}

#[test]
fn service_timer_storm() {
    // More storms than workers; a neighbour starts and is served between them.
    let rig = Rig::new();
    let storms: Vec<_> = (0..8)
        .map(|_| card("service_timer_storm", "service"))
        .collect();
    storms.iter().for_each(|card| rig.start_ready(card));
    let calls = card("service_counts_calls", "service");
    rig.start_ready(&calls);
    for n in 0..200_u32 {
        let payload = n.to_le_bytes();
        assert_eq!(rig.invoke(&calls, ECHO, &payload), Ok(payload.to_vec()));
    }
    for card in &storms {
        rig.stop(card, StopReason::Requested).unwrap();
        assert_eq!(rig.end_of(card), End::Exited(0));
    }
}

#[test]
fn service_counts_calls() {
    let (rig, card) = (Rig::new(), card("service_counts_calls", "service"));
    rig.start_ready(&card);
    for size in [0, 64, 64 * 1024] {
        let payload = vec![7; size];
        assert_eq!(rig.invoke(&card, ECHO, &payload), Ok(payload));
    }
    let missing = rig.invoke(&card, "arje:test/calls@1.0.0#shout", &[]);
    assert!(
        matches!(missing, Err(InvokeError::NoSuchFunction(_))),
        "{missing:?}"
    );
    rig.kill(&card).unwrap();
    assert_eq!(rig.end_of(&card), End::Killed);
    assert_eq!(rig.invoke(&card, ECHO, &[]), Err(InvokeError::NotRunning));
}

// --- other entries ----------------------------------------------------------------------------

#[test]
fn export_plain() {
    let (rig, ticking) = (Rig::new(), card("export_plain", "tick"));
    assert_eq!(rig.run(&ticking), End::Exited(0));
    assert!(rig.lines.of(&ticking).concat().contains("tick"));
    let message = refusal(rig.run(&card("export_plain", "tock")));
    assert!(message.contains("\"tock\"") && message.contains("exports no such function"));
    let message = refusal(rig.run(&card("export_plain", "service")));
    assert!(
        message.contains("does not export arje:ente/service"),
        "{message}"
    );
}

// --- imports ----------------------------------------------------------------------------------

#[test]
fn import_unknown() {
    let message = refusal(Rig::new().run(&card("import_unknown", "run")));
    assert!(message.contains("acme:unknown/thing@1.0.0"), "{message}");
}

#[test]
fn two_imports_surplus() {
    let message = refusal(Rig::new().run(&card("two_imports_surplus", "service")));
    for import in [
        "wasi:sockets/instance-network",
        "wasi:sockets/ip-name-lookup",
    ] {
        assert!(message.contains(import), "{message}");
    }
    assert!(message.contains("permissions.networking"), "{message}");
}

// --- hostile ----------------------------------------------------------------------------------

#[test]
fn loop_forever_in_start() {
    let (rig, mut card) = (Rig::new(), card("loop_forever_in_start", "service"));
    card.limits.call_ms = 1000;
    let start = End::Deadline {
        call: "start",
        after_ms: 1000,
    };
    assert_eq!(rig.run(&card), start);
}

#[test]
fn loop_forever_in_run() {
    // Many more loops than workers, and a neighbour that is still served.
    let (rig, calls) = (Rig::new(), card("service_counts_calls", "service"));
    let loops: Vec<_> = (0..16)
        .map(|_| card("loop_forever_in_run", "run"))
        .collect();
    loops.iter().for_each(|card| rig.start(card));
    rig.start_ready(&calls);
    for n in 0..1000_u32 {
        let payload = n.to_le_bytes();
        assert_eq!(rig.invoke(&calls, ECHO, &payload), Ok(payload.to_vec()));
    }
    for card in &loops {
        rig.kill(card).unwrap();
    }
    for _ in &loops {
        let event = rig.host.wait_event(rig::DEADLINE).unwrap();
        assert!(
            matches!(
                event.kind,
                EventKind::Ended {
                    end: End::Killed | End::Lost,
                    ..
                } | EventKind::Started { .. }
            ),
            "{event:?}"
        );
    }
}

#[test]
fn grow_memory() {
    let (rig, mut card) = (Rig::new(), card("grow_memory", "service"));
    card.limits.memory_bytes = 4 << 20;
    let End::Failed(message) = rig.run(&card) else {
        panic!("it was not refused")
    };
    let pages: u64 = message
        .trim_start_matches("refused after ")
        .trim_end_matches(" pages")
        .parse()
        .unwrap();
    assert!(pages * 65536 <= 4 << 20, "{message}");
}

#[test]
fn grow_two_memories() {
    let (rig, mut card) = (Rig::new(), card("grow_two_memories", "run"));
    card.limits.memory_bytes = 4 << 20;
    let peak = peak(&rig, &card);
    assert!(peak <= 4 << 20 && peak > 3 << 20, "{peak}");
}

#[test]
fn grow_tables() {
    let (rig, mut card) = (Rig::new(), card("grow_tables", "run"));
    card.limits.tables = 10_000;
    let peak = peak(&rig, &card);
    assert!(peak <= 10_000 * 16 && peak > 8_000 * 16, "{peak}");
}

/// Runs the Card; the most that its memories and tables had together, in bytes.
fn peak(rig: &Rig, card: &arje_card::Card) -> u64 {
    rig.start(card);
    match rig
        .wait(card, |kind| matches!(kind, EventKind::Ended { .. }))
        .kind
    {
        EventKind::Ended { memory_peak, .. } => memory_peak,
        kind => panic!("{kind:?}"),
    }
}

#[test]
fn deep_recursion() {
    let end = Rig::new().run(&card("deep_recursion", "service"));
    assert_eq!(trap(&end), "stack-overflow");
}

#[test]
fn trap_in_start_function() {
    let rig = Rig::new();
    assert_eq!(
        trap(&rig.run(&card("trap_in_start_function", "run"))),
        "unreachable"
    );
    assert_eq!(
        rig.run(&card("run_ok", "run")),
        End::Exited(0),
        "the host goes on"
    );
}

#[test]
fn hostcall_storm() {
    let (rig, calls) = (Rig::new(), card("service_counts_calls", "service"));
    rig.start_ready(&calls);
    let mut storm = card("hostcall_storm", "service");
    storm.limits.call_ms = 2000;
    rig.start(&storm);
    rig.lines.wait_for(&storm, "");
    for n in 0..100_u32 {
        let payload = n.to_le_bytes();
        assert_eq!(rig.invoke(&calls, ECHO, &payload), Ok(payload.to_vec()));
    }
    let end = rig.end_of(&storm);
    assert!(
        matches!(end, End::Deadline { call: "start", .. }),
        "{end:?}"
    );
}

#[test]
fn log_100mb() {
    // More than one call may carry: the call traps, whatever memory the Card grants.
    let (rig, mut card) = (Rig::new(), card("log_100mb", "service"));
    card.limits.memory_bytes = 256 << 20;
    let End::Trapped { message, .. } = rig.run(&card) else {
        panic!("it was taken")
    };
    assert!(message.contains("too much data"), "{message}");
    assert_eq!(rig.lines.of(&card), [""; 0]);
    assert_eq!(
        rig.run(&self::card("run_ok", "run")),
        End::Exited(0),
        "the host goes on"
    );
}

#[test]
fn stdout_100mb() {
    let (rig, card) = (Rig::new(), card("stdout_100mb", "run"));
    assert_eq!(rig.run(&card), End::Exited(0));
    let lines = rig.lines.of(&card);
    assert_eq!(lines.len(), 1);
    assert!(lines[0].len() < 17 * 1024 && lines[0].ends_with(" more bytes]"));
}
