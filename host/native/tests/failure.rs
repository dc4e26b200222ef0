//! Starts that fail, and plans that PID 1 would never write.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test program: its helpers fail the test that calls them"
)]

mod common;

use std::ffi::CString;
use std::fs::{self, File, Permissions};
use std::io::Write;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use arje_native::{
    Confinement, ExecFailure, ExecOutcome, ExitStatus, Launcher, Output, Program, StartCause,
    StartRequest, Started, StepKind, read_exec_outcome,
};
use common::{card, end, executor, failure, launcher, outcome, payload, wait_for};
use ente_spawn::{EncodeError, MAX_PLAN_BYTES, PLAN_FD, STATUS_FD};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, SealFlag, fcntl};
use nix::spawn::{PosixSpawnAttr, PosixSpawnFileActions, posix_spawn};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::pipe2;
use std::os::fd::AsFd;

/// The exec of this program failed.
fn exec_failed(program: &str, errno: Errno) -> ExecFailure {
    ExecFailure {
        step: StepKind::Exec,
        errno,
        // What is told is cut off at some length.
        subject: program.chars().take(1024).collect(),
    }
}

#[test]
fn an_exec_that_fails_is_told_with_step_and_error() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, content: &str, mode: u32| {
        let path = folder.path().join(name);
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let cases = [
        ("/no/such/program".to_owned(), Errno::ENOENT),
        ("/dev/null/program".to_owned(), Errno::ENOTDIR),
        (folder.path().to_str().unwrap().to_owned(), Errno::EACCES),
        (file("plain", "#!/bin/sh\n", 0o644), Errno::EACCES),
        (file("garbage", "\x7fELFgarbage", 0o755), Errno::ENOEXEC),
        (file("empty", "", 0o755), Errno::ENOEXEC),
        (
            file("script", "#!/no/such/interpreter\n", 0o755),
            Errno::ENOENT,
        ),
        ("/".repeat(5000), Errno::ENAMETOOLONG),
    ];
    let launcher = launcher();
    for (program, errno) in cases {
        let card = card(&program, &[]);
        let started = launcher.start(&StartRequest::new(&card, 1)).unwrap();
        assert_eq!(failure(&started), exec_failed(&program, errno), "{program}");
    }
}

#[test]
fn arguments_that_are_too_long_fail_at_exec() {
    let launcher = launcher();
    // One string of more than 128 KiB, and many short ones of more than 6 MiB with their pointers: execve(2).
    let long = card("/bin/true", &[&"x".repeat(1 << 20)]);
    let started = launcher.start(&StartRequest::new(&long, 1)).unwrap();
    assert_eq!(failure(&started), exec_failed("/bin/true", Errno::E2BIG));
    let many = card("/bin/true", &vec![&*"x".repeat(100); 60_000]);
    let started = launcher.start(&StartRequest::new(&many, 1)).unwrap();
    assert_eq!(failure(&started), exec_failed("/bin/true", Errno::E2BIG));
}

#[test]
fn arguments_up_to_the_kernels_limit_arrive() {
    let long = "x".repeat(100_000);
    let card = card("/usr/bin/test", &[&long, "=", &long]);
    let started = launcher().start(&StartRequest::new(&card, 1)).unwrap();
    assert_eq!(outcome(&started), ExecOutcome::Started);
    assert_eq!(end(&started), ExitStatus::Code(0));
}

#[test]
fn what_no_plan_can_hold_is_refused_before_anything_starts() {
    let launcher = launcher();
    let cause = |card: &arje_card::Card| {
        let error = launcher.start(&StartRequest::new(card, 1)).unwrap_err();
        assert_eq!(error.label, "probe");
        error.cause
    };
    let huge = card("/bin/true", &[&"x".repeat(MAX_PLAN_BYTES)]);
    assert!(matches!(
        cause(&huge),
        StartCause::Plan(EncodeError::TooLong(_))
    ));
    assert_eq!(
        cause(&card("/bin/true", &["a\0b"])),
        StartCause::Nul("a\0b".into())
    );
    assert_eq!(
        cause(&card("bin/true", &[])),
        StartCause::Plan(EncodeError::RelativePath(StepKind::Exec))
    );
    let mut variable = card("/bin/true", &[]);
    payload(&mut variable).envp.0 = vec![("A=B".into(), "c".into())];
    assert!(matches!(cause(&variable), StartCause::Variable { .. }));
    let mut beyond = card("/bin/true", &[]);
    beyond.soma.cpu_affinity = Some(vec![8191]);
    assert!(matches!(
        cause(&beyond),
        StartCause::Unenforceable(reasons) if reasons.len() == 1
    ));
    let mut other = card("/bin/true", &[]);
    other.payload = arje_card::Payload::Virtual;
    assert_eq!(cause(&other), StartCause::NotNative);
}

