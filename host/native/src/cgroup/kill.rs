//! Killing all that is in a cgroup.

use std::io;
use std::os::fd::AsFd;

use nix::sys::signal::Signal;
use nix::unistd::Pid;

use super::identity::cgroup_of;
use super::leaf::Leaf;
use crate::signal::{pidfd_open, send_signal};

/// Processes killed in one turn where the kernel has no `cgroup.kill`; the others are killed in the next one.
const BATCH: usize = 1024;

impl Leaf {
    /// Sends `SIGKILL` to every process in it and below, those that are being forked at this moment included.
    ///
    /// Kernels before 5.14 cannot do that. There everything is frozen first and killed one by one; the caller calls
    /// again whenever [`events`](Self::events) says that something has changed, until nobody is left: what is
    /// frozen does not fork, so the list is complete at the latest when `frozen` is said.
    ///
    /// # Errors
    /// It was removed (`ENODEV`), or a file of it cannot be written.
    pub fn kill(&self) -> io::Result<()> {
        self.note_kill();
        if self.kills() {
            self.write("cgroup.kill", "1")
        } else {
            self.kill_frozen()
        }
    }

    /// The way of older kernels. A frozen process dies of `SIGKILL` without being thawed.
    fn kill_frozen(&self) -> io::Result<()> {
        self.write("cgroup.freeze", "1")?;
        let lists = self.folders().into_iter();
        let lists =
            lists.filter_map(|folder| std::fs::read_to_string(folder.join("cgroup.procs")).ok());
        let mut left = BATCH;
        for list in lists {
            for pid in list.lines().take(left).filter_map(|pid| pid.parse().ok()) {
                left = left.saturating_sub(1);
                self.kill_member(pid);
            }
        }
        Ok(())
    }

    /// Kills a process if it is in this cgroup. The pidfd comes first: whatever its number means later, it stands for
    /// the process that was asked for its cgroup.
    fn kill_member(&self, pid: i32) {
        let Ok(pidfd) = pidfd_open(Pid::from_raw(pid)) else {
            return; // it is no more
        };
        let member = cgroup_of(&pid.to_string()).is_ok_and(|cgroup| {
            let below = cgroup.strip_prefix(self.name());
            below.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        });
        if member {
            let _ = send_signal(pidfd.as_fd(), Signal::SIGKILL); // it ended just now
        }
    }

    /// Undoes the freezing of [`kill`](Self::kill), so that the cgroup can be used again.
    ///
    /// # Errors
    /// It was removed.
    pub fn thaw(&self) -> io::Result<()> {
        self.freeze(false)
    }

    /// Has all processes in it stand still, or go on.
    ///
    /// # Errors
    /// It was removed, or the kernel (before 5.2) cannot.
    pub fn freeze(&self, frozen: bool) -> io::Result<()> {
        self.write("cgroup.freeze", if frozen { "1" } else { "0" })
    }
}
