//! PID 1 replaces itself. What does not need a machine is in `tests/reexec.rs`.

use crate::machine::{
    Booted, DEADLINE, PROMPT, folder, native, restart, seed, shell, tree_with, wasm,
};
use crate::programs::{role, with_itself};
use serde_json::json;
use std::io::Write;
use std::net::TcpListener;
use std::os::fd::{FromRawFd, OwnedFd};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::thread;
use std::time::Duration;

const SLEEPERS: u32 = 5;

/// Replaces PID 1 from its shell, and waits until the new image says these.
fn reexec(booted: &mut Booted, image: u32, lines: &[&str]) {
    let mark = booted.vm.mark();
    booted.run("ente reexec");
    // The shell that asked is among those that go on.
    let took_over = format!("reexec: image {image} took over");
    for line in [took_over.as_str()].iter().chain(lines) {
        if let Err(error) = booted.vm.wait_for_since(mark, line, DEADLINE) {
            panic!("{error}\n--- console ---\n{}", booted.vm.console());
        }
    }
}

#[test]
fn pid_1_replaces_itself_twenty_times() {
    let sleepers = (0..SLEEPERS).map(|n| {
        let seconds = (10_000 + n).to_string();
        native(
            &format!("sleeper-{n}"),
            "/bin/sleep",
            &[&seconds],
            restart(),
        )
    });
    let mut genesis = vec![shell(), wasm("greeting", "hello", "service", restart())];
    genesis.extend(sleepers);
    let mut booted = Booted::to_prompt(&seed(genesis));
    booted.wait("the seed is up");
    let pids = booted.answer("pidof sleep");
    assert_eq!(pids.split_whitespace().count(), SLEEPERS as usize);

    let count = |booted: &mut Booted| booted.number("ls /proc/1/fd | wc -l");
    let mut descriptors = 0;
    for image in 1..=20 {
        reexec(&mut booted, image, &["Ente greeting encarnado wasm="]);
        if image == 1 {
            descriptors = count(&mut booted);
        }
    }
    assert_eq!(booted.answer("pidof sleep"), pids);
    // What is made when it is first needed, or just being closed, is a few more or fewer at either count. A leak
    // would be twenty.
    let left = count(&mut booted);
    assert!(left < descriptors + 10, "{left} after {descriptors}");
    booted.pid_1_lives();

    // Still supervised: one that is killed comes back, and everybody counts as before.
    let first = pids.split_whitespace().next().unwrap();
    booted.run(&format!("kill -9 {first}"));
    booted.run(&format!(
        "until ! test -e /proc/{first} && [ $(pidof sleep | wc -w) = {SLEEPERS} ]; do usleep 10000; done"
    ));
    let now = booted.answer("pidof sleep");
    assert!(!now.split_whitespace().any(|pid| pid == first), "{now}");
    let status = booted.answer("ente status --json");
    let packed = status.replace(char::is_whitespace, "");
    assert_eq!(packed.matches("\"restarts\":1,").count(), 1, "{status}");
    // And the machine still ends.
    booted.vm.send_line("ente poweroff").unwrap();
    booted.wait("shutdown: power off");
}

/// How often [`probe`] gives a sign of life, and how long it may be silent.
const RHYTHM: Duration = Duration::from_millis(500);
const LIVENESS: Duration = Duration::from_secs(20);

/// Not a test: what Entes run.
#[test]
#[ignore = "started in the machine"]
fn probe() {
    let exists = |path: &str| Path::new(path).exists();
    match std::env::var("ARJE_ROLE").as_deref() {
        Ok("watched") => {
            let socket = UnixDatagram::unbound().unwrap();
            let path = std::env::var("NOTIFY_SOCKET").unwrap();
            let say = |text: &str| socket.send_to(text.as_bytes(), &path).unwrap();
            while !exists("/tmp/ready") {
                thread::sleep(RHYTHM);
            }
            say("READY=1");
            for sign in 1.. {
                while exists("/tmp/silent") {
                    thread::park();
                }
                say("WATCHDOG=1");
                println!("sign {sign}.");
                thread::sleep(RHYTHM);
            }
        }
        Ok("serve") => {
            // SAFETY: passed to this process, and used nowhere else in it.
            let socket = unsafe { OwnedFd::from_raw_fd(3) };
            let (mut stream, _) = TcpListener::from(socket).accept().unwrap();
            writeln!(stream, "served").unwrap();
        }
        _ => {}
    }
}

#[test]
fn what_entes_rely_on_is_there_after_a_reexec() {
    let endpoint =
        json!({"Endpoint": {"interface": "00000000-0000-0000-0000-000000000001", "version": 1}});
    let mut watched = role("watched", "reexec::probe", "watched");
    watched["readiness"] = json!("notify");
    watched["liveness_ms"] = json!(LIVENESS.as_millis());
    watched["provides"] = json!([endpoint]);
    let mut after = native("after", "/bin/echo", &["it is ready"], json!("OneShot"));
    after["requires"] = json!([endpoint]);
    let mut server = role("server", "reexec::probe", "serve");
    server["listen"] = json!([{"name": "web", "tcp": "127.0.0.1:80"}]);
    let mut bodied = wasm("bodied", "hello", "service", restart());
    bodied["soma"] = json!({"namespaces": {"uts": true}});
    let inputs = folder();
    let seed = seed(vec![shell(), watched, after, server, bodied]);
    let image = tree_with(inputs.path(), &seed, with_itself);
    let mut booted = Booted::with_tree(folder(), &image, |_| {});
    booted.wait(PROMPT);
    for line in ["Ente watched encarnado pid=", "bodied: hello label="] {
        booted.wait(line);
    }

    // Nobody serves, so the connection is PID 1's: it waits in the socket that it keeps, all said by the
    // other side (CLOSE_WAIT).
    booted.run("ip link set lo up && ente stop server");
    booted.run("(nc 127.0.0.1 80 </dev/null >/tmp/answer &)");
    booted.run(
        "until grep -q ' 0100007F:0050 0100007F:[0-9A-F]* 08 ' /proc/net/tcp; do usleep 20000; done",
    );
    let worker = booted.answer("pidof ente-worker");
    reexec(
        &mut booted,
        1,
        &["Ente bodied encarnado wasm=", "bodied: hello label="],
    );
    let fresh = booted.answer("pidof ente-worker");
    assert_eq!(fresh.split_whitespace().count(), 1, "{fresh}");
    assert_ne!(fresh, worker);
    booted.run("! test -s /tmp/answer && ente start server");
    booted.run("until grep -qx served /tmp/answer; do usleep 20000; done");

    // Started below the old image, ready below the new one, alive below the next.
    booted.run("touch /tmp/ready");
    booted.wait("after: it is ready");
    booted.wait("watched: sign 1.");
    reexec(&mut booted, 2, &["Ente bodied encarnado wasm="]);
    let periods = 2 * LIVENESS.as_millis() / RHYTHM.as_millis();
    booted.wait(&format!("watched: sign {periods}."));
    let lives = booted.printed();
    assert_eq!(
        lives.matches("Ente watched encarnado").count(),
        1,
        "{lives}"
    );
    booted.run("touch /tmp/silent");
    booted.wait("Ente watched: ended by signal 9");
}
