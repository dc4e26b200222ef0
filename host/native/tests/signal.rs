//! Signals to an Ente and to its group.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test program: its helpers fail the test that calls them"
)]

mod common;

use std::os::fd::{AsFd, OwnedFd};

use arje_native::{ExitStatus, StartRequest, Started, send_signal, signal_group};
use common::{card, end, launcher, wait_for};
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::signal::Signal;
use nix::unistd::{pipe2, read};

const TERMINATED: ExitStatus = ExitStatus::Signal {
    number: 15,
    core_dumped: false,
};

/// A shell with a child, both of which hold the writing end of the pipe that is returned.
fn family() -> (Started, OwnedFd) {
    let (reader, writer) = pipe2(OFlag::O_CLOEXEC).unwrap();
    let card = card("/bin/sh", &["-c", "sleep 1000 & echo ready; wait"]);
    let started = launcher()
        .start(&StartRequest {
            output: Some([writer.as_fd(); 2]),
            ..StartRequest::new(&card, 1)
        })
        .unwrap();
    drop(writer);
    let mut ready = [0; 6];
    wait_for(reader.as_fd());
    assert_eq!(read(&reader, &mut ready).unwrap(), 6);
    (started, reader)
}

#[test]
fn the_group_is_reached_with_its_children() {
    let (started, pipe) = family();
    signal_group(started.pid, started.pidfd.as_fd(), Signal::SIGTERM).unwrap();
    assert_eq!(end(&started), TERMINATED);
    // The end of file says that nobody holds the pipe any more: the child is gone too.
    wait_for(pipe.as_fd());
    assert_eq!(read(&pipe, &mut [0; 1]).unwrap(), 0);
}

#[test]
fn one_process_can_be_signalled_alone() {
    let (started, pipe) = family();
    send_signal(started.pidfd.as_fd(), Signal::SIGTERM).unwrap();
    wait_for(started.pidfd.as_fd());
    // Not reaped yet: its group can still be reached, and the child is in it.
    signal_group(started.pid, started.pidfd.as_fd(), Signal::SIGKILL).unwrap();
    assert_eq!(end(&started), TERMINATED);
    wait_for(pipe.as_fd());
    assert_eq!(read(&pipe, &mut [0; 1]).unwrap(), 0);
}

#[test]
fn a_signal_right_after_the_start_is_not_lost() {
    let launcher = launcher();
    let card = card("/bin/sleep", &["1000"]);
    for _ in 0..50 {
        let started = launcher.start(&StartRequest::new(&card, 1)).unwrap();
        signal_group(started.pid, started.pidfd.as_fd(), Signal::SIGTERM).unwrap();
        assert_eq!(end(&started), TERMINATED);
    }
}

#[test]
fn a_reaped_process_is_not_signalled() {
    let card = card("/bin/true", &[]);
    let started = launcher().start(&StartRequest::new(&card, 1)).unwrap();
    assert_eq!(end(&started), ExitStatus::Code(0));
    let pidfd = started.pidfd.as_fd();
    assert_eq!(send_signal(pidfd, Signal::SIGKILL), Err(Errno::ESRCH));
    assert_eq!(
        signal_group(started.pid, pidfd, Signal::SIGKILL),
        Err(Errno::ESRCH)
    );
}