#[test]
fn a_missing_executor_or_device_is_named() {
    let stderr = || std::io::stderr().as_fd().try_clone_to_owned().unwrap();
    let missing = Program::Path("/no/ente-spawn".into());
    let launcher = Launcher::new(missing, Output::Shared(stderr())).unwrap();
    let card = card("/bin/true", &[]);
    let started = launcher.start(&StartRequest::new(&card, 1)).unwrap();
    assert_eq!(
        failure(&started).to_string(),
        "the step \"executor\" failed with ENOENT: No such file or directory"
    );
    let output = Output::Device("/dev/no-such".into());
    let launcher = Launcher::new(Program::Path(executor().into()), output).unwrap();
    let error = launcher.start(&StartRequest::new(&card, 1)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot start \"probe\": cannot open /dev/no-such: No such file or directory"
    );
}

/// A memfd with this content and these seals.
fn memfd(content: &[u8], seals: SealFlag) -> OwnedFd {
    let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
    let mut file = File::from(memfd_create(c"test", flags).unwrap());
    file.write_all(content).unwrap();
    fcntl(&file, FcntlArg::F_ADD_SEALS(seals)).unwrap();
    file.into()
}

fn all_seals() -> SealFlag {
    SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_WRITE
}

/// Runs the executor itself on whatever is given as a plan. Returns the failure, if one was told, and the exit code.
fn execute(plan: Option<&OwnedFd>, with_pipe: bool) -> (Option<ExecFailure>, i32) {
    let (status, pipe) = pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK).unwrap();
    let mut actions = PosixSpawnFileActions::init().unwrap();
    // Copies above the targets: this program's own descriptors may be in the way.
    let high = |fd: i32| {
        // SAFETY: borrowed for this call only, and open.
        let fd = unsafe { std::os::fd::BorrowedFd::borrow_raw(fd) };
        fcntl(fd, FcntlArg::F_DUPFD_CLOEXEC(100)).unwrap()
    };
    let mut copies = Vec::new();
    for (fd, target) in [
        (plan.map(AsRawFd::as_raw_fd), PLAN_FD),
        (with_pipe.then(|| pipe.as_raw_fd()), STATUS_FD),
    ] {
        match fd {
            Some(fd) => {
                let copy = high(fd);
                actions.add_dup2(copy, target).unwrap();
                copies.push(copy);
            }
            None => actions.add_close(target).unwrap(),
        }
    }
    let no_strings: [CString; 0] = [];
    let attributes = PosixSpawnAttr::init().unwrap();
    let pid = posix_spawn(executor(), &actions, &attributes, &no_strings, &no_strings).unwrap();
    for copy in copies {
        nix::unistd::close(copy).unwrap();
    }
    drop(pipe);
    let WaitStatus::Exited(_, code) = waitpid(pid, None).unwrap() else {
        panic!("the executor was killed");
    };
    wait_for(status.as_fd());
    match read_exec_outcome(&status).unwrap() {
        ExecOutcome::Failed(failure) => (Some(failure), code),
        other => {
            assert_eq!(other, ExecOutcome::Started);
            (None, code)
        }
    }
}

