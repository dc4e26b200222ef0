//! The run directory of dev mode: where its sockets are. On a machine that is `/run`.
//!
//! One `ente-zero` has it at a time. Two things say so: a lock on the directory itself (flock(2)), which
//! ends with the process however that ends, and the bus's socket, which goes on listening while one image of the
//! program replaces another and the lock is given up for a moment.

use nix::errno::Errno;
use nix::sys::socket::sockopt::PeerCredentials;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, getsockopt, socket};
use std::fs::{self, DirBuilder, File, TryLockError};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt as _, FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

/// The bus in the run directory.
pub const BUS_SOCKET: &str = "ente-bus.sock";

/// How often the directory is made anew when its owner removes it between two steps of ours.
const ATTEMPTS: usize = 8;

/// Nobody but the user looks in. Others pass through where user 0 starts Entes of theirs, which have to
/// reach the socket for notifications and their credentials; each of these says itself who may use it.
fn mode() -> u32 {
    if nix::unistd::geteuid().is_root() {
        0o711
    } else {
        0o700
    }
}

/// A run directory that this process has to itself. When the value is dropped, it is removed with what is in it if
/// it was made here; else what was made in it is.
#[derive(Debug)]
pub struct RunDir {
    path: PathBuf,
    made: bool,
    resumed: bool,
    /// What this process makes in it.
    own: Vec<PathBuf>,
    /// Held for as long as the value lives.
    _lock: File,
}

impl RunDir {
    /// The directory asked for, or one for this process below `$XDG_RUNTIME_DIR`, else below the
    /// folder for temporary files. What an `ente-zero` left there that is no more does not matter.
    ///
    /// # Errors
    ///
    /// It cannot be made, is somebody else's, or another `ente-zero` runs in it.
    pub fn open(asked_for: Option<&Path>) -> Result<RunDir, String> {
        Self::claim(&absolute(asked_for)?)
    }

    /// The same for an image that goes on where an earlier one of this process left off, in the same directory.
    ///
    /// # Errors
    ///
    /// As for [`RunDir::open`].
    pub fn take_over(asked_for: Option<&Path>) -> Result<RunDir, String> {
        let path = absolute(asked_for)?;
        let lock = File::open(&path).map_err(|error| unusable(&path, &error))?;
        // Should somebody just now find out that the directory is in use, they hold the lock. That the bus's
        // socket has never ceased to listen refuses them.
        let _ = lock.try_lock();
        Ok(RunDir {
            path,
            // Named by the number of this process.
            made: asked_for.is_none(),
            resumed: true,
            own: Vec::new(),
            _lock: lock,
        })
    }

    fn claim(path: &Path) -> Result<RunDir, String> {
        for _ in 0..ATTEMPTS {
            let made = make(path).map_err(|error| unusable(path, &error))?;
            let lock = match File::open(path) {
                Ok(lock) => lock,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(unusable(path, &error)),
            };
            match lock.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    return Err(in_use(path, answering(path).flatten()));
                }
                Err(TryLockError::Error(error)) => return Err(unusable(path, &error)),
            }
            if !is_at(&lock, path) {
                // Its owner was just leaving, and has removed it.
                continue;
            }
            if let Some(pid) = answering(path) {
                return Err(in_use(path, pid));
            }
            return Ok(RunDir {
                path: path.to_owned(),
                made,
                resumed: false,
                own: Vec::new(),
                _lock: lock,
            });
        }
        let error = io::Error::other("is made and removed all the time");
        Err(unusable(path, &error))
    }

    /// Where a socket or folder of this process goes. It is removed with the value, unless it is a folder that was
    /// there before, or holds something then.
    pub fn place(&mut self, name: &str) -> PathBuf {
        let place = self.path.join(name);
        if self.resumed || !place.is_dir() {
            self.own.push(place.clone());
        }
        place
    }
}

impl Drop for RunDir {
    fn drop(&mut self) {
        // What is left of a run that is over is no use to anybody; nor are errors here.
        if self.made {
            let _ = fs::remove_dir_all(&self.path);
            return;
        }
        for own in &self.own {
            let _ = match fs::symlink_metadata(own).map(|found| found.file_type()) {
                Ok(kind) if kind.is_socket() => fs::remove_file(own),
                Ok(kind) if kind.is_dir() => fs::remove_dir(own),
                _ => Ok(()),
            };
        }
    }
}

/// Entes get paths in it, and work in another folder.
fn absolute(asked_for: Option<&Path>) -> Result<PathBuf, String> {
    let path = asked_for.map_or_else(usual, Path::to_owned);
    std::path::absolute(&path).map_err(|error| unusable(&path, &error))
}

fn unusable(path: &Path, error: &io::Error) -> String {
    format!(
        "the run directory {}: {error}; choose another one with --run-dir",
        path.display()
    )
}

