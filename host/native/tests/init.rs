//! The init of a PID namespace, which is the executor itself. These tests need user 0.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test program: its helpers fail the test that calls them"
)]

#[path = "common/attempts.rs"]
mod attempts;
mod common;

use std::fs;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use arje_card::Card;
use arje_native::{ExecOutcome, ExitStatus, StepKind, read_death, send_signal, signal_group};
use attempts::{answers, probing, start};
use common::{end, failure, outcome, read_all};
use nix::errno::Errno;
use nix::sys::signal::Signal;

fn with_init() -> Card {
    probing(|card| card.soma.namespaces.pid = true)
}

/// The end of an Ente with an init, as the host sees it.
fn end_below_init(started: &arje_native::Started) -> ExitStatus {
    let exit = end(started);
    read_death(&started.status).unwrap_or(exit)
}

#[test]
fn an_init_ends_as_its_program_does() {
    for code in [0, 1, 127, 143, 255] {
        let (started, _output) = start(&with_init(), &[&format!("exit:{code}")]);
        assert_eq!(outcome(&started), ExecOutcome::Started);
        assert_eq!(end_below_init(&started), ExitStatus::Code(code));
    }
    for number in [1, 9, 11, 15, 34, 64] {
        let (started, _output) = start(&with_init(), &[&format!("die:{number}")]);
        assert_eq!(outcome(&started), ExecOutcome::Started);
        let killed = ExitStatus::Signal {
            number,
            core_dumped: false,
        };
        assert_eq!(end_below_init(&started), killed);
    }
}

#[test]
fn an_init_hands_on_signals() {
    let signals: [fn(&arje_native::Started); 2] = [
        |started| send_signal(started.pidfd.as_fd(), Signal::SIGTERM).unwrap(),
        |started| signal_group(started.pid, started.pidfd.as_fd(), Signal::SIGTERM).unwrap(),
    ];
    for signal in signals {
        let (started, output) = start(&with_init(), &["wait"]);
        common::wait_for(output.as_fd());
        signal(&started);
        let killed = ExitStatus::Signal {
            number: 15,
            core_dumped: false,
        };
        assert_eq!(end_below_init(&started), killed);
        assert_eq!(outcome(&started), ExecOutcome::Started);
    }
}

#[test]
fn what_is_inside_does_not_end_the_program_by_its_init() {
    let expected = [("kill:1:15", "ok"), ("kill:1:9", "ok"), ("pid", "2")];
    let attempts = expected.map(|(attempt, _)| attempt);
    let (started, output) = start(&with_init(), &attempts);
    let text = read_all(output);
    assert_eq!(end_below_init(&started), ExitStatus::Code(0), "{text}");
    for (attempt, answer) in expected {
        assert_eq!(answers(&text)[attempt], answer);
    }
}

#[test]
fn an_init_keeps_signals_and_what_it_tells_by() {
    let (started, output) = start(&with_init(), &["wait"]);
    common::wait_for(output.as_fd());
    assert_eq!(outcome(&started), ExecOutcome::Started);
    let init = format!("/proc/{}", started.pid);
    let status = fs::read_to_string(format!("{init}/status")).unwrap();
    for line in [
        "CapPrm:\t0000000000000020",
        "CapEff:\t0000000000000020",
        "NoNewPrivs:\t1",
    ] {
        assert!(status.contains(line), "{line}: {status}");
    }
    let open = fs::read_dir(format!("{init}/fd")).unwrap().flatten();
    // One may be closed between the two looks at it.
    let open: Vec<_> = open
        .filter_map(|fd| fs::read_link(fd.path()).ok())
        .collect();
    // The status pipe, and for a moment the pipe by which it learnt of the exec.
    let pipes = |link: &PathBuf| link.to_string_lossy().starts_with("pipe:");
    assert!(open.len() <= 2 && open.iter().all(pipes), "{open:?}");
    send_signal(started.pidfd.as_fd(), Signal::SIGKILL).unwrap();
    end(&started);
}

#[test]
fn an_init_reaps_orphans() {
    let text = {
        let (started, output) = start(&with_init(), &["orphan", "reaped:4"]);
        let text = read_all(output);
        assert_eq!(end_below_init(&started), ExitStatus::Code(0));
        text
    };
    // The program is 2, the child that ends at once 3.
    assert_eq!(text, "orphan 4\nreaped:4 ok\n");
}

#[test]
fn nobody_outlives_an_init() {
    // A process in a session of its own, and the program is killed: both are gone when the init is.
    let (started, output) = start(&with_init(), &["orphan", "wait"]);
    let mut text = [0; 64];
    let deadline = Instant::now() + Duration::from_secs(60);
    let mut length = 0;
    while !text[..length].ends_with(b"waiting\n") {
        assert!(Instant::now() < deadline);
        common::wait_for(output.as_fd());
        length += nix::unistd::read(&output, &mut text[length..]).unwrap();
    }
    let namespace = fs::read_link(format!("/proc/{}/ns/pid", started.pid)).unwrap();
    assert!(members(&namespace) >= 3);
    send_signal(started.pidfd.as_fd(), Signal::SIGKILL).unwrap();
    end(&started);
    assert_eq!(members(&namespace), 0);
}

/// How many processes are in this PID namespace.
fn members(namespace: &std::path::Path) -> usize {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    processes
        .filter(|entry| {
            fs::read_link(entry.path().join("ns/pid")).is_ok_and(|link| link == namespace)
        })
        .count()
}

#[test]
fn a_failure_below_an_init_is_told_like_any_other() {
    let mut card = with_init();
    common::payload(&mut card).exec = "/no/such/program".into();
    let (started, _output) = start(&card, &[]);
    let failure = failure(&started);
    assert_eq!(
        (failure.step, failure.errno),
        (StepKind::Exec, Errno::ENOENT)
    );
    assert_eq!(failure.subject, "/no/such/program");
}
