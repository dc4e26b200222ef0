//! Whose process is it: the cgroup of a process id (`/proc/PID/cgroup`, cgroups(7)).

use std::fs::File;
use std::io::{self, Read};

use super::tree::CgroupTree;

/// Most bytes read of `/proc/PID/cgroup`. A path of the host's is far shorter; a longer one is nobody's.
const MAX_TEXT: u64 = 8192;

/// The path of a process's cgroup in the unified hierarchy, as this process sees it.
///
/// # Errors
/// There is no such process, `/proc` is not mounted, or the process is in no unified hierarchy.
pub(super) fn cgroup_of(pid: &str) -> io::Result<String> {
    let mut text = String::new();
    File::open(format!("/proc/{pid}/cgroup"))?
        .take(MAX_TEXT)
        .read_to_string(&mut text)?;
    unified(&text)
        .map(str::to_owned)
        .ok_or_else(|| io::Error::other("not in the unified hierarchy"))
}

fn unified(text: &str) -> Option<&str> {
    text.lines().find_map(|line| line.strip_prefix("0::"))
}

impl CgroupTree {
    /// Where in this tree a process is: the path below the tree, of its Ente's cgroup or of one that the Ente made
    /// within its own. `None` for processes elsewhere, and for those that are no more.
    ///
    /// A number can belong to another process by the time of the answer, unless the caller holds a pidfd that was
    /// opened before and is still alive afterwards.
    #[must_use]
    pub fn place_of_process(&self, pid: i32) -> Option<String> {
        let path = cgroup_of(&pid.to_string()).ok()?;
        let below = path.strip_prefix(self.name())?;
        below.strip_prefix('/').map(str::to_owned)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_unified_line_counts() {
        assert_eq!(unified("12:pids:/a\n0::/ente/x\n"), Some("/ente/x"));
        assert_eq!(unified("0::/\n"), Some("/"));
        assert_eq!(unified("1:name=systemd:/\n"), None);
    }
}
