//! The host's own subtree of the cgroup hierarchy.

use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use arje_card::Cgroup;
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::stat::{Mode, mkdirat};

use super::error::CgroupError;
use super::file::{open_folder, read_file, write_file};
use super::identity::cgroup_of;
use super::leaf::Leaf;
use super::place::Place;

/// The controllers that Entes are limited and counted by, as far as the kernel has them.
const CONTROLLERS: [&str; 3] = ["cpu", "memory", "pids"];

/// One that costs every cgroup something, and has nothing to do for most. It is switched on for the Entes when the first
/// Card asks for it.
const IO: &str = "io";

/// Processes and threads of one Ente whose Card does not say `pids_max`, in percent of what the kernel allows in all; as
/// systemd's `DefaultTasksMax=`, and no Ente in use comes near it.
const ONE_PERCENT: u64 = 15;

/// Processes and threads of all Entes together, in percent. The rest is for PID 1, which needs threads to end the
/// machine, and for the kernel.
const ALL_PERCENT: u64 = 85;

/// The mode of folders.
const FOLDER_MODE: Mode = Mode::from_bits_truncate(0o755);

/// What is done about the controllers of this process's own cgroup, on which those of a subtree depend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Controllers {
    /// Switch on cpu, io, memory and pids for the subtree: the machine's init, which owns the hierarchy.
    Enable,
    /// Change nothing: anybody else.
    AsTheyAre,
}

/// The subtree below which every native Ente has its cgroup.
#[derive(Debug)]
pub struct CgroupTree {
    folder: OwnedFd,
    /// The same folder as a path, for what needs one.
    path: PathBuf,
    /// Its path as in `/proc/PID/cgroup`.
    name: String,
    /// What a new cgroup gets as `pids.max`.
    tasks: Option<u64>,
    /// Whether the kernel kills a cgroup as a whole (`cgroup.kill`, Linux 5.14).
    kills: bool,
}

impl CgroupTree {
    /// Makes the subtree `name` in this process's own cgroup, or takes over the one that is there. A controller that
    /// cannot be had is no error: its settings are missing then (see [`Support`](super::Support)).
    ///
    /// # Errors
    /// cgroup v2 is not mounted, or this process may not make cgroups.
    pub fn open(name: &str, controllers: Controllers) -> Result<CgroupTree, CgroupError> {
        let mounts = fs::read_to_string("/proc/self/mountinfo")
            .map_err(|error| CgroupError::new("read /proc/self/mountinfo", error))?;
        let mount = mount_point(&mounts).ok_or_else(|| {
            CgroupError::new("find cgroup v2", io::Error::other("it is not mounted"))
        })?;
        let own =
            cgroup_of("self").map_err(|error| CgroupError::new("read /proc/self/cgroup", error))?;
        let parent = mount.join(own.trim_start_matches('/'));
        CgroupTree::open_in(&parent, own.trim_end_matches('/'), name, controllers)
    }

    fn open_in(
        parent: &Path,
        own: &str,
        name: &str,
        controllers: Controllers,
    ) -> Result<CgroupTree, CgroupError> {
        let path = parent.join(name);
        let failed = |what: &str| {
            let what = format!("{what} {}", path.display());
            move |errno: Errno| CgroupError::new(what, errno)
        };
        let root = nix::fcntl::open(parent, OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty())
            .map_err(failed("open the folder of"))?;
        make_folder(root.as_fd(), name).map_err(failed("make the cgroup"))?;
        if controllers == Controllers::Enable {
            let all = [CONTROLLERS.as_slice(), &[IO]].concat();
            enable_controllers(root.as_fd(), &all);
        }
        let folder = open_folder(root.as_fd(), name).map_err(failed("open the cgroup"))?;
        enable_controllers(folder.as_fd(), &CONTROLLERS);
        let most = match controllers {
            Controllers::Enable => most_tasks(),
            Controllers::AsTheyAre => None,
        };
        if let Some(most) = most {
            limit_tasks(folder.as_fd(), most * ALL_PERCENT / 100);
        }
        Ok(CgroupTree {
            folder,
            name: format!("{own}/{name}"),
            kills: path.join("cgroup.kill").exists(),
            path,
            tasks: most.map(|most| most * ONE_PERCENT / 100),
        })
    }

    /// Does without `cgroup.kill`, as on kernels before 5.14: so that this way can be tried on every kernel.
    #[must_use]
    pub fn without_kill(mut self) -> CgroupTree {
        self.kills = false;
        self
    }

    pub(super) fn kills(&self) -> bool {
        self.kills
    }

