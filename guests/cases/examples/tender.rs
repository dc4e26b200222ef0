//! Host: calls it by `arje:test/calls#echo` or by `arje:bus/handler` with a command as text, which it asks of the
//! supervisor; logs what it hears
//! ("heard ready of LABEL, incarnation 1").
#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use arje_sdk::bus::{Caller, HandlerError};
use arje_sdk::supervisor::{self, Event, EventKind, SupervisorError, Target, labelled};
use arje_sdk::{
    Capability, CardInfo, Events, Handler, Instance, Service, freestanding, info, service,
};

wit_bindgen::generate!({ path: "wit", world: "peer" });

struct Tender;

impl Service for Tender {
    fn start(card: &CardInfo) -> Result<Self, String> {
        if card.label.ends_with("listens") {
            supervisor::subscribe(None).map_err(|error| format!("{error:?}"))?;
        }
        Ok(Self)
    }
}

impl Handler for Tender {
    fn handle(
        &mut self,
        _: Caller,
        _: Capability,
        payload: Vec<u8>,
    ) -> Result<Vec<u8>, HandlerError> {
        Ok(obey(&String::from_utf8_lossy(&payload)).into_bytes())
    }
}

impl Events for Tender {
    fn on_event(&mut self, event: Event) {
        match event {
            Event::Lagged(count) => info!("missed {count}"),
            Event::Happened(what) => {
                let (kind, label) = (kind(what.kind), what.label);
                let incarnation = what.incarnation;
                match what.exit {
                    None => info!("heard {kind} of {label}, incarnation {incarnation}"),
                    Some(exit) => {
                        info!("heard {kind} of {label}, incarnation {incarnation}: {exit:?}")
                    }
                }
            }
        }
    }
}

const fn kind(kind: EventKind) -> &'static str {
    match kind {
        EventKind::Ready => "ready",
        EventKind::Crashed => "crashed",
        EventKind::Restarting => "restarting",
        EventKind::Exited => "exited",
        EventKind::Parked => "parked",
        EventKind::Failed => "failed",
        EventKind::Starting => "starting",
        EventKind::Stopping => "stopping",
        EventKind::Stopped => "stopped",
        EventKind::Waiting => "waiting",
        EventKind::Deployed => "deployed",
    }
}

/// What is told of the answer.
fn said(answer: Result<(), SupervisorError>) -> String {
    answer.map_or_else(|error| format!("{error:?}"), |()| "ok".to_string())
}

fn obey(text: &str) -> String {
    let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
    let target = labelled(rest);
    match word {
        "list" => {
            let all = supervisor::list();
            let labels: Vec<String> = all.into_iter().map(|ente| ente.label).collect();
            labels.join(" ")
        }
        "status" => match supervisor::status(&target) {
            Ok(status) => format!(
                "{} {:?} {} {} {:?}",
                status.label, status.state, status.incarnation, status.wanted, status.last_exit
            ),
            Err(error) => format!("{error:?}"),
        },
        "status-of-id" => said(supervisor::status(&Target::Id(rest.into())).map(drop)),
        "spawn" => said(supervisor::spawn(rest)),
        "start" => said(supervisor::start(&target)),
        "stop" => said(supervisor::stop(&target)),
        "restart" => said(supervisor::restart(&target)),
        "remove" => said(supervisor::remove(&target)),
        // kill SIGNAL LABEL
        "kill" => {
            let (signal, label) = rest.split_once(' ').unwrap_or(("", ""));
            said(supervisor::kill(
                &labelled(label),
                signal.parse().unwrap_or(0),
            ))
        }
        "subscribe" if rest.is_empty() => said(supervisor::subscribe(None)),
        "subscribe" => said(supervisor::subscribe(Some(&target))),
        "unsubscribe" => {
            supervisor::unsubscribe();
            said(Ok(()))
        }
        _ => "what?".to_string(),
    }
}

impl exports::arje::test::calls::Guest for Tender {
    fn echo(bytes: Vec<u8>) -> Vec<u8> {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        Tender::with(|_| obey(&text)).into_bytes()
    }

    fn count() -> u64 {
        0
    }

    fn spin(_ms: u64) {}
}

freestanding!();
service!(Tender, events, handler);
export!(Tender);
