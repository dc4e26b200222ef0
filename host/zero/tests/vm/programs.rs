//! Native programs for the image, from `programs/*.c`, and what else a test puts into it.

use crate::machine::folder;
use initrd_builder::tree::{Group, Tree};
use std::path::Path;
use std::process::Command;

/// Flags of a program without a C library.
pub const FREESTANDING: &[&str] = &[
    "-nostdlib",
    "-ffreestanding",
    "-fno-stack-protector",
    "-fno-asynchronous-unwind-tables",
];

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
