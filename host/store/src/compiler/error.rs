//! Why a module could not be compiled.

use std::fmt;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

use nix::sys::signal::Signal;

use super::protocol::{Exit, Limits};

/// Why there is no artifact. `message` is what the compiler said on standard error.
#[derive(Debug)]
pub enum CompileError {
    /// The program could not be started.
    Start {
        /// The program.
        program: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// Handing the module over, or taking the artifact back, failed.
    Transfer {
        /// What was being done.
        action: &'static str,
        /// The reason.
        source: io::Error,
    },
    /// The module is no valid component, or uses what the engine has switched off.
    Refused(String),
    /// The module or its artifact is too large.
    TooLarge(String),
    /// The compiler belongs to another engine than the one that is to load the artifact.
    OtherEngine(String),
    /// The sandbox could not be set up.
    Sandbox(String),
    /// The compiler ended with a status that is no verdict on the module.
    Failed {
        /// The status.
        exit: Exit,
        /// What it said.
        message: String,
    },
    /// The program ended with a status that `ente-compile` does not have.
    UnknownExit {
        /// The status.
        code: i32,
        /// What it said.
        message: String,
    },
    /// It needed more memory than it may use.
    OutOfMemory {
        /// The limit in bytes.
        limit: u64,
    },
    /// It needed more processor time than it may use.
    OutOfTime {
        /// The limit in seconds.
        limit: u64,
    },
    /// It took longer than the caller waits.
    Deadline(Duration),
    /// It called the kernel for something the sandbox forbids: either the module has taken over
    /// the compiler, or the filter is wrong.
    Forbidden,
    /// It died by another signal.
    Crashed {
        /// The signal's number.
        signal: i32,
        /// What it said.
        message: String,
    },
    /// It succeeded and wrote nothing.
    Empty,
    /// `--fingerprint` printed something else.
    NoFingerprint(String),
}

impl CompileError {
    /// What an exit status other than [`Exit::Done`] means.
    pub(super) fn exit(exit: Exit, message: String) -> Self {
        match exit {
            Exit::Refused => Self::Refused(message),
            Exit::TooLarge => Self::TooLarge(message),
            Exit::OtherEngine => Self::OtherEngine(message),
            Exit::Sandbox => Self::Sandbox(message),
            Exit::Done | Exit::Usage | Exit::Io | Exit::Internal => Self::Failed { exit, message },
        }
    }

    /// What a death by signal means.
    pub(super) fn signal(status: ExitStatus, message: String, limits: &Limits) -> Self {
        let number = status.signal().unwrap_or(0);
        match Signal::try_from(number) {
            Ok(Signal::SIGSYS) => Self::Forbidden,
            // The kernel sends SIGKILL for CPU time only after SIGXCPU, which ends the compiler,
            // so here SIGKILL is the out-of-memory killer of the kernel.
            Ok(Signal::SIGKILL) => Self::OutOfMemory {
                limit: limits.memory_bytes,
            },
            Ok(Signal::SIGXCPU) => Self::OutOfTime {
                limit: limits.cpu_seconds,
            },
            Ok(Signal::SIGXFSZ) => Self::TooLarge(format!(
                "the artifact has more than {} bytes",
                crate::MAX_ARTIFACT_BYTES
            )),
            // std's words when an allocation fails, before it aborts.
            Ok(Signal::SIGABRT) if message.contains("memory allocation of") => Self::OutOfMemory {
                limit: limits.memory_bytes,
            },
            _ => Self::Crashed {
                signal: number,
                message,
            },
        }
    }
}

impl fmt::Display for CompileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start { program, source } => write!(
                f,
                "starting the compiler {}: {source}; an image has it only when built --with-compiler",
                program.display()
            ),
            Self::Transfer { action, source } => write!(f, "{action}: {source}"),
            Self::Refused(message) => write!(f, "the module was refused: {message}"),
            Self::TooLarge(message) => f.write_str(message),
            Self::OtherEngine(message) => f.write_str(message),
            Self::Sandbox(message) => f.write_str(message),
            Self::Failed { exit, message } => write!(f, "{exit}: {message}"),
            Self::UnknownExit { code, message } => write!(
                f,
                "the compiler ended with status {code}, which ente-compile does not have: {message}"
            ),
            Self::OutOfMemory { limit } => write!(
                f,
                "compiling the module takes more than {limit} bytes of memory; \
                 raise the limit if the module is trusted to need it"
            ),
            Self::OutOfTime { limit } => write!(
                f,
                "compiling the module takes more than {limit} s of processor time; \
                 raise the limit if the module is trusted to need it"
            ),
            Self::Deadline(deadline) => write!(
                f,
                "the compiler was killed after {} s; raise the deadline if the machine is slow",
                deadline.as_secs_f64()
            ),
            Self::Forbidden => f.write_str(
                "the compiler was killed for a system call that its sandbox forbids; \
                 do not trust this module",
            ),
            Self::Crashed { signal, message } => {
                write!(f, "the compiler died by signal {signal}")?;
                match Signal::try_from(*signal) {
                    Ok(signal) => write!(f, " ({signal}): {message}"),
                    Err(_) => write!(f, ": {message}"),
                }
            }
            Self::Empty => f.write_str("the compiler succeeded without writing an artifact"),
            Self::NoFingerprint(found) => write!(
                f,
                "the compiler's fingerprint is {found:?}; expected 64 hexadecimal digits"
            ),
        }
    }
}

impl std::error::Error for CompileError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Start { source, .. } | Self::Transfer { source, .. } => Some(source),
            _ => None,
        }
    }
}
