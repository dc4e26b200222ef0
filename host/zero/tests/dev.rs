//! Dev mode as somebody meets it who uses it for the first time: what it says, and what it leaves behind.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test may panic; helpers outside of test functions, too"
)]

mod common;

use arje_bus::Client;
use common::{Dev, command, folder};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

/// A Card that is allowed everything.
fn card(label: &str, payload: Value, supervision: Value) -> Value {
    let mut card = common::card(label, payload, supervision);
    card["permissions"] =
        json!({"networking": "full", "filesystem": "read-write", "processes": true});
    card
}

fn shell(label: &str, script: &str, supervision: Value) -> Value {
    let payload = json!({"Native": {"exec": "/bin/sh", "argv": ["-c", script]}});
    card(label, payload, supervision)
}

/// One that is Ready and stays, but not longer than the `ente-zero` that started it, which a test may kill.
fn service(label: &str) -> Value {
    let script = "while kill -0 $PPID; do sleep 1; done 2>/dev/null";
    let restart = json!({"Restart": {"initial": 10, "max": 100}});
    shell(label, script, restart)
}

fn text(output: &[u8]) -> String {
    String::from_utf8_lossy(output).into_owned()
}

fn assert_has(output: &str, expected: &str) {
    assert!(output.contains(expected), "no {expected:?} in:\n{output}");
}

/// What a bus tells of the Ente with this label: what holds it.
fn held(socket: &Path, label: &str) -> Option<String> {
    let all = Client::connect(socket).unwrap().list().unwrap();
    let found = all.into_iter().find(|ente| ente.label == label);
    found.unwrap().held_by
}

#[test]
fn a_run_directory_in_use_is_refused_and_one_of_a_dead_one_is_taken() {
    let shared = folder();
    let run = shared.path().join("run");
    let socket = run.join("ente-bus.sock");
    let start = || {
        Dev::start(folder(), &[service("web")], |command| {
            command
                .args(["--forever", "--run-dir", "run"])
                .current_dir(shared.path());
        })
    };
    let mut first = start();
    first.wait("the seed is up");
    let own = folder();
    let mut second = command(own.path(), &[service("web")]);
    let refused = second
        .args(["--for", "60", "--run-dir"])
        .arg(&run)
        .output()
        .unwrap();
    assert_eq!(refused.status.code(), Some(2), "{refused:?}");
    let said = text(&refused.stderr);
    assert_has(
        &said,
        &format!("the run directory {} is in use", run.display()),
    );
    assert_has(
        &said,
        &format!("by the ente-zero of process {}", first.child.id()),
    );
    assert_has(&said, "--run-dir");
    // Nothing of the first one has changed.
    assert_eq!(Client::connect(&socket).unwrap().list().unwrap().len(), 2);

    kill(
        Pid::from_raw(first.child.id().cast_signed()),
        Signal::SIGKILL,
    )
    .unwrap();
    first.child.wait().unwrap();
    assert!(socket.exists(), "nobody could remove it");
    let mut next = start();
    next.wait("the seed is up");
    assert_eq!(Client::connect(&socket).unwrap().list().unwrap().len(), 2);
    let (ready, lines) = next.stop();
    assert!(
        ready && !lines.iter().any(|line| line.contains("ERROR")),
        "{lines:?}"
    );
}

