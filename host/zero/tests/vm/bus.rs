//! The bus and `ente`, as PID 1 in QEMU: from the console's shell, and from Entes that may less.

use crate::machine::{self, Booted, native, restart, seed, shell, wasm, with_bus};
use serde_json::{Value, json};

/// A process that runs `ente` once.
fn asks(label: &str, words: &[&str]) -> Value {
    native(label, "/usr/bin/ente", words, json!("OneShot"))
}

/// The status of an Ente, from its JSON.
fn status(booted: &mut Booted, label: &str) -> Value {
    let text = booted.answer(&format!("ente status --json {label}"));
    serde_json::from_str(&text).unwrap()
}

#[test]
fn the_console_looks_after_the_system() {
    let worker = native("worker", "/bin/sleep", &["100000"], restart());
    let shy = asks("shy", &["whoami"]);
    let mut confined = with_bus(asks("confined", &["reboot"]));
    confined["permissions"]["processes"] = json!(false);
    let mut holder = with_bus(asks("holder", &["restart", "worker"]));
    holder["permissions"]["processes"] = json!(false);
    holder["holds"] = json!(["Spawn"]);
    let mut booted = Booted::to_prompt(&seed(vec![
        shell(),
        worker,
        shy,
        confined,
        holder,
        wasm("ok", "service_ok", "service", restart()),
    ]));
    // Two are refused what they ask for.
    booted.wait("the seed is not up: 2 of ");

    // Whoever may not is told why, and by which key of its Card.
    booted.wait("shy: error: Card `shy`: permissions.ipc.allow: does not name \"wit-v1\"");
    booted.wait("confined: error: Card `confined`: holds: lacks Power, which Reboot needs");
    assert_eq!(status(&mut booted, "confined")["last_exit"]["number"], 1);
    // And whoever may, can, whatever else it may not.
    assert_eq!(status(&mut booted, "holder")["state"], "done");
    let before = status(&mut booted, "worker");
    assert_eq!(before["incarnation"], 2);

    let tree = booted.answer("ente status");
    for line in [
        "\narje.seed.test ",
        "\n  worker ",
        "\n  ok ",
        &format!("pid {} ", before["pid"]),
    ] {
        let tree = format!("\n{tree}");
        assert!(tree.contains(line), "{line:?} in {tree}");
    }
    let pin = arje_guest_artifacts::guest("service_ok").pin();
    assert!(tree.contains(&format!("wasm {}", &pin[..12])), "{tree}");

    // The shell is an Ente without restrictions, and what it starts belongs to it.
    let whoami: Value = serde_json::from_str(&booted.answer("ente whoami --json")).unwrap();
    assert_eq!(whoami["label"], "shell");
    assert_eq!(
        whoami["rights"],
        json!({"entes": true, "power": true, "switch_root": true})
    );

    for ente in ["worker", "ok"] {
        let before = status(&mut booted, ente);
        booted.run(&format!("ente restart {ente}"));
        let after = status(&mut booted, ente);
        assert_eq!(after["state"], "ready");
        assert_ne!(after["incarnation"], before["incarnation"]);
        booted.run(&format!("ente stop {ente}"));
        assert_eq!(status(&mut booted, ente)["state"], "declared");
        booted.run(&format!("ente start {ente}"));
        assert_eq!(status(&mut booted, ente)["state"], "ready");
    }
    // A signal is no command: what follows is the Card's to say.
    booted.run("ente events >/tmp/events & echo $! >/tmp/listener");
    booted.run("until [ -s /tmp/events ]; do ente restart ok; done");
    booted.run("ente kill --signal KILL worker");
    booted.run(
        "until grep -q 'worker  ready' /tmp/events; do sleep 0.1; done; kill $(cat /tmp/listener)",
    );
    let events = booted.run("cat /tmp/events");
    for word in ["crashed", "restarting", "ready"] {
        assert!(
            events.contains(&format!("  worker  {word}  life ")),
            "{events}"
        );
    }
    assert_eq!(
        status(&mut booted, "worker")["last_exit"]["text"],
        "ended by signal 9"
    );

    for (ente, words) in [("ok", "started label="), ("shy", "permissions.ipc.allow")] {
        let log = booted.run(&format!("ente logs {ente}"));
        assert!(log.contains(words), "{ente}: {log}");
    }
    // What the kernel has taken is in the files of its cgroup; the next life has what the Card says.
    let pid = status(&mut booted, "worker")["pid"].clone();
    let place = booted.answer(&format!("grep -o '/ente/.*' /proc/{pid}/cgroup"));
    let folder = format!("/sys/fs/cgroup{}", place.trim());
    booted.run("ente set worker --cpu-weight 50 --memory-max 67108864 --frozen true");
    for (file, line) in [
        ("cpu.weight", "50"),
        ("memory.max", "67108864"),
        ("cgroup.freeze", "1"),
    ] {
        booted.run(&format!("grep -qx '{line}' {folder}/{file}"));
    }
    // Its processes are stopped one by one, after it was told.
    booted.run(&format!(
        "until grep -qx 'frozen 1' {folder}/cgroup.events; do usleep 20000; done"
    ));
    booted.run("ente set worker --frozen false");
    booted.run("ente restart worker");
    booted.run(&format!("grep -qx 100 {folder}/cpu.weight"));
    booted.run(&format!("grep -qx max {folder}/memory.max"));
    let refused = booted.try_run("ente set ok --cpu-weight 50 2>&1");
    assert!(
        refused.text.contains("has no cgroup of its own"),
        "{}",
        refused.text
    );
    assert_ne!(booted.try_run("ente start nobody").code, 0);
    assert_eq!(booted.answer("stat -c '%a %u' /run/ente-bus.sock"), "660 0");

    booted.vm.send_line("ente poweroff").unwrap();
    booted.vm.wait_exit(machine::DEADLINE).unwrap();
    assert!(!booted.vm.console().contains("Kernel panic"));
}
