//! Native programs for the image: this test program itself, those from `programs/*.c`, and what else a
//! test puts into it.

use crate::machine::{folder, native, restart};
use initrd_builder::tree::{Group, Tree};
use initrd_builder::{Options, Program};
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;

/// Flags of a program without a C library.
pub const FREESTANDING: &[&str] = &[
    "-nostdlib",
    "-ffreestanding",
    "-fno-stack-protector",
    "-fno-asynchronous-unwind-tables",
];

/// Where [`with_itself`] puts this program.
const ITSELF: &str = "/bin/itself";

/// Has this program in the image, for the Entes of [`role`].
pub fn with_itself(options: &mut Options) {
    options.programs.push(Program {
        dest: ITSELF.into(),
        source: std::env::current_exe().unwrap(),
    });
}

/// An Ente that runs one test of this program, an ignored one, which finds its role in `ARJE_ROLE`.
pub fn role(label: &str, test: &str, role: &str) -> Value {
    let argv = [test, "--exact", "--ignored", "--nocapture"];
    let mut card = native(label, ITSELF, &argv, restart());
    card["payload"]["Native"]["envp"] = json!({"ARJE_ROLE": role});
    card
}

/// Compiles a program, statically linked.
pub fn compile(source: &str, flags: &[&str]) -> Vec<u8> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/vm/programs")
        .join(source);
    let folder = folder();
    let program = folder.path().join("program");
    let output = Command::new("cc")
        .args(["-O2", "-Wall", "-Werror", "-static", "-s", "-o"])
        .args([&program, &source])
        .args(flags)
        .output()
        .unwrap();
    let reason = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {reason}", source.display());
    std::fs::read(program).unwrap()
}

/// Puts a file into an image.
pub fn put(tree: &mut Tree, path: &str, data: Vec<u8>) {
    tree.add_file(path, data, 0o755, Group::Programs).unwrap();
}
