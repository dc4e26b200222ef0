//! The run directory of dev mode: where its sockets are. On a machine that is `/run`.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

/// Nobody but the user looks in. Others pass through where user 0 starts Entes of theirs, which have to
/// reach the socket for notifications and their credentials; each of these says itself who may use it.
fn mode() -> u32 {
    if nix::unistd::geteuid().is_root() {
        0o711
    } else {
        0o700
    }
}

/// A run directory, removed with what is in it when the value is dropped, if it was made here.
#[derive(Debug)]
pub struct RunDir {
    path: PathBuf,
    made: bool,
}

impl RunDir {
    /// The directory asked for, or one for this process below `$XDG_RUNTIME_DIR`, else below the
    /// folder for temporary files.
    ///
    /// # Errors
    ///
    /// It cannot be made, or is somebody else's.
    pub fn open(asked_for: Option<&Path>) -> Result<RunDir, String> {
        let path = asked_for.map_or_else(usual, Path::to_owned);
        let failed = |error: io::Error| {
            format!(
                "the run directory {}: {error}; choose another one with --run-dir",
                path.display()
            )
        };
        let made = match DirBuilder::new().mode(mode()).create(&path) {
            Ok(()) => true,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => false,
            Err(error) => return Err(failed(error)),
        };
        let found = fs::symlink_metadata(&path).map_err(failed)?;
        if !found.is_dir() || found.uid() != nix::unistd::geteuid().as_raw() {
            return Err(failed(io::Error::from(io::ErrorKind::PermissionDenied)));
        }
        Ok(RunDir { path, made })
    }

    /// An earlier image of this process has made it, so this one removes it.
    pub fn take_over(&mut self) {
        self.made = true;
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for RunDir {
    fn drop(&mut self) {
        if self.made {
            // What is left of a run that is over is no use to anybody; nor is the error.
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

fn usual() -> PathBuf {
    let below = std::env::var_os("XDG_RUNTIME_DIR").map_or_else(std::env::temp_dir, PathBuf::from);
    below.join(format!("ente-{}", std::process::id()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_made_is_removed_and_what_was_there_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run");
        let made = RunDir::open(Some(&path)).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, mode());
        fs::write(made.path().join("socket"), "").unwrap();
        drop(RunDir::open(Some(&path)).unwrap());
        assert!(path.join("socket").exists());
        drop(made);
        assert!(!path.exists());
        fs::write(&path, "").unwrap();
        let refused = RunDir::open(Some(&path)).unwrap_err();
        assert!(refused.contains("--run-dir"), "{refused}");
    }
}
