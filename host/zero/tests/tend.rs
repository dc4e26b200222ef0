//! Components that tend the tree (`arje:ente/supervisor`), in dev mode: what one does that may, and what it tries in vain.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test may panic; helpers outside of test functions, too"
)]

mod common;

use arje_bus::Client;
use arje_card::{Capability, InterfaceId};
use common::{DEADLINE, Dev, folder};
use serde_json::{Value, json};
use std::os::unix::fs::symlink;
use std::time::{Duration, Instant};

/// Longer than any test may take.
const PATIENT: Duration = Duration::from_secs(100);

/// What the guest `tender` is told its commands by.
const ENDPOINT: [u8; 16] = [0x7e; 16];

fn tender() -> Value {
    let pin = arje_guest_artifacts::guest("tender").pin();
    let payload = json!({"Wasm": {"module_sha256": pin, "entry": "service"}});
    let mut card = common::card("tender", payload, restart());
    card["holds"] = json!(["Spawn"]);
    card["provides"] = json!([{"Endpoint": {"interface": ENDPOINT, "version": 1}}]);
    card["limits"] = json!({"call_ms": 60_000});
    card
}

fn restart() -> Value {
    json!({"Restart": {"initial": 10, "max": 100}})
}

fn sleeper(label: &str) -> Value {
    let payload = json!({"Native": {"exec": "/bin/sleep", "argv": ["100000"]}});
    let mut card = common::card(label, payload, restart());
    card["permissions"] =
        json!({"networking": "full", "filesystem": "read-write", "processes": true});
    card
}

struct System {
    dev: Dev,
    client: Client,
}

impl System {
    fn start(genesis: &[Value]) -> System {
        let folder = folder();
        let (run, worker) = (folder.path().join("run"), folder.path().join("ente-worker"));
        symlink(env!("CARGO_BIN_EXE_ente-zero"), &worker).unwrap();
        let mut dev = Dev::start(folder, genesis, |command| {
            command
                .arg("--forever")
                .arg("--run-dir")
                .arg(&run)
                .arg("--components")
                .arg(arje_guest_artifacts::components())
                .env("ARJE_ENTE_WORKER", worker);
        });
        dev.wait("the seed is up");
        let client = Client::connect(&run.join("ente-bus.sock")).unwrap();
        System { dev, client }
    }

    /// Has the component ask.
    fn tell(&mut self, command: &str) -> String {
        let capability = Capability::Endpoint {
            interface: InterfaceId(ENDPOINT),
            version: 1,
        };
        let answer = self.client.invoke(capability, command.into(), PATIENT);
        String::from_utf8(answer.unwrap().unwrap()).unwrap()
    }

    fn does(&mut self, command: &str) {
        assert_eq!(self.tell(command), "ok", "{command}");
    }

    /// Waits until the component has said that it heard this.
    fn hears(&mut self, event: &str) {
        self.dev.wait(&format!("tender: heard {event}"));
    }
}

fn tends_the_tree(tender: Value) {
    let mut system = System::start(&[tender, sleeper("one"), sleeper("two")]);
    let labels = system.tell("list");
    let mut labels: Vec<&str> = labels.split(' ').collect();
    labels.sort_unstable();
    assert_eq!(labels, ["one", "seed", "tender", "two"]);
    assert_eq!(
        system.tell("status one"),
        "one EnteState::Ready 1 true None"
    );
    assert_eq!(
        system.tell("status three"),
        "SupervisorError::UnknownEnte(\"no Ente `three`; `ente status` shows all\")"
    );

    system.does("subscribe one");
    system.does("stop two"); // of which nothing is heard
    system.does("stop one");
    system.hears("stopping of one, incarnation 1");
    system.hears("stopped of one, incarnation 1: Exit::Signal(15)");
    assert!(
        system
            .tell("status one")
            .starts_with("one EnteState::Declared 1 false")
    );
    system.does("start one");
    system.hears("ready of one, incarnation 2");
    system.does("kill 9 one");
    system.hears("crashed of one, incarnation 2: Exit::Signal(9)");
    system.hears("ready of one, incarnation 3");
    system.does("restart one");
    system.hears("ready of one, incarnation 4");
    system.does("unsubscribe");
    system.does("stop one");
    system.does("remove one");
    system.does("subscribe");
    system.does("start two");
    system.hears("ready of two, incarnation 2");
    let deadline = Instant::now() + DEADLINE;
    while !system.tell("status one").contains("UnknownEnte") {
        assert!(Instant::now() < deadline); // it is removed when it has stopped
        std::thread::yield_now();
    }

    let (_, said) = system.dev.stop();
    let heard = |part: &str| {
        let of = |line: &&String| line.contains("tender: heard") && line.contains(part);
        said.iter().filter(of).count()
    };
    // One that is killed does not stop, and of the last stop nothing was heard.
    assert_eq!(heard("stopping of one"), 2, "{said:#?}");
    assert_eq!(heard("stopped of two"), 0, "{said:#?}");
    // Who changed something, and what.
    assert!(
        said.iter()
            .any(|line| line.ends_with("stop one, asked for by component tender")),
        "{said:#?}"
    );
}

#[test]
fn a_component_tends_the_tree() {
    tends_the_tree(tender());
}

#[test]
fn a_component_with_a_body_tends_the_tree() {
    let mut tender = tender();
    tender["soma"] = json!({"rlimits": {"nofile": 64}});
    tends_the_tree(tender);
}

#[test]
fn what_a_component_brings_gets_no_more_than_itself() {
    let mut system = System::start(&[tender()]);
    let mut child = tender();
    child["label"] = json!("child");
    child["provides"] = json!([]);
    system.does("subscribe");
    system.does(&format!("spawn {child}"));
    system.hears("ready of child, incarnation 1");

    let mut holds_more = tender();
    holds_more["label"] = json!("holds more");
    holds_more["holds"] = json!(["Spawn", "Power"]);
    let mut calls = tender();
    calls["label"] = json!("calls");
    calls["permissions"] = json!({"ipc": {"allow": ["wit-v1"]}});
    let mut below = tender();
    below["label"] = json!("above");
    below["genesis"] = json!([holds_more]);
    for (card, field) in [
        (&holds_more, "holds"),
        (&calls, "permissions.ipc.allow"),
        (&below, "$.genesis[0] (Card `holds more`): holds"),
        // It has no user, so it brings no processes to life.
        (&sleeper("native"), "soma.run_as"),
    ] {
        let said = system.tell(&format!("spawn {card}"));
        assert!(said.starts_with("SupervisorError::Forbidden"), "{said}");
        assert!(said.contains(field), "{field} in {said}");
    }
    let said = system.tell("spawn {\"schema_version\": 1}");
    assert!(said.starts_with("SupervisorError::BadRequest"), "{said}");
    let labels = system.tell("list");
    assert!(
        !labels.contains("above") && !labels.contains("native"),
        "{labels}"
    );
    system.dev.stop();
}
