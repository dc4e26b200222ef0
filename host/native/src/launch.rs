//! Starting a process through the executor.

use std::ffi::CString;
use std::fmt;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use ente_spawn::{EncodeError, FIRST_PASSED_FD, MAX_PASSED, Recipe, Rlimit, encode};
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::spawn::{PosixSpawnAttr, posix_spawn};
use nix::unistd::{Pid, pipe2};

use crate::console::{ConsoleError, open_terminal};
use crate::descriptors::{Placement, duplicate_above, open_waiting, sealed};
use crate::environment::Environment;

/// File mode creation mask of every native Ente: nothing it makes is writable by others.
const UMASK: u32 = 0o022;

/// Where the executor is.
#[derive(Debug)]
pub enum Program {
    /// An installed `ente-spawn`.
    Path(PathBuf),
    /// An open one, such as a memfd; it is executed by way of `/proc/self/fd`.
    Fd(OwnedFd),
}

/// Where standard output and error of an Ente without a console go, unless its start says otherwise.
#[derive(Debug)]
pub enum Output {
    /// A device, opened anew for each Ente: none can change the file status flags of another, or of PID 1
    /// (`O_NONBLOCK` belongs to the open file, not to the descriptor).
    Device(PathBuf),
    /// One open file for all.
    Shared(OwnedFd),
}

/// What to start, once all that a Card says has been worked out.
#[derive(Clone, Copy, Debug)]
pub struct Process<'a> {
    /// Whose process it is, for messages.
    pub label: &'a str,
    /// Absolute path of the program; also its argument 0.
    pub program: &'a str,
    /// Its further arguments.
    pub arguments: &'a [String],
    /// Its environment beside `PATH`, `TERM`, `LANG` and `RUST_LOG`; a later entry replaces an earlier one of the
    /// same name.
    pub environment: &'a [(String, String)],
    /// A terminal that becomes its standard streams and its controlling terminal. Without one, standard input is
    /// `/dev/null`.
    pub console: Option<&'a Path>,
    /// Limits of its resources.
    pub rlimits: &'a [Rlimit],
    /// Standard output and error instead of the launcher's [`Output`]; not used with a console.
    pub output: Option<BorrowedFd<'a>>,
    /// Descriptors that it finds from 3 on.
    pub passed: &'a [BorrowedFd<'a>],
}

/// A process that was started. It has to be reaped by [`Reaper`](crate::Reaper).
#[derive(Debug)]
pub struct Started {
    /// Its process id, which is also its session and process group.
    pub pid: Pid,
    /// Becomes readable when it ends; stands for this process for ever.
    pub pidfd: OwnedFd,
    /// Non-blocking; see [`read_exec_outcome`](crate::read_exec_outcome).
    pub status: OwnedFd,
}

/// A start that failed: there is no process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StartError {
    /// Whose start it was.
    pub label: String,
    /// What was wrong.
    pub cause: StartCause,
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot start {:?}: {}", self.label, self.cause)
    }
}

impl std::error::Error for StartError {}

/// Why nothing was started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StartCause {
    /// The payload is not Native.
    NotNative,
    /// The Card asks for what this version cannot enforce; one entry per field.
    Unenforceable(Vec<String>),
    /// This argument or path contains a NUL character, which no program can be given.
    Nul(String),
    /// This environment variable cannot exist.
    Variable {
        /// Its name.
        name: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The plan cannot hold it.
    Plan(EncodeError),
    /// The console cannot be used.
    Console(ConsoleError),
    /// This device cannot be opened.
    Open(PathBuf, Errno),
    /// The executor cannot be started from this path.
    Executor(PathBuf, Errno),
    /// This system call failed.
    System(&'static str, Errno),
}

impl fmt::Display for StartCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotNative => f.write_str("payload: not Native, so there is no process to start"),
            Self::Unenforceable(reasons) => f.write_str(&reasons.join("; ")),
            Self::Nul(text) => write!(f, "{text:?} contains a NUL character; remove it"),
            Self::Variable { name, problem } => {
                write!(
                    f,
                    "environment variable {name:?}: {problem}; rename it or correct its value"
                )
            }
            Self::Plan(error) => error.fmt(f),
            Self::Console(error) => error.fmt(f),
            Self::Open(path, errno) => {
                write!(f, "cannot open {}: {}", path.display(), errno.desc())
            }
            Self::Executor(path, errno) => write!(
                f,
                "cannot start the executor {}: {}; the image must hold ente-spawn there",
                path.display(),
                errno.desc()
            ),
            Self::System(call, errno) => write!(f, "{call}: {}", errno.desc()),
        }
    }
}

/// Starts processes. One per PID 1.
#[derive(Debug)]
pub struct Launcher {
    executor: PathBuf,
    /// Keeps `executor` alive where that is a path to a descriptor.
    _executor_fd: Option<OwnedFd>,
    output: Output,
    inherited: Environment,
}

impl Launcher {
    /// Takes note of where things are, and of what of the present environment is inherited.
    ///
    /// # Errors
    /// `EMFILE` and the like where the executor is an open file.
    pub fn new(program: Program, output: Output) -> nix::Result<Launcher> {
        let (executor, executor_fd) = match program {
            Program::Path(path) => (path, None),
            Program::Fd(fd) => {
                let fd = duplicate_above(fd.as_fd(), FIRST_PASSED_FD + MAX_PASSED as i32)?;
                let path = format!("/proc/self/fd/{}", fd.as_raw_fd());
                (path.into(), Some(fd))
            }
        };
        Ok(Launcher {
            executor,
            _executor_fd: executor_fd,
            output,
            inherited: Environment::inherited(std::env::vars_os()),
        })
    }

