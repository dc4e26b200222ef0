//! Starting a process through the executor.

use std::ffi::CString;
use std::fmt;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};

use ente_spawn::{Confinement, EncodeError, Recipe, Rlimit, encode};
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::resource::{Resource, getrlimit};
use nix::unistd::{Pid, pipe2};

use crate::console::{ConsoleError, open_terminal};
use crate::descriptors::{open_waiting, sealed};
use crate::environment::Environment;
use crate::server::{NoChild, Server, Start};

/// File mode creation mask of every native Ente: nothing it makes is writable by others.
const UMASK: u32 = 0o022;

/// Descriptors that `select(2)` can wait for (`FD_SETSIZE`).
const SELECTABLE: u64 = 1024;

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
    /// Variables that hold its own process id; they replace others of the same name.
    pub own_pid: &'a [&'static str],
    /// A terminal that becomes its standard streams and its controlling terminal. Without one, standard input is
    /// `/dev/null`.
    pub console: Option<&'a Path>,
    /// Limits of its resources.
    pub rlimits: &'a [Rlimit],
    /// Standard output and error instead of the launcher's [`Output`]; not used with a console.
    pub output: Option<[BorrowedFd<'a>; 2]>,
    /// Descriptors that it finds from 3 on.
    pub passed: &'a [BorrowedFd<'a>],
    /// The cgroup it is born into, so that there is no moment at which it is in another: a folder of cgroup v2.
    /// Without one it is born into the launcher's.
    pub cgroup: Option<BorrowedFd<'a>>,
    /// What surrounds it and what is taken away from it; the default is nothing of it.
    pub confinement: &'a Confinement,
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
    /// Whether the process is the init of a PID namespace, with the program below it:
    /// see [`read_death`](crate::read_death).
    pub init: bool,
}

/// A start that failed: there is no process, unless [`may_have_started`](Self::may_have_started) says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StartError {
    /// Whose start it was.
    pub label: String,
    /// What was wrong.
    pub cause: StartCause,
}

impl StartError {
    /// Whether there may be a process all the same, which nobody knows. It is in the cgroup of the start, if that has one.
    #[must_use]
    pub fn may_have_started(&self) -> bool {
        matches!(self.cause, StartCause::Unanswered(_))
    }
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
    /// The payload is neither Native nor Legacy.
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
    /// The executor cannot be executed.
    Executor(PathBuf, Errno),
    /// The executor did not answer.
    Unanswered(Errno),
    /// This system call failed.
    System(&'static str, Errno),
}

impl fmt::Display for StartCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotNative => {
                f.write_str("payload: neither Native nor Legacy, so there is no process to start")
            }
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
            Self::Executor(path, errno) => {
                write!(f, "cannot execute {}: {}", path.display(), errno.desc())?;
                match errno {
                    Errno::ENOENT | Errno::EACCES | Errno::ENOEXEC => f.write_str(
                        "; ente-spawn must be there: in an image, or where ARJE_ENTE_SPAWN says",
                    ),
                    _ => Ok(()),
                }
            }
            Self::Unanswered(errno) => write!(
                f,
                "the executor, which makes processes for PID 1, did not answer ({}); the next start gets another one",
                errno.desc()
            ),
            Self::System(call, errno) => write!(f, "{call}: {}", errno.desc()),
        }
    }
}

/// Starts processes. One per PID 1.
#[derive(Debug)]
pub struct Launcher {
    /// The executor, running. Made by the first start: a host without native Entes needs none.
    server: Mutex<Option<Server>>,
    executor: PathBuf,
    /// Keeps the executor's path alive where that is a path to a descriptor.
    _executor_fd: Option<OwnedFd>,
    output: Output,
    /// `/dev/null`, once a process needed it: what is read from there is the same for all.
    nothing: OnceLock<OwnedFd>,
    inherited: Environment,
    /// `RLIMIT_NOFILE` of every process whose Card says nothing else.
    files: libc::rlimit,
}

impl Launcher {
    /// Takes note of where things are, and of what of the present environment and limits is inherited. The soft limit
    /// of descriptors is 1024 at most, however many the host has: a program that uses `select(2)` could do nothing with
    /// more, and one that can use more raises it up to the hard limit.
    ///
    /// # Errors
    /// The limits cannot be read.
    pub fn new(program: Program, output: Output) -> nix::Result<Launcher> {
        let (executor, executor_fd) = match program {
            Program::Path(path) => (path, None),
            Program::Fd(fd) => {
                let path = format!("/proc/self/fd/{}", fd.as_raw_fd());
                (path.into(), Some(fd))
            }
        };
        let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
        Ok(Launcher {
            server: Mutex::new(None),
            executor,
            _executor_fd: executor_fd,
            output,
            nothing: OnceLock::new(),
            inherited: Environment::inherited(std::env::vars_os()),
            files: libc::rlimit {
                rlim_cur: soft.min(SELECTABLE),
                rlim_max: hard,
            },
        })
    }

