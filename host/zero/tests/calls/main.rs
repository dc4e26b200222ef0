//! Calls between native Entes over the bus, in dev mode, with real processes; and what those try in vain who may not.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test may panic; helpers outside of test functions, too"
)]

mod c_client;
#[path = "../common/mod.rs"]
mod common;
mod components;
mod forger;
mod leaving;
mod raw;
mod roles;

use arje_bus::{
    Answer, CallError, CallId, Client, ErrorCode, HandlerError, Invoke, KillEnte, MAX_PAYLOAD,
    Request, Response, ServerFrame, Target,
};
use arje_card::{Capability, InterfaceId};
use common::{DEADLINE, Dev, folder};
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg};
use raw::Raw;
use roles::{attack, connect, echo, for_ever, lend, say};
use serde_json::{Value, json};
use std::io::IoSliceMut;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Longer than any test may take.
const PATIENT: Duration = Duration::from_secs(100);

fn endpoint(number: u8) -> Capability {
    Capability::Endpoint {
        interface: InterfaceId([number; 16]),
        version: 1,
    }
}

fn endpoint_json(number: u8) -> Value {
    json!({"Endpoint": {"interface": vec![number; 16], "version": 1}})
}

/// This program again, in one of the roles of [`probe`], allowed the bus and everything else.
fn role(label: &str, role: &str, folder: &TempDir) -> Value {
    let exec = std::env::current_exe().unwrap();
    let argv = ["probe", "--exact", "--ignored", "--nocapture"];
    let environment = json!({"ARJE_ROLE": role, "ARJE_FOLDER": folder.path()});
    let payload = json!({"Native": {"exec": exec, "argv": argv, "envp": environment}});
    let mut card = common::card(
        label,
        payload,
        json!({"Restart": {"initial": 10, "max": 100}}),
    );
    card["permissions"] = json!({
        "networking": "full", "filesystem": "read-write", "processes": true,
        "ipc": {"allow": ["wit-v1"]},
    });
    card
}

/// Provides endpoint 1, and says so.
fn provider(label: &str, name: &str, folder: &TempDir) -> Value {
    let mut card = role(label, name, folder);
    card["provides"] = json!([endpoint_json(1)]);
    card["readiness"] = json!("announce");
    card
}

fn start(folder: TempDir, genesis: &[Value]) -> (Dev, PathBuf) {
    let run = folder.path().join("run");
    let dev = Dev::start(folder, genesis, |command| {
        command.arg("--forever").arg("--run-dir").arg(&run);
    });
    (dev, run.join("ente-bus.sock"))
}

/// What a provider answers: its caller's label, and what it was sent.
fn call(client: &mut Client, payload: &[u8]) -> Result<Vec<u8>, CallError> {
    let payload = payload.to_vec();
    client.invoke(endpoint(1), payload, PATIENT).unwrap()
}

// --- what the Entes do ---------------------------------------------------------------------------

/// Not a test: what the Entes of the tests run.
#[test]
#[ignore = "started by the other tests"]
fn probe() {
    match std::env::var("ARJE_ROLE").as_deref() {
        Ok("echo") => echo(),
        Ok("client") => {
            let answer = call(&mut connect(), b"hello").unwrap();
            say(&String::from_utf8(answer).unwrap());
            for_ever();
        }
        Ok("lend") => lend(),
        Ok("mute") => {
            let _silent = connect();
            for_ever();
        }
        Ok("leak") => forger::leak(),
        Ok("forger") => forger::forge(),
        Ok("attacker") => {
            attack();
            // What it starts is no more than itself.
            let exec = std::env::current_exe().unwrap();
            let child = Command::new(exec)
                .args(["probe", "--exact", "--ignored", "--nocapture"])
                .env("ARJE_ROLE", "attacker's child")
                .status();
            say(&format!("child ended with {}", child.unwrap()));
            for_ever();
        }
        Ok("attacker's child") => attack(),
        _ => {}
    }
}

// --- calls ---------------------------------------------------------------------------------------

