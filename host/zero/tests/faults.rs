//! A bad seed is told with every kind of fault in one go, before anything is begun. `ente verify` and the
//! builder have the same test.

#![expect(clippy::unwrap_used, reason = "tests say what they expect")]

#[path = "../../verify/tests/faults/mod.rs"]
mod faults;

use std::fs;
use std::process::Command;

use faults::Faults;

#[test]
fn every_fault_is_told_at_once() {
    let faults = Faults::new();
    faults.compare(&["any"], |seed| {
        let ended = Command::new(env!("CARGO_BIN_EXE_ente-zero"))
            .arg(seed)
            .args(["--store", "store"])
            .current_dir(faults.folder.path())
            .env("XDG_RUNTIME_DIR", faults.folder.path())
            .output()
            .unwrap();
        assert_eq!(ended.status.code(), Some(2), "{ended:?}");
        String::from_utf8(ended.stderr).unwrap()
    });
    let left = fs::read_dir(faults.folder.path()).unwrap();
    assert_eq!(left.count(), 3, "the seeds and the components");
}