#[test]
fn plans_that_are_none_are_refused() {
    let at_plan = |errno| {
        let step = StepKind::Plan;
        let subject = String::new();
        let failure = ExecFailure {
            step,
            errno,
            subject,
        };
        (Some(failure), 127)
    };
    let sealed = |content: &[u8]| memfd(content, all_seals());
    let file: OwnedFd = File::open("/dev/null").unwrap().into();
    let (pipe, _writer) = pipe2(OFlag::O_CLOEXEC).unwrap();
    let too_long = vec![0; MAX_PLAN_BYTES + 1];
    let cases = [
        (sealed(b""), Errno::EBADMSG),
        (sealed(b"ENTEPLAN"), Errno::EBADMSG),
        (sealed(&[0xff; 4096]), Errno::EBADMSG),
        (sealed(&too_long), Errno::EFBIG),
        (memfd(b"ENTEPLAN", SealFlag::empty()), Errno::EPERM),
        (
            memfd(b"ENTEPLAN", SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW),
            Errno::EPERM,
        ),
        (
            memfd(b"ENTEPLAN", SealFlag::F_SEAL_WRITE | SealFlag::F_SEAL_GROW),
            Errno::EPERM,
        ),
        (file, Errno::EPERM),
        (pipe, Errno::EPERM),
    ];
    for (index, (plan, errno)) in cases.iter().enumerate() {
        assert_eq!(execute(Some(plan), true), at_plan(*errno), "case {index}");
    }
    assert_eq!(execute(None, true), at_plan(Errno::EBADF));
}

#[test]
fn without_a_status_pipe_nothing_runs() {
    let mark = tempfile::tempdir().unwrap();
    let path = mark.path().join("ran");
    let path = path.to_str().unwrap();
    let strings = |texts: &[&str]| -> Vec<CString> {
        texts.iter().map(|t| CString::new(*t).unwrap()).collect()
    };
    let plan = ente_spawn::encode(&ente_spawn::Recipe {
        ignored_signals: 0,
        terminal: false,
        umask: 0o022,
        working_directory: c"/",
        passed: 0,
        rlimits: &[],
        confinement: &Confinement::default(),
        program: c"/usr/bin/touch",
        argv: &strings(&["touch", path]),
        envp: &[],
    })
    .unwrap();
    let plan = memfd(&plan, all_seals());
    assert_eq!(execute(Some(&plan), false), (None, 127));
    assert!(!Path::new(path).exists());
    assert_eq!(execute(Some(&plan), true), (None, 0));
    assert!(Path::new(path).exists());
}

#[test]
fn a_step_that_fails_is_told_by_name() {
    let plain = Confinement::default();
    let recipe = ente_spawn::Recipe {
        ignored_signals: 0,
        terminal: false,
        umask: 0o022,
        working_directory: c"/",
        passed: 0,
        rlimits: &[],
        confinement: &plain,
        program: c"/bin/true",
        argv: &[c"true".to_owned()],
        envp: &[],
    };
    let failed = |recipe: &ente_spawn::Recipe<'_>| {
        let plan = memfd(&ente_spawn::encode(recipe).unwrap(), all_seals());
        let (failure, code) = execute(Some(&plan), true);
        assert_eq!(code, 127);
        let failure = failure.unwrap();
        (failure.step, failure.errno)
    };
    let files = ente_spawn::Rlimit {
        resource: ente_spawn::Resource::Files,
        // Above fs.nr_open, which bounds it for everybody.
        limit: u64::MAX,
    };
    assert_eq!(
        failed(&ente_spawn::Recipe {
            working_directory: c"/no/such/folder",
            ..recipe.clone()
        }),
        (StepKind::WorkingDirectory, Errno::ENOENT)
    );
    assert_eq!(
        failed(&ente_spawn::Recipe {
            rlimits: &[files],
            ..recipe.clone()
        }),
        (StepKind::Rlimit, Errno::EPERM)
    );
    // Nothing lies at the places of the descriptors to pass.
    assert_eq!(
        failed(&ente_spawn::Recipe {
            passed: 2,
            ..recipe.clone()
        }),
        (StepKind::Descriptors, Errno::EBADF)
    );
    // Standard input is the test runner's: no terminal, or one that controls another session.
    assert_eq!(
        failed(&ente_spawn::Recipe {
            terminal: true,
            ..recipe.clone()
        })
        .0,
        StepKind::Terminal
    );
}

#[test]
fn a_tiny_address_space_ends_the_ente_and_nothing_else() {
    let mut card = card("/bin/true", &[]);
    card.soma.rlimits.mem_bytes = Some(4096);
    let started: Started = launcher().start(&StartRequest::new(&card, 1)).unwrap();
    // Whether exec still reports the error or the kernel kills the half-made program depends on the kernel.
    assert_ne!(outcome(&started), ExecOutcome::Pending);
    assert!(!end(&started).success());
}
