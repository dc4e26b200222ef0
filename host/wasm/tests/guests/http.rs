//! The entry `http`: requests through a real socket.

use crate::cases::refusal;
use crate::rig::{self, Rig};
use arje_wasm::{End, EventKind, StopReason};
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::thread;

/// The guest `web`, and the path and folder of the Unix socket that it is to serve.
fn web() -> (arje_card::Card, tempfile::TempDir, std::path::PathBuf) {
    web_of("web")
}

fn web_of(guest: &str) -> (arje_card::Card, tempfile::TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("web.sock");
    let mut card = rig::card(guest, "http");
    card.listen = vec![arje_card::Listen {
        name: "web".into(),
        on: arje_card::ListenOn::Unix(path.to_str().unwrap().into()),
    }];
    (card, folder, path)
}

/// Starts it with a socket, which stays open, and waits until it serves.
fn serve(rig: &Rig, card: &arje_card::Card, listener: &UnixListener) {
    rig.start_with(card, sockets(listener));
    rig.wait(card, |kind| matches!(kind, EventKind::Ready));
}

fn sockets(listener: &UnixListener) -> Vec<OwnedFd> {
    vec![listener.try_clone().unwrap().into()]
}

/// Sends bytes, and returns all that comes back until the server closes.
fn exchange(path: &std::path::Path, request: &str) -> String {
    let mut stream = std::os::unix::net::UnixStream::connect(path).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn get(path: &std::path::Path, target: &str) -> String {
    exchange(
        path,
        &format!("GET {target} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"),
    )
}

#[test]
fn http_requests_get_an_instance_each() {
    let (rig, (card, _folder, path)) = (Rig::new(), web());
    let listener = UnixListener::bind(&path).unwrap();
    serve(&rig, &card, &listener);
    let clients: Vec<_> = (0..32)
        .map(|n| {
            let path = path.clone();
            thread::spawn(move || get(&path, &format!("/{n}")))
        })
        .collect();
    for (n, client) in clients.into_iter().enumerate() {
        let answer = client.join().unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        assert!(answer.contains(&format!("GET /{n}\n")), "{answer}");
    }
    // Two requests on one connection, and one that is no HTTP.
    let both = exchange(
        &path,
        "GET /a HTTP/1.1\r\nhost: x\r\n\r\nPOST /b HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
    );
    assert!(
        both.contains("GET /a\n") && both.contains("POST /b\n"),
        "{both}"
    );
    assert!(exchange(&path, "no http\r\n\r\n").starts_with("HTTP/1.1 400"));
    // A client that stays connected and says nothing does not hold up a stop.
    let mut idle = std::os::unix::net::UnixStream::connect(&path).unwrap();
    idle.write_all(b"GET /idle HTTP/1.1\r\nhost: x\r\n\r\n")
        .unwrap();
    let mut first = [0; 12];
    idle.read_exact(&mut first).unwrap();
    assert_eq!(&first, b"HTTP/1.1 200");
    rig.stop(&card, StopReason::Requested).unwrap();
    assert_eq!(rig.end_of(&card), End::Exited(0));
    let mut rest = String::new();
    idle.read_to_string(&mut rest).unwrap();
    assert!(
        rest.ends_with("GET /idle\n\r\n0\r\n\r\n") || rest.ends_with("GET /idle\n"),
        "{rest}"
    );
    assert_eq!(rig.host.memory_bytes(card.id), None);

    // Who connects while it does not run is served by the next incarnation.
    let client = {
        let path = path.clone();
        thread::spawn(move || get(&path, "/between"))
    };
    let (mut next, ..) = web();
    next.listen = card.listen.clone();
    serve(&rig, &next, &listener);
    assert!(client.join().unwrap().contains("GET /between\n"));
}

#[test]
fn http_is_bounded_and_its_failures_are_answers() {
    // Not enough memory for one instance: each request fails by itself, the Ente lives on.
    let (rig, (mut card, _folder, path)) = (Rig::new(), web());
    card.limits.memory_bytes = 64 * 1024;
    let listener = UnixListener::bind(&path).unwrap();
    serve(&rig, &card, &listener);
    for _ in 0..2 {
        assert!(
            get(&path, "/").starts_with("HTTP/1.1 500"),
            "it was answered"
        );
    }
    rig.lines.wait_for(&card, "a request failed");
    rig.kill(&card).unwrap();
    assert_eq!(rig.end_of(&card), End::Killed);

    let (card, ..) = web();
    assert!(refusal(rig.run(&card)).contains("0 sockets were handed over for 1 entries"));

    let (command, _folder, path) = web_of("run_ok");
    rig.start_with(&command, sockets(&UnixListener::bind(path).unwrap()));
    assert!(refusal(rig.end_of(&command)).contains("does not export wasi:http/incoming-handler"));
}
