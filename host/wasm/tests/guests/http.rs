//! The entry `http`: requests through a real socket.

use crate::cases::refusal;
use crate::rig::{self, Rig};
use arje_wasm::{End, StopReason};
use std::io::{Read, Write};
use std::thread;

/// The guest `web`, listening on a Unix socket in a folder of its own.
fn web() -> (arje_card::Card, tempfile::TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("web.sock");
    let mut card = rig::card("web", "http");
    card.listen = vec![arje_card::Listen {
        name: "web".into(),
        on: arje_card::ListenOn::Unix(path.to_str().unwrap().into()),
    }];
    (card, folder, path)
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
    rig.start_ready(&card);
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
    assert!(!path.exists(), "its socket goes with it");
    assert_eq!(rig.host.memory_bytes(card.id), None);
}

#[test]
fn http_is_bounded_and_its_failures_are_answers() {
    // Not enough memory for one instance: each request fails by itself, the Ente lives on.
    let (rig, (mut card, _folder, path)) = (Rig::new(), web());
    card.limits.memory_bytes = 64 * 1024;
    rig.start_ready(&card);
    for _ in 0..2 {
        assert!(
            get(&path, "/").starts_with("HTTP/1.1 500"),
            "it was answered"
        );
    }
    rig.lines.wait_for(&card, "a request failed");
    rig.kill(&card).unwrap();
    assert_eq!(rig.end_of(&card), End::Killed);

    // A socket file that a killed predecessor left is no obstacle; any other file is.
    let (card, _folder, path) = web();
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    rig.start_ready(&card);
    assert!(get(&path, "/again").contains("GET /again"));
    let (mut second, ..) = web();
    second.listen = card.listen.clone();
    assert!(
        refusal(rig.run(&second)).contains("in use"),
        "somebody listens there"
    );
    assert!(get(&path, "/still").contains("GET /still"));
    let (card, _folder, path) = web();
    std::fs::write(&path, "precious").unwrap();
    assert!(refusal(rig.run(&card)).contains("listen \"web\""));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");

    let mut command = rig::card("run_ok", "http");
    let (elsewhere, _folder, _) = web();
    command.listen = elsewhere.listen;
    assert!(refusal(rig.run(&command)).contains("does not export wasi:http/incoming-handler"));
}
