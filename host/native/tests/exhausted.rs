//! A PID 1 that is out of descriptors. The limit is the whole program's, so it has one test only.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test program: its helpers fail the test that calls them"
)]

mod common;

use std::fs::File;

use arje_native::{Reaper, StartCause, StartRequest};
use common::{card, end, launcher};
use nix::errno::Errno;
use nix::sys::resource::{Resource, setrlimit};

/// More than any start needs.
const SPARE: usize = 32;

#[test]
fn a_start_without_descriptors_fails_whole() {
    let folder = tempfile::tempdir().unwrap();
    let mark = folder.path().join("ran");
    let card = card("/usr/bin/touch", &[mark.to_str().unwrap()]);
    let launcher = launcher();
    // The executor is there already, as it is in a PID 1 that has come so far.
    let first = common::card("/bin/true", &[]);
    assert!(end(&launcher.start(&StartRequest::new(&first, 1)).unwrap()).success());
    setrlimit(Resource::RLIMIT_NOFILE, 128, 128).unwrap();
    let mut hoard: Vec<File> = std::iter::from_fn(|| File::open("/dev/null").ok()).collect();
    let mut failures = 0;
    let started = loop {
        match launcher.start(&StartRequest::new(&card, 1)) {
            Ok(started) => break started,
            Err(error) => assert!(
                matches!(
                    error.cause,
                    StartCause::System(_, Errno::EMFILE) | StartCause::Open(_, Errno::EMFILE)
                ),
                "{error}"
            ),
        }
        // Not even for a moment was there a process.
        assert_eq!(Reaper::turn().next(), None);
        assert!(!mark.exists());
        failures += 1;
        assert!(failures < SPARE, "a start needs {failures} descriptors");
        drop(hoard.pop());
    };
    assert!(failures > 0);
    assert_eq!(common::outcome(&started), arje_native::ExecOutcome::Started);
    assert!(end(&started).success());
    assert!(mark.exists());
}
