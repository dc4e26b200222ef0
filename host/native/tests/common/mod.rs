//! What the tests with real processes share.
#![allow(
    dead_code,
    reason = "each test program compiles this file and uses its own part of it"
)]

use std::fs::File;
use std::io::{Read, Write as _};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use arje_card::{
    Card, Env, Filesystem, Id, Ipc, NativePayload, Networking, Payload, Permissions, Supervision,
};
use arje_native::{
    ExecFailure, ExecOutcome, ExitStatus, Launcher, Output, Program, Started, read_exec_outcome,
};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::wait::{WaitStatus, waitpid};

/// A hang is a failure; this only bounds how long it takes to notice one.
const DEADLINE_MS: u16 = 60_000;

/// Says that a test has nothing to try here, and why: to standard error itself, since what a test prints is shown of those
/// alone that fail.
pub fn ignored(why: impl std::fmt::Display) {
    let current = std::thread::current();
    let name = current.name().unwrap_or("?");
    let _ = writeln!(std::io::stderr(), "test {name} ... ignored, {why}");
}

/// The executor: `ARJE_ENTE_SPAWN`, or built here once, in its own profile and target directory.
pub fn executor() -> &'static Path {
    static EXECUTOR: OnceLock<PathBuf> = OnceLock::new();
    EXECUTOR.get_or_init(|| match std::env::var_os("ARJE_ENTE_SPAWN") {
        Some(path) => path.into(),
        None => build(),
    })
}

/// The target named in `.cargo/config.toml`.
const TRIPLE: &str = "x86_64-unknown-linux-gnu";

fn build() -> PathBuf {
    // <target>/tmp, or <target>/<triple>/tmp where the workspace names a target.
    let target = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .ancestors()
        .skip(1)
        .find(|folder| !folder.ends_with(TRIPLE))
        .unwrap()
        .join("spawn");
    let status = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--profile", "tiny", "-p", "ente-spawn"])
        .arg("--target-dir")
        .arg(&target)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status()
        .unwrap();
    assert!(status.success(), "ente-spawn does not build");
    target.join(TRIPLE).join("tiny/ente-spawn")
}

/// A launcher whose Entes write to the test's standard error.
pub fn launcher() -> Launcher {
    let stderr = std::io::stderr().as_fd().try_clone_to_owned().unwrap();
    Launcher::new(Program::Path(executor().into()), Output::Shared(stderr)).unwrap()
}

/// A Card that this version can run.
pub fn card(exec: &str, argv: &[&str]) -> Card {
    let payload = Payload::Native(NativePayload {
        exec: exec.into(),
        argv: argv.iter().map(|argument| (*argument).into()).collect(),
        envp: Env::default(),
    });
    let id = Id::from_bytes([7; 16]);
    let mut card = Card::new(id, "probe", payload, Supervision::OneShot);
    card.permissions = Permissions {
        networking: Networking::Full,
        filesystem: Filesystem::ReadWrite,
        ipc: Ipc::default(),
        processes: true,
    };
    card
}

/// Its process.
pub fn payload(card: &mut Card) -> &mut NativePayload {
    match &mut card.payload {
        Payload::Native(payload) => payload,
        other => panic!("{other:?}"),
    }
}

/// Waits until the executor has succeeded or failed.
pub fn outcome(started: &Started) -> ExecOutcome {
    wait_for(started.status.as_fd());
    read_exec_outcome(&started.status).unwrap()
}

/// The step that failed, and the end of the process that goes with it.
pub fn failure(started: &Started) -> ExecFailure {
    match outcome(started) {
        ExecOutcome::Failed(failure) => {
            assert_eq!(end(started), ExitStatus::Code(127));
            failure
        }
        other => panic!("{other:?}"),
    }
}

/// Waits for the end of this process, and of no other: tests of one program run at once.
pub fn end(started: &Started) -> ExitStatus {
    wait_for(started.pidfd.as_fd());
    match waitpid(started.pid, None).unwrap() {
        WaitStatus::Exited(_, code) => ExitStatus::Code(code),
        WaitStatus::Signaled(_, signal, core_dumped) => ExitStatus::Signal {
            number: signal as i32,
            core_dumped,
        },
        other => panic!("{other:?}"),
    }
}

/// Waits until a descriptor is readable or closed on the other side.
pub fn wait_for(fd: std::os::fd::BorrowedFd<'_>) {
    let mut fds = [PollFd::new(fd, PollFlags::POLLIN)];
    assert_eq!(
        poll(&mut fds, PollTimeout::from(DEADLINE_MS)).unwrap(),
        1,
        "nothing came"
    );
}

/// Writes a program. Another process does: if this one did, a child that another test starts at the same moment would
/// inherit the descriptor for an instant, and the kernel runs no file that is open for writing (`ETXTBSY`).
pub fn write_program(path: &Path, content: &str, mode: u32) {
    let mut child = Command::new("/bin/sh")
        .args(["-c", "cat >\"$0\" && chmod \"$1\" \"$0\""])
        .arg(path)
        .arg(format!("{mode:o}"))
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(content.as_bytes()).unwrap();
    drop(input);
    assert!(child.wait().unwrap().success());
}

/// All that comes out of a pipe until its last writer closes it.
pub fn read_all(pipe: OwnedFd) -> String {
    let mut text = String::new();
    File::from(pipe).read_to_string(&mut text).unwrap();
    text
}

/// The program that tries what a Card is refused, built once: `tests/probe/probe.c`.
pub fn probe() -> &'static Path {
    static PROBE: OnceLock<PathBuf> = OnceLock::new();
    PROBE.get_or_init(|| {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/probe/probe.c");
        let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join("probe");
        // Under a name of its own first: another test program may build or run it at the same time.
        let fresh = program.with_extension(std::process::id().to_string());
        let status = Command::new("cc")
            .args(["-static", "-O1", "-w", "-o"])
            .args([&fresh, &source])
            .status()
            .unwrap();
        assert!(status.success(), "{} does not build", source.display());
        std::fs::rename(&fresh, &program).unwrap();
        program
    })
}
