//! `ente verify` tells every kind of fault in one go. The builder and PID 1 have the same test.

#![expect(clippy::unwrap_used, reason = "tests say what they expect")]

#[path = "../../verify/tests/faults/mod.rs"]
mod faults;

use std::process::Command;

use faults::Faults;

#[test]
fn every_fault_is_told_at_once() {
    let faults = Faults::new();
    let verify = |arguments: &[&str], seed| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ente"));
        command.arg("verify").arg(seed).args(arguments);
        let ended = command.current_dir(faults.folder.path()).output().unwrap();
        assert_eq!(ended.status.code(), Some(1), "{ended:?}");
        String::from_utf8(ended.stdout).unwrap()
    };
    faults.compare(&["any", "name"], |seed| verify(&[], seed));
    let with_modules = |seed| verify(&["--modules", "components"], seed);
    faults.compare(&["any", "name", "modules"], with_modules);
}