#[test]
fn a_relative_run_directory_is_told_by_its_absolute_path_and_left_as_it_was() {
    let folder = folder();
    let run = folder.path().join("run");
    fs::create_dir(&run).unwrap();
    let mut user = shell("user", "echo bus=$ENTE_BUS_SOCK", json!("OneShot"));
    user["permissions"]["ipc"] = json!({"allow": ["wit-v1"]});
    let mut command = command(folder.path(), &[user]);
    command
        .args(["--for", "100", "--run-dir", "run"]) // until all is done
        .current_dir(folder.path());
    let ended = command.output().unwrap();
    assert!(ended.status.success(), "{ended:?}");
    let expected = format!("bus={}", run.join("ente-bus.sock").display());
    assert_has(&text(&ended.stdout), &expected);
    let entries = fs::read_dir(&run).unwrap();
    let left: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_seed_whose_ente_failed_is_not_up_and_says_why() {
    let folder = folder();
    let run = folder.path().join("run");
    let payload = json!({"Native": {"exec": "/no/such/program"}});
    let broken = card("broken", payload, json!("OneShot"));
    let mut dev = Dev::start(folder, &[broken, service("web")], |command| {
        command.arg("--forever").arg("--run-dir").arg(&run);
    });
    let line = dev.wait("Ente broken: could not be started: exec: ");
    assert_has(
        &line,
        "payload.Native.exec: \"/no/such/program\": No such file or directory; ",
    );
    dev.wait("the seed is not up: 1 of 2 Entes failed (broken)");
    // On the seed itself, which is not ready, stands why.
    let hold = held(&run.join("ente-bus.sock"), "seed");
    assert_eq!(hold.as_deref(), Some("its child `broken` is failed"));
    let (ready, lines) = dev.stop();
    assert!(!ready);
    let all = lines.join("\n");
    assert!(!all.contains("the seed is up"), "{all}");
    assert_has(&all, "Ente broken is failed, not ready");
}

#[test]
fn what_an_ente_waits_for_is_said() {
    let mut late = service("late");
    late["requires"] = json!(["Journal"]);
    let mut after = service("after");
    after["requires"] = json!(["Spawn"]);
    let genesis = [late, after, service("web")];
    let mut dev = Dev::start(folder(), &genesis, |command| {
        command.arg("--forever");
    });
    dev.wait("Ente late waits: needs Journal");
    dev.wait("Ente after waits: needs Spawn");
    dev.wait("the seed is not up: 2 wait (late needs Journal, after needs Spawn), ");
    let all = dev.stop().1.join("\n");
    assert_eq!(all.matches(" waits: ").count(), 2, "{all}");
    assert_has(&all, "Ente late is waiting, not ready: needs Journal");
}

#[test]
fn a_seed_is_not_up_once_nothing_changes_by_itself_any_more() {
    let payload = json!({"Native": {"exec": "/no/such/program"}});
    let mut broken = card("broken", payload, json!("OneShot"));
    broken["provides"] = json!(["Journal"]);
    let mut late = service("late");
    (late["requires"], late["provides"]) = (json!(["Journal"]), json!(["Spawn"]));
    let mut last = service("last");
    last["requires"] = json!(["Spawn"]);
    let genesis = [last, late, broken, service("web")];
    let mut dev = Dev::start(folder(), &genesis, |command| {
        command.arg("--forever");
    });
    dev.wait(
        "the seed is not up: 1 of 4 Entes failed (broken), 2 wait (late needs Journal, last needs Spawn), ",
    );
    let all = dev.stop().1.join("\n");
    assert_eq!(all.matches("the seed is").count(), 1, "{all}");
}

/// Devices come by themselves, so whoever needs one is given a while.
#[test]
fn who_needs_a_device_is_waited_for_before_the_seed_is_given_up() {
    let is_absent = |class: &&str| {
        let folder = Path::new("/sys/class").join(class.to_lowercase());
        fs::read_dir(folder).map_or(true, |mut entries| entries.next().is_none())
    };
    let Some(class) = ["Hidraw", "Drm", "Input"].into_iter().find(is_absent) else {
        return; // this machine has them all
    };
    let mut plugged = service("plugged");
    plugged["requires"] = json!([{"Device": {"class": class}}]);
    let mut dev = Dev::start(folder(), &[plugged], |command| {
        command.arg("--forever");
    });
    let line = dev.wait("the seed is not up: 1 waits (plugged needs ");
    let after = line.rsplit_once(", ").unwrap().1;
    let ms: u64 = after.split(' ').next().unwrap().parse().unwrap();
    assert!(ms >= 10_000, "{line}");
    dev.stop();
}

#[test]
fn who_is_kept_out_by_a_rival_does_not_keep_the_seed_from_being_up() {
    let mut first = service("first");
    first["provides"] = json!(["Journal"]);
    let mut other = service("other");
    other["contracts"] = json!([{"Conflicts": ["Journal"]}]);
    let mut dev = Dev::start(folder(), &[first, other], |command| {
        command.arg("--forever");
    });
    dev.wait("the seed is up, ");
    let (ready, lines) = dev.stop();
    assert!(ready, "{lines:?}");
}

#[test]
fn who_was_stopped_on_purpose_is_not_counted_as_not_ready() {
    let folder = folder();
    let run = folder.path().join("run");
    let mut dev = Dev::start(folder, &[service("web"), service("db")], |command| {
        command.arg("--forever").arg("--run-dir").arg(&run);
    });
    dev.wait("the seed is up, ");
    let mut client = Client::connect(&run.join("ente-bus.sock")).unwrap();
    let target = arje_bus::Target::Label("db".to_owned());
    let stop = arje_bus::StopEnte { target, now: false };
    client.request(arje_bus::Request::Stop(stop)).unwrap();
    let (ready, lines) = dev.stop();
    let all = lines.join("\n");
    assert!(ready && !all.contains("not ready"), "{all}");
}

#[test]
fn a_clean_end_that_is_followed_by_another_start_is_said() {
    let restart = json!({"Restart": {"initial": 10, "max": 100}});
    let mut dev = Dev::start(folder(), &[shell("short", "exit 0", restart)], |command| {
        command.arg("--forever");
    });
    dev.wait("Ente short: exited with code 0, starts again");
    dev.stop();
}

#[test]
fn a_sign_of_readiness_that_never_comes_is_what_is_waited_for() {
    let folder = folder();
    let run = folder.path().join("run");
    let mut silent = service("silent");
    silent["readiness"] = json!("notify");
    let mut dev = Dev::start(folder, &[silent], |command| {
        command.arg("--forever").arg("--run-dir").arg(&run);
    });
    dev.wait("Ente silent encarnado");
    let owed = "waits for READY=1 (readiness: notify)";
    let hold = held(&run.join("ente-bus.sock"), "silent");
    assert_eq!(hold.as_deref(), Some(owed));
    let all = dev.stop().1.join("\n");
    assert_has(&all, &format!("Ente silent is starting, not ready: {owed}"));
}

#[test]
fn why_a_state_changed_is_told_with_labels_and_not_with_ids() {
    let folder = folder();
    let run = folder.path().join("run");
    let mut dev = Dev::start(folder, &[service("web")], |command| {
        command.arg("--forever").arg("--run-dir").arg(&run);
    });
    dev.wait("the seed is up");
    let mut client = Client::connect(&run.join("ente-bus.sock")).unwrap();
    let kill = arje_bus::KillEnte {
        target: arje_bus::Target::Label("web".to_owned()),
        signal: 9,
    };
    let all = arje_bus::Filter {
        target: Some(arje_bus::Target::Label("seed".to_owned())),
        kinds: None,
    };
    let subscribe = arje_bus::Request::Subscribe(arje_bus::Subscribe { filter: all });
    client.request(subscribe).unwrap();
    client.request(arje_bus::Request::KillEnte(kill)).unwrap();
    let event = client
        .next_event(Some(std::time::Instant::now() + common::DEADLINE))
        .unwrap();
    let cause = &event.happening().unwrap().cause;
    assert_eq!(cause, "its child `web` is not ready");
    let seed = arje_bus::Target::Label("seed".to_owned());
    let arje_bus::Response::Status(status) =
        client.request(arje_bus::Request::EnteStatus(seed)).unwrap()
    else {
        panic!("another answer");
    };
    assert!(status.history.iter().any(|change| change.cause == *cause));
}

#[test]
fn a_module_that_is_not_there_names_its_card_and_what_to_do() {
    let folder = folder();
    let pin = "ab".repeat(32);
    let payload = json!({"Wasm": {"module_sha256": pin, "entry": "run"}});
    let lost = card("lost", payload, json!("OneShot"));
    let ended = command(folder.path(), &[lost]).output().unwrap();
    assert_eq!(ended.status.code(), Some(1), "{ended:?}");
    let warned = text(&ended.stderr);
    assert_has(
        &warned,
        "Card `lost`: payload.Wasm.module_sha256: module abab",
    );
    assert_has(&warned, "--components");
    let said = text(&ended.stdout);
    let refused =
        "Ente lost: could not be started: load the component: payload.Wasm.module_sha256: ";
    assert_has(&said, refused);
    assert_has(&said, "--components DIR");
}

/// What the store has is not made anew behind its user's back, although the components are at hand: the Ente of
/// what was damaged is refused, with both hashes, and the other one runs.
#[test]
fn one_flipped_bit_in_the_store_stops_one_ente() {
    let folder = folder();
    let wasm = |label: &str, guest: &str| {
        let pin = arje_guest_artifacts::guest(guest).pin();
        let payload = json!({"Wasm": {"module_sha256": pin, "entry": "service"}});
        card(
            label,
            payload,
            json!({"Restart": {"initial": 10, "max": 100}}),
        )
    };
    let genesis = [wasm("victim", "hello"), wasm("other", "ticker")];
    let run = || {
        let mut command = command(folder.path(), &genesis);
        let components = arje_guest_artifacts::components();
        let command = command.args(["--for", "60"]).arg("--components");
        let mut dev = Dev::run(command.arg(components), common::folder());
        dev.wait_once("Ente other encarnado");
        dev
    };
    let mut whole = run();
    whole.wait_once("the seed is up");
    whole.stop();

    let pin = arje_guest_artifacts::guest("hello").pin();
    let store = folder.path().join("store");
    let index = store.join("aot/index");
    let text = fs::read_to_string(&index).unwrap();
    let record = text.lines().position(|line| line.contains(&pin)).unwrap();
    let fields: Vec<_> = text.lines().nth(record).unwrap().split(' ').collect();
    let in_record = record * (text.len() / text.lines().count());
    for (file, byte) in [
        (store.join("cas").join(&pin), 100),
        (store.join("aot").join(fields[2]), 5000),
        (index.clone(), in_record + 30),
        (index, in_record + 250),
    ] {
        let good = fs::read(&file).unwrap();
        let mut flipped = good.clone();
        flipped[byte] ^= 0x10;
        fs::write(&file, &flipped).unwrap();
        let mut dev = run();
        let line = dev.wait_once("Ente victim: could not be started: load the component: ");
        assert_has(&line, "expected");
        assert_has(&line, "found");
        let (ready, lines) = dev.stop();
        let all = lines.join("\n");
        assert!(!ready && !all.contains("Ente victim encarnado"), "{all}");
        assert_eq!(fs::read(&file).unwrap(), flipped, "{}", file.display());
        fs::write(&file, good).unwrap();
    }
    run().wait_once("the seed is up");
}

#[test]
fn a_missing_helper_program_is_named_with_the_variable_that_says_where_it_is() {
    let folder = folder();
    let mut command = command(folder.path(), &[service("web")]);
    let refused = command.env("ARJE_ENTE_SPAWN", "/no/such").output().unwrap();
    assert_eq!(refused.status.code(), Some(2), "{refused:?}");
    let said = text(&refused.stderr);
    assert_has(&said, "ente-spawn is not at /no/such");
    assert_has(&said, "set ARJE_ENTE_SPAWN");
    // What was begun is undone.
    let entries = fs::read_dir(folder.path()).unwrap();
    let left: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["seed.card.json"]);
}

