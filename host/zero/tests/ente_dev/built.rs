//! What a command of the author's builds, and what becomes of a running system that others change, too.

use super::common::{Dev, card, folder};
use super::{children, program, save};
use arje_guest_artifacts::guest;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

/// A package whose components are made by copying them.
struct Package {
    dev: Dev,
    place: PathBuf,
    seed: Value,
}

impl Package {
    /// Of an Ente `bell`, a service, and an Ente `once`, a command.
    fn run(at: &Path) -> Package {
        let place = at.join("package");
        fs::create_dir(&place).unwrap();
        let wasm = |module: &str, entry: &str, supervision: Value| {
            let payload = json!({ "Wasm": { "module_sha256": "0".repeat(64), "entry": entry } });
            let mut card = card(module, payload, supervision);
            card["module"] = json!(module);
            card
        };
        let mut seed = card("seed", json!("Virtual"), json!("OneShot"));
        let restart = json!({ "Restart": { "initial": 1, "max": 10 } });
        seed["genesis"] = json!([
            wasm("bell", "service", restart),
            wasm("once", "run", json!("OneShot"))
        ]);
        fs::write(place.join("seed.card.json"), seed.to_string()).unwrap();
        for (module, content) in [("bell", bell(1)), ("once", once(1))] {
            fs::write(place.join(module).with_extension("wasm"), content).unwrap();
        }
        let mut dev = program("ente");
        dev.args([
            "dev",
            "--build",
            "cp bell.wasm once.wasm \"$ARJE_COMPONENTS\"",
        ])
        .args(["--run-dir", "run", "--store", "store"])
        .current_dir(&place)
        .env("XDG_RUNTIME_DIR", at)
        .stdout(Stdio::piped());
        let mut dev = Dev::run(&mut dev, folder());
        dev.wait("built package");
        dev.wait("the seed is up");
        Package { dev, place, seed }
    }

    fn save(&self, module: &str, content: &[u8]) {
        save(&self.place.join(module).with_extension("wasm"), content);
    }

    /// What `ente dev` says of an Ente next.
    fn said(&mut self, of: &str) -> String {
        self.dev.wait(&format!("ente dev: {of}"))
    }

    fn ente(&self, arguments: &[&str]) {
        let mut ente = program("ente");
        let ended = ente
            .args(arguments)
            .arg("--socket")
            .arg(self.place.join("run/ente-bus.sock"))
            .output()
            .unwrap();
        assert!(ended.status.success(), "{ended:?}");
    }

    /// The system.
    fn system(&self) -> String {
        let pid = Pid::from_raw(self.dev.child.id().cast_signed());
        children(pid).pop().unwrap()
    }
}

/// A component under another hash: with a custom section that nobody reads.
fn version(name: &str, number: u8) -> Vec<u8> {
    let mut bytes = guest(name).bytes().unwrap();
    bytes.extend([0, 3, 1, b'v', number]);
    bytes
}

fn bell(number: u8) -> Vec<u8> {
    version("service_ok", number)
}

fn once(number: u8) -> Vec<u8> {
    version("run_ok", number)
}

fn digits(component: &[u8]) -> String {
    let hash = arje_store::Sha256::of(component).to_string();
    hash[..12].to_owned()
}

#[test]
fn what_runs_is_what_was_saved_last_or_that_is_said() {
    let folder = folder();
    let mut package = Package::run(folder.path());
    package.save("bell", &bell(2));
    let told = package.said("deployed bell: incarnation 2");
    let second = digits(&bell(2));
    assert!(told.ends_with(&format!("sha256 {second} runs")), "{told}");

    // One that is refused, and then the same as before.
    package.save("bell", &version("service_start_err", 3));
    let told = package.said("bell is not deployed");
    let still = format!("the older one still runs, sha256 {second}");
    assert!(
        told.contains(&still) && told.contains("`start` returned an error"),
        "{told}"
    );
    package.save("bell", &bell(2));
    let told = package.said("bell has not changed");
    assert!(told.ends_with(&format!("sha256 {second} runs")), "{told}");

    // Somebody goes back; whoever saves after that, the same text, too, wants what is saved.
    package.ente(&["rollback", "bell"]);
    package.save("bell", &bell(2));
    let told = package.said("deployed bell");
    assert!(told.ends_with(&format!("sha256 {second} runs")), "{told}");

    // Somebody stops it.
    package.ente(&["stop", "bell"]);
    package.save("bell", &bell(2));
    let told = package.said("bell has not changed");
    assert!(told.contains("it is stopped; `ente start bell`"), "{told}");
    package.ente(&["start", "bell"]);

    // One that does not build.
    fs::remove_file(package.place.join("bell.wasm")).unwrap();
    let told = package.said("package does not build");
    assert!(told.contains(&format!("bell: {still}")), "{told}");

    kill(
        Pid::from_raw(package.dev.child.id().cast_signed()),
        Signal::SIGINT,
    )
    .unwrap();
    let (ended_well, seen) = package.dev.end();
    assert!(ended_well, "{seen:#?}");
}

#[test]
fn a_system_that_did_not_answer_is_asked_again() {
    let folder = folder();
    let mut package = Package::run(folder.path());
    let system = Pid::from_raw(package.system().parse().unwrap());
    kill(system, Signal::SIGSTOP).unwrap();
    package.save("bell", &bell(2));
    // What was saved and what was built remind of it, and then nothing does any more.
    for _ in 0..4 {
        package.said("the system does not say what runs");
    }
    kill(system, Signal::SIGCONT).unwrap();
    package.said("deployed bell: incarnation 2");
}

#[test]
fn what_cannot_be_replaced_is_started_anew_unless_it_could_not_start() {
    let folder = folder();
    let mut package = Package::run(folder.path());
    let first = package.system();

    // A seed that `ente verify` refuses, with its components, tears down nothing.
    let seed = package.place.join("seed.card.json");
    let text = package.seed.to_string();
    save(&seed, text.replace("\"service\"", "\"servce\""));
    package.dev.wait("exports no such function");
    package.said("this seed cannot run; what runs goes on");
    assert_eq!(package.system(), first);
    save(&seed, &text);
    package.said("the seed means what runs already");

    // Nor does a component that its Card cannot run.
    package.save("once", &bell(1));
    package.dev.wait("does not export wasi:cli/run");
    package.said("this seed cannot run; what runs goes on");
    assert_eq!(package.system(), first);

    package.save("once", &once(2));
    package.said("once has a body or runs once, and cannot be replaced while it lives: restarting");
    package.said("running");
    package.dev.wait("the seed is up");
    assert_ne!(package.system(), first);

    // It ends by itself; whatever is saved then is run.
    package.ente(&["poweroff"]);
    package.said("the system has ended");
    package.save("once", &once(2));
    package.said("running");
    let (ended_well, seen) = package.dev.stop();
    assert!(ended_well, "{seen:#?}");
}
