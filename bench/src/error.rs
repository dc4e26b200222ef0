//! Why something could not be measured.

use std::fmt;
use std::path::{Path, PathBuf};

/// Why something could not be measured.
#[derive(Debug)]
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
    /// A program could not be started, or reported failure.
    Program {
        /// The program.
        program: String,
        /// What happened.
        reason: String,
    },
    /// A component did not do what was to be measured.
    Guest {
        /// Which one.
        name: String,
        /// What it did instead.
        reason: String,
    },
    /// Something of this tree failed; its own words.
    Tree(String),
    /// Something is needed that is not there; says how to get it.
    Missing(String),
}

impl Error {
    /// For `map_err` on a file operation.
    pub fn io(action: &'static str, path: impl AsRef<Path>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.as_ref().to_owned();
        move |source| Self::Io {
            action,
            path,
            source,
        }
    }

    /// For `map_err` on what the crates of this tree return.
    pub fn tree(error: impl fmt::Display) -> Self {
        Self::Tree(error.to_string())
    }

    /// A program that failed.
    pub fn program(program: impl AsRef<Path>, reason: impl fmt::Display) -> Self {
        Self::Program {
            program: program.as_ref().display().to_string(),
            reason: reason.to_string(),
        }
    }

    /// A component that did something else.
    pub fn guest(name: &str, reason: impl fmt::Display) -> Self {
        Self::Guest {
            name: name.to_owned(),
            reason: reason.to_string(),
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
            Self::Program { program, reason } => write!(f, "{program}: {reason}"),
            Self::Guest { name, reason } => write!(f, "component {name}: {reason}"),
            Self::Tree(reason) | Self::Missing(reason) => f.write_str(reason),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}
