//! What a started program finds, shown by programs that print it.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test program: its helpers fail the test that calls them"
)]

mod common;

use std::collections::BTreeMap;
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd};

use arje_card::Card;
use arje_native::{ExecOutcome, ExitStatus, Launcher, Output, Program, StartRequest};
use common::{card, end, executor, launcher, outcome, payload, read_all};
use nix::fcntl::OFlag;
use nix::sys::signal::{SigSet, Signal};
use nix::unistd::{dup, pipe2};

/// Runs a Card to its end and returns what it wrote.
fn run_with(launcher: &Launcher, card: &Card, environment: &[(&str, &str)]) -> String {
    run_passing(launcher, card, environment, &[])
}

fn run_passing(
    launcher: &Launcher,
    card: &Card,
    environment: &[(&str, &str)],
    passed: &[BorrowedFd<'_>],
) -> String {
    let (reader, writer) = pipe2(OFlag::O_CLOEXEC).unwrap();
    let own = |(name, value): &(&str, &str)| ((*name).into(), (*value).into());
    let environment: Vec<(String, String)> = environment.iter().map(own).collect();
    let started = launcher
        .start(&StartRequest {
            environment: &environment,
            output: Some([writer.as_fd(); 2]),
            passed,
            ..StartRequest::new(card, 1)
        })
        .unwrap();
    drop(writer);
    let text = read_all(reader);
    assert_eq!(outcome(&started), ExecOutcome::Started);
    assert_eq!(end(&started), ExitStatus::Code(0), "{text}");
    text
}

fn run(card: &Card) -> String {
    run_with(&launcher(), card, &[])
}

/// `KEY:<blank>VALUE` lines, as in `/proc/self/status`.
fn fields(text: &str) -> BTreeMap<&str, &str> {
    text.lines()
        .filter_map(|line| line.split_once(':'))
        .map(|(key, value)| (key, value.trim()))
        .collect()
}

#[test]
fn the_environment_is_clean() {
    let mut card = card("/bin/cat", &["/proc/self/environ"]);
    payload(&mut card).envp.0 = vec![
        ("GREETING".into(), "hello world".into()),
        ("ENTE_ID".into(), "somebody-else".into()),
        ("LANG".into(), "C".into()),
    ];
    let text = run_with(&launcher(), &card, &[("ENTE_BUS_SOCK", "/run/bus")]);
    let mut names: BTreeMap<&str, &str> = text
        .split_terminator('\0')
        .map(|variable| variable.split_once('=').unwrap())
        .collect();
    assert!(names.remove("PATH").is_some());
    for inherited in ["TERM", "RUST_LOG"] {
        assert_eq!(
            names.remove(inherited),
            std::env::var(inherited).ok().as_deref()
        );
    }
    let expected = BTreeMap::from(
        [
            ("ENTE_BUS_SOCK", "/run/bus"),
            ("ENTE_ID", &*card.id.to_string()),
            ("ENTE_LABEL", "probe"),
            ("GREETING", "hello world"),
            ("LANG", "C"),
        ]
        .map(|(name, value)| (name, value.to_owned())),
    );
    let found: BTreeMap<&str, String> = names
        .into_iter()
        .map(|(name, value)| (name, value.to_owned()))
        .collect();
    assert_eq!(found, expected);
}

#[test]
fn arguments_arrive_as_written() {
    let arguments = ["", "two words", "\u{fc}\n", "-n"];
    let text = run(&card(
        "/usr/bin/printf",
        &["<%s>", "", "two words", "\u{fc}\n", "-n"],
    ));
    assert_eq!(text, arguments.map(|a| format!("<{a}>")).concat());
    let zero = run(&card("/bin/sh", &["-c", "echo $0"]));
    assert_eq!(zero, "/bin/sh\n");
}

#[test]
fn descriptors_are_closed() {
    // Open across exec, as a library in PID 1 might have left it.
    let leak = dup(File::open("/dev/null").unwrap()).unwrap();
    // `ls` itself opens the folder: 3.
    assert_eq!(run(&card("/bin/ls", &["/proc/self/fd"])), "0\n1\n2\n3\n");
    drop(leak);
}

#[test]
fn a_start_does_not_carry_the_hosts_descriptors() {
    // Each is copied at a clone and closed at an exec, wherever the table of the host is the child's.
    let many: Vec<File> = (0..600).map(|_| File::open("/dev/null").unwrap()).collect();
    let text = run(&card("/bin/cat", &["/proc/self/status"]));
    // Places in the table; it never shrinks (proc_pid_status(5)).
    let places: usize = fields(&text)["FDSize"].parse().unwrap();
    assert!(places < many.len(), "{places}");
}

#[test]
fn passed_descriptors_start_at_three() {
    let (first, writer_1) = pipe2(OFlag::O_CLOEXEC).unwrap();
    let (second, writer_2) = pipe2(OFlag::O_CLOEXEC).unwrap();
    nix::unistd::write(&writer_1, b"one ").unwrap();
    nix::unistd::write(&writer_2, b"two ").unwrap();
    drop((writer_1, writer_2));
    let script = "cat <&3; cat <&4; exec ls /proc/self/fd";
    let text = run_passing(
        &launcher(),
        &card("/bin/sh", &["-c", script]),
        &[],
        &[first.as_fd(), second.as_fd()],
    );
    assert_eq!(text, "one two 0\n1\n2\n3\n4\n5\n");
}

#[test]
fn signals_are_as_at_birth() {
    // Rust ignores SIGPIPE; PID 1 blocks what it takes by signalfd.
    let blocked = SigSet::from_iter([Signal::SIGUSR2, Signal::SIGCHLD, Signal::SIGTERM]);
    blocked.thread_block().unwrap();
    // A shell's `nohup` and `&` leave such; the last one is a real-time signal.
    for ignored in [Signal::SIGHUP as i32, Signal::SIGXFSZ as i32, 64] {
        // SAFETY: ignoring a signal runs no function of ours.
        unsafe { libc::signal(ignored, libc::SIG_IGN) };
    }
    let text = run(&card("/bin/cat", &["/proc/self/status"]));
    let status = fields(&text);
    for mask in ["SigPnd", "ShdPnd", "SigBlk", "SigIgn", "SigCgt"] {
        assert_eq!(status[mask], "0000000000000000", "{mask}");
    }
}

#[test]
fn session_folder_mask_and_input_are_its_own() {
    let text = run(&card("/bin/cat", &["/proc/self/stat"]));
    // pid (name) state ppid pgrp session tty_nr ...: proc_pid_stat(5).
    let stat: Vec<&str> = text.split_whitespace().collect();
    assert_eq!(stat[0], stat[4], "process group");
    assert_eq!(stat[0], stat[5], "session");
    assert_eq!(stat[6], "0", "no controlling terminal");
    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o007));
    let text = run(&card("/bin/cat", &["/proc/self/status"]));
    assert_eq!(fields(&text)["Umask"], "0022");
    let text = run(&card(
        "/bin/readlink",
        &["/proc/self/cwd", "/proc/self/fd/0"],
    ));
    assert_eq!(text, "/\n/dev/null\n");
}

