//! The one error type of the crate.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// Why a machine could not be started, or did not do what was waited for.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// A file operation failed.
    Io {
        /// What was being done, as a verb phrase.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system answered.
        source: std::io::Error,
    },
    /// A program could not be started or reported failure.
    Program {
        /// The command line.
        command: String,
        /// What happened, with its own words where there are any.
        reason: String,
    },
    /// No kernel to boot.
    NoKernel(String),
    /// An option whose value makes no sense.
    Option {
        /// The option, as typed.
        name: &'static str,
        /// What is wrong and what is expected.
        reason: String,
    },
    /// What was waited for did not come in time.
    Deadline {
        /// What was waited for.
        what: String,
        /// How long.
        after: Duration,
    },
    /// The machine ended while something was still expected of it.
    Ended {
        /// What was waited for.
        what: String,
        /// What QEMU wrote to its standard error.
        stderr: String,
    },
    /// A command line for the guest's shell that its line editor would not take.
    Command(String),
    /// The image could not be built.
    Build(initrd_builder::Error),
}

impl Error {
    pub(crate) fn io(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io {
            action,
            path,
            source,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io {
                action,
                path,
                source,
            } => write!(f, "cannot {action} {}: {source}", path.display()),
            Self::Program { command, reason } => write!(f, "`{command}`: {reason}"),
            Self::NoKernel(reason) => write!(f, "no kernel to boot: {reason}"),
            Self::Option { name, reason } => write!(f, "{name}: {reason}"),
            Self::Deadline { what, after } => {
                write!(f, "{what} did not come within {} s", after.as_secs())
            }
            Self::Ended { what, stderr } if stderr.is_empty() => {
                write!(f, "the machine ended before {what} came")
            }
            Self::Ended { what, stderr } => {
                write!(
                    f,
                    "the machine ended before {what} came; QEMU said: {stderr}"
                )
            }
            Self::Command(reason) => write!(f, "guest command: {reason}"),
            Self::Build(error) => write!(f, "building the image: {error}"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            Self::Build(error) => Some(error),
            _ => None,
        }
    }
}

impl From<initrd_builder::Error> for Error {
    fn from(error: initrd_builder::Error) -> Self {
        Self::Build(error)
    }
}
