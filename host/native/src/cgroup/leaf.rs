//! The cgroup of one Ente.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use arje_card::Cgroup;
use nix::errno::Errno;
use nix::fcntl::OFlag;

use super::error::CgroupError;
use super::file::{open_file, open_folder, read_file, write_file};
use super::place::Place;
use super::settings::writes;
use super::tree::CgroupTree;
use super::usage::field;

/// Cgroups that a life left in its own, removed at a time. An Ente may make as many as it likes, and PID 1 has
/// others to serve; what is left after this is removed the next time.
const MAX_REMOVED: usize = 256;

/// Levels of such cgroups that are looked at.
const MAX_DEPTH: usize = 16;

/// What `cgroup.events` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeafState {
    /// Whether a process lives in it, or below it. Zombies do not count.
    pub populated: bool,
    /// Whether all in it are frozen.
    pub frozen: bool,
}

/// The cgroup of one Ente. Dropping it leaves the cgroup where it is.
#[derive(Debug)]
pub struct Leaf {
    folder: OwnedFd,
    events: File,
    path: PathBuf,
    place: Place,
    /// As in `/proc/PID/cgroup`.
    name: String,
    /// What was written into it.
    settings: Cgroup,
    /// Whether it was ever killed as a whole. Some kernels (seen with 6.18) go on to kill whoever is born into such a
    /// cgroup by `CLONE_INTO_CGROUP`, because they compare its count of kills with that of the parent's cgroup.
    killed: AtomicBool,
    /// Whether it can be killed as a whole.
    kills: bool,
}

impl Leaf {
    /// Opens one that is there; `settings` are written in it already.
    pub(super) fn open(
        tree: &CgroupTree,
        place: &Place,
        settings: &Cgroup,
    ) -> Result<Leaf, CgroupError> {
        let failed = |error: io::Error| CgroupError::new(format!("open the cgroup {place}"), error);
        let folder =
            open_folder(tree.fd(), place.as_str()).map_err(|errno| failed(errno.into()))?;
        let events = open_file(folder.as_fd(), "cgroup.events", OFlag::O_RDONLY).map_err(failed)?;
        Ok(Leaf {
            folder,
            events,
            path: tree.path().join(place.as_str()),
            name: format!("{}/{place}", tree.name()),
            place: place.clone(),
            settings: settings.clone(),
            killed: AtomicBool::new(false),
            kills: tree.kills(),
        })
    }

    /// Where it is.
    #[must_use]
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// Notes that its processes were, or may have been, killed as a whole.
    pub(super) fn note_kill(&self) {
        self.killed.store(true, Ordering::Relaxed);
    }

    pub(super) fn kills(&self) -> bool {
        self.kills
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// It and the cgroups that its Ente made in it, as far as [`remove_below`] goes.
    pub(super) fn folders(&self) -> Vec<PathBuf> {
        let mut all = vec![self.path.clone()];
        collect_folders(&self.path, MAX_DEPTH, &mut all);
        all
    }

    /// The folder, for `CLONE_INTO_CGROUP`.
    #[must_use]
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.folder.as_fd()
    }

    /// `cgroup.events`: polls as urgent (`EPOLLPRI`) when what it says has changed since [`state`](Self::state) was
    /// asked last. The kernel tells of at most one change in 10 ms, late if need be.
    #[must_use]
    pub fn events(&self) -> BorrowedFd<'_> {
        self.events.as_fd()
    }

    /// Whether somebody is in it.
    ///
    /// # Errors
    /// It was removed by somebody else (`ENODEV`).
    pub fn state(&self) -> io::Result<LeafState> {
        // "populated 0|1", "frozen 0|1", and what later kernels add.
        let mut buffer = [0; 128];
        let length = self.events.read_at(&mut buffer, 0)?;
        let text = String::from_utf8_lossy(buffer.get(..length).unwrap_or_default());
        Ok(LeafState {
            populated: field(&text, "populated") != Some(0),
            frozen: field(&text, "frozen") == Some(1),
        })
    }

    /// The settings that were written to it.
    #[must_use]
    pub fn settings(&self) -> &Cgroup {
        &self.settings
    }

    /// Writes the settings of a Card, unless they are written already. A setting that an earlier Card had and this
    /// one has not cannot be taken back so: the cgroup has to be made anew then.
    ///
    /// # Errors
    /// The kernel refuses a value.
    pub fn configure(&mut self, settings: &Cgroup) -> Result<(), CgroupError> {
        if self.settings == *settings {
            return Ok(());
        }
        for write in writes(settings) {
            let present = write
                .files
                .iter()
                .filter(|file| self.path.join(file).exists());
            let mut written = Err(io::Error::from(Errno::ENOENT));
            for file in present {
                written = write_file(self.fd(), file, &write.value);
                if written.is_err() {
                    break;
                }
            }
            written.map_err(|error| {
                CgroupError::new(
                    format!("set soma.cgroup.{} to {}", write.key, write.value),
                    error,
                )
            })?;
        }
        self.settings = settings.clone();
        Ok(())
    }

    /// Whether a life with these settings can be born into it as it is: empty, thawed, never killed, without cgroups
    /// that an earlier life made in it, and without settings that these would not replace.
    #[must_use]
    pub fn fresh_for(&self, settings: &Cgroup) -> bool {
        let unset = self.settings == Cgroup::default();
        let thawed = self
            .state()
            .is_ok_and(|state| !state.populated && !state.frozen);
        let killed = self.killed.load(Ordering::Relaxed);
        thawed && !killed && self.is_childless() && (unset || self.settings == *settings)
    }

    /// A folder has a link for itself, one for its name, and one from each folder in it.
    fn is_childless(&self) -> bool {
        nix::sys::stat::fstat(&self.folder).is_ok_and(|stat| stat.st_nlink <= 2)
    }

    /// Removes it, and the cgroups that its Ente made in it.
    ///
    /// # Errors
    /// `EBUSY`: somebody is in it, or its Ente had made more than 256 cgroups in it, of which so many are removed now.
    pub fn remove(self, tree: &CgroupTree) -> nix::Result<()> {
        if !self.is_childless() {
            remove_below(&self.path);
        }
        tree.remove(&self.place)
    }

    /// The first few processes in it, by number.
    #[must_use]
    pub fn processes(&self, most: usize) -> Vec<String> {
        let text = self.read("cgroup.procs").unwrap_or_default();
        text.lines().take(most).map(str::to_owned).collect()
    }

    pub(super) fn read(&self, file: &str) -> io::Result<String> {
        read_file(self.fd(), file)
    }

    pub(super) fn write(&self, file: &str, value: &str) -> io::Result<()> {
        write_file(self.fd(), file, value)
    }
}

/// Removes empty cgroups below a folder, innermost first, at most [`MAX_REMOVED`].
pub(super) fn remove_below(folder: &Path) {
    let mut all = Vec::new();
    collect_folders(folder, MAX_DEPTH, &mut all);
    for inner in all.iter().rev() {
        let _ = fs::remove_dir(inner); // not empty: then its folder is not removed either, and says so
    }
}

/// The folders below one, each before those in it, until there are [`MAX_REMOVED`].
fn collect_folders(folder: &Path, depth: usize, all: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    for entry in entries.flatten() {
        if all.len() >= MAX_REMOVED {
            return;
        }
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            let inner = entry.path();
            all.push(inner.clone());
            if depth > 0 {
                collect_folders(&inner, depth - 1, all);
            }
        }
    }
}
