//! Starts that fail, and plans that PID 1 would never write.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test program: its helpers fail the test that calls them"
)]

mod common;

use std::fs::File;
use std::io::{IoSlice, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::process::{Child, Command};

use arje_native::{
    Confinement, ExecFailure, ExecOutcome, ExitStatus, Launcher, Output, Program, StartCause,
    StartRequest, Started, StepKind, read_exec_outcome,
};
use common::{card, end, executor, failure, launcher, outcome, payload, wait_for, write_program};
use ente_spawn::{ANSWER_BYTES, EncodeError, MAX_PLAN_BYTES, Order};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::socket::{
    AddressFamily, ControlMessage, MsgFlags, SockFlag, SockType, recv, sendmsg, socketpair,
};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{Pid, pipe2};

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
        write_program(&path, content, mode);
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
    let error = launcher.start(&StartRequest::new(&card, 1)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot start \"probe\": cannot execute /no/ente-spawn: No such file or directory; ente-spawn must \
         be there: in an image, or where ARJE_ENTE_SPAWN says"
    );
    assert!(!error.may_have_started());
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

/// The executor itself, and the socket that it takes orders from.
fn server() -> (Child, OwnedFd) {
    let (ours, theirs) = socketpair(
        AddressFamily::Unix,
        SockType::SeqPacket,
        None,
        SockFlag::SOCK_CLOEXEC,
    )
    .unwrap();
    let child = Command::new(executor()).stdin(theirs).spawn().unwrap();
    (child, ours)
}

/// Sends an order with these descriptors; the answer, if there is one.
fn order(socket: &OwnedFd, descriptors: &[BorrowedFd<'_>]) -> Option<i32> {
    let order = Order {
        has_cgroup: false,
        pid_namespace: false,
        files_soft: 1024,
        files_hard: 1024,
    };
    let numbers: Vec<i32> = descriptors.iter().map(AsRawFd::as_raw_fd).collect();
    sendmsg::<()>(
        socket.as_raw_fd(),
        &[IoSlice::new(&order.encode())],
        &[ControlMessage::ScmRights(&numbers)],
        MsgFlags::empty(),
        None,
    )
    .unwrap();
    let mut answer = [0; ANSWER_BYTES];
    let length = recv(socket.as_raw_fd(), &mut answer, MsgFlags::empty()).unwrap();
    (length == ANSWER_BYTES).then(|| i32::from_le_bytes(answer))
}

/// Has the executor perform whatever is given as a plan. Returns the failure, if one was told, and the exit code.
fn execute(plan: &OwnedFd) -> (Option<ExecFailure>, i32) {
    let (status, pipe) = pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK).unwrap();
    let null = File::open("/dev/null").unwrap();
    let (mut server, socket) = server();
    let sent = [
        null.as_fd(),
        null.as_fd(),
        null.as_fd(),
        plan.as_fd(),
        pipe.as_fd(),
    ];
    // A child of this process, and not of the executor that made it.
    let pid = Pid::from_raw(order(&socket, &sent).unwrap());
    drop((pipe, socket));
    assert!(server.wait().unwrap().success());
    let WaitStatus::Exited(_, code) = waitpid(pid, None).unwrap() else {
        panic!("the child was killed");
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
        assert_eq!(execute(plan), at_plan(*errno), "case {index}");
    }
}

#[test]
fn an_order_that_lacks_something_ends_the_executor() {
    let plan = memfd(b"", all_seals());
    for sent in [&[][..], &[plan.as_fd(); 4]] {
        let (mut server, socket) = server();
        assert_eq!(order(&socket, sent), None);
        assert!(server.wait().unwrap().success());
    }
}

#[test]
fn a_step_that_fails_is_told_by_name() {
    let plain = Confinement::default();
    let recipe = ente_spawn::Recipe {
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
        let (failure, code) = execute(&plan);
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
