//! A program that nobody here wrote: ripgrep, built from its crate without a change, as a pinned
//! one-shot over a preopened folder, in dev mode and in the machine.
use crate::machine::{self, Booted, card, folder, seed, shell};
use arje_guest_artifacts::builder::{third_party, toolchain};
use arje_guest_artifacts::folders;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::Command;

fn ripgrep() -> PathBuf {
    let folders = folders();
    let toolchain = toolchain::choose(&folders).unwrap();
    third_party::build(&toolchain, &folders, "ripgrep", None).unwrap()
}

/// A Card that searches `source`, with the pin left to whoever resolves `module`.
fn search(pin: &str, pattern: &str, source: &str) -> Value {
    let payload = json!({"Wasm": {
        "module_sha256": pin,
        "entry": "run",
        "argv": ["--line-number", pattern, "/data"],
        "preopens": [{"source": source, "target": "/data", "ro": true}],
    }});
    let mut card = card("rg", payload, json!("OneShot"));
    card["module"] = json!("ripgrep");
    card["permissions"] = json!({"filesystem": "read-only"});
    card
}

fn pin(wasm: &PathBuf) -> String {
    let bytes = std::fs::read(wasm).unwrap();
    arje_store::Sha256::of(&bytes).to_string()
}

#[test]
fn ripgrep_searches_a_preopened_folder() {
    let wasm = ripgrep();
    let inputs = folder();
    let data = inputs.path().join("data");
    std::fs::create_dir(&data).unwrap();
    std::fs::write(data.join("poem"), "one\nthe needle\nthree\n").unwrap();
    let card = search(&pin(&wasm), "needle", data.to_str().unwrap());
    let path = inputs.path().join("seed.card.json");
    std::fs::write(&path, seed(vec![card]).to_string()).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_ente-zero"))
        .args(["--for", "100", "--store"])
        .arg(inputs.path().join("store"))
        .arg("--components")
        .arg(wasm.parent().unwrap())
        .arg(&path)
        .env(
            "ARJE_ENTE_SPAWN",
            machine::helper("ARJE_ENTE_SPAWN", "ente-spawn"),
        )
        .env(
            "ARJE_ENTE_COMPILE",
            machine::helper("ARJE_ENTE_COMPILE", "ente-compile"),
        )
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(text.contains("rg: /data/poem:2:the needle"), "{text}");

    // In the machine, over the image's own folder of Cards.
    let card = search(&pin(&wasm), "arje.seed.test", "/ente");
    let booted = Booted::with_seed(&seed(vec![shell(), card]));
    booted.wait("rg: /data/seed.card.json:");
}
