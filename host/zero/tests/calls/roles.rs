//! What the Entes of the tests do.

use crate::endpoint;
use crate::raw::Raw;
use arje_bus::{
    CallId, CallOrigin, CardFile, Client, ClientError, Deploy, ErrorCode, Freeze, HandlerError,
    KillEnte, MAX_PAYLOAD, Request, Response, RunCard, SetMemory, SetWeight, StopEnte, SwitchRoot,
    Target, UpdateCapabilities,
};
use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
use std::collections::BTreeSet;
use std::io::IoSlice;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

/// The test harness writes to the same line.
pub fn say(text: &str) {
    println!("\n{text}");
}

pub fn for_ever() -> ! {
    loop {
        thread::park();
    }
}

pub fn own_socket() -> PathBuf {
    std::env::var("ENTE_BUS_SOCK").unwrap().into()
}

pub fn connect() -> Client {
    Client::connect(&own_socket()).unwrap()
}

pub fn echo() {
    let mut client = connect();
    // With what its Card lists.
    client.announce(vec![]).unwrap();
    loop {
        let call = client.next_call(None).unwrap();
        let result = match call.payload.as_slice() {
            b"die" => std::process::exit(3),
            b"hang" => continue,
            b"hold" => {
                say("holding");
                continue;
            }
            b"fail" => Err(HandlerError::Failed("as asked".into())),
            b"much" => Ok(vec![0; MAX_PAYLOAD + 1]),
            payload => {
                let label = call.caller.label.as_deref().unwrap_or("nobody");
                let who = match call.caller.origin {
                    CallOrigin::Process(process) => format!("{label} of user {}: ", process.uid),
                    CallOrigin::Component => format!("component {label}: "),
                };
                Ok([who.as_bytes(), payload].concat())
            }
        };
        match client.answer(call.id, result) {
            Ok(()) => {}
            Err(ClientError::Refused(error)) => assert!(
                matches!(error.code, ErrorCode::Refused | ErrorCode::BadRequest),
                "{error}"
            ),
            Err(error) => panic!("{error}"),
        }
    }
}

/// Announces itself on a connection, and gives that to somebody else.
pub fn lend() {
    let mut raw = Raw::connect(&own_socket());
    let announce = arje_bus::Announce::default();
    assert_eq!(raw.ask(Request::Announce(announce)), Response::Ok);
    let folder = std::env::var("ARJE_FOLDER").unwrap();
    let way = UnixStream::connect(Path::new(&folder).join("lend")).unwrap();
    let fds = [raw.stream.as_raw_fd()];
    let rights = [ControlMessage::ScmRights(&fds)];
    let bytes = [IoSlice::new(b"x")];
    sendmsg::<()>(way.as_raw_fd(), &bytes, &rights, MsgFlags::empty(), None).unwrap();
    for_ever();
}

/// Tries everything that its Card does not allow.
pub fn attack() {
    let mut client = connect();
    let Response::You(identity) = client.request(Request::WhoAmI).unwrap() else {
        panic!("another answer");
    };
    assert_eq!(identity.label.as_deref(), Some("attacker"));
    let target = || Target::of("echo");
    let capabilities = vec![endpoint(1)];
    let update = UpdateCapabilities {
        adds: capabilities.clone(),
        removes: vec![],
    };
    let stop = StopEnte {
        target: target(),
        now: true,
    };
    let switch = SwitchRoot {
        new_root: "/tmp".into(),
        init: None,
    };
    let weight = || SetWeight {
        target: target(),
        weight: 1,
    };
    let memory = || SetMemory {
        target: target(),
        bytes: 1,
    };
    let deploy = Deploy {
        target: target(),
        module: [7; 32],
    };
    let kill = |signal| KillEnte {
        target: target(),
        signal,
    };
    let forbidden = [
        Request::Announce(arje_bus::Announce { capabilities }),
        Request::UpdateCapabilities(update),
        Request::Start(target()),
        Request::Stop(stop),
        Request::Restart(target()),
        Request::KillEnte(kill(9)),
        Request::KillEnte(kill(15)),
        Request::Freeze(Freeze {
            target: target(),
            frozen: true,
        }),
        Request::SetCpuWeight(weight()),
        Request::SetIoWeight(weight()),
        Request::SetMemoryMax(memory()),
        Request::SetMemoryHigh(memory()),
        Request::Deploy(deploy),
        Request::Rollback(target()),
        Request::Remove(target()),
        Request::RunCard(RunCard { card: "{}".into() }),
        Request::SpawnCardFromDisk(CardFile { name: "web".into() }),
        Request::StopCardFromDisk(CardFile { name: "web".into() }),
        Request::PowerOff(false),
        Request::Suspend(false),
        Request::Hibernate(false),
        Request::Reboot(false),
        Request::Halt(true),
        Request::Reexec,
        Request::SwitchRoot(switch),
    ];
    // All that there are but those that read, call or answer: whoever adds one adds it here.
    const OTHERS: usize = 8;
    let kinds: BTreeSet<String> = forbidden.iter().map(kind).collect();
    assert_eq!(kinds.len(), Request::NUMBERS.len() - OTHERS, "{kinds:?}");
    for request in forbidden {
        let name = format!("{request:?}");
        match client.request(request) {
            Err(ClientError::Refused(error)) => assert_eq!(error.code, ErrorCode::Forbidden),
            other => panic!("{name}: {other:?}"),
        }
    }
    // Nobody called it, so there is nothing to answer, whatever it guesses.
    for guess in [[0; 16], [0xff; 16]] {
        match client.answer(CallId(guess), Ok(b"forged".to_vec())) {
            Err(ClientError::Refused(error)) => assert_eq!(error.code, ErrorCode::Refused),
            other => panic!("{other:?}"),
        }
    }
    // It may announce nothing, and gets nothing by it.
    client.announce(vec![]).unwrap();
    let soon = Some(Instant::now() + Duration::from_millis(200));
    assert!(matches!(client.next_call(soon), Err(ClientError::TimedOut)));
    say("refused everywhere");
}

fn kind(request: &Request) -> String {
    let text = format!("{request:?}");
    text.split(['(', ' ']).next().unwrap_or_default().to_owned()
}