    /// Starts a process. It does not wait for the program's exec, only for the executor's, which takes well below a
    /// millisecond: parent and child share memory until then (`CLONE_VM | CLONE_VFORK`, which is what glibc's
    /// `posix_spawn(3)` does), so nothing of PID 1 is copied.
    ///
    /// # Errors
    /// Whatever kept the executor from starting; then there is no process. What fails after that is told by
    /// [`read_exec_outcome`](crate::read_exec_outcome).
    pub fn start_process(&self, process: &Process<'_>) -> Result<Started, StartError> {
        self.try_start(process).map_err(|cause| StartError {
            label: process.label.to_owned(),
            cause,
        })
    }

    pub(crate) fn try_start(&self, process: &Process<'_>) -> Result<Started, StartCause> {
        let plan = sealed(&self.plan(process)?).map_err(|error| {
            let errno = error.raw_os_error().map_or(Errno::EIO, Errno::from_raw);
            StartCause::System("memfd_create", errno)
        })?;
        let flags = OFlag::O_CLOEXEC | OFlag::O_NONBLOCK;
        let (status, pipe) = pipe2(flags).map_err(|errno| StartCause::System("pipe2", errno))?;
        let placement = self.placement(process, &plan, &pipe)?;
        let pid = self.spawn(&placement)?;
        // The child has its own copies. Closing these first leaves room for the pidfd where descriptors are short.
        drop((placement, pipe, plan));
        Ok(Started {
            pid,
            pidfd: pidfd(pid)?,
            status,
        })
    }

    fn plan(&self, process: &Process<'_>) -> Result<Vec<u8>, StartCause> {
        let mut environment = self.inherited.clone();
        for (name, value) in process.environment {
            environment
                .set(name, value)
                .map_err(|bad| StartCause::Variable {
                    name: bad.name,
                    problem: bad.problem,
                })?;
        }
        let program = c_string(process.program)?;
        let mut argv = vec![program.clone()];
        for argument in process.arguments {
            argv.push(c_string(argument)?);
        }
        encode(&Recipe {
            terminal: process.console.is_some(),
            umask: UMASK,
            working_directory: c"/",
            passed: u32::try_from(process.passed.len()).unwrap_or(u32::MAX),
            rlimits: process.rlimits,
            program: &program,
            argv: &argv,
            envp: &environment.strings(),
        })
        .map_err(StartCause::Plan)
    }

    /// Opens the standard streams and gives every descriptor its number.
    fn placement(
        &self,
        process: &Process<'_>,
        plan: &OwnedFd,
        pipe: &OwnedFd,
    ) -> Result<Placement, StartCause> {
        let input = match process.console {
            Some(console) => open_terminal(console).map_err(StartCause::Console)?,
            None => open_device(Path::new("/dev/null"), OFlag::O_RDONLY)?,
        };
        let device;
        let output = match (process.console, process.output, &self.output) {
            (Some(_), _, _) => input.as_fd(),
            (None, Some(output), _) => output,
            (None, None, Output::Shared(shared)) => shared.as_fd(),
            (None, None, Output::Device(path)) => {
                device = open_device(path, OFlag::O_WRONLY)?;
                device.as_fd()
            }
        };
        let mut placement = Placement::new(process.passed.len() as u32);
        placement
            .stdio([input.as_fd(), output, output])
            .and_then(|()| placement.plan(plan))
            .and_then(|()| placement.status(pipe))
            .and_then(|()| placement.passed(process.passed))
            .map_err(|errno| StartCause::System("fcntl(F_DUPFD_CLOEXEC)", errno))?;
        Ok(placement)
    }

    fn spawn(&self, placement: &Placement) -> Result<Pid, StartCause> {
        let system = |errno| StartCause::System("posix_spawn", errno);
        let actions = placement.actions().map_err(system)?;
        let attributes = PosixSpawnAttr::init().map_err(system)?;
        let no_environment: [CString; 0] = [];
        posix_spawn(
            self.executor.as_path(),
            &actions,
            &attributes,
            &[c"ente-spawn"],
            &no_environment,
        )
        .map_err(|errno| StartCause::Executor(self.executor.clone(), errno))
    }
}

/// `pidfd_open(2)`. Nothing can have taken the number since the start: a child keeps it until it is reaped, and only
/// the caller's thread reaps.
fn pidfd(pid: Pid) -> Result<OwnedFd, StartCause> {
    // SAFETY: the call takes two numbers.
    let result = unsafe { libc::syscall(libc::SYS_pidfd_open, pid.as_raw(), 0) };
    match Errno::result(result) {
        // SAFETY: the call has just made this descriptor, and nobody else knows it.
        Ok(fd) => Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) }),
        Err(errno) => {
            // Without a pidfd nobody could stop it, so it must not run. It is reaped like any other child.
            let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL);
            Err(StartCause::System("pidfd_open", errno))
        }
    }
}

fn open_device(path: &Path, mode: OFlag) -> Result<OwnedFd, StartCause> {
    open_waiting(path, mode).map_err(|errno| StartCause::Open(path.to_owned(), errno))
}

fn c_string(text: &str) -> Result<CString, StartCause> {
    CString::new(text).map_err(|_| StartCause::Nul(text.to_owned()))
}
