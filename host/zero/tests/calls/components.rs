//! Components and processes call each other.

use crate::common::{self, DEADLINE, Dev, folder};
use crate::raw::Raw;
use crate::{PATIENT, provider};
use arje_bus::{CallError, Client, HandlerError, Invoke, KillEnte, Request, Target};
use arje_card::{Capability, InterfaceId};
use serde_json::{Value, json};
use std::thread;
use std::time::Instant;

/// What the guest `bus_peer` means by a number.
pub fn peers(version: u16) -> Capability {
    let mut interface = [0; 16];
    interface[..2].copy_from_slice(&[0x7e, 0x57]);
    Capability::Endpoint {
        interface: InterfaceId(interface),
        version,
    }
}

pub fn peers_json(version: u16) -> Value {
    let mut interface = [0; 16];
    interface[..2].copy_from_slice(&[0x7e, 0x57]);
    json!({"Endpoint": {"interface": interface, "version": version}})
}

#[test]
fn components_and_processes_call_each_other() {
    let folder = folder();
    let pin = arje_guest_artifacts::guest("bus_peer").pin();
    let payload = json!({"Wasm": {"module_sha256": pin, "entry": "service"}});
    let mut component = common::card(
        "component",
        payload,
        json!({"Restart": {"initial": 10, "max": 100}}),
    );
    component["permissions"] = json!({"ipc": {"allow": ["wit-v1"]}});
    component["provides"] = json!([peers_json(1)]);
    component["limits"] = json!({"call_ms": 60_000, "mailbox": 4});
    let mut echo = provider("echo", "echo", &folder);
    echo["provides"] = json!([peers_json(2)]);
    let run = folder.path().join("run");
    let mut dev = Dev::start(folder, &[component, echo], |command| {
        command.arg("--forever").arg("--run-dir").arg(&run);
        command
            .arg("--components")
            .arg(arje_guest_artifacts::components());
    });
    dev.wait("the seed is up");
    let mut client = Client::connect(&run.join("ente-bus.sock")).unwrap();
    let mut ask = |text: &str| {
        let outcome = client.invoke(peers(1), text.into(), PATIENT).unwrap();
        outcome.map(|bytes| String::from_utf8(bytes).unwrap())
    };
    let answer = |text: &str| Ok(text.to_owned());
    assert_eq!(ask("who"), answer("process of user 0 nobody for 1"));
    assert_eq!(
        ask("invoke 2 0 hello"),
        answer("component component: hello")
    );
    let failed = HandlerError::Failed("it broke".into());
    assert_eq!(ask("fail"), Err(CallError::Refused(failed)));
    assert_eq!(
        ask("invoke 2 50 hang"),
        answer("error: InvokeError::Deadline")
    );
    assert_eq!(
        ask("invoke 2 0 die"),
        answer("error: InvokeError::ProviderDied")
    );
    assert_eq!(
        ask("invoke 3 0 x"),
        answer("error: InvokeError::NoProvider")
    );
    assert_eq!(ask("trap"), Err(CallError::ProviderDied));

    // More calls than its mailbox has room for, while it is busy with the first, which waits for one that does not answer.
    let deadline = Instant::now() + DEADLINE;
    while ask("invoke 2 0 hello") != answer("component component: hello") {
        assert!(Instant::now() < deadline);
        thread::yield_now();
    }
    let mut raw = Raw::connect(&run.join("ente-bus.sock"));
    let mut invoke = |text: &str| {
        raw.send(Request::Invoke(Invoke {
            capability: peers(1),
            payload: text.into(),
            deadline_ms: 60_000,
        }))
    };
    invoke("invoke 2 60000 hold");
    for _ in 0..20 {
        invoke("calls");
    }
    let mut outcomes = vec![raw.outcome()];
    assert_eq!(outcomes[0].1, Err(CallError::Overloaded));
    // It has called, and is not only about to.
    dev.wait("echo: holding");
    let kill = KillEnte {
        target: Target::of("echo"),
        signal: 9,
    };
    client.request(Request::KillEnte(kill)).unwrap();
    outcomes.extend((1..21).map(|_| raw.outcome()));
    outcomes.sort_by_key(|(serial, _)| *serial);
    let died = b"error: InvokeError::ProviderDied".to_vec();
    assert_eq!(outcomes[0].1, Ok(died));
    // The others reached it in the order in which they were sent: it counts the calls that it gets.
    let counts = outcomes.iter().skip(1).filter_map(|(_, result)| {
        let text = String::from_utf8(result.as_ref().ok()?.clone()).unwrap();
        Some(text.parse::<u32>().unwrap())
    });
    assert!(
        counts.is_sorted_by(|before, after| before < after),
        "{outcomes:?}"
    );
    dev.stop();
}
