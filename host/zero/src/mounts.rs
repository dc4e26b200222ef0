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

/// A file system that is mounted somewhere in PID 1's namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// Where.
    pub target: String,
    /// Its type, such as `ext4`.
    pub fstype: String,
}

impl Mount {
    /// Whether it has nothing that could be written anywhere: there is no reason to make it
    /// read-only.
    #[must_use]
    pub fn is_memory(&self) -> bool {
        ["rootfs", "ramfs", "tmpfs"].contains(&self.fstype.as_str())
    }
}

/// All mounts of PID 1's namespace, in the kernel's order: a later one may lie on an earlier one.
/// Empty without `/proc`.
#[must_use]
pub fn read() -> Vec<Mount> {
    let bytes = fs::read("/proc/self/mountinfo").unwrap_or_default();
    parse(&String::from_utf8_lossy(&bytes))
}

/// Reads the text of proc_pid_mountinfo(5). A target that is no UTF-8 was replaced by then, and
/// will not be found.
#[must_use]
pub fn parse(mountinfo: &str) -> Vec<Mount> {
    let fields = |line: &str| {
        let (left, right) = line.split_once(" - ")?;
        Some(Mount {
            target: unescape(left.split(' ').nth(4)?),
            fstype: right.split(' ').next()?.to_owned(),
        })
    };
    mountinfo.lines().filter_map(fields).collect()
}

/// Whether PID 1 mounts this for itself.
#[must_use]
pub fn is_api(target: &str, fstype: &str) -> bool {
    let same = |it: &ApiMount| it.target == target && it.fstype == fstype;
    MOUNTS.iter().any(same)
}

/// Takes the kernel's escapes (three octal digits after a backslash) out of a path.
#[must_use]
pub fn unescape(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let octal = after.get(..3).and_then(|digits| {
            let digits = std::str::from_utf8(digits).ok()?;
            u8::from_str_radix(digits, 8).ok()
        });
        rest = match octal.filter(|_| first == b'\\') {
            Some(byte) => {
                bytes.push(byte);
                after.get(3..).unwrap_or_default()
            }
            None => {
                bytes.push(first);
                after
            }
        };
    }
    String::from_utf8_lossy(&bytes).into_owned()
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
    fn mountinfo_is_read_with_its_escapes_and_optional_fields() {
        let text = "36 35 98:0 /mnt1 /mnt\\0402 rw,noatime master:1 shared:2 - ext3 /dev/root rw\n\
                    nonsense\n";
        let mount = |target: &str, fstype: &str| Mount {
            target: target.into(),
            fstype: fstype.into(),
        };
        assert_eq!(parse(text), [mount("/mnt 2", "ext3")]);
        assert_eq!(unescape(r"a\134b\04"), r"a\b\04");
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
