//! What can go wrong with a cgroup.

use std::fmt;
use std::io;

/// A file or folder of a cgroup that could not be made, read or written.
#[derive(Debug)]
pub struct CgroupError {
    /// What was to be done, with the path below the cgroup file system.
    pub what: String,
    /// Why it failed.
    pub source: io::Error,
}

impl CgroupError {
    pub(crate) fn new(what: impl Into<String>, source: impl Into<io::Error>) -> CgroupError {
        CgroupError {
            what: what.into(),
            source: source.into(),
        }
    }
}

impl fmt::Display for CgroupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, source } = self;
        match source.raw_os_error() {
            Some(errno) => write!(
                f,
                "cannot {what}: {}",
                nix::errno::Errno::from_raw(errno).desc()
            ),
            None => write!(f, "cannot {what}: {source}"),
        }
    }
}

impl std::error::Error for CgroupError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}
