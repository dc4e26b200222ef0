//! What the running kernel, and this process's place in it, can enforce.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::OnceLock;

use nix::errno::Errno;

use super::ports;

/// Asked once: none of it changes while the kernel runs.
#[derive(Clone, Debug)]
pub(crate) struct Kernel {
    /// Whether this process is user 0. Ordinary users cannot make namespaces, mounts or other users.
    pub(crate) root: bool,
    /// Version of landlock (`landlock(7)`); `None` where there is none, or where it was not chosen at boot.
    pub(crate) landlock: Option<u32>,
    /// Whether seccomp filters exist.
    pub(crate) seccomp: bool,
    /// Whether mounts can be changed together (`mount_setattr(2)`, since Linux 5.12), which binds need.
    pub(crate) mount_attributes: bool,
    /// Says whether a cgroup can forbid to choose a port. Asked only for Cards that need it: the answer loads a program.
    pub(crate) port_filter: fn() -> bool,
    /// The names in `/proc/self/ns`.
    pub(crate) namespaces: BTreeSet<String>,
    /// The CPUs that this process may use.
    pub(crate) cpus: BTreeSet<u32>,
}

impl Kernel {
    /// One with everything, for tests.
    #[cfg(test)]
    pub(crate) fn complete() -> Kernel {
        Self::ideal(true, [0, 1].into())
    }

    /// One with everything, these CPUs included.
    pub(crate) fn ideal(root: bool, cpus: BTreeSet<u32>) -> Kernel {
        let all = ["mnt", "pid", "net", "uts", "ipc", "user", "cgroup"];
        Kernel {
            root,
            landlock: Some(7),
            seccomp: true,
            mount_attributes: true,
            port_filter: || true,
            namespaces: all.into_iter().map(String::from).collect(),
            cpus,
        }
    }

    /// The one that runs.
    pub(crate) fn running() -> &'static Kernel {
        static RUNNING: OnceLock<Kernel> = OnceLock::new();
        RUNNING.get_or_init(|| Kernel {
            root: nix::unistd::geteuid().is_root(),
            landlock: landlock_version(),
            seccomp: has_seccomp(),
            mount_attributes: has_mount_attributes(),
            port_filter: ports::available,
            namespaces: namespaces(Path::new("/proc/self/ns")),
            cpus: cpus(),
        })
    }
}

/// `landlock_create_ruleset(2)` with `LANDLOCK_CREATE_RULESET_VERSION`.
fn landlock_version() -> Option<u32> {
    let no_attributes = std::ptr::null::<u8>();
    // SAFETY: with this flag the call takes no structure and makes no descriptor.
    let version =
        unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, no_attributes, 0_usize, 1) };
    u32::try_from(version).ok().filter(|version| *version > 0)
}

/// `PR_GET_SECCOMP` answers 0 where filters exist and none is installed, and fails with `EINVAL` where they do not
/// exist (`prctl(2)`).
fn has_seccomp() -> bool {
    // SAFETY: this option takes no pointers.
    unsafe { libc::prctl(libc::PR_GET_SECCOMP, 0, 0, 0, 0) >= 0 }
}

fn has_mount_attributes() -> bool {
    let nothing = std::ptr::null::<u8>();
    // SAFETY: a structure of no bytes is refused before it is read.
    let result =
        unsafe { libc::syscall(libc::SYS_mount_setattr, -1, nothing, 0, nothing, 0_usize) };
    Errno::result(result) != Err(Errno::ENOSYS)
}

fn namespaces(folder: &Path) -> BTreeSet<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect()
}

fn cpus() -> BTreeSet<u32> {
    // The largest set that Linux can be built for on x86-64, as 64-bit words.
    let mut mask = [0_u64; ente_spawn::MAX_CPU_BYTES / 8];
    // SAFETY: the call writes at most as many bytes as are given.
    let written = unsafe {
        libc::syscall(
            libc::SYS_sched_getaffinity,
            0,
            size_of_val(&mask),
            mask.as_mut_ptr(),
        )
    };
    let written = usize::try_from(written).unwrap_or(0);
    members(mask.get(..written.div_ceil(8)).unwrap_or(&mask))
}

/// The numbers of the bits that are set, bit 0 of the first word being 0.
fn members(mask: &[u64]) -> BTreeSet<u32> {
    let words = (0..).step_by(64).zip(mask).filter(|(_, word)| **word != 0);
    words
        .flat_map(|(first, word)| {
            (0..64)
                .filter(move |bit| word >> bit & 1 == 1)
                .map(move |bit| first + bit)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_of_a_mask() {
        let mask = [1 | 1 << 63, 0, 0b110];
        assert_eq!(members(&mask), [0, 63, 129, 130].into());
        assert_eq!(members(&[]), BTreeSet::new());
    }

    #[test]
    fn the_running_kernel_is_known() {
        let kernel = Kernel::running();
        assert!(kernel.seccomp && kernel.mount_attributes);
        assert!(kernel.namespaces.contains("mnt") && kernel.namespaces.contains("pid"));
        assert!(!kernel.cpus.is_empty());
    }
}
