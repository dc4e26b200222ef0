//! The file systems that every Linux userspace expects (boot.md, PID 1, item 1).

use nix::mount::{MsFlags, mount};
use std::fs;
use std::path::Path;

/// One file system to mount.
struct ApiMount {
    target: &'static str,
    source: &'static str,
    fstype: &'static str,
    flags: MsFlags,
    options: &'static str,
}

const NOSUID_NODEV: MsFlags = MsFlags::MS_NOSUID.union(MsFlags::MS_NODEV);
const SEALED: MsFlags = NOSUID_NODEV.union(MsFlags::MS_NOEXEC);

/// In order: a later one lies on an earlier one. Flags are systemd's (file-hierarchy(7)).
const MOUNTS: &[ApiMount] = &[
    api("/proc", "proc", "proc", SEALED, ""),
    api("/sys", "sysfs", "sysfs", SEALED, ""),
    api(
        "/dev",
        "devtmpfs",
        "devtmpfs",
        MsFlags::MS_NOSUID,
        "mode=755",
    ),
    api(
        "/dev/pts",
        "devpts",
        "devpts",
        MsFlags::MS_NOSUID.union(MsFlags::MS_NOEXEC),
        "mode=620,gid=5,ptmxmode=666",
    ),
    api("/dev/shm", "tmpfs", "tmpfs", NOSUID_NODEV, "mode=1777"),
    api("/run", "tmpfs", "tmpfs", NOSUID_NODEV, "mode=755,size=20%"),
    api("/tmp", "tmpfs", "tmpfs", NOSUID_NODEV, "mode=1777,size=50%"),
    api("/sys/fs/cgroup", "cgroup2", "cgroup2", SEALED, "nsdelegate"),
];

const fn api(
    target: &'static str,
    source: &'static str,
    fstype: &'static str,
    flags: MsFlags,
    options: &'static str,
) -> ApiMount {
    ApiMount {
        target,
        source,
        fstype,
        flags,
        options,
    }
}

/// Mounts what is not mounted yet and makes the usual links in `/dev`. Returns one line per thing
/// that could not be done; none of them is a reason not to boot.
#[must_use]
pub fn mount_api_filesystems() -> Vec<String> {
    let mut problems = Vec::new();
    for it in MOUNTS {
        if is_mounted(it) {
            continue;
        }
        let made = fs::create_dir_all(it.target).map_err(|error| error.to_string());
        let options = (!it.options.is_empty()).then_some(it.options);
        let mounted = made.and_then(|()| {
            mount(
                Some(it.source),
                it.target,
                Some(it.fstype),
                it.flags,
                options,
            )
            .map_err(|error| error.desc().to_owned())
        });
        if let Err(error) = mounted {
            problems.push(format!(
                "cannot mount {} on {}: {error}",
                it.fstype, it.target
            ));
        }
    }
    link_standard_devices();
    problems
}

/// Whether the file system is there: a mount of the same type on exactly that folder. Before
/// `/proc` is mounted the list is empty, which is right, because then nothing is.
fn is_mounted(it: &ApiMount) -> bool {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    listed(&mounts, it.target, it.fstype)
}

fn listed(mounts: &str, target: &str, fstype: &str) -> bool {
    mounts.lines().any(|line| {
        let mut fields = line.split(' ');
        fields.nth(1) == Some(target) && fields.next() == Some(fstype)
    })
}

/// `/dev/fd` and its like, which shells rely on.
fn link_standard_devices() {
    for (link, to) in [
        ("/dev/fd", "/proc/self/fd"),
        ("/dev/stdin", "/proc/self/fd/0"),
        ("/dev/stdout", "/proc/self/fd/1"),
        ("/dev/stderr", "/proc/self/fd/2"),
    ] {
        if !Path::new(link).exists() {
            let _ = std::os::unix::fs::symlink(to, link); // exists by now, or /dev is read-only
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTED: &str = "rootfs / rootfs rw 0 0\nproc /proc proc rw,nosuid 0 0\n\
                           tmpfs /run/x tmpfs rw 0 0\ndevtmpfs /dev devtmpfs rw 0 0\n";

    #[test]
    fn only_the_same_type_on_the_same_folder_counts() {
        assert!(listed(MOUNTED, "/proc", "proc"));
        assert!(!listed(MOUNTED, "/run", "tmpfs"));
        assert!(!listed(MOUNTED, "/dev", "tmpfs"));
        assert!(!listed("", "/proc", "proc"));
    }

    #[test]
    fn a_mount_point_comes_after_what_it_lies_on() {
        for (n, it) in MOUNTS.iter().enumerate() {
            let under = MOUNTS.iter().position(|other| {
                it.target != other.target && it.target.starts_with(&format!("{}/", other.target))
            });
            assert!(under.is_none_or(|under| under < n), "{}", it.target);
        }
    }
}
