//! The guests with the entry `run`: what they are given, and what they reach of files and networks.

use crate::cases::{refusal, trap};
use crate::rig::{self, Rig, card, wasm};
use arje_card::{Bind, Filesystem, Networking};
use arje_wasm::{End, EventKind};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

#[test]
pub fn run_ok() {
    let (rig, card) = (Rig::new(), card("run_ok", "run"));
    assert_eq!(rig.run(&card), End::Exited(0));
    assert_eq!(rig.lines.of(&card), ["ok"]);
}

#[test]
pub fn run_exit_3() {
    // `wasi:cli/exit` carries ok or error, no number.
    assert_eq!(Rig::new().run(&card("run_exit_3", "run")), End::Exited(1));
}

#[test]
pub fn run_returns_err() {
    let (rig, card) = (Rig::new(), card("run_returns_err", "run"));
    assert_eq!(rig.run(&card), End::Exited(1));
    assert!(rig.lines.of(&card).concat().contains("the reason"));
}

#[test]
pub fn run_panics() {
    let (rig, card) = (Rig::new(), card("run_panics", "run"));
    assert_eq!(trap(&rig.run(&card)), "unreachable");
    assert!(rig.lines.of(&card).contains(&"the message".to_owned()));
}

#[test]
pub fn run_echo_args_env() {
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
pub fn run_reads_preopen() {
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
pub fn run_writes_preopen() {
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
pub fn run_stdin_empty() {
    let (rig, card) = (Rig::new(), card("run_stdin_empty", "run"));
    assert_eq!(rig.run(&card), End::Exited(0));
    assert_eq!(rig.lines.of(&card), ["0 bytes"]);
}

#[test]
pub fn run_sleeps() {
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
pub fn run_connects_tcp() {
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
pub fn run_listens_tcp() {
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
pub fn run_resolves_name() {
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
pub fn run_fetches_http() {
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
