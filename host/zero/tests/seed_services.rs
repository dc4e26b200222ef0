//! The seed `services` in dev mode: a typed service, its two clients, one of them behind HTTP, and two that answer on
//! the bus.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test may panic; helpers outside of test functions, too"
)]

mod common;

use arje_bus::{CallError, Client, HandlerError};
use arje_card::{Capability, InterfaceId};
use arje_guest_artifacts::{components, guest};
use common::{DEADLINE, Dev, folder};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Instant;
use tempfile::TempDir;

/// The seed as it is, but for two things: pins of the components at hand, and a socket of the test's own, since another
/// program may have the port.
fn cards(http: &Path) -> Vec<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../seeds/services.card.json");
    let mut seed: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let mut cards = seed["genesis"].take();
    for card in cards.as_array_mut().unwrap() {
        let module = card["module"].as_str().unwrap();
        card["payload"]["Wasm"]["module_sha256"] = json!(guest(module).pin());
        if let Some(listen) = card.get_mut("listen") {
            assert_eq!(listen[0]["tcp"], "127.0.0.1:8080");
            *listen = json!([{"name": "http", "unix": http}]);
        }
    }
    serde_json::from_value(cards).unwrap()
}

struct Services {
    dev: Dev,
    http: PathBuf,
    bus: PathBuf,
}

fn start() -> Services {
    let folder = folder();
    let cards = cards(&folder.path().join("http"));
    start_in(folder, &cards)
}

fn start_in(folder: TempDir, cards: &[Value]) -> Services {
    let (run, http) = (folder.path().join("run"), folder.path().join("http"));
    let mut dev = Dev::start(folder, cards, |command| {
        command.args(["--forever", "--run-dir"]).arg(&run);
        command.arg("--components").arg(components());
    });
    dev.wait("the seed is up");
    let bus = run.join("ente-bus.sock");
    Services { dev, http, bus }
}

/// Status and body of an answer.
fn request(socket: &Path, method: &str, path: &str, body: &str) -> (u16, String) {
    let mut stream = UnixStream::connect(socket).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    let length = body.len();
    let head = format!("{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n");
    // At once: who is answered after the head of its request may not get the rest of it through.
    let request = format!("{head}content-length: {length}\r\n\r\n{body}");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let chunked = head.to_lowercase().contains("transfer-encoding: chunked");
    (
        status,
        if chunked {
            unchunked(body)
        } else {
            body.to_owned()
        },
    )
}

/// The content of a chunked body of text.
fn unchunked(mut body: &str) -> String {
    let mut content = String::new();
    while let Some((length, rest)) = body.split_once("\r\n") {
        let length = usize::from_str_radix(length, 16).unwrap();
        content.push_str(&rest[..length]);
        body = rest[length..].trim_start_matches("\r\n");
    }
    content
}

#[test]
fn http_reaches_the_typed_service_and_its_other_client_is_seen_through_it() {
    let Services { dev, http, .. } = start();
    let answer = |status, body: &str| (status, body.to_owned());
    assert_eq!(
        request(&http, "GET", "/a", ""),
        answer(404, "no such key\n")
    );
    assert_eq!(request(&http, "PUT", "/a", "one"), answer(201, ""));
    assert_eq!(request(&http, "PUT", "/a", "two"), answer(204, ""));
    assert_eq!(request(&http, "GET", "/a", ""), answer(200, "two"));
    let large = "x".repeat(64 * 1024 + 1);
    assert_eq!(request(&http, "PUT", "/b", &large).0, 413);
    let largest = &large[1..];
    assert_eq!(request(&http, "PUT", "/b", largest).0, 201);
    assert_eq!(request(&http, "GET", "/b", ""), answer(200, largest));
    assert_eq!(request(&http, "DELETE", "/a", ""), answer(204, ""));
    assert_eq!(request(&http, "GET", "/a", "").0, 404);

    let began = Instant::now();
    let mut seen = Vec::new();
    while seen.len() < 3 {
        assert!(began.elapsed() < DEADLINE, "{seen:?}");
        let (status, body) = request(&http, "GET", "/counter", "");
        if status == 200 && seen.last() != Some(&body) {
            seen.push(body);
        }
    }
    let seen: Vec<u64> = seen.iter().map(|body| body.parse().unwrap()).collect();
    assert!(seen.is_sorted_by(|a, b| a < b), "{seen:?}");
    let (ready, lines) = dev.stop();
    assert!(ready, "{lines:?}");
}

fn policy() -> Capability {
    Capability::Endpoint {
        interface: InterfaceId([0xb0; 16]),
        version: 1,
    }
}

#[test]
fn the_policy_provider_decides_and_says_so() {
    let Services { mut dev, bus, .. } = start();
    let mut client = Client::connect(&bus).unwrap();
    let mut ask = |question: &str| {
        let answer = client.invoke(policy(), question.into(), DEADLINE).unwrap();
        answer.map(|bytes| String::from_utf8(bytes).unwrap())
    };
    let root = r#"{"action": "power.off", "subject": {"uid": 0}}"#;
    assert_eq!(
        ask(root).unwrap(),
        r#"{"verdict":"allow","rule":"root may"}"#
    );
    let decision = dev.wait("policy decision");
    for field in ["power.off", "uid=0", "allow", "root may", "process "] {
        assert!(decision.contains(field), "{decision}");
    }
    let user = r#"{"action": "power.off", "subject": {"uid": 1000}}"#;
    assert_eq!(ask(user).unwrap(), r#"{"verdict":"deny","rule":null}"#);
    let refused = ask("reboot, please");
    let Err(CallError::Refused(HandlerError::BadRequest(why))) = &refused else {
        panic!("{refused:?}");
    };
    assert!(why.contains("line 1"), "{why}");
    dev.stop();
}

#[test]
fn the_policy_providers_rules_can_be_a_file_in_a_preopen() {
    let folder = folder();
    let source = folder.path().join("policy");
    std::fs::create_dir(&source).unwrap();
    let rules = r#"{"rules": [{"name": "all", "actions": ["*"], "verdict": "allow"}]}"#;
    std::fs::write(source.join("rules.json"), rules).unwrap();
    let mut cards = cards(Path::new("/unused"));
    cards.retain(|card| card["label"] == "policy-provider");
    cards[0]["permissions"] = json!({"filesystem": "read-only"});
    let wasm = &mut cards[0]["payload"]["Wasm"];
    wasm["envp"] = json!([]);
    wasm["argv"] = json!(["/policy/rules.json"]);
    wasm["preopens"] = json!([{"source": source, "target": "/policy", "ro": true}]);
    let Services { dev, bus, .. } = start_in(folder, &cards);
    let question = br#"{"action": "a", "subject": {}}"#.to_vec();
    let answer = Client::connect(&bus)
        .unwrap()
        .invoke(policy(), question, DEADLINE);
    assert_eq!(
        answer.unwrap().unwrap(),
        br#"{"verdict":"allow","rule":"all"}"#
    );
    dev.stop();
}
