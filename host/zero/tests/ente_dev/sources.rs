//! What is built from sources, by cargo.

use super::common::{Dev, folder};
use super::{children, program, save};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What cargo makes of two packages of one name has one name in its folder.
static CARGO: Mutex<()> = Mutex::new(());

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
    // First, though it needs the other one: what is deployed comes in this order.
    seed["genesis"].as_array_mut().unwrap().insert(0, visitor);
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

fn alone() -> MutexGuard<'static, ()> {
    CARGO.lock().unwrap_or_else(PoisonError::into_inner)
}

#[test]
fn what_is_saved_is_served_and_what_the_service_knew_is_kept() {
    let _alone = alone();
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
    let why = dev.wait("greeter does not build");
    assert!(
        why.contains("greeter: the older one still runs, sha256"),
        "{why}"
    );
    let before = told(&mut dev, "Good day");
    let refuses = other.replace(
        "Ok(Self { greeted: 0 })",
        "Err(format!(\"not today, {}\", card.label))",
    );
    assert_ne!(refuses, other);
    save(&source, &refuses);
    let why = dev.wait("greeter is not deployed");
    assert!(why.contains("the older one still runs, sha256"), "{why}");
    assert!(
        why.contains("`start` returned an error: not today"),
        "{why}"
    );
    assert!(told(&mut dev, "Good day") > before);

    save(&source, &other);
    dev.wait("built greeter");

    // A seed that changes is another system.
    save(
        &seed,
        seed_text.replace("\"label\":\"visitor\"", "\"label\":\"guest\""),
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
fn what_cannot_take_the_place_of_what_runs_is_started_instead() {
    let _alone = alone();
    let folder = folder();
    let source = make(folder.path());
    let good = fs::read_to_string(&source).unwrap();
    let mut dev = start(folder.path());
    dev.wait("ente dev: running");
    told(&mut dev, "Hello");

    // A further function, and who calls it, at once. The one that calls is deployed after the one that answers.
    let wit = folder.path().join("greeter/wit/greeter.wit");
    let visitor = folder.path().join("visitor/src/lib.rs");
    save(&visitor, VISITOR.replace("::greet(", "::wave("));
    dev.wait("visitor does not build");
    let method = "fn greet(name: String)";
    let wave = "fn wave(name: String) -> Result<String, Error> {\nSelf::greet(name)\n}\n";
    let good = good
        .replace(method, &format!("{wave}\n{method}"))
        .replace("Hello, {name}", "I wave, {name}");
    save(&source, &good);
    dev.wait("greeter does not build");
    let text = fs::read_to_string(&wit).unwrap();
    let greet = "greet: func(name: string)";
    let waves = "wave: func(name: string) -> result<string, error>;";
    let text = text.replace(greet, &format!("{waves}\n{greet}"));
    save(&wit, &text);
    dev.wait("deployed greeter");
    dev.wait("deployed visitor");
    assert!(told(&mut dev, "I wave") > 1);
    save(&visitor, VISITOR);
    dev.wait("deployed visitor");

    // Another form of what is saved.
    let other = good.replace("I wave, {name}", "Good day, {name}").replace(
        "self.greeted = u64::from_le_bytes(bytes);",
        "return Err(format!(\"not mine: {}\", u64::from_le_bytes(bytes)));",
    );
    save(&source, &other);
    let why = dev.wait("restarting the system with what was built");
    assert!(
        why.contains("nothing of what its Entes knew is kept") && why.contains("not mine"),
        "{why}"
    );
    dev.wait("ente dev: running");
    assert_eq!(told(&mut dev, "Good day"), 1);

    // Another interface, and who uses it does not build yet: then there is no system to start.
    let name = "greet: func(name: string";
    save(&wit, text.replace(name, &format!("{name}, warmly: bool")));
    let name = "fn greet(name: String";
    let warm = other
        .replace(name, &format!("{name}, _warmly: bool"))
        .replace("Self::greet(name)", "Self::greet(name, true)");
    save(&source, warm.replace("Good day, {name}", "Welcome, {name}"));
    let why = dev.wait("greeter is not deployed");
    assert!(
        why.contains("the older one still runs") && why.contains("but visitor does not build"),
        "{why}"
    );
    told(&mut dev, "Good day");
    save(
        &visitor,
        VISITOR.replace("greet(\"visitor\"", "greet(\"visitor\", true"),
    );
    let why = dev.wait("restarting the system with what was built");
    assert!(why.contains("has other types"), "{why}");
    dev.wait("ente dev: running");
    assert_eq!(told(&mut dev, "Welcome"), 1);

    kill(Pid::from_raw(dev.child.id().cast_signed()), Signal::SIGINT).unwrap();
    let (ended_well, seen) = dev.end();
    assert!(ended_well, "{seen:#?}");
    let refused = seen
        .iter()
        .filter(|line| line.contains("visitor is not deployed"));
    assert_eq!(refused.count(), 0, "{seen:#?}");
}
