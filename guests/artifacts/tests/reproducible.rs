//! The same sources in another folder give the same bytes.
#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests; the lint spares only the tests themselves"
)]

use arje_guest_artifacts::builder::{Folders, nested, normalise, toolchain};
use arje_guest_artifacts::{folders, guest};
use std::fs;
use std::path::Path;

/// What the build of the two components reads, seen from the tree's root.
const SOURCES: &[&str] = &["Cargo.toml", "guests", "wit"];
/// One without `std`, and one with.
const COMPARED: &[&str] = &["hello", "greet"];

/// Another folder, of another length, and the same at each run, so that cargo's work is kept.
fn other(folders: &Folders) -> Folders {
    Folders {
        guests: folders.own().join("a-copy/of-the-tree/guests"),
        target: folders.target.clone(),
    }
}

fn copy(from: &Path, to: &Path) {
    if !from.is_dir() {
        let text = fs::read(from).unwrap();
        // Kept when equal: cargo goes by dates.
        if fs::read(to).is_ok_and(|old| old == text) {
            return;
        }
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::write(to, text).unwrap();
        return;
    }
    for entry in fs::read_dir(from).unwrap() {
        let name = entry.unwrap().file_name();
        if name != "target" {
            copy(&from.join(&name), &to.join(&name));
        }
    }
}

#[test]
fn another_folder_gives_the_same_bytes() {
    let here = folders();
    let there = other(&here);
    for source in SOURCES {
        copy(&here.tree().join(source), &there.tree().join(source));
    }
    let toolchain = toolchain::choose(&there).unwrap();
    let mut cargo = toolchain.cargo("build", &there, &[]);
    cargo.args(["--release", "--locked"]);
    for name in COMPARED {
        cargo.args(["-p", name]);
    }
    nested::run(&mut cargo).unwrap();
    for name in COMPARED {
        let built = toolchain.output(&there).join(format!("{name}.wasm"));
        let built = normalise::strip(&fs::read(built).unwrap()).unwrap();
        assert!(built == guest(name).bytes().unwrap(), "{name} differs");
    }
}
