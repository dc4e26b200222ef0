//! Components with a body, in dev mode: the same program as the core and, by another name, as the
//! worker; started by `ente-spawn` as in the machine.
#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

mod common;

use arje_bus::{CallError, Client};
use arje_card::{Capability, InterfaceId};
use common::{Dev, card, folder, ignored};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use std::os::unix::fs::symlink;
use std::time::Duration;

/// Runs a seed for at most so many seconds, or until nothing is left to do.
fn run(genesis: &[Value], seconds: &str) -> Dev {
    let folder = folder();
    let (worker, run) = (folder.path().join("ente-worker"), folder.path().join("run"));
    symlink(env!("CARGO_BIN_EXE_ente-zero"), &worker).unwrap();
    Dev::start(folder, genesis, |command| {
        command
            .arg("--run-dir")
            .arg(run)
            .args(["--for", seconds, "--components"])
            .arg(arje_guest_artifacts::components())
            .env("ARJE_ENTE_WORKER", worker);
    })
}

/// The only worker process.
fn worker(dev: &Dev) -> Pid {
    let pid = dev.child.id();
    // Of all its threads: each child is listed at the one that made it.
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let children: String = threads
        .map(|thread| {
            let children = thread.unwrap().path().join("children");
            std::fs::read_to_string(children).unwrap_or_default()
        })
        .collect();
    let mut workers = children.split_whitespace().filter(|pid| {
        std::fs::read_to_string(format!("/proc/{pid}/comm"))
            .is_ok_and(|name| name == "ente-worker\n")
    });
    let worker = workers.next().unwrap().parse().unwrap();
    assert_eq!(workers.next(), None);
    Pid::from_raw(worker)
}

/// Waits until the seed is up, then asks it to end.
fn end_when_up(mut dev: Dev) -> (bool, Vec<String>) {
    dev.wait("the seed is up");
    dev.stop()
}

/// A guest with a body.
fn bodied(guest: &str, entry: &str, supervision: Value, rlimits: Value) -> Value {
    let pin = arje_guest_artifacts::guest(guest).pin();
    let payload = json!({"Wasm": {"module_sha256": pin, "entry": entry}});
    let mut card = card(guest, payload, supervision);
    card["soma"] = json!({"rlimits": rlimits});
    card
}

#[test]
fn components_with_a_body_live_and_end_as_others_do() {
    let restart = json!({"Restart": {"initial": 20, "max": 20}});
    let genesis = [
        bodied("run_ok", "run", json!("OneShot"), json!({"nofile": 64})),
        bodied("service_ok", "service", restart, json!({"nofile": 64})),
    ];
    let pins = genesis.each_ref().map(|card| {
        let pin = card["payload"]["Wasm"]["module_sha256"].as_str().unwrap();
        pin[..12].to_owned()
    });
    let (ready, said) = end_when_up(run(&genesis, "120"));
    assert!(ready, "{said:#?}");
    for line in [
        &format!("Ente run_ok encarnado wasm={}", pins[0]),
        &format!("Ente service_ok encarnado wasm={}", pins[1]),
        "run_ok: ok",
    ] {
        assert_eq!(
            said.iter().filter(|said| *said == line).count(),
            1,
            "{said:#?}"
        );
    }
    // It was asked to stop, and could say so.
    assert!(
        said.iter().any(|line| line.contains("shutdown")),
        "{said:#?}"
    );
}

#[test]
fn a_worker_that_is_killed_is_an_ente_that_is_killed() {
    let restart = json!({"Restart": {"initial": 20, "max": 20}});
    let card = bodied("service_ok", "service", restart, json!({"nofile": 64}));
    let mut dev = run(&[card], "120");
    dev.wait("the seed is up");
    let first = worker(&dev);
    kill(first, Signal::SIGKILL).unwrap();
    dev.wait("Ente service_ok: ended by signal 9");
    dev.wait("Ente service_ok encarnado wasm=");
    let second = worker(&dev);
    assert_ne!(first, second);
    // What stays of a worker when its core is killed: nothing.
    dev.child.kill().unwrap();
    dev.child.wait().unwrap();
    while std::fs::read_to_string(format!("/proc/{second}/stat"))
        .is_ok_and(|stat| stat.contains("(ente-worker)") && !stat.contains(") Z "))
    {
        std::thread::yield_now();
    }
}