#[test]
fn one_native_ente_calls_another() {
    let folder = folder();
    let mut client = role("client", "client", &folder);
    client["requires"] = json!([endpoint_json(1)]);
    let genesis = [client, provider("echo", "echo", &folder)];
    let (mut dev, _) = start(folder, &genesis);
    dev.wait("client: client of user 0: hello");
    dev.wait_once("the seed is up");
    assert!(dev.stop().0);
}

#[test]
fn whatever_becomes_of_a_call_its_caller_is_told() {
    let folder = folder();
    let genesis = [provider("echo", "echo", &folder)];
    let (mut dev, socket) = start(folder, &genesis);
    dev.wait("the seed is up");
    let mut client = Client::connect(&socket).unwrap();
    assert_eq!(call(&mut client, b"x"), Ok(b"nobody of user 0: x".to_vec()));
    let nobody = client.invoke(endpoint(2), vec![], PATIENT).unwrap();
    assert_eq!(nobody, Err(CallError::NoProvider));
    let failed = HandlerError::Failed("as asked".into());
    assert_eq!(call(&mut client, b"fail"), Err(CallError::Refused(failed)));
    let most = MAX_PAYLOAD as u32;
    assert_eq!(call(&mut client, b"much"), Err(CallError::TooLarge(most)));
    assert_eq!(
        call(&mut client, &vec![0; MAX_PAYLOAD + 1]),
        Err(CallError::TooLarge(most))
    );
    let large = vec![7; MAX_PAYLOAD - 100];
    assert!(call(&mut client, &large).unwrap().ends_with(&large));
    let late = client.invoke(endpoint(1), b"hang".to_vec(), Duration::from_millis(20));
    assert_eq!(late.unwrap(), Err(CallError::Deadline));

    // It dies in the middle of one call, with another one waiting behind it.
    let mut raw = Raw::connect(&socket);
    // At once: after its death there would be nobody to be called.
    let [first, second] = raw.invoke_at_once([b"die", b"y"], 60_000);
    let mut ends = [raw.outcome(), raw.outcome()];
    ends.sort_by_key(|(serial, _)| *serial);
    let died = || Err(CallError::ProviderDied);
    assert_eq!(ends, [(first, died()), (second, died())]);
    dev.wait("Ente echo encarnado");
    // It announces itself anew; until then there is nobody.
    let deadline = Instant::now() + DEADLINE;
    while call(&mut client, b"z") != Ok(b"nobody of user 0: z".to_vec()) {
        assert!(Instant::now() < deadline);
        thread::yield_now();
    }
    dev.stop();
}

#[test]
fn pipelined_calls_reach_the_provider_in_order_and_a_full_mailbox_is_told() {
    let folder = folder();
    let genesis = [provider("echo", "echo", &folder)];
    let (mut dev, socket) = start(folder, &genesis);
    dev.wait("the seed is up");
    let mut raw = Raw::connect(&socket);
    for number in 0..500_u32 {
        let serial = raw.invoke(number.to_string().as_bytes(), 60_000);
        // 32 under way at any time.
        if number >= 32 {
            let expected = format!("nobody of user 0: {}", number - 32);
            assert_eq!(raw.outcome(), (serial - 32, Ok(expected.into_bytes())));
        }
    }
    drop(raw);

    // 64 on each connection, 256 in the mailbox of a Card that says nothing else.
    let mut connections: Vec<Raw> = (0..4).map(|_| Raw::connect(&socket)).collect();
    for connection in &mut connections {
        for _ in 0..64 {
            connection.invoke(b"hang", 60_000);
        }
        // The next one is too many for this connection.
        match connection.ask(Request::Invoke(Invoke {
            capability: endpoint(1),
            payload: vec![],
            deadline_ms: 0,
        })) {
            Response::Error(error) => assert_eq!(error.code, ErrorCode::Busy),
            other => panic!("{other:?}"),
        }
    }
    let mut client = Client::connect(&socket).unwrap();
    assert_eq!(call(&mut client, b"x"), Err(CallError::Overloaded));
    // Callers that go away give their places back.
    drop(connections);
    let deadline = Instant::now() + DEADLINE;
    while call(&mut client, b"x").is_err() {
        assert!(Instant::now() < deadline);
        thread::yield_now();
    }
    dev.stop();
}

