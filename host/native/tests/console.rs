//! A console Ente on a pseudo-terminal: controlling terminal and job control.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test program: its helpers fail the test that calls them"
)]

mod common;

use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;

use arje_card::Card;
use arje_native::{
    ConsoleError, ExecFailure, ExecOutcome, ExitStatus, StartCause, StartRequest, StepKind,
    signal_group,
};
use common::{card, end, failure, launcher, outcome, wait_for};
use nix::errno::Errno;
use nix::pty::openpty;
use nix::sys::signal::Signal;
use nix::sys::termios::{SetArg, SpecialCharacterIndices, cfmakeraw, tcgetattr, tcsetattr};
use nix::unistd::{read, ttyname, write};
use serde_json::json;

/// Ends a script when a line is typed. When the leader of a session ends, the kernel hangs its terminal up, and throws
/// away what was printed and has not come to the other side yet.
const LINGER: &str = "read line";

/// A terminal: the side of the person in front of it, and the path of the other side.
struct Terminal {
    master: OwnedFd,
    /// Keeps the terminal from hanging up between two users.
    _slave: OwnedFd,
    path: PathBuf,
}

impl Terminal {
    fn new() -> Terminal {
        let pair = openpty(None, None).unwrap();
        let path = ttyname(&pair.slave).unwrap();
        Terminal {
            master: pair.master,
            _slave: pair.slave,
            path,
        }
    }

    fn type_in(&self, text: &str) {
        assert_eq!(write(&self.master, text.as_bytes()).unwrap(), text.len());
    }

    /// Reads until `mark` has appeared.
    fn read_until(&self, mark: &str) -> String {
        let mut text = String::new();
        while !text.contains(mark) {
            wait_for(self.master.as_fd());
            let mut bytes = [0; 1024];
            let length = read(&self.master, &mut bytes).unwrap();
            text.push_str(&String::from_utf8_lossy(&bytes[..length]));
        }
        text
    }

    fn card(&self, exec: &str, argv: &[&str]) -> Card {
        let mut card = card(exec, argv);
        card.extensions.insert("console".into(), json!(self.path));
        card
    }
}

#[test]
fn the_console_is_the_controlling_terminal() {
    let terminal = Terminal::new();
    let script = format!("cat /proc/$$/stat; echo end; {LINGER}");
    let card = terminal.card("/bin/sh", &["-c", &script]);
    let started = launcher().start(&StartRequest::new(&card, 1)).unwrap();
    let text = terminal.read_until("end");
    terminal.type_in("\n");
    assert_eq!(end(&started), ExitStatus::Code(0));
    // pid (name) state ppid pgrp session tty_nr tpgid: proc_pid_stat(5).
    let stat: Vec<&str> = text.split_whitespace().collect();
    let pid = started.pid.to_string();
    assert_eq!(stat[5], pid, "session");
    assert_ne!(stat[6], "0", "controlling terminal");
    assert_eq!(stat[7], pid, "foreground process group");
}

#[test]
fn the_active_console_can_be_given() {
    let terminal = Terminal::new();
    let mut card = card("/bin/sh", &["-c", &format!("tty; {LINGER}")]);
    card.extensions.insert("console".into(), json!(true));
    let request = StartRequest {
        active_console: Some(&terminal.path),
        ..StartRequest::new(&card, 1)
    };
    let started = launcher().start(&request).unwrap();
    terminal.read_until(terminal.path.to_str().unwrap());
    terminal.type_in("\n");
    assert_eq!(end(&started), ExitStatus::Code(0));
}

#[test]
fn interrupt_reaches_the_foreground_program() {
    let terminal = Terminal::new();
    let card = terminal.card("/bin/cat", &[]);
    let started = launcher().start(&StartRequest::new(&card, 1)).unwrap();
    assert_eq!(outcome(&started), ExecOutcome::Started);
    terminal.type_in("\x03");
    let interrupted = ExitStatus::Signal {
        number: libc::SIGINT,
        core_dumped: false,
    };
    assert_eq!(end(&started), interrupted);
}