#[test]
fn mem_bytes_bounds_what_a_component_can_use() {
    let mut card = bodied(
        "grow_memory",
        "service",
        json!("OneShot"),
        json!({"mem_bytes": 64 << 20}),
    );
    card["limits"] = json!({"memory_bytes": 1u64 << 30});
    let (ready, said) = run(&[card], "120").end();
    assert!(!ready);
    let refused = said
        .iter()
        .find_map(|line| line.split_once("refused after ")?.1.split(' ').next())
        .unwrap();
    let bytes = refused.parse::<u64>().unwrap() * 65536;
    assert!((16 << 20..64 << 20).contains(&bytes), "{bytes}: {said:#?}");
}

/// A service that does what it is told, and provides the endpoint of this number.
fn peer(label: &str, number: u16) -> Value {
    let restart = json!({"Restart": {"initial": 20, "max": 20}});
    let mut card = bodied("bus_peer", "service", restart, json!({"nofile": 64}));
    card["label"] = json!(label);
    card["permissions"] = json!({"ipc": {"allow": ["wit-v1"]}});
    card["provides"] = json!([{"Endpoint": {"interface": ENDPOINT, "version": number}}]);
    card
}

/// The interface that `bus_peer` calls.
const ENDPOINT: &str = "7e570000-0000-0000-0000-000000000000";

fn endpoint(version: u16) -> Capability {
    let mut uuid = [0; 16];
    uuid[..2].copy_from_slice(&[0x7e, 0x57]);
    Capability::Endpoint {
        interface: InterfaceId(uuid),
        version,
    }
}

#[test]
fn components_with_and_without_a_body_call_each_other() {
    let mut plain = peer("plain", 2);
    plain.as_object_mut().unwrap().remove("soma");
    let mut bodied = peer("body that announces", 1);
    bodied["readiness"] = json!("announce"); // so its question has been answered
    let mut dev = run(&[plain, bodied], "120");
    dev.wait("the seed is up");
    worker(&dev);
    let socket = dev.folder.path().join("run/ente-bus.sock");
    let mut client = Client::connect(&socket).unwrap();
    let mut ask = |number, command: &str| {
        let within = Duration::from_secs(100);
        let answer = client.invoke(endpoint(number), command.into(), within);
        answer
            .unwrap()
            .map(|bytes| String::from_utf8(bytes).unwrap())
    };
    let said = |text: &str| Ok(text.to_owned());
    assert_eq!(
        ask(1, "invoke 2 0 who"),
        said("component body that announces for 2")
    );
    assert_eq!(ask(2, "invoke 1 0 who"), said("component plain for 1"));
    // Round and back is a circle, wherever its members are.
    let deadlock = said("error: InvokeError::Deadlock");
    assert_eq!(ask(1, "invoke 2 0 invoke 1 0 echo x"), deadlock);
    assert_eq!(ask(2, "invoke 1 0 invoke 2 0 echo x"), deadlock);
    // Both see the same Entes.
    let list = ask(1, "list").unwrap();
    assert!(
        list.contains("body that announces EnteState::Ready 64 1"),
        "{list}"
    );
    assert_eq!(ask(2, "list"), Ok(list));
    // What it takes back is not served any more.
    assert_eq!(ask(1, "take-back 1"), said("ok"));
    let nobody = said("error: InvokeError::NoProvider");
    assert_eq!(ask(2, "invoke 1 0 who"), nobody);
    assert_eq!(ask(1, "echo x"), Err(CallError::NoProvider));
    assert!(dev.stop().0);
}