// --- who may not ---------------------------------------------------------------------------------

#[test]
fn an_attacker_with_the_bus_gets_nothing_of_others() {
    let folder = folder();
    let mut attacker = role("attacker", "attacker", &folder);
    // Anything less than everything makes user 0 a stranger.
    attacker["permissions"]["networking"] = json!("none");
    attacker["requires"] = json!([endpoint_json(1)]);
    let genesis = [attacker, provider("echo", "echo", &folder)];
    let (mut dev, socket) = start(folder, &genesis);
    dev.wait("attacker: refused everywhere");
    dev.wait("attacker: refused everywhere");
    dev.wait("attacker: child ended with exit status: 0");
    // Nobody else has come to serve what echo serves.
    let mut client = Client::connect(&socket).unwrap();
    assert_eq!(call(&mut client, b"x"), Ok(b"nobody of user 0: x".to_vec()));
    dev.stop();
}

#[test]
fn a_connection_that_outlives_its_ente_answers_nothing() {
    let folder = folder();
    let listener = UnixListener::bind(folder.path().join("lend")).unwrap();
    let genesis = [provider("lender", "lend", &folder)];
    let (mut dev, socket) = start(folder, &genesis);
    let mut lent = Raw::on(take_lent(&listener));
    dev.wait("the seed is up");

    // While it lives, its connection counts, whoever holds it.
    let mut caller = Raw::connect(&socket);
    let serial = caller.invoke(b"first", 60_000);
    let call = next_call(&mut lent);
    let answer = |call| Answer {
        call,
        result: Ok(b"from elsewhere".to_vec()),
    };
    assert_eq!(lent.ask(Request::Answer(answer(call))), Response::Ok);
    assert_eq!(caller.outcome(), (serial, Ok(b"from elsewhere".to_vec())));

    // Nor can another connection answer, not even with the right id.
    let serial = caller.invoke(b"second", 60_000);
    let call = next_call(&mut lent);
    match caller.ask(Request::Answer(answer(call))) {
        Response::Error(error) => assert_eq!(error.code, ErrorCode::Refused),
        other => panic!("{other:?}"),
    }

    let kill = KillEnte {
        target: Target::of("lender"),
        signal: 9,
    };
    assert_eq!(caller.ask(Request::KillEnte(kill)), Response::Ok);
    assert_eq!(caller.outcome(), (serial, Err(CallError::ProviderDied)));
    for request in [
        Request::Answer(answer(call)),
        Request::Announce(arje_bus::Announce::default()),
        Request::WhoAmI,
    ] {
        match lent.ask(request) {
            Response::Error(error) => assert_eq!(error.code, ErrorCode::Forbidden),
            other => panic!("{other:?}"),
        }
    }
    dev.stop();
}

fn next_call(lent: &mut Raw) -> CallId {
    match lent.frame() {
        ServerFrame::Call(call) => call.id,
        other => panic!("{other:?}"),
    }
}

fn take_lent(listener: &UnixListener) -> UnixStream {
    // Also bounds accept(2) (socket(7)).
    let bound = nix::sys::time::TimeVal::new(DEADLINE.as_secs().cast_signed(), 0);
    nix::sys::socket::setsockopt(listener, nix::sys::socket::sockopt::ReceiveTimeout, &bound)
        .unwrap();
    let (way, _) = listener.accept().unwrap();
    let mut byte = [0; 1];
    let mut bytes = [IoSliceMut::new(&mut byte)];
    let mut space = nix::cmsg_space!([i32; 1]);
    let flags = MsgFlags::MSG_CMSG_CLOEXEC;
    let message = recvmsg::<()>(way.as_raw_fd(), &mut bytes, Some(&mut space), flags).unwrap();
    for control in message.cmsgs().unwrap() {
        if let ControlMessageOwned::ScmRights(fds) = control {
            // SAFETY: the kernel has just made this descriptor for us.
            return unsafe { OwnedFd::from_raw_fd(fds[0]) }.into();
        }
    }
    panic!("nothing was lent");
}
