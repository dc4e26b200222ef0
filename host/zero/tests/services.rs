//! What a native Ente is given beyond its start, in dev mode, with real processes: output, sockets,
//! readiness, signs of life.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test may panic; helpers outside of test functions, too"
)]

mod common;

use common::{DEADLINE, Dev, folder, ignored};
use nix::sys::socket::{ControlMessage, MsgFlags, UnixAddr};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;
use tempfile::TempDir;

/// Runs these until they are stopped.
fn start(folder: TempDir, genesis: Vec<Value>) -> Dev {
    Dev::start(folder, &genesis, |command| {
        command.arg("--forever");
    })
}

/// A Card that is allowed everything.
fn card(label: &str, payload: Value, supervision: Value) -> Value {
    let mut card = common::card(label, payload, supervision);
    card["permissions"] =
        json!({"networking": "full", "filesystem": "read-write", "processes": true});
    card
}

fn restart() -> Value {
    json!({"Restart": {"initial": 10, "max": 100}})
}

fn shell(label: &str, script: &str, supervision: Value) -> Value {
    let payload = json!({"Native": {"exec": "/bin/sh", "argv": ["-c", script]}});
    card(label, payload, supervision)
}

/// This program again, in one of the roles of [`probe`].
fn role(label: &str, role: &str, supervision: Value) -> Value {
    let exec = std::env::current_exe().unwrap();
    let argv = ["probe", "--exact", "--ignored", "--nocapture"];
    let payload = json!({"Native": {"exec": exec, "argv": argv, "envp": {"ARJE_ROLE": role}}});
    card(label, payload, supervision)
}

// --- what the Entes do ---------------------------------------------------------------------------

/// Not a test: what the Entes of the tests run.
#[test]
#[ignore = "started by the other tests"]
fn probe() {
    match std::env::var("ARJE_ROLE").as_deref() {
        Ok("ready") => {
            // What is printed takes another way than what is told, so its place says nothing about the order.
            if let Ok(file) = std::env::var("ARJE_FILE") {
                std::fs::write(file, "").unwrap();
            }
            notify("READY=1\nSTATUS=here I am");
            for_ever();
        }
        Ok("watchdog") => watchdog(),
        Ok("serve") => serve(),
        Ok("extend") => {
            notify("STOPPING=1\nEXTEND_TIMEOUT_USEC=60000000");
            barrier();
        }
        _ => {}
    }
}

fn for_ever() -> ! {
    loop {
        thread::park();
    }
}

/// The few lines of sd_notify(3) that every program can have of its own.
fn notify(text: &str) {
    let socket = UnixDatagram::unbound().unwrap();
    let path = std::env::var("NOTIFY_SOCKET").unwrap();
    socket.send_to(text.as_bytes(), path).unwrap();
}

/// Waits until what was sent before has been taken in (sd_notify_barrier(3)): of a process that has ended
/// nobody can tell any more whose it was.
fn barrier() {
    let (passed, ours) = nix::unistd::pipe().unwrap();
    let socket = UnixDatagram::unbound().unwrap();
    let path = std::env::var("NOTIFY_SOCKET").unwrap();
    nix::sys::socket::sendmsg(
        socket.as_raw_fd(),
        &[std::io::IoSlice::new(b"BARRIER=1")],
        &[ControlMessage::ScmRights(&[ours.as_raw_fd()])],
        MsgFlags::empty(),
        Some(&UnixAddr::new(path.as_str()).unwrap()),
    )
    .unwrap();
    drop(ours);
    std::fs::File::from(passed)
        .read_to_end(&mut Vec::new())
        .unwrap();
}

fn own_pid_in(variable: &str) -> bool {
    std::env::var(variable).as_deref() == Ok(&std::process::id().to_string())
}

/// Says that it lives for a while, then no more.
fn watchdog() {
    assert!(own_pid_in("WATCHDOG_PID"));
    let usec: u64 = std::env::var("WATCHDOG_USEC").unwrap().parse().unwrap();
    for _ in 0..5 {
        notify("WATCHDOG=1");
        thread::sleep(Duration::from_micros(usec / 4));
    }
    println!("silent from now on");
    for_ever();
}

