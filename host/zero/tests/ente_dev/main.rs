//! `ente dev`: what an author saves is what runs, and what does not run is said.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test may panic; helpers outside of test functions, too"
)]

mod built;
#[path = "../common/mod.rs"]
mod common;
mod sources;

use arje_guest_artifacts::builder::nested;
use common::folder;
use nix::unistd::Pid;
use std::fs;
use std::path::Path;
use std::process::Command;

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
fn save(path: &Path, content: impl AsRef<[u8]>) {
    let new = path.with_file_name(".saved");
    fs::write(&new, content).unwrap();
    fs::rename(new, path).unwrap();
}

/// What a process has started and not waited for.
fn children(pid: Pid) -> Vec<String> {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
    children.split_whitespace().map(str::to_owned).collect()
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