fn in_use(path: &Path, pid: Option<i32>) -> String {
    let whom = match pid {
        Some(pid) => format!("the ente-zero of process {pid}"),
        None => "another ente-zero, whose bus does not answer".to_owned(),
    };
    let path = path.display();
    format!(
        "the run directory {path} is in use by {whom}; stop that one first, or choose another directory with \
         --run-dir (`ente status --socket {path}/{BUS_SOCKET}` looks into the one that runs)"
    )
}

/// Makes the directory; whether it was not there.
fn make(path: &Path) -> io::Result<bool> {
    let made = match DirBuilder::new().mode(mode()).create(path) {
        Ok(()) => true,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => false,
        Err(error) => return Err(error),
    };
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() && found.uid() == nix::unistd::geteuid().as_raw() => Ok(made),
        // Removed again; whoever locks it sees that, too.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(made),
        Ok(_) => Err(io::Error::from(io::ErrorKind::PermissionDenied)),
        Err(error) => Err(error),
    }
}

/// Whether an open directory is the one at this path.
fn is_at(open: &File, path: &Path) -> bool {
    let of = |found: fs::Metadata| (found.dev(), found.ino());
    match (open.metadata(), fs::symlink_metadata(path)) {
        (Ok(open), Ok(named)) => of(open) == of(named),
        _ => false,
    }
}

/// Whether somebody listens on the bus's socket there, and if so which process, if the kernel says it. Waits for
/// nobody.
fn answering(path: &Path) -> Option<Option<i32>> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let probe = socket(AddressFamily::Unix, SockType::Stream, flags, None).ok()?;
    let address = UnixAddr::new(&path.join(BUS_SOCKET)).ok()?;
    match connect(probe.as_raw_fd(), &address) {
        // Who called listen(2) (unix(7)).
        Ok(()) => Some(
            getsockopt(&probe, PeerCredentials)
                .ok()
                .map(|who| who.pid()),
        ),
        // More are waiting to be let in than there is room for.
        Err(Errno::EAGAIN) => Some(None),
        // Nobody, or nothing: left by one that is no more, if at all.
        Err(_) => None,
    }
}

fn usual() -> PathBuf {
    let below = std::env::var_os("XDG_RUNTIME_DIR").map_or_else(std::env::temp_dir, PathBuf::from);
    below.join(format!("ente-{}", std::process::id()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;

    #[test]
    fn what_was_made_is_removed_and_what_was_there_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run");
        let mut made = RunDir::open(Some(&path)).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, mode());
        fs::write(made.place("socket"), "").unwrap();
        drop(made);
        assert!(!path.exists());

        fs::create_dir(&path).unwrap();
        for name in ["notes", "named as a socket"] {
            fs::write(path.join(name), "").unwrap();
        }
        for name in ["there before", "folder"] {
            fs::create_dir(path.join(name)).unwrap();
        }
        let mut used = RunDir::open(Some(&path)).unwrap();
        let _socket = UnixListener::bind(used.place("socket")).unwrap();
        fs::create_dir(used.place("empty")).unwrap();
        let full = used.place("full");
        fs::create_dir_all(full.join("something")).unwrap();
        for name in ["named as a socket", "there before"] {
            used.place(name);
        }
        drop(used);
        let entries = fs::read_dir(&path).unwrap();
        let mut left: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
        left.sort();
        let expected = [
            "folder",
            "full",
            "named as a socket",
            "notes",
            "there before",
        ];
        assert_eq!(left, expected);

        fs::remove_dir_all(&path).unwrap();
        fs::write(&path, "").unwrap();
        let refused = RunDir::open(Some(&path)).unwrap_err();
        assert!(refused.contains("--run-dir"), "{refused}");
    }

    #[test]
    fn it_has_one_owner_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let own = std::process::id();
        let first = RunDir::open(Some(folder.path())).unwrap();
        let refused = RunDir::open(Some(folder.path())).unwrap_err();
        assert!(refused.contains("in use by another ente-zero"), "{refused}");
        let socket = UnixListener::bind(folder.path().join(BUS_SOCKET)).unwrap();
        let refused = RunDir::open(Some(folder.path())).unwrap_err();
        assert!(refused.contains(&format!("of process {own};")), "{refused}");
        // As while an image is replaced: no lock, and a socket that listens.
        drop(first);
        let refused = RunDir::open(Some(folder.path())).unwrap_err();
        assert!(refused.contains(&format!("of process {own};")), "{refused}");
        // A socket that nobody listens on is of one that is no more. A process that another test has just started keeps
        // both open until its exec.
        drop(socket);
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
        while let Err(refused) = RunDir::open(Some(folder.path())) {
            assert!(std::time::Instant::now() < deadline, "{refused}");
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_relative_path_becomes_an_absolute_one() {
        let here = std::env::current_dir().unwrap();
        assert_eq!(absolute(Some(Path::new("run"))).unwrap(), here.join("run"));
        assert!(absolute(None).unwrap().is_absolute());
    }
}
