//! The example in C (`examples/c-client`), as provider and as caller.

use crate::common::{self, folder, ignored};
use crate::{call, endpoint_json, start};
use arje_bus::{CallError, Client};
use serde_json::json;
use std::path::Path;
use std::process::Command;

/// Endpoint 1 of these tests.
const UUID: &str = "01010101-0101-0101-0101-010101010101";

#[test]
fn a_program_in_c_without_a_library_serves_and_calls() {
    if Command::new("cc").arg("--version").output().is_err() {
        ignored("cc is not installed; the clients in Rust have tests of their own");
        return;
    }
    let folder = folder();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/c-client/client.c");
    let program = folder.path().join("client");
    let compiled = Command::new("cc")
        .args(["-std=c11", "-Wall", "-Wextra", "-Werror", "-o"])
        .args([&program, &source])
        .status()
        .unwrap();
    assert!(compiled.success());

    let payload = json!({"Native": {"exec": program, "argv": ["serve", UUID, "1"]}});
    let mut card = common::card("greeter", payload, json!("Delegate"));
    card["permissions"] = json!({"filesystem": "read-only", "ipc": {"allow": ["wit-v1"]}});
    card["provides"] = json!([endpoint_json(1)]);
    card["readiness"] = json!("announce");
    let (mut dev, socket) = start(folder, &[card]);
    dev.wait("the seed is up");
    let mut client = Client::connect(&socket).unwrap();
    assert_eq!(call(&mut client, b"you"), Ok(b"Hello, you".to_vec()));
    let long = vec![b'x'; 200_000];
    assert_eq!(
        call(&mut client, &long).map(|answer| answer.len()),
        Ok(200_007)
    );

    let calls = |version: &str| {
        Command::new(&program)
            .args(["call", UUID, version, "me"])
            .env(arje_bus::SOCKET_VARIABLE, &socket)
            .output()
            .unwrap()
    };
    let called = calls("1");
    assert_eq!(String::from_utf8_lossy(&called.stdout), "Hello, me");
    let nobody = calls("2");
    let number = CallError::NUMBERS
        .iter()
        .find(|(_, name)| *name == "NoProvider")
        .unwrap()
        .0;
    assert_eq!(
        String::from_utf8_lossy(&nobody.stderr),
        format!("client: no answer: {number}\n")
    );
    dev.stop();
}
