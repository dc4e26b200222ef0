//! What native Entes are given by PID 1: output on the console, readiness, sockets, credentials.

use crate::machine::{Booted, PROMPT, folder, native, restart, seed, shell, tree_with};
use crate::programs::with_itself;
use serde_json::{Value, json};
use std::io::Write;
use std::net::TcpListener;
use std::os::fd::{FromRawFd, OwnedFd};
use std::os::unix::net::UnixDatagram;

/// This program again, in one of the roles of [`probe`].
fn role(label: &str, role: &str) -> Value {
    crate::programs::role(label, "services::probe", role)
}

/// Not a test: what the Entes run.
#[test]
#[ignore = "started in the machine"]
fn probe() {
    match std::env::var("ARJE_ROLE").as_deref() {
        Ok("ready") => {
            let socket = UnixDatagram::unbound().unwrap();
            let path = std::env::var("NOTIFY_SOCKET").unwrap();
            assert_eq!(path, "/run/systemd/notify");
            socket.send_to(b"READY=1\nSTATUS=up", path).unwrap();
            loop {
                std::thread::park();
            }
        }
        Ok("serve") => {
            let pid = std::process::id().to_string();
            assert_eq!(std::env::var("LISTEN_PID").unwrap(), pid);
            // SAFETY: passed to this process, and used nowhere else in it.
            let socket = unsafe { OwnedFd::from_raw_fd(3) };
            let (mut stream, _) = TcpListener::from(socket).accept().unwrap();
            let answer = format!("served by {pid}\n"); // in one piece, since others print beside it
            stream.write_all(answer.as_bytes()).unwrap();
        }
        _ => {}
    }
}

#[test]
fn native_entes_print_get_ready_serve_and_keep_secrets() {
    let endpoint =
        json!({"Endpoint": {"interface": "00000000-0000-0000-0000-000000000001", "version": 1}});
    let mut ready = role("ready", "ready");
    ready["readiness"] = json!("notify");
    ready["provides"] = json!([endpoint]);
    let script = "printf 'out \\033[2J\\n'; echo err >&2; printf end";
    let mut talk = native("talk", "/bin/sh", &["-c", script], json!("OneShot"));
    talk["requires"] = json!([endpoint]);
    let mut server = role("server", "serve");
    // The machine has this address only after the socket was made.
    server["listen"] = json!([{"name": "web", "tcp": "10.1.2.3:80"}]);
    let script = "cd $CREDENTIALS_DIRECTORY; ls -ld . seed; head -c 1 seed; echo; sleep 100000";
    let mut secretive = native("secretive", "/bin/sh", &["-c", script], restart());
    secretive["credentials"] = json!([{"name": "seed", "source": "/ente/seed.card.json"}]);
    secretive["soma"] = json!({"run_as": {"uid": 77, "gid": 78}});

    let script = "yes flood | head -n 300000; echo flood is over";
    let flood = native("flood", "/bin/sh", &["-c", script], json!("OneShot"));

    let seed = seed(vec![shell(), talk, ready, server, secretive, flood]);
    let inputs = folder();
    let image = tree_with(inputs.path(), &seed, with_itself);
    let mut booted = Booted::with_tree(folder(), &image, |_| {});
    booted.wait(PROMPT);
    for line in [
        "talk: out \\u{1b}[2J",
        "talk: err",
        "talk: end",
        // What a process prints may overtake that it was started.
        "Ente talk encarnado",
    ] {
        booted.wait(line);
    }
    let console = booted.printed();
    let at = |text: &str| console.find(text).unwrap();
    assert!(at("Ente ready encarnado") < at("Ente talk encarnado"));
    // What a command prints may have lines of Entes in it.
    assert!(
        booted
            .run("ls -l /run/systemd/notify")
            .contains("srw-rw-rw-")
    );

    booted.run("ip link set lo up; ip address add 10.1.2.3/32 dev lo");
    let [first, second] = [(); 2].map(|()| booted.answer("nc 10.1.2.3 80 </dev/null"));
    for who in [&first, &second] {
        assert!(who.starts_with("served by "), "{who}");
    }
    assert_ne!(first, second);

    booted.wait("secretive: {");
    let console = booted.printed();
    let owned = |mode: &str, name: &str| {
        // After the shell's prompt, it may be.
        let mut lines = console
            .lines()
            .filter_map(|line| line.split_once("secretive: "));
        let line = lines.find(|(_, line)| line.starts_with(mode) && line.ends_with(name));
        line.is_some_and(|(_, line)| line.contains(" 77 ") && line.contains(" 78 "))
    };
    assert!(
        owned("dr-x------", " .") && owned("-r--------", " seed"),
        "{console}"
    );
    // Nobody else sees it, not even user 0, unless it looks into the other's namespace.
    booted.run("test -d /run/credentials/* && test -z \"$(ls -A /run/credentials/*)\"");

    // The flood was drained, although the console could not show it all.
    booted.wait("flood: flood");
    booted.wait("lines are not shown here");
    booted.wait("the seed is up");
}
