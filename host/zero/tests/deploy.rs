//! Hot deployment through the bus and the command line, in dev mode: what runs is replaced and keeps its number, what is
//! bad changes nothing, what was before comes back.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test may panic; helpers outside of test functions, too"
)]

mod common;

use arje_bus::{
    Client, EnteStatus, Event, Filter, FrameReader, Hello, HelloAnswer, Request, RequestFrame,
    Response, ServerFrame, Subscribe, Target, decode, encode,
};
use arje_card::{Capability, InterfaceId};
use arje_guest_artifacts::guest;
use common::{DEADLINE, Dev, folder};
use serde_json::json;
use std::io::{Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

/// The capability of the counter.
const ENDPOINT: [u8; 16] = [0xc0; 16];

struct Machine {
    dev: Dev,
    client: Client,
    socket: PathBuf,
}

impl Machine {
    fn start() -> Machine {
        let folder = folder();
        let components = folder.path().join("components");
        std::fs::create_dir(&components).unwrap();
        std::fs::copy(guest("counter").path(), components.join("counter.wasm")).unwrap();
        let payload =
            json!({"Wasm": {"module_sha256": guest("counter").pin(), "entry": "service"}});
        let restart = json!({"Restart": {"initial": 1, "max": 10}});
        let mut card = common::card("counter", payload, restart);
        card["provides"] = json!([{"Endpoint": {"interface": ENDPOINT, "version": 1}}]);
        card["limits"] = json!({"call_ms": 60_000});
        let run = folder.path().join("run");
        let socket = run.join("ente-bus.sock");
        let mut dev = Dev::start(folder, &[card], |command| {
            command.arg("--forever").arg("--run-dir").arg(&run);
        });
        dev.wait("the seed is up");
        let client = Client::connect(&socket).unwrap();
        Machine {
            dev,
            client,
            socket,
        }
    }

    /// Tells the counter something.
    fn say(&mut self, text: &str) -> String {
        let capability = Capability::Endpoint {
            interface: InterfaceId(ENDPOINT),
            version: 1,
        };
        let answer = self.client.invoke(capability, text.into(), Duration::ZERO);
        String::from_utf8(answer.unwrap().unwrap()).unwrap()
    }

    fn ente(&self, arguments: &[&str]) -> Output {
        let zero = PathBuf::from(env!("CARGO_BIN_EXE_ente-zero"));
        let store = self.dev.folder.path().join("store");
        Command::new(zero.with_file_name("ente"))
            .args(arguments)
            .arg("--socket")
            .arg(&self.socket)
            .env("ARJE_STORE", store)
            .output()
            .unwrap()
    }

    fn deploy(&self, module: &Path) -> Output {
        self.ente(&["deploy", "counter", module.to_str().unwrap()])
    }

    fn status(&mut self) -> EnteStatus {
        let request = Request::EnteStatus(Target::of("counter"));
        match self.client.request(request).unwrap() {
            Response::Status(status) => *status,
            other => panic!("{other:?}"),
        }
    }

    fn pin(&mut self) -> String {
        arje_card::Pin(self.status().summary.pin.unwrap()).to_string()
    }
}

fn said(output: &Output) -> String {
    let text = [&output.stdout[..], &output.stderr].concat();
    String::from_utf8(text).unwrap()
}

/// A counter under another hash: with a custom section that nobody reads.
fn another(machine: &Machine, number: u8) -> PathBuf {
    let mut bytes = guest("counter").bytes().unwrap();
    bytes.extend([0, 3, 1, b'v', number]);
    let path = machine.dev.folder.path().join(format!("{number}.wasm"));
    std::fs::write(&path, bytes).unwrap();
    path
}

#[test]
fn a_module_is_replaced_and_comes_back() {
    let mut machine = Machine::start();
    let first = machine.pin();
    assert_eq!(machine.say("add 5"), "5");
    // Nothing to go back to yet.
    let refused = machine.ente(&["rollback", "counter"]);
    assert_eq!(refused.status.code(), Some(1), "{}", said(&refused));
    assert!(
        said(&refused).contains("has run no other module"),
        "{}",
        said(&refused)
    );
    let logged = machine.dev.wait("refused: rollback of counter");
    assert!(logged.contains("has run no other module"), "{logged}");

    let mut events = Client::connect(&machine.socket).unwrap();
    let filter = Filter::default();
    events
        .request(Request::Subscribe(Subscribe { filter }))
        .unwrap();
    let second = another(&machine, 2);
    let deployed = machine.deploy(&second);
    let told = said(&deployed);
    assert!(deployed.status.success(), "{told}");
    assert!(
        told.contains("answers as incarnation 2") && told.contains("compiled in"),
        "{told}"
    );
    let event = events.next_event(Some(Instant::now() + DEADLINE)).unwrap();
    assert!(
        matches!(&event, Event::Deployed(what) if what.incarnation == 2),
        "{event:?}"
    );
    assert_eq!(machine.say("add 1"), "6", "it goes on counting");
    let pin = machine.pin();
    assert_ne!(pin, first);
    assert!(told.contains(&pin), "{told}");
    assert_eq!(machine.status().summary.restarts, 0, "that was no restart");

    // By its hash, which the store has: compiled already.
    let again = machine.ente(&["deploy", "counter", &pin]);
    assert!(
        again.status.success() && !said(&again).contains("compiled"),
        "{}",
        said(&again)
    );

    let back = machine.ente(&["rollback", "counter"]);
    assert!(back.status.success(), "{}", said(&back));
    assert_eq!(machine.say("add 1"), "7");
    // It starts again with what it ran last.
    let (incarnation, pin) = (machine.status().summary.incarnation, machine.pin());
    assert!(
        machine
            .ente(&["kill", "--signal", "KILL", "counter"])
            .status
            .success()
    );
    let deadline = Instant::now() + DEADLINE;
    while machine.status().summary.incarnation == incarnation
        || machine.status().summary.state != arje_bus::EnteState::Ready
    {
        assert!(Instant::now() < deadline, "it does not come back");
    }
    assert_eq!(machine.pin(), pin);
    assert_eq!(machine.say("add 1"), "1", "a restart begins with nothing");
}

/// It has no more to say, but is still to hear what becomes of what it asked.
#[test]
fn who_closes_its_side_hears_of_its_deployment() {
    let machine = Machine::start();
    assert!(machine.deploy(&another(&machine, 4)).status.success());
    let mut stream = UnixStream::connect(&machine.socket).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    let request = Request::Rollback(Target::of("counter"));
    let ask = RequestFrame { serial: 1, request };
    let words = [encode(&Hello::new()).unwrap(), encode(&ask).unwrap()].concat();
    stream.write_all(&words).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut told = Vec::new();
    stream.read_to_end(&mut told).unwrap();
    let mut reader = FrameReader::new();
    reader.push(&told);
    let welcome: HelloAnswer = decode(&reader.take().unwrap().unwrap()).unwrap();
    assert!(matches!(welcome, HelloAnswer::Welcome(_)), "{welcome:?}");
    let answer = reader.take().unwrap().map(|body| decode(&body).unwrap());
    match answer {
        Some(ServerFrame::Reply(reply)) => {
            assert!(
                matches!(&reply.response, Response::Deployed(what) if what.incarnation == 3),
                "{reply:?}"
            );
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_bad_changes_nothing() {
    let mut machine = Machine::start();
    let first = machine.pin();
    assert_eq!(machine.say("add 5"), "5");
    let nonsense = machine.dev.folder.path().join("nonsense.wasm");
    std::fs::write(&nonsense, "no component").unwrap();
    let unknown = "7".repeat(64);
    for (module, code, expected) in [
        (
            guest("hello").path().to_str().unwrap(),
            1,
            "does not export arje:bus/handler",
        ),
        (
            guest("service_start_traps").path().to_str().unwrap(),
            1,
            "arje:bus/handler",
        ),
        (
            nonsense.to_str().unwrap(),
            2,
            "does not begin like WebAssembly",
        ),
        ("/nowhere.wasm", 2, "No such file"),
        (&unknown, 2, "is not in the store"),
    ] {
        let refused = machine.ente(&["deploy", "counter", module]);
        let told = said(&refused);
        assert_eq!(refused.status.code(), Some(code), "{module}: {told}");
        assert!(told.contains(expected), "{module}: {told}");
        assert_eq!(machine.pin(), first);
    }
    // Who looks into the log is told that it did not come about.
    let refused = machine.dev.wait("refused: a deployment: Ente `counter`");
    assert!(
        refused.contains("does not export arje:bus/handler"),
        "{refused}"
    );
    let hello = guest("hello");
    let told = machine.ente(&[
        "deploy",
        "counter",
        hello.path().to_str().unwrap(),
        "--json",
    ]);
    let object: serde_json::Value = serde_json::from_slice(&told.stdout).unwrap();
    assert_eq!(object["refused"], "Incompatible", "{object}");
    assert!(
        said(&told).contains("`ente stop counter`, then"),
        "{}",
        said(&told)
    );
    let refused = machine.ente(&["deploy", "nobody", &unknown]);
    assert!(
        said(&refused).contains("no Ente `nobody`"),
        "{}",
        said(&refused)
    );
    assert_eq!(machine.say("add 1"), "6");
    assert_eq!(machine.status().summary.incarnation, 1);
    // What does not live starts with the new module.
    assert!(machine.ente(&["stop", "counter"]).status.success());
    let deployed = machine.deploy(&another(&machine, 3));
    assert!(
        said(&deployed).contains("what it starts with"),
        "{}",
        said(&deployed)
    );
    let deadline = Instant::now() + DEADLINE;
    while machine.status().summary.state != arje_bus::EnteState::Ready {
        assert!(Instant::now() < deadline, "it does not start");
    }
    assert_ne!(machine.pin(), first);
    assert_eq!(machine.say("add 1"), "1");
}
