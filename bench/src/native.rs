//! Native processes: a program is started, ends at once, and is waited for.

use std::ffi::CString;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::spawn::{PosixSpawnAttr, PosixSpawnFileActions, posix_spawn};
use nix::sys::wait::{WaitStatus, waitpid};

use crate::error::Error;
use crate::places::{FREESTANDING, Places};

/// A static program that does nothing.
#[derive(Debug)]
pub struct Nothing {
    path: CString,
    attributes: PosixSpawnAttr,
    actions: PosixSpawnFileActions,
}

impl Nothing {
    /// One linked with glibc.
    ///
    /// # Errors
    /// It cannot be built.
    pub fn with_libc(places: &Places) -> Result<Self, Error> {
        Self::at(&places.build_native("nothing.c", "nothing", &[])?)
    }

    /// One without a C library.
    ///
    /// # Errors
    /// It cannot be built.
    pub fn without_libc(places: &Places) -> Result<Self, Error> {
        let (source, name) = ("nothing-freestanding.c", "nothing-freestanding");
        Self::at(&places.build_native(source, name, &FREESTANDING)?)
    }

    fn at(path: &Path) -> Result<Self, Error> {
        Ok(Self {
            path: CString::new(path.as_os_str().as_bytes()).map_err(Error::tree)?,
            attributes: PosixSpawnAttr::init().map_err(Error::tree)?,
            actions: PosixSpawnFileActions::init().map_err(Error::tree)?,
        })
    }

    /// `posix_spawn`, exit and wait.
    ///
    /// # Errors
    /// It cannot be started, or does not end with 0.
    pub fn run(&self) -> Result<Duration, Error> {
        let environment: [CString; 0] = [];
        let begin = Instant::now();
        let pid = posix_spawn(
            self.path.as_c_str(),
            &self.actions,
            &self.attributes,
            std::slice::from_ref(&self.path),
            &environment,
        )
        .map_err(|errno| self.failed(errno))?;
        let status = waitpid(pid, None).map_err(|errno| self.failed(errno))?;
        let took = begin.elapsed();
        match status {
            WaitStatus::Exited(_, 0) => Ok(took),
            other => Err(self.failed(format!("ended with {other:?}"))),
        }
    }

    fn failed(&self, reason: impl std::fmt::Display) -> Error {
        Error::program(self.path.to_string_lossy().as_ref(), reason)
    }
}