#[test]
fn it_says_its_version() {
    let zero = env!("CARGO_BIN_EXE_ente-zero");
    let ended = std::process::Command::new(zero).arg("--version").output();
    let ended = ended.unwrap();
    let expected = format!("ente-zero {}\n", env!("CARGO_PKG_VERSION"));
    assert!(ended.status.success(), "{ended:?}");
    assert_eq!(text(&ended.stdout), expected);
}

#[test]
fn a_cache_that_cannot_be_written_is_no_dead_end() {
    let folder = folder();
    let payload = json!({"Wasm": {"module_sha256": "ab".repeat(32), "entry": "run"}});
    // The seed is written, and the options are those of somebody who never heard of a store.
    command(folder.path(), &[card("lost", payload, json!("OneShot"))]);
    let seed = folder.path().join("seed.card.json");
    let ended = std::process::Command::new(env!("CARGO_BIN_EXE_ente-zero"))
        .arg(&seed)
        .env_remove("XDG_CACHE_HOME")
        .env("HOME", &seed) // in a file no folder can be made
        .env("XDG_RUNTIME_DIR", folder.path())
        .output()
        .unwrap();
    assert_eq!(ended.status.code(), Some(2), "{ended:?}");
    assert_has(&text(&ended.stderr), "say --store DIR");
}