#[test]
fn a_shell_has_job_control() {
    let terminal = Terminal::new();
    let card = terminal.card("/bin/sh", &["-i"]);
    let started = launcher().start(&StartRequest::new(&card, 1)).unwrap();
    terminal.type_in("sh -c 'echo run''ning; exec sleep 1000'\n");
    let before = terminal.read_until("running");
    assert!(!before.contains("job control"), "{before}");
    // Interrupts the job, not the shell.
    terminal.type_in("\x03");
    terminal.type_in("echo status=$?.\n");
    let after = terminal.read_until("status=130.");
    assert!(!after.contains("job control"), "{after}");
    terminal.type_in("exit 5\n");
    assert_eq!(end(&started), ExitStatus::Code(5));
}

#[test]
fn a_console_serves_one_session_after_another() {
    let terminal = Terminal::new();
    let launcher = launcher();
    let first = terminal.card("/bin/cat", &[]);
    let first = launcher.start(&StartRequest::new(&first, 1)).unwrap();
    assert_eq!(outcome(&first), ExecOutcome::Started);
    let mut raw = tcgetattr(&terminal.master).unwrap();
    cfmakeraw(&mut raw);
    tcsetattr(&terminal.master, SetArg::TCSANOW, &raw).unwrap();
    // It belongs to the first: not taken away.
    let script = format!("echo second; {LINGER}");
    let second = terminal.card("/bin/sh", &["-c", &script]);
    let refused = launcher.start(&StartRequest::new(&second, 1)).unwrap();
    assert_eq!(
        failure(&refused),
        ExecFailure {
            step: StepKind::Terminal,
            errno: Errno::EPERM,
            subject: String::new(),
        }
    );
    // Nor were its modes touched.
    assert_eq!(tcgetattr(&terminal.master).unwrap(), raw);
    signal_group(first.pid, first.pidfd.as_fd(), Signal::SIGKILL).unwrap();
    end(&first);
    let started = launcher.start(&StartRequest::new(&second, 2)).unwrap();
    terminal.read_until("second");
    terminal.type_in("\n");
    assert_eq!(end(&started), ExitStatus::Code(0));
}

#[test]
fn the_modes_of_the_session_before_are_reset() {
    let terminal = Terminal::new();
    let fresh = tcgetattr(&terminal.master).unwrap();
    let mut raw = fresh.clone();
    cfmakeraw(&mut raw);
    raw.control_chars[SpecialCharacterIndices::VINTR as usize] = 1;
    tcsetattr(&terminal.master, SetArg::TCSANOW, &raw).unwrap();
    let card = terminal.card("/bin/cat", &[]);
    let started = launcher().start(&StartRequest::new(&card, 1)).unwrap();
    assert_eq!(outcome(&started), ExecOutcome::Started);
    let found = tcgetattr(&terminal.master).unwrap();
    assert_eq!(found.input_flags, fresh.input_flags);
    assert_eq!(found.output_flags, fresh.output_flags);
    assert_eq!(found.local_flags, fresh.local_flags);
    // Somebody chose this one, and speed and character size belong to the line.
    assert_eq!(found.control_chars, raw.control_chars);
    assert_eq!(found.control_flags, raw.control_flags);
    terminal.type_in("\x01");
    assert!(matches!(end(&started), ExitStatus::Signal { .. }));
}

#[test]
fn what_is_no_terminal_is_refused() {
    let mut card = card("/bin/sh", &[]);
    card.extensions.insert("console".into(), json!("/dev/null"));
    let error = launcher().start(&StartRequest::new(&card, 1)).unwrap_err();
    assert_eq!(
        error.cause,
        StartCause::Console(ConsoleError::NotATerminal("/dev/null".into()))
    );
}
