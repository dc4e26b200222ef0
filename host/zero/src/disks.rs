//! Putting disks to rest before the machine ends: write back, swap off, unmount, and where that is
//! not possible remount read-only.
//!
//! Any of these calls may never return: a disk that went away, a file server that does not answer.
//! So a helper thread makes them and says what it is at, and the last phase of PID 1 only listens
//! (`poweroff.rs`). A helper that gets stuck is left behind, and the next one goes on without
//! whatever the first is stuck at.

use crate::mounts::{self, Mount};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use std::collections::BTreeSet;
use std::ffi::CString;
use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// `LOOP_CLR_FD` (loop(4)): takes its file from a loop device.
const LOOP_CLR_FD: libc::Ioctl = 0x4C01;

/// What the helper tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// It begins with a call that may block.
    At(Step),
    /// Something could not be done; the rest goes on.
    Problem(String),
    /// All is done that can be done.
    Done,
}

/// One call that may block.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// sync(2): everything that waits in memory is written.
    WriteBack,
    /// swapoff(2) on this file or device.
    SwapOff(String),
    /// umount(2) of, or a remount read-only of, what is mounted here.
    Unmount(String),
}

impl std::fmt::Display for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Step::WriteBack => f.write_str("data to be written to the disks"),
            Step::SwapOff(path) => write!(f, "swapoff {path}"),
            Step::Unmount(target) => write!(f, "unmount {target}"),
        }
    }
}

/// The helper's work. `skip` has what earlier helpers are stuck at.
pub struct Rest<'a> {
    skip: &'a BTreeSet<Step>,
    tell: &'a dyn Fn(Said),
}

impl Rest<'_> {
    /// Puts all disks to rest.
    pub fn run(skip: &BTreeSet<Step>, tell: &dyn Fn(Said)) {
        let rest = Rest { skip, tell };
        // First of all, so that whatever happens later, what could be written is written.
        rest.write_back();
        rest.swap_off();
        let failed = rest.unmount_all();
        rest.make_read_only(&failed);
        rest.write_back();
        tell(Said::Done);
    }

    /// Whether this step is to be taken; says so if it is.
    fn at(&self, step: &Step) -> bool {
        let take = !self.skip.contains(step);
        if take {
            (self.tell)(Said::At(step.clone()));
        }
        take
    }

    fn problem(&self, what: &str, error: &dyn std::fmt::Display) {
        (self.tell)(Said::Problem(format!("{what}: {error}")));
    }

    fn write_back(&self) {
        if self.at(&Step::WriteBack) {
            nix::unistd::sync();
        }
    }

    fn swap_off(&self) {
        let swaps = fs::read_to_string("/proc/swaps").unwrap_or_default();
        for path in swaps_of(&swaps).into_iter().rev() {
            if !self.at(&Step::SwapOff(path.clone())) {
                continue;
            }
            let off = CString::new(path.as_str()).map_err(io::Error::from);
            if let Err(error) = off.and_then(|path| swapoff(&path)) {
                self.problem(&format!("swapoff {path}"), &error);
            }
        }
    }

    /// Unmounts what can be, the latest first, until a round brings nothing: a mount may hold
    /// another one, or a loop device whose file lies on a third. Returns what is left.
    fn unmount_all(&self) -> Vec<(Mount, nix::Error)> {
        loop {
            let mut progress = false;
            let mut failed = Vec::new();
            for mount in to_unmount(mounts::read()) {
                if !self.at(&Step::Unmount(mount.target.clone())) {
                    continue;
                }
                match umount2(mount.target.as_str(), MntFlags::UMOUNT_NOFOLLOW) {
                    Ok(()) => progress = true,
                    Err(errno) => failed.push((mount, errno)),
                }
            }
            progress |= detach_loops(Path::new("/sys/block")) > 0;
            if !progress {
                return failed;
            }
        }
    }

    /// The root, and what is still in use: nothing is written to it any more, and on the disk it
    /// is as clean as if it had been unmounted.
    fn make_read_only(&self, busy: &[(Mount, nix::Error)]) {
        let root = mounts::read().into_iter().rfind(|it| it.target == "/");
        let busy = busy.iter().map(|(mount, errno)| (mount, Some(errno)));
        for (it, errno) in busy.chain(root.iter().map(|root| (root, None))) {
            if it.is_memory() || !self.at(&Step::Unmount(it.target.clone())) {
                continue;
            }
            let flags = MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY;
            let none: Option<&str> = None;
            let Err(remount) = mount(none, it.target.as_str(), none, flags, none) else {
                continue;
            };
            let why = errno.map_or(String::new(), |errno| {
                format!("unmount: {}; ", errno.desc())
            });
            let why = format!("{why}remount read-only: {}", remount.desc());
            self.problem(&it.target, &why);
        }
    }
}

