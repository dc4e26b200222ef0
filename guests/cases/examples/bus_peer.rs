//! Host: calls it by `arje:test/calls#echo` or by `arje:bus/handler`, with a command as text; it does as it is told,
//! which may be to call somebody else.
#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use arje_sdk::bus::{self, Caller, HandlerError, InvokeError, Origin, RegisterError};
use arje_sdk::{
    Capability, CardInfo, Endpoint, Handler, Instance, Service, clock, freestanding, service,
};
use core::time::Duration;

wit_bindgen::generate!({ path: "wit", world: "peer" });

struct Peer {
    calls: u64,
}

impl Service for Peer {
    fn start(card: &CardInfo) -> Result<Self, String> {
        if card.label.ends_with("announces") {
            bus::announce(&card.provides).map_err(|error| format!("{error:?}"))?;
        }
        Ok(Self { calls: 0 })
    }
}

impl Handler for Peer {
    fn handle(
        &mut self,
        caller: Caller,
        capability: Capability,
        payload: Vec<u8>,
    ) -> Result<Vec<u8>, HandlerError> {
        self.calls += 1;
        let text = core::str::from_utf8(&payload)
            .map_err(|_| HandlerError::BadRequest("not UTF-8".to_owned()))?;
        match text {
            "who" => Ok(format!("{} for {}", who(&caller), name(&capability)).into_bytes()),
            "forbid" => Err(HandlerError::Forbidden("not you".to_owned())),
            "fail" => Err(HandlerError::Failed("it broke".to_owned())),
            "unsupported" => Err(HandlerError::Unsupported),
            _ => Ok(self.obey(text)),
        }
    }
}

fn who(caller: &Caller) -> String {
    let origin = match &caller.origin {
        Origin::Component => "component".to_owned(),
        Origin::Process(process) => format!("process of user {}", process.uid),
    };
    format!("{origin} {}", caller.label.as_deref().unwrap_or("nobody"))
}

fn name(capability: &Capability) -> String {
    match capability {
        Capability::Endpoint(endpoint) => format!("{}", endpoint.version),
        other => format!("{other:?}"),
    }
}

/// The capability that is meant by a number.
fn endpoint(number: &str) -> Capability {
    Capability::Endpoint(Endpoint {
        high: 0x7e57_0000_0000_0000,
        low: 0,
        version: number.parse().unwrap_or(0),
    })
}

impl Peer {
    fn obey(&self, text: &str) -> Vec<u8> {
        let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
        let number = || rest.parse::<u64>().unwrap_or(0);
        match word {
            "echo" => rest.as_bytes().to_vec(),
            "calls" => self.calls.to_string().into_bytes(),
            "left" => bus::current_call()
                .map_or("no call".to_owned(), |call| call.left_ms.to_string())
                .into_bytes(),
            "big" => alloc::vec![b'x'; number() as usize],
            "spin" => {
                let end = clock::monotonic() + Duration::from_millis(number());
                while clock::monotonic() < end {}
                Vec::new()
            }
            #[cfg(target_family = "wasm")]
            "trap" => core::arch::wasm32::unreachable(),
            // many COUNT VERSION MS COMMAND
            "many" => {
                let (count, call) = rest.split_once(' ').unwrap_or(("0", ""));
                let count = count.parse().unwrap_or(0);
                let (capability, within, command) = parse(call);
                let call = |_: u32| invoke_with(&capability, within, command);
                (0..count).map(call).last().unwrap_or_default()
            }
            // invoke VERSION MS COMMAND
            "invoke" => invoke(rest),
            "whoami" => who(&bus::whoami()).into_bytes(),
            "list" => list(),
            "announce" => registered(bus::announce(&[endpoint(rest)])),
            "take-back" => registered(bus::update_capabilities(&[], &[endpoint(rest)])),
            "offer" => registered(bus::update_capabilities(&[endpoint(rest)], &[])),
            _ => b"what?".to_vec(),
        }
    }
}

/// VERSION MS COMMAND
fn parse(text: &str) -> (Capability, Duration, &str) {
    let mut words = text.splitn(3, ' ');
    let mut next = || words.next().unwrap_or("");
    let (version, within, command) = (next(), next(), next());
    let within = Duration::from_millis(within.parse().unwrap_or(0));
    (endpoint(version), within, command)
}

fn invoke(text: &str) -> Vec<u8> {
    let (capability, within, command) = parse(text);
    invoke_with(&capability, within, command)
}

fn invoke_with(capability: &Capability, within: Duration, command: &str) -> Vec<u8> {
    let answer = match within.is_zero() {
        true => bus::invoke(capability, command.as_bytes()),
        false => bus::invoke_within(capability, command.as_bytes(), within),
    };
    answer.unwrap_or_else(|error| {
        match error {
            InvokeError::TooLarge(_) => "error: too large".to_owned(),
            other => format!("error: {other:?}"),
        }
        .into_bytes()
    })
}

fn list() -> Vec<u8> {
    let entes = bus::list_entes();
    let lines = entes.iter().map(|ente| {
        let pin = ente.pin.as_deref().map_or(0, str::len);
        format!(
            "{} {:?} {pin} {}",
            ente.label,
            ente.state,
            ente.provides.len()
        )
    });
    lines.collect::<Vec<_>>().join("\n").into_bytes()
}

fn registered(result: Result<(), RegisterError>) -> Vec<u8> {
    match result {
        Ok(()) => b"ok".to_vec(),
        Err(error) => format!("{error:?}").into_bytes(),
    }
}

impl exports::arje::test::calls::Guest for Peer {
    fn echo(bytes: Vec<u8>) -> Vec<u8> {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        Peer::with(|peer| peer.obey(&text))
    }

    fn count() -> u64 {
        Peer::with(|peer| peer.calls)
    }

    fn spin(_ms: u64) {}
}

freestanding!();
service!(Peer, handler);
export!(Peer);
