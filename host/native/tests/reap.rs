//! Reaping takes any child of the program, so this program has one test only.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test program: its helpers fail the test that calls them"
)]

mod common;

use std::collections::BTreeMap;
use std::os::fd::AsFd;
use std::sync::OnceLock;

use arje_native::{ExitStatus, Launcher, REAP_BATCH, Reaped, Reaper, StartRequest, Started};
use common::{card, launcher, wait_for};
use nix::fcntl::OFlag;
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::pipe2;

/// One for all, since the executor is a child, too.
fn shared() -> &'static Launcher {
    static LAUNCHER: OnceLock<Launcher> = OnceLock::new();
    LAUNCHER.get_or_init(launcher)
}

fn start(exec: &str, argv: &[&str]) -> Started {
    let card = card(exec, argv);
    shared().start(&StartRequest::new(&card, 1)).unwrap()
}

/// Reaps until only the executor is left, waiting for each without taking it.
fn reap_all() -> Vec<Reaped> {
    let mut all = Vec::new();
    while children() > 1 {
        match waitid(Id::All, WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT) {
            // EINVAL: nix has no name for a real-time signal. The child is there all the same.
            Ok(_) | Err(nix::errno::Errno::EINVAL) => all.extend(Reaper::turn()),
            Err(errno) => panic!("{errno}"),
        }
    }
    all
}

/// Children of all threads: orphans come to the first.
fn children() -> usize {
    let threads = std::fs::read_dir("/proc/self/task").unwrap();
    let lists = threads
        .map(|thread| std::fs::read_to_string(thread.unwrap().path().join("children")).unwrap());
    lists.map(|list| list.split_whitespace().count()).sum()
}

#[test]
fn every_child_is_reaped_once() {
    let mut none = Reaper::turn();
    assert_eq!(none.next(), None, "no children yet");
    assert!(!none.more());

    // More children than one turn takes, all of them zombies before it begins.
    let surplus = 20;
    let many: Vec<Started> = (0..REAP_BATCH + surplus)
        .map(|_| start("/bin/true", &[]))
        .collect();
    for started in &many {
        wait_for(started.pidfd.as_fd());
    }
    let mut first = Reaper::turn();
    assert_eq!(first.by_ref().count(), REAP_BATCH);
    assert!(first.more());
    let mut second = Reaper::turn();
    assert_eq!(second.by_ref().count(), surplus);
    assert!(!second.more());

    // Ends of every kind.
    let killed = |number| ExitStatus::Signal {
        number,
        core_dumped: false,
    };
    let expected: BTreeMap<_, _> = [
        ("exit 0", ExitStatus::Code(0)),
        ("exit 3", ExitStatus::Code(3)),
        ("kill -9 $$", killed(9)),
        ("kill -34 $$", killed(34)),
        ("kill -64 $$", killed(64)),
        ("exec /no/such/program", ExitStatus::Code(127)),
    ]
    .map(|(script, status)| (start("/bin/sh", &["-c", script]).pid, status))
    .into();
    let found: BTreeMap<_, _> = reap_all().iter().map(|r| (r.pid, r.status)).collect();
    assert_eq!(found, expected);

    adopt_orphans();
}

/// Orphans come to PID 1 as they come to a subreaper: nobody knows their numbers in advance.
fn adopt_orphans() {
    nix::sys::prctl::set_child_subreaper(true).unwrap();
    let (reader, writer) = pipe2(OFlag::O_CLOEXEC).unwrap();
    // They wait for the end of the pipe, so they outlive their parents.
    let script = "(read x; exit 11) <&3 & ((read x; exit 12) <&3 &) & exit 10";
    let card = card("/bin/sh", &["-c", script]);
    let parent = shared()
        .start(&StartRequest {
            passed: &[reader.as_fd()],
            ..StartRequest::new(&card, 1)
        })
        .unwrap();
    wait_for(parent.pidfd.as_fd());
    drop(writer);
    let mut statuses: Vec<_> = reap_all().iter().map(|r| r.status).collect();
    statuses.sort_by_key(ToString::to_string);
    // The subshell in between exits with 0; whether its parent was still there to take it is up to the scheduler.
    statuses.retain(|status| *status != ExitStatus::Code(0));
    assert_eq!(statuses, [10, 11, 12].map(ExitStatus::Code));
}
