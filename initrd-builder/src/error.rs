//! The one error type of the builder. Every variant says which file, path or Card is meant, what was
//! found, and what to do about it.

use std::fmt;
use std::path::{Path, PathBuf};

use arje_verify::{Findings, FolderError};

/// Why an image could not be built.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// A file operation failed.
    Io {
        /// What was being done, as a verb phrase ("read", "write").
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system answered.
        source: std::io::Error,
    },
    /// A path that cannot be an entry of an image.
    BadPath {
        /// The path as given.
        path: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Two inputs claim the same path of the image.
    Conflict {
        /// The path in the image.
        path: String,
        /// What is there already and what was to be added.
        reason: String,
    },
    /// A named cap of this crate was passed.
    TooLarge {
        /// What is too large.
        what: String,
        /// Its size or count.
        found: u64,
        /// The cap.
        cap: u64,
    },
    /// A file that should be an x86-64 ELF program or library is something else.
    Elf {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A shared library that a program needs is not on this machine.
    MissingLibrary {
        /// The `DT_NEEDED` name or the `PT_INTERP` path.
        name: String,
        /// The chain from the program to the object that names it.
        needed_by: Vec<String>,
        /// The folders looked into, in order.
        searched: Vec<String>,
    },
    /// A kernel module cannot go into the image.
    KernelModule {
        /// The module's name.
        name: String,
        /// Why, and what to do.
        reason: String,
    },
    /// Something the image needs was not found on this machine.
    NotFound {
        /// What it is.
        what: String,
        /// Where it was looked for.
        searched: Vec<PathBuf>,
        /// What to do.
        remedy: String,
    },
    /// The seed or session fragments cannot become an image.
    Cards {
        /// How many things are wrong with them.
        errors: usize,
        /// Each of these, and what is odd beside, a line each: the file, the place, what to do.
        lines: Vec<String>,
        /// What else stands in the way of the image.
        also: Option<Box<Error>>,
    },
    /// A component could not be compiled or stored.
    Module {
        /// The Card that pins it.
        label: String,
        /// The pin.
        pin: String,
        /// What the store or the compiler said.
        reason: String,
    },
    /// The compressor failed.
    Compress(std::io::Error),
    /// An option whose value makes no sense.
    Option {
        /// The option, as typed.
        name: &'static str,
        /// What is wrong and what is expected.
        reason: String,
    },
}

impl Error {
    /// Wraps an I/O error with the path it belongs to; made for `map_err`.
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

    /// What was found in Card files, and what else stands in the way.
    pub(crate) fn cards<'f>(
        files: impl IntoIterator<Item = (&'f Path, &'f Findings)>,
        also: Option<Self>,
    ) -> Self {
        let (mut errors, mut lines) = (0, Vec::new());
        for (file, findings) in files {
            errors += findings.problems.len();
            let file = file.display();
            lines.extend(
                findings
                    .lines()
                    .iter()
                    .map(|line| format!("{file}: {line}")),
            );
        }
        let also = also.map(Box::new);
        Self::Cards {
            errors,
            lines,
            also,
        }
    }
}

impl From<FolderError> for Error {
    fn from(error: FolderError) -> Self {
        match error {
            FolderError::Io {
                action,
                path,
                source,
            } => Self::Io {
                action,
                path,
                source,
            },
            FolderError::TooLarge { what, found, cap } => Self::TooLarge { what, found, cap },
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
            Self::BadPath { path, reason } => write!(f, "image path {path:?}: {reason}"),
            Self::Conflict { path, reason } => write!(f, "image path {path}: {reason}"),
            Self::TooLarge { what, found, cap } => {
                write!(f, "{what}: {found} is over the cap of {cap}")
            }
            Self::Elf { path, reason } => write!(f, "{}: {reason}", path.display()),
            Self::MissingLibrary {
                name,
                needed_by,
                searched,
            } => write!(
                f,
                "library {name}, needed by {}, is not on this machine (looked in {}); install its package or drop the program",
                needed_by.join(", needed by "),
                list_or_none(searched)
            ),
            Self::KernelModule { name, reason } => write!(f, "kernel module {name}: {reason}"),
            Self::NotFound {
                what,
                searched,
                remedy,
            } => write!(f, "no {what} (looked at {}); {remedy}", paths(searched)),
            Self::Cards {
                errors,
                lines,
                also,
            } => {
                write!(
                    f,
                    "nothing was built: {} in the Cards",
                    count(*errors, "error")
                )?;
                lines.iter().try_for_each(|line| write!(f, "\n  {line}"))?;
                also.iter()
                    .try_for_each(|error| write!(f, "\n  also: {error}"))
            }
            Self::Module { label, pin, reason } => {
                write!(f, "Card {label:?}: module {pin}: {reason}")
            }
            Self::Compress(source) => write!(f, "compressing the image: {source}"),
            Self::Option { name, reason } => write!(f, "{name}: {reason}"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } | Self::Compress(source) => Some(source),
            _ => None,
        }
    }
}

fn count(n: usize, noun: &str) -> String {
    format!("{n} {noun}{}", if n == 1 { "" } else { "s" })
}

fn list_or_none(items: &[String]) -> String {
    if items.is_empty() {
        "no folder".to_owned()
    } else {
        items.join(", ")
    }
}

fn paths(items: &[PathBuf]) -> String {
    let shown: Vec<String> = items.iter().map(|p| p.display().to_string()).collect();
    list_or_none(&shown)
}

/// Reads a whole file, refusing one over `cap` bytes before reading it.
///
/// # Errors
/// [`Error::Io`] when it cannot be read, [`Error::TooLarge`] when it is over the cap.
pub(crate) fn read_capped(path: &Path, cap: u64) -> Result<Vec<u8>, Error> {
    arje_verify::read_capped(path, cap).map_err(Error::from)
}
