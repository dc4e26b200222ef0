//! What becomes of starts when somebody does something to the executor that runs beside PID 1. A test program of its own,
//! with one test, so that there is one such executor.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test program: its helpers fail the test that calls them"
)]

mod common;

use std::fs;

use arje_native::{ExitStatus, Launcher, StartCause, StartRequest};
use common::{card, end, launcher};
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::waitpid;
use nix::unistd::Pid;

/// The executor that is waiting for orders: the one child of this process, as nothing else runs.
fn executor() -> Pid {
    let children = fs::read_to_string("/proc/thread-self/children").unwrap();
    let pid = Pid::from_raw(children.trim().parse().unwrap());
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap();
    assert_eq!(name.trim(), "ente-spawn");
    pid
}

fn run(launcher: &Launcher) {
    let card = card("/bin/true", &[]);
    let started = launcher.start(&StartRequest::new(&card, 1)).unwrap();
    assert_eq!(end(&started), ExitStatus::Code(0));
}

#[test]
fn a_start_does_not_depend_on_the_executor_that_made_the_last_one() {
    let launcher = launcher();
    run(&launcher);
    let first = executor();
    run(&launcher);
    assert_eq!(executor(), first, "one for all");

    // Killed: the next start does not even fail.
    kill(first, Signal::SIGKILL).unwrap();
    waitpid(first, None).unwrap();
    run(&launcher);
    let second = executor();

    // Stopped: whoever waits for it waits only so long, and what it might still do is told.
    kill(second, Signal::SIGSTOP).unwrap();
    let card = card("/bin/true", &[]);
    let error = launcher.start(&StartRequest::new(&card, 1)).unwrap_err();
    assert_eq!(error.cause, StartCause::Unanswered(Errno::ETIMEDOUT));
    assert!(error.may_have_started());
    waitpid(second, None).unwrap();
    run(&launcher);

    // With the launcher it ends.
    let third = executor();
    drop(launcher);
    waitpid(third, None).unwrap();
}
