//! Reading files of bounded size, and [`FolderError`]: why a folder of components cannot be used.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// Why a folder of components cannot be used.
#[derive(Debug)]
pub enum FolderError {
    /// The folder, or a file in it.
    Io {
        /// What was being done, as a verb.
        action: &'static str,
        /// The folder or file.
        path: PathBuf,
        /// What the system answered.
        source: io::Error,
    },
    /// A file, or the number of them, is over a cap.
    TooLarge {
        /// What is too large.
        what: String,
        /// Its size or count.
        found: u64,
        /// The cap.
        cap: u64,
    },
}

impl FolderError {
    /// Wraps an I/O error with the path it belongs to; made for `map_err`.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io {
            action,
            path,
            source,
        }
    }
}

impl fmt::Display for FolderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io {
                action,
                path,
                source,
            } => write!(f, "cannot {action} {}: {source}", path.display()),
            Self::TooLarge { what, found, cap } => {
                write!(f, "{what}: {found} is over the cap of {cap}")
            }
        }
    }
}

impl std::error::Error for FolderError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            Self::TooLarge { .. } => None,
        }
    }
}

/// Reads a whole file, refusing one over `cap` bytes before reading it.
///
/// # Errors
/// [`FolderError::Io`] when it cannot be read, [`FolderError::TooLarge`] when it is over the cap.
pub fn read_capped(path: &Path, cap: u64) -> Result<Vec<u8>, FolderError> {
    let size = std::fs::metadata(path)
        .map_err(FolderError::io("read", path))?
        .len();
    if size > cap {
        return Err(FolderError::TooLarge {
            what: path.display().to_string(),
            found: size,
            cap,
        });
    }
    std::fs::read(path).map_err(FolderError::io("read", path))
}