#[test]
fn limits_are_set_soft_and_hard() {
    let mut card = card("/bin/cat", &["/proc/self/limits"]);
    card.soma.rlimits.mem_bytes = Some(1 << 30);
    card.soma.rlimits.nofile = Some(33);
    let text = run(&card);
    for (name, limit) in [
        ("Max address space", "1073741824"),
        ("Max open files", "33"),
    ] {
        let line = text.lines().find(|line| line.starts_with(name)).unwrap();
        let values: Vec<&str> = line[name.len()..].split_whitespace().take(2).collect();
        assert_eq!(values, [limit, limit], "{line}");
    }
}

#[test]
fn the_limit_of_files_may_lie_below_the_passed_ones() {
    let mut card = card("/bin/true", &[]);
    card.soma.rlimits.nofile = Some(4);
    let null = File::create("/dev/null").unwrap();
    let started = launcher()
        .start(&StartRequest {
            output: Some([null.as_fd(); 2]),
            passed: &[null.as_fd(); 8],
            ..StartRequest::new(&card, 1)
        })
        .unwrap();
    assert_eq!(outcome(&started), ExecOutcome::Started);
    // Its dynamic loader cannot open a library any more; that is the program's trouble, not the start's.
    end(&started);
}

#[test]
fn output_goes_where_the_launcher_says() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("console");
    std::fs::write(&path, "").unwrap();
    let output = Output::Device(path.clone());
    let launcher = Launcher::new(Program::Path(executor().into()), output).unwrap();
    let card = card("/bin/sh", &["-c", "echo out; echo err >&2"]);
    let started = launcher.start(&StartRequest::new(&card, 1)).unwrap();
    assert_eq!(end(&started), ExitStatus::Code(0));
    assert_eq!(std::fs::read_to_string(path).unwrap(), "out\nerr\n");
}

#[test]
fn the_executor_may_be_an_open_file() {
    let program = Program::Fd(File::open(executor()).unwrap().into());
    let stderr = std::io::stderr().as_fd().try_clone_to_owned().unwrap();
    let launcher = Launcher::new(program, Output::Shared(stderr)).unwrap();
    assert_eq!(
        run_with(&launcher, &card("/bin/echo", &["from a file"]), &[]),
        "from a file\n"
    );
}

#[test]
fn the_executor_is_static_and_small() {
    let bytes = std::fs::read(executor()).unwrap();
    assert!(bytes.len() < 30_000, "{} bytes", bytes.len());
    // ELF64: offset of the program headers at 32, their size at 54, their number at 56 (elf(5)).
    let number = |at: usize| usize::from(u16::from_le_bytes([bytes[at], bytes[at + 1]]));
    let headers = usize::try_from(u64::from_le_bytes(bytes[32..40].try_into().unwrap())).unwrap();
    let mut loaded = 0;
    for index in 0..number(56) {
        let header = headers + index * number(54);
        let kind = u32::from_le_bytes(bytes[header..header + 4].try_into().unwrap());
        assert!(kind != 2 && kind != 3, "PT_DYNAMIC or PT_INTERP");
        loaded += u32::from(kind == 1);
    }
    // A copy of it is made for every start, with every mapping.
    assert_eq!(loaded, 1, "PT_LOAD");
}