/// Answers one connection, then ends; the next incarnation answers the next.
fn serve() {
    assert!(own_pid_in("LISTEN_PID"));
    assert_eq!(std::env::var("LISTEN_FDS").as_deref(), Ok("4"));
    assert_eq!(
        std::env::var("LISTEN_FDNAMES").as_deref(),
        Ok("main:datagrams:web:dns")
    );
    // SAFETY: passed to this process, and used nowhere else in it.
    let main = unsafe { OwnedFd::from_raw_fd(3) };
    let (mut stream, _) = UnixListener::from(main).accept().unwrap();
    writeln!(stream, "served by {}", std::process::id()).unwrap();
}

// --- output --------------------------------------------------------------------------------------

#[test]
fn what_an_ente_prints_has_its_label_and_no_control_characters() {
    let script = "printf 'out\\n\\033[2Jx\\n'; echo err >&2; printf 'no newline'";
    let mut dev = start(folder(), vec![shell("talk", script, json!("OneShot"))]);
    dev.wait("the seed is up");
    let (ready, lines) = dev.stop();
    assert!(ready);
    for line in [
        "talk: out",
        "talk: \\u{1b}[2Jx",
        "talk: err",
        "talk: no newline",
    ] {
        assert!(lines.iter().any(|seen| seen == line), "{line} in {lines:?}");
    }
}

#[test]
fn a_flood_ends_and_others_are_heard() {
    let flood = "yes flood | head -n 2000000; echo flood is over >&2";
    let quiet = "while :; do echo still here; sleep 0.1; done";
    let mut dev = start(
        folder(),
        vec![
            shell("flood", flood, json!("OneShot")),
            shell("quiet", quiet, restart()),
        ],
    );
    dev.wait("lines are not shown here");
    // The flood was drained, or its writer would still wait.
    dev.wait_once("the seed is up");
    dev.wait("quiet: still here");
    assert!(dev.stop().0);
}

// --- readiness and signs of life -----------------------------------------------------------------

#[test]
fn an_ente_is_ready_when_it_says_so() {
    let endpoint =
        json!({"Endpoint": {"interface": "00000000-0000-0000-0000-000000000001", "version": 1}});
    let mut ready = role("ready", "ready", restart());
    ready["readiness"] = json!("notify");
    ready["provides"] = json!([endpoint]);
    let folder = folder();
    let file = folder.path().join("about-to-say-so");
    ready["payload"]["Native"]["envp"]["ARJE_FILE"] = json!(file);
    let script = format!("test -e {} && echo it is ready; sleep 1000", file.display());
    let mut user = shell("user", &script, restart());
    user["requires"] = json!([endpoint]);
    let mut dev = start(folder, vec![user, ready]);
    dev.wait("user: it is ready");
    assert!(dev.stop().0);
}

#[test]
fn running_is_not_being_ready() {
    let mut mute = shell("mute", "echo running; sleep 1000", restart());
    mute["readiness"] = json!("notify");
    let mut dev = start(folder(), vec![mute]);
    dev.wait("mute: running");
    let (all_ready, lines) = dev.stop();
    assert!(!all_ready);
    assert!(
        lines.iter().any(|line| line
            == "Ente mute is starting, not ready: waits for READY=1 (readiness: notify)"),
        "{lines:?}"
    );
}

#[test]
fn systemds_own_client_is_understood() {
    if !Path::new("/usr/bin/systemd-notify").exists() {
        ignored("systemd-notify is not installed; the other tests have a sender of their own");
        return;
    }
    // It waits until its barrier has been passed, so it ends only if that works.
    let script = "systemd-notify --ready --status='all well' && echo passed; sleep 1000";
    let mut notifies = shell("notifies", script, restart());
    notifies["readiness"] = json!("notify");
    let mut dev = start(folder(), vec![notifies]);
    dev.wait("notifies: passed");
    assert!(dev.stop().0);
}