    /// Starts a process. It waits for the child to be made, and not for it to run. Nothing of PID 1 is copied for it, see
    /// `server.rs`.
    ///
    /// # Errors
    /// Whatever kept the process from coming to life. What fails after that is told by
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
        let (mut terminal, mut device) = (None, None);
        let input = self.input_of(process, &mut terminal)?;
        let [output, error] = self.output_of(process, input, &mut device)?;
        let init = process.confinement.init;
        let (pid, pidfd) = self.spawn(&Start {
            streams: [input, output, error],
            plan: plan.as_fd(),
            status: pipe.as_fd(),
            passed: process.passed,
            cgroup: process.cgroup,
            files: self.files_limit()?,
            pid_namespace: init,
        })?;
        Ok(Started {
            pid,
            pidfd,
            status,
            init,
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
        for name in process.own_pid {
            environment.set_own_pid(name);
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
            confinement: process.confinement,
            program: &program,
            argv: &argv,
            envp: &environment.strings(),
        })
        .map_err(StartCause::Plan)
    }

    /// Standard input of the process; `terminal` keeps what had to be opened for it.
    fn input_of<'x>(
        &'x self,
        process: &Process<'_>,
        terminal: &'x mut Option<OwnedFd>,
    ) -> Result<BorrowedFd<'x>, StartCause> {
        if let Some(console) = process.console {
            let opened = open_terminal(console).map_err(StartCause::Console)?;
            let terminal: &OwnedFd = terminal.insert(opened);
            return Ok(terminal.as_fd());
        }
        if let Some(nothing) = self.nothing.get() {
            return Ok(nothing.as_fd());
        }
        let opened = open_device(Path::new("/dev/null"), OFlag::O_RDONLY)?;
        Ok(self.nothing.get_or_init(|| opened).as_fd())
    }

    /// Standard output and error of the process; `device` keeps what had to be opened for it.
    fn output_of<'x>(
        &'x self,
        process: &Process<'x>,
        input: BorrowedFd<'x>,
        device: &'x mut Option<OwnedFd>,
    ) -> Result<[BorrowedFd<'x>; 2], StartCause> {
        match (process.console, process.output, &self.output) {
            (Some(_), _, _) => Ok([input; 2]),
            (None, Some(output), _) => Ok(output),
            (None, None, Output::Shared(shared)) => Ok([shared.as_fd(); 2]),
            (None, None, Output::Device(path)) => {
                let device: &OwnedFd = device.insert(open_device(path, OFlag::O_WRONLY)?);
                Ok([device.as_fd(); 2])
            }
        }
    }

    /// The limit noted at the beginning, as far as the present one allows it: nothing is raised for a child.
    fn files_limit(&self) -> Result<libc::rlimit, StartCause> {
        let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)
            .map_err(|errno| StartCause::System("getrlimit", errno))?;
        Ok(libc::rlimit {
            rlim_cur: self.files.rlim_cur.min(hard),
            rlim_max: self.files.rlim_max.min(hard),
        })
    }

    fn spawn(&self, start: &Start<'_>) -> Result<(Pid, OwnedFd), StartCause> {
        let mut place = self.server.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(server) = place.take() {
            match server.spawn(start) {
                // Somebody has killed it since it made the last child, which is no fault of this start.
                Err(NoChild::Gone) => {}
                made => return keep(&mut place, server, made),
            }
        }
        let server = Server::start(&self.executor)
            .map_err(|errno| StartCause::Executor(self.executor.clone(), errno))?;
        let made = server.spawn(start);
        keep(&mut place, server, made)
    }
}

/// Keeps a server that can make more.
fn keep(
    place: &mut Option<Server>,
    server: Server,
    made: Result<(Pid, OwnedFd), NoChild>,
) -> Result<(Pid, OwnedFd), StartCause> {
    let cause = match made {
        Ok(child) => {
            *place = Some(server);
            return Ok(child);
        }
        Err(NoChild::Refused(errno)) => {
            *place = Some(server);
            StartCause::System("clone3", errno)
        }
        Err(NoChild::Gone) => StartCause::Unanswered(Errno::EPIPE),
        Err(NoChild::Unanswered(errno)) => StartCause::Unanswered(errno),
    };
    Err(cause)
}

fn open_device(path: &Path, mode: OFlag) -> Result<OwnedFd, StartCause> {
    open_waiting(path, mode).map_err(|errno| StartCause::Open(path.to_owned(), errno))
}

fn c_string(text: &str) -> Result<CString, StartCause> {
    CString::new(text).map_err(|_| StartCause::Nul(text.to_owned()))
}
