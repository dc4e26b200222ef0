//! The clients of a typed service in other languages (examples/typed-client), built and run in dev mode. A language
//! whose tool is not installed is skipped, and that is said.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test may panic; helpers outside of test functions, too"
)]

mod common;

use arje_guest_artifacts::guest;
use arje_store::Sha256;
use common::{Dev, command, folder, ignored};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn example() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/typed-client")
}

fn build_sh(arguments: &[&str]) -> Output {
    let mut command = Command::new("sh");
    command.arg(example().join("build.sh")).args(arguments);
    command.output().unwrap()
}

/// Has the language's client set and read a key, and waits for it to say so.
fn joins_the_typed_service(language: &str, said: &str) {
    let tool = build_sh(&["check", language]);
    if !tool.status.success() {
        ignored(String::from_utf8_lossy(&tool.stderr).trim());
        return;
    }
    let folder = folder();
    let components = folder.path().join("components");
    let built = build_sh(&["build", language, components.to_str().unwrap()]);
    assert!(built.status.success(), "{built:?}");
    fs::copy(guest("kv").path(), components.join("kv.wasm")).unwrap();

    let seed = fs::read(example().join("seed.card.json")).unwrap();
    let mut seed: Value = serde_json::from_slice(&seed).unwrap();
    let mut cards: Vec<Value> = serde_json::from_value(seed["genesis"].take()).unwrap();
    cards.retain(|card| card["label"] == "kv" || card["label"] == language);
    for card in &mut cards {
        let file = components.join(format!("{}.wasm", card["module"].as_str().unwrap()));
        let pin = Sha256::of(&fs::read(file).unwrap()).to_string();
        card["payload"]["Wasm"]["module_sha256"] = json!(pin);
    }
    let store = Path::new(env!("CARGO_TARGET_TMPDIR")).join("languages");
    let store = store.join(language);
    // First only to compile, which may take longer than what counts as a hang: it is a whole runtime. What is compiled
    // is kept from one run of the test to the next.
    let mut compile = command(folder.path(), &cards);
    compile.args(["--for", "0", "--store"]).arg(&store);
    compile.output().unwrap();
    let mut dev = Dev::start(folder, &cards, |command| {
        command.arg("--forever").arg("--store").arg(store);
    });
    dev.wait(&format!("{language}: revision 1 by {language}: {said}"));
    dev.stop();
}

#[test]
fn c() {
    joins_the_typed_service("c", "C was here");
}

#[test]
fn python() {
    joins_the_typed_service("python", "Python was here");
}

#[test]
fn javascript() {
    joins_the_typed_service("javascript", "JavaScript was here");
}
