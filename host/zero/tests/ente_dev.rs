//! `ente dev`: what an author saves is served, without what the service knew being lost.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test may panic; helpers outside of test functions, too"
)]

mod common;

use arje_guest_artifacts::builder::nested;
use common::{Dev, folder};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A component that calls the greeter ten times a second.
const VISITOR: &str = r#"
#![cfg_attr(target_family = "wasm", no_std)]
extern crate alloc;

use alloc::string::{String, ToString};
use arje_sdk::{CardInfo, Service, Timers, freestanding, info, service, timer};
use core::time::Duration;
use example::greeter::greeting;

wit_bindgen::generate!({ path: "../greeter/wit", world: "client" });

struct Visitor;

fn next_visit() -> Result<(), String> {
    timer::set(Duration::from_millis(100), 0).map_err(|_| "cannot set the timer".into())
}

impl Service for Visitor {
    fn start(_card: &CardInfo) -> Result<Self, String> {
        next_visit()?;
        Ok(Self)
    }
}

impl Timers for Visitor {
    fn on_timer(&mut self, _token: u64) {
        match greeting::greet("visitor") {
            Ok(words) => info!("was told"; words = words),
            Err(error) => info!("was not told"; why = error.to_string()),
        }
        next_visit().unwrap();
    }
}

freestanding!();
service!(Visitor, timers);
"#;

/// A program beside `ente-zero`.
fn program(name: &str) -> Command {
    let path = Path::new(env!("CARGO_BIN_EXE_ente-zero")).with_file_name(name);
    assert!(
        path.is_file(),
        "{name} is not beside ente-zero; `cargo build --release` in the tree makes it"
    );
    nested::command(path)
}

/// As editors save: another file, renamed to the name.
fn save(path: &Path, text: &str) {
    let new = path.with_file_name(".saved");
    fs::write(&new, text).unwrap();
    fs::rename(new, path).unwrap();
}

/// A folder with a greeter, a visitor, and a seed of both. Gives the greeter's source.
fn make(folder: &Path) -> PathBuf {
    for name in ["greeter", "visitor"] {
        let mut new = program("ente");
        new.args(["new", "service", name]).current_dir(folder);
        assert!(new.output().unwrap().status.success());
    }
    fs::remove_dir_all(folder.join("visitor/wit")).unwrap();
    fs::write(folder.join("visitor/src/lib.rs"), VISITOR).unwrap();
    let read = |name: &str| -> Value {
        let text = fs::read_to_string(folder.join(name).join("seed.card.json")).unwrap();
        serde_json::from_str(&text).unwrap()
    };
    let (mut seed, visitor) = (read("greeter"), read("visitor"));
    let mut visitor = visitor["genesis"][0].clone();
    visitor["requires"] = seed["genesis"][0]["provides"].clone();
    visitor["provides"] = json!([]);
    seed["genesis"].as_array_mut().unwrap().push(visitor);
    fs::write(folder.join("seed.card.json"), seed.to_string()).unwrap();
    folder.join("greeter/src/lib.rs")
}

/// Its own folder is another one, so that this one is still there when it has ended.
fn start(at: &Path) -> Dev {
    let mut dev = program("ente");
    dev.args(["dev", "--path", "greeter", "--path", "visitor"])
        .args(["--run-dir", "run", "--store", "store"])
        .current_dir(at)
        // Else the kit would be compiled at every run.
        .env(
            "CARGO_TARGET_DIR",
            Path::new(env!("CARGO_TARGET_TMPDIR")).join("ente-dev"),
        )
        .env("XDG_RUNTIME_DIR", at)
        .stdout(Stdio::piped());
    Dev::run(&mut dev, folder())
}

/// The next number that the visitor is told, in these words.
fn told(dev: &mut Dev, words: &str) -> u64 {
    let line = dev.wait(&format!("words=\"{words}, visitor, you are number"));
    let number = line.rsplit(' ').next().unwrap();
    number.trim_matches('"').parse().unwrap()
}

/// What a process has started and not waited for.
fn children(pid: Pid) -> Vec<String> {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
    children.split_whitespace().map(str::to_owned).collect()
}

#[test]
fn what_is_saved_is_served_and_what_the_service_knew_is_kept() {
    let folder = folder();
    let source = make(folder.path());
    let good = fs::read_to_string(&source).unwrap();
    let seed = folder.path().join("seed.card.json");
    let seed_text = fs::read_to_string(&seed).unwrap();
    save(&source, "this is no Rust");
    let mut dev = start(folder.path());
    let pid = Pid::from_raw(dev.child.id().cast_signed());

    // One that does not build at first is built when it is mended, and only then is there anything to run.
    dev.wait("greeter does not build");
    save(&source, &good);
    dev.wait("built greeter");
    dev.wait("ente dev: running");
    told(&mut dev, "Hello");
    assert_eq!(
        fs::read_to_string(&seed).unwrap(),
        seed_text,
        "pinned in memory only"
    );

    // Another version goes on where the one before it was.
    let before = told(&mut dev, "Hello");
    let other = good.replace("Hello, {name}", "Good day, {name}");
    save(&source, &other);
    dev.wait("deployed greeter: incarnation 2");
    assert!(told(&mut dev, "Good day") > before);

    // What does not build, and what is refused, changes nothing.
    save(&source, "this is no Rust");
    dev.wait("greeter does not build");
    let before = told(&mut dev, "Good day");
    let refuses = other.replace("Good day, {name}", "Never, {name}").replace(
        "self.greeted = u64::from_le_bytes(bytes);",
        "return Err(format!(\"not mine: {}\", u64::from_le_bytes(bytes)));",
    );
    save(&source, &refuses);
    let why = dev.wait("greeter is not deployed");
    assert!(why.contains("not mine"), "{why}");
    assert!(told(&mut dev, "Good day") > before);

    // A seed that changes is another system.
    save(
        &seed,
        &seed_text.replace("\"label\":\"visitor\"", "\"label\":\"guest\""),
    );
    dev.wait("the seed has changed");
    dev.wait("guest: was told");

    let started = children(pid);
    assert_eq!(started.len(), 1, "the system, and nothing else");
    kill(pid, Signal::SIGINT).unwrap();
    let (ended_well, seen) = dev.end();
    assert!(ended_well, "{seen:#?}");
    // That cargo writes its lock file is no change.
    let built = seen
        .iter()
        .filter(|line| line.starts_with("ente dev: built visitor"));
    assert_eq!(built.count(), 1, "{seen:#?}");
    assert!(!Path::new("/proc").join(&started[0]).exists());
    let left = fs::read_dir(folder.path()).unwrap();
    let mut left: Vec<_> = left.map(|entry| entry.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(
        left,
        [
            "components",
            "greeter",
            "seed.card.json",
            "store",
            "visitor"
        ]
    );
}

#[test]
fn what_cannot_be_run_is_refused() {
    let folder = folder();
    let refused = |arguments: &[&str]| {
        let mut dev = program("ente");
        let ended = dev
            .arg("dev")
            .args(arguments)
            .current_dir(folder.path())
            .output()
            .unwrap();
        assert_eq!(ended.status.code(), Some(2));
        String::from_utf8(ended.stderr).unwrap()
    };
    assert!(refused(&[]).contains("ente new service"));
    fs::write(folder.path().join("seed.card.json"), "{}").unwrap();
    assert!(refused(&[]).contains("there is no Cargo.toml"));
    assert!(!folder.path().join("components").exists());
}