/// Whether the init is root here, who alone can confine; said where a test cannot tell anything.
fn is_root() -> bool {
    let root = nix::unistd::geteuid().is_root();
    if !root {
        ignored("only user 0 can confine processes");
    }
    root
}

#[test]
fn a_worker_is_confined_by_the_kernel_too() {
    if !is_root() {
        return;
    }
    let restart = json!({"Restart": {"initial": 20, "max": 20}});
    let mut card = bodied("service_ok", "service", restart, json!({"nofile": 64}));
    card["soma"]["run_as"] = json!({"uid": 4711, "gid": 4712});
    let mut dev = run(&[card], "120");
    dev.wait("the seed is up");
    let pid = worker(&dev);
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let status: Vec<_> = status.lines().map(|line| line.replace('\t', " ")).collect();
    for expected in [
        "Uid: 4711 4711 4711 4711",
        "Gid: 4712 4712 4712 4712",
        "CapEff: 0000000000000000",
        "CapBnd: 0000000000000000",
        "NoNewPrivs: 1",
        "Seccomp: 2",
    ] {
        assert!(
            status.iter().any(|line| line == expected),
            "{expected}: {status:#?}"
        );
    }
    for namespace in ["net", "mnt"] {
        let of = |pid: &str| std::fs::read_link(format!("/proc/{pid}/ns/{namespace}")).unwrap();
        assert_ne!(of("self"), of(&pid.to_string()), "{namespace}");
    }
    let limits = std::fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
    let files = limits
        .lines()
        .find(|line| line.starts_with("Max open files"));
    assert_eq!(
        files.unwrap().split_whitespace().nth(3),
        Some("64"),
        "{limits}"
    );
}

#[test]
fn a_worker_has_the_folders_of_its_component() {
    let folder = folder();
    std::fs::write(folder.path().join("in"), "the content").unwrap();
    let with = |guest: &str, argument: &str, ro: bool| {
        let mut card = bodied(guest, "run", json!("OneShot"), json!({"nofile": 64}));
        card["payload"]["Wasm"]["argv"] = json!([argument]);
        let preopen = json!({"source": folder.path(), "target": "/data", "ro": ro});
        card["payload"]["Wasm"]["preopens"] = json!([preopen]);
        card["permissions"] = json!({"filesystem": "read-write"});
        card
    };
    let genesis = [
        with("run_reads_preopen", "/data/in", true),
        with("run_writes_preopen", "/data/out", false),
    ];
    let (ready, said) = run(&genesis, "120").end();
    assert!(ready, "{said:#?}");
    assert!(
        said.contains(&"run_reads_preopen: the content".to_owned()),
        "{said:#?}"
    );
    let written = std::fs::read_to_string(folder.path().join("out")).unwrap();
    assert_eq!(written.trim(), "written");

    let (ready, said) = run(&[with("run_writes_preopen", "/data/no", true)], "120").end();
    assert!(!ready, "{said:#?}");
    assert!(!folder.path().join("no").exists());
}

#[test]
fn a_worker_serves_the_sockets_of_pid_1() {
    use std::io::{Read, Write};
    let folder = folder();
    let path = folder.path().join("web.sock");
    let restart = json!({"Restart": {"initial": 20, "max": 20}});
    let mut card = bodied("web", "http", restart, json!({"nofile": 64}));
    card["listen"] = json!([{"name": "web", "unix": path}]);
    let mut dev = run(&[card], "120");
    dev.wait("the seed is up");
    let mut client = std::os::unix::net::UnixStream::connect(&path).unwrap();
    client
        .write_all(b"GET /here HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        .unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    assert!(answer.contains("GET /here"), "{answer}");
    let (ready, said) = dev.stop();
    assert!(ready, "{said:#?}");
    assert!(!path.exists(), "its socket goes with it");
}