#[test]
fn an_ente_that_falls_silent_is_restarted() {
    let mut silent = role("silent", "watchdog", restart());
    silent["liveness_ms"] = json!(1500);
    let mut dev = start(folder(), vec![silent]);
    dev.wait("Ente silent encarnado");
    dev.wait("silent: silent from now on");
    dev.wait("Ente silent: ended by signal 9: its watchdog killed it");
    dev.wait("Ente silent encarnado");
    dev.wait("silent: silent from now on");
    dev.stop();
}

#[test]
fn more_time_to_stop_is_given_to_who_asks() {
    // More than its Card gives it, by a child that speaks for it, and some of it is used.
    let exec = std::env::current_exe().unwrap();
    let script = format!(
        "trap 'ARJE_ROLE=extend {} probe --exact --ignored >&2; sleep 10; echo stopped by itself; exit' TERM; \
         echo set up; while :; do sleep 0.1; done",
        exec.display()
    );
    let mut slow = shell("slow", &script, restart());
    slow["liveness_ms"] = json!(3_600_000);
    slow["stop_timeout_ms"] = json!(8000);
    let mut dev = start(folder(), vec![slow]);
    dev.wait("set up");
    let (_, lines) = dev.stop();
    assert!(
        lines.iter().any(|line| line == "slow: stopped by itself"),
        "{lines:?}"
    );
}

#[test]
fn a_program_that_expects_systemd_can_notify_it() {
    let exec = std::env::current_exe().unwrap();
    let payload = json!({"Legacy": {
        "exec": exec, "argv": ["roleless", "--exact"], "fakes": ["SystemdNotify"],
    }});
    let mut legacy = card("legacy", payload, json!("OneShot"));
    legacy["readiness"] = json!("exit");
    let mut dev = start(folder(), vec![legacy]);
    dev.wait("the seed is up");
    let (ready, lines) = dev.stop();
    assert!(ready, "{lines:?}");
}

// --- sockets -------------------------------------------------------------------------------------

/// A Card whose sockets are below this folder, and its stream socket.
fn server(folder: &TempDir) -> (Value, PathBuf) {
    let path = folder.path().join("made/on/the/way/main");
    let mut server = role("server", "serve", restart());
    server["listen"] = json!([
        {"name": "main", "unix": path},
        {"name": "datagrams", "unix_datagram": folder.path().join("datagrams")},
        {"name": "web", "tcp": "127.0.0.1:0"},
        {"name": "dns", "udp": "127.0.0.1:0"},
    ]);
    server["start_limit"] = json!({"burst": 1000, "interval_ms": 1000});
    (server, path)
}

#[test]
fn no_connection_is_lost_while_an_ente_restarts() {
    let folder = folder();
    let (server, path) = server(&folder);
    let mut dev = start(folder, vec![server]);
    dev.wait("Ente server encarnado");
    let mut servers = Vec::new();
    // Each incarnation answers one: the others wait until the next ones have come.
    let connections: Vec<UnixStream> = (0..5)
        .map(|_| UnixStream::connect(&path).unwrap())
        .collect();
    for mut stream in connections {
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("served by "), "{answer:?}");
        servers.push(answer);
    }
    servers.sort();
    servers.dedup();
    assert_eq!(servers.len(), 5);
    let datagrams = dev.folder.path().join("datagrams");
    for socket in [&path, &datagrams] {
        let mode = std::fs::metadata(socket).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o660, "{}", socket.display());
    }
    dev.stop();
    assert!(!path.exists());
}

#[test]
fn a_socket_that_cannot_be_had_is_named() {
    let folder = folder();
    let (server, path) = server(&folder);
    let mut other = shell("other", "echo never", json!("OneShot"));
    other["listen"] = json!([{"name": "mine", "unix": path}]);
    let mut dev = start(folder, vec![server, other]);
    let expected = format!(
        "listen \"mine\" (unix {}): bind: Address already in use",
        path.display()
    );
    dev.wait(&format!("Card `other`: {expected}"));
    dev.wait(&format!(
        "Ente other: could not be started: make its sockets: {expected}"
    ));
    let (ready, lines) = dev.stop();
    assert!(!ready && !lines.iter().any(|line| line.contains("never")));
}