    /// Its path as in `/proc/PID/cgroup`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its path in the file system.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.folder.as_fd()
    }

    /// Whether cgroups of this tree have this file.
    pub(super) fn has_file(&self, file: &str) -> bool {
        self.path.join(file).exists()
    }

    /// Makes the cgroup of an Ente, for these settings, which it does not write yet. An empty one that is there is made
    /// anew, so that nothing is left of its past.
    ///
    /// # Errors
    /// It cannot be made: among others because a limit of cgroups is reached, or somebody is in it (`EBUSY`).
    pub fn leaf(&self, place: &Place, settings: &Cgroup) -> Result<Leaf, CgroupError> {
        let failed = |errno: Errno| CgroupError::new(format!("make the cgroup {place}"), errno);
        let needs_io = settings.io_weight.is_some() || !settings.io_max.is_empty();
        let mut controllers = CONTROLLERS.to_vec();
        if needs_io {
            controllers.push(IO);
            enable_controllers(self.fd(), &[IO]);
        }
        for level in place.levels().filter(|level| *level != place.as_str()) {
            let is_new = make_folder(self.fd(), level).map_err(failed)?;
            if is_new || needs_io {
                let inner = open_folder(self.fd(), level).map_err(failed)?;
                enable_controllers(inner.as_fd(), &controllers);
            }
        }
        if !make_folder(self.fd(), place.as_str()).map_err(failed)? {
            let stale = Leaf::open(self, place, &Cgroup::default())?;
            stale.remove(self).map_err(failed)?;
            return self.leaf(place, settings); // the folders on the way may be gone, too
        }
        let leaf = Leaf::open(self, place, &Cgroup::default())?;
        if let Some(tasks) = self.tasks {
            limit_tasks(leaf.fd(), tasks);
        }
        Ok(leaf)
    }

    /// Takes over the cgroup of an Ente that is there, with whatever is in it, and with these settings written.
    ///
    /// # Errors
    /// There is none.
    pub fn adopt(&self, place: &Place, settings: &Cgroup) -> Result<Leaf, CgroupError> {
        let leaf = Leaf::open(self, place, settings)?;
        leaf.note_kill(); // for all that is known
        Ok(leaf)
    }

    /// Removes what is empty on the way to a place, the place first.
    pub(super) fn remove(&self, place: &Place) -> nix::Result<()> {
        let mut levels: Vec<&str> = place.levels().collect();
        levels.reverse();
        let mut levels = levels.into_iter();
        if let Some(leaf) = levels.next() {
            remove_folder(self.fd(), leaf)?;
        }
        for level in levels {
            if remove_folder(self.fd(), level).is_err() {
                break; // another Ente is in it
            }
        }
        Ok(())
    }

    /// Removes empty cgroups in the subtree, at most 256.
    pub fn sweep(&self) {
        super::leaf::remove_below(&self.path);
    }

    /// Removes the subtree with all empty cgroups in it, at the end of a host that is not the machine's init.
    pub fn close(self) {
        super::leaf::remove_below(&self.path);
        let _ = fs::remove_dir(&self.path); // not empty: whoever is in it outlives us
    }
}

/// Makes a folder; whether it was not there before.
fn make_folder(parent: BorrowedFd<'_>, name: &str) -> nix::Result<bool> {
    match mkdirat(parent, name, FOLDER_MODE) {
        Ok(()) => Ok(true),
        Err(Errno::EEXIST) => Ok(false),
        Err(errno) => Err(errno),
    }
}

fn remove_folder(parent: BorrowedFd<'_>, name: &str) -> nix::Result<()> {
    match nix::unistd::unlinkat(parent, name, nix::unistd::UnlinkatFlags::RemoveDir) {
        Err(Errno::ENOENT) => Ok(()),
        result => result,
    }
}

/// How many processes and threads the kernel allows at a time (proc_sys_kernel(5)).
fn most_tasks() -> Option<u64> {
    let read = |name: &str| -> Option<u64> {
        let text = fs::read_to_string(Path::new("/proc/sys/kernel").join(name)).ok()?;
        text.trim().parse().ok()
    };
    Some(read("threads-max")?.min(read("pid_max")?))
}

/// Without the controller there is no limit, and no error: the Card does not ask for one.
fn limit_tasks(cgroup: BorrowedFd<'_>, most: u64) {
    if let Err(error) = write_file(cgroup, "pids.max", &most.to_string()) {
        tracing::debug!("cannot limit the processes of a cgroup: {error}");
    }
}

/// Switches on for the cgroups below a folder whatever it has of these controllers. All in one write, because each write
/// may wait for a grace period of the kernel; one by one when one of them cannot be had.
fn enable_controllers(folder: BorrowedFd<'_>, controllers: &[&str]) {
    let text = read_file(folder, "cgroup.controllers").unwrap_or_default();
    let wanted: Vec<String> = text
        .split_whitespace()
        .filter(|name| controllers.contains(name))
        .map(|name| format!("+{name}"))
        .collect();
    let enable = |value: &str| write_file(folder, "cgroup.subtree_control", value);
    if wanted.is_empty() || enable(&wanted.join(" ")).is_ok() {
        return;
    }
    for one in wanted {
        if let Err(error) = enable(&one) {
            tracing::debug!("cannot switch on the cgroup controller {one}: {error}");
        }
    }
}

/// Where cgroup v2 is mounted, from `/proc/self/mountinfo` (proc_pid_mountinfo(5)). A mount of a part of the
/// hierarchy only is not taken.
fn mount_point(mounts: &str) -> Option<PathBuf> {
    mounts.lines().find_map(|line| {
        let (mount, filesystem) = line.split_once(" - ")?;
        let mut fields = mount.split(' ').skip(3);
        let (root, target) = (fields.next()?, fields.next()?);
        (filesystem.starts_with("cgroup2 ") && root == "/").then(|| target.into())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mount_is_found() {
        let mounts = "24 30 0:22 / /proc rw,nosuid - proc proc rw\n\
                      33 32 0:28 / /sys/fs/cgroup/unified rw shared:9 - cgroup2 cgroup2 rw,nsdelegate\n";
        assert_eq!(mount_point(mounts), Some("/sys/fs/cgroup/unified".into()));
        assert_eq!(
            mount_point("33 32 0:28 /part /mnt rw - cgroup2 cgroup2 rw\n"),
            None
        );
        assert_eq!(
            mount_point("33 32 0:28 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n"),
            None
        );
    }
}
