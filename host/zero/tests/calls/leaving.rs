//! Providers that take no calls, and callers that are no more.

use crate::common::{self, DEADLINE, Dev, folder};
use crate::components::{peers, peers_json};
use crate::raw::Raw;
use crate::{call, endpoint_json, provider, role, start};
use arje_bus::{CallError, Client, Invoke, KillEnte, Request, Response, Target};
use serde_json::json;
use std::thread;
use std::time::{Duration, Instant};

/// Of two providers one takes calls: it gets every call, and no caller is told that nobody is there.
#[test]
fn a_provider_that_has_not_announced_itself_is_not_asked() {
    let folder = folder();
    let mut mute = role("mute", "mute", &folder);
    mute["provides"] = json!([endpoint_json(1)]);
    // Nor if it comes first.
    mute["priority"] = json!("high");
    let genesis = [mute, provider("echo", "echo", &folder)];
    let (mut dev, socket) = start(folder, &genesis);
    dev.wait("the seed is up");
    let mut client = Client::connect(&socket).unwrap();
    for _ in 0..10 {
        assert_eq!(call(&mut client, b"x"), Ok(b"nobody of user 0: x".to_vec()));
    }
    dev.stop();
}

/// For far longer than the test.
const HOUR: Duration = Duration::from_secs(3600);

#[test]
fn a_component_that_is_killed_leaves_no_call_behind() {
    let folder = folder();
    let pin = arje_guest_artifacts::guest("bus_peer").pin();
    let payload = json!({"Wasm": {"module_sha256": pin, "entry": "service"}});
    let restart = json!({"Restart": {"initial": 10, "max": 100}});
    let mut component = common::card("component", payload, restart);
    component["permissions"] = json!({"ipc": {"allow": ["wit-v1"]}});
    component["provides"] = json!([peers_json(1)]);
    component["limits"] = json!({"call_ms": 3_600_000});
    let mut echo = provider("echo", "echo", &folder);
    echo["provides"] = json!([endpoint_json(1), peers_json(2)]);
    let run = folder.path().join("run");
    let mut dev = Dev::start(folder, &[component, echo], |command| {
        command.arg("--forever").arg("--run-dir").arg(&run);
        command
            .arg("--components")
            .arg(arje_guest_artifacts::components());
    });
    dev.wait("the seed is up");
    let socket = run.join("ente-bus.sock");
    let mut ask = Raw::connect(&socket);
    ask.send(Request::Invoke(Invoke {
        capability: peers(1),
        payload: b"invoke 2 3000000 hold".to_vec(),
        deadline_ms: HOUR.as_millis() as u64,
    }));
    // Before the others: where there is no place left it is refused, and does not call again.
    dev.wait("echo: holding");
    // All other places, of the 256 that a process has.
    let mut others: Vec<Raw> = (0..4).map(|_| Raw::connect(&socket)).collect();
    for number in 0..255 {
        others[number % 4].invoke(b"hang", HOUR.as_millis() as u64);
    }
    let mut client = Client::connect(&socket).unwrap();
    let mut until = |wanted: fn(&Result<Vec<u8>, CallError>) -> bool| {
        let deadline = Instant::now() + DEADLINE;
        while !wanted(&call(&mut client, b"x")) {
            assert!(Instant::now() < deadline);
            thread::yield_now();
        }
    };
    until(|outcome| *outcome == Err(CallError::Overloaded));
    let kill = KillEnte {
        target: Target::of("component"),
        signal: 9,
    };
    let mut other = Client::connect(&socket).unwrap();
    assert_eq!(
        other.request(Request::KillEnte(kill)).unwrap(),
        Response::Ok
    );
    until(Result::is_ok);
    dev.stop();
}