/// What is to be unmounted, in this order: the latest first. The file systems that PID 1 mounted
/// for itself stay, since it reads `/proc` and `/sys` to the end, and none of them is on a disk.
fn to_unmount(mounts: Vec<Mount>) -> Vec<Mount> {
    let stays = |it: &Mount| it.target == "/" || mounts::is_api(&it.target, &it.fstype);
    mounts.into_iter().rev().filter(|it| !stays(it)).collect()
}

/// The names in `/proc/swaps`.
fn swaps_of(text: &str) -> Vec<String> {
    let lines = text.lines().skip(1); // the heading
    lines
        .filter_map(|line| line.split_whitespace().next())
        .map(mounts::unescape)
        .collect()
}

fn swapoff(path: &std::ffi::CStr) -> io::Result<()> {
    // SAFETY: swapoff(2) reads one NUL-terminated string.
    match unsafe { libc::swapoff(path.as_ptr()) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Takes their files from loop devices that nobody uses any more; how many. One that is still
/// mounted is only marked by the kernel to be taken later (`LO_FLAGS_AUTOCLEAR`), so it keeps its
/// file and does not count.
fn detach_loops(sys_block: &Path) -> usize {
    let entries = fs::read_dir(sys_block).into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.file_name());
    names
        .filter(|name| name.as_bytes().starts_with(b"loop"))
        .filter(|name| {
            let backing = sys_block.join(name).join("loop/backing_file");
            backing.exists()
                && clear_loop(&Path::new("/dev").join(name)).is_ok()
                && !backing.exists()
        })
        .count()
}

fn clear_loop(device: &Path) -> io::Result<()> {
    let device = File::open(device)?;
    // SAFETY: this request takes no argument.
    match unsafe { libc::ioctl(device.as_raw_fd(), LOOP_CLR_FD, 0) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
    // When the last one closes it, which is here, the kernel lets go of the file.
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_mount_goes_first_and_what_pid_1_needs_stays() {
        let text = "20 1 0:2 / / rw - rootfs rootfs rw\n\
                    21 20 0:5 / /proc rw - proc proc rw\n\
                    22 20 0:6 / /run rw - tmpfs tmpfs rw\n\
                    23 20 259:0 / /data rw - ext4 /dev/nvme0n1 rw\n\
                    24 23 0:7 / /data/cache rw - tmpfs tmpfs rw\n\
                    25 21 0:9 / /proc/sys/fs/binfmt_misc rw - binfmt_misc none rw\n\
                    26 22 259:1 / /run/media/a\\040b rw - ext4 /dev/nvme1n1 rw\n";
        let targets: Vec<String> = to_unmount(mounts::parse(text))
            .into_iter()
            .map(|it| it.target)
            .collect();
        assert_eq!(
            targets,
            [
                "/run/media/a b",
                "/proc/sys/fs/binfmt_misc",
                "/data/cache",
                "/data"
            ]
        );
    }

    #[test]
    fn swaps_are_those_below_the_heading() {
        let text = "Filename\t\t\t\tType\t\tSize\tUsed\tPriority\n\
                    /dev/vda2                               partition\t8\t0\t-2\n\
                    /swap\\040file                           file\t8\t0\t-3\n";
        assert_eq!(swaps_of(text), ["/dev/vda2", "/swap file"]);
        assert_eq!(swaps_of(""), [""; 0]);
    }
}
