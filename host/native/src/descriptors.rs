//! Descriptors on their way into the executor.

use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::path::Path;

use nix::fcntl::{FcntlArg, OFlag, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::stat::Mode;

/// A memfd with these bytes that nobody, PID 1 included, can change any more.
pub(crate) fn sealed(bytes: &[u8]) -> std::io::Result<OwnedFd> {
    let fd = memfd_create(
        c"spawn-plan",
        MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING,
    )?;
    let mut file = File::from(fd);
    file.write_all(bytes)?;
    let seals = SealFlag::F_SEAL_SHRINK
        | SealFlag::F_SEAL_GROW
        | SealFlag::F_SEAL_WRITE
        | SealFlag::F_SEAL_SEAL;
    fcntl(&file, FcntlArg::F_ADD_SEALS(seals))?;
    Ok(file.into())
}

/// Raises this process's limit of descriptors as far as the kernel allows: a native Ente costs its host up to seven (its
/// pidfd, its status pipe, two pipes for its output, two files of its cgroup, and its sockets), and the kernel gives init
/// 1024.
///
/// # Errors
/// The limit stays as it is.
pub fn raise_descriptor_limit() -> nix::Result<()> {
    let most = std::fs::read_to_string("/proc/sys/fs/nr_open").unwrap_or_default();
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    let most = most.trim().parse().unwrap_or(hard);
    // Beyond the hard limit only with CAP_SYS_RESOURCE, which a developer's process lacks.
    setrlimit(Resource::RLIMIT_NOFILE, most, most)
        .or_else(|_| setrlimit(Resource::RLIMIT_NOFILE, hard, hard))
}

/// Descriptors that [`make_room_for_descriptors`] makes room for: those of some thousand native Entes, in 33 kB of
/// kernel memory.
const ROOM: RawFd = 4096;

/// Has the kernel make this process's table of descriptors as large as many Entes need it, while there is only one
/// thread. In a process with several, the kernel waits for an RCU grace period whenever the table grows
/// (`expand_fdtable` in fs/file.c): at 64 descriptors, again at 256, and so on, several milliseconds each, in the middle
/// of whatever needs one more.
///
/// # Errors
/// The table grows as it is needed then.
pub fn make_room_for_descriptors() -> nix::Result<()> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    let room = libc::rlim_t::from(ROOM.unsigned_abs()).min(hard);
    setrlimit(Resource::RLIMIT_NOFILE, room.max(soft), hard)?;
    // Open for a moment only: the table does not shrink.
    let made = memfd_create(c"room", MFdFlags::MFD_CLOEXEC).and_then(|any| {
        let last = RawFd::try_from(room).unwrap_or(ROOM) - 1;
        duplicate_above(any.as_fd(), last).map(drop)
    });
    // Whoever starts others passes on the limit that it was given.
    setrlimit(Resource::RLIMIT_NOFILE, soft, hard).and(made)
}

/// A copy of a descriptor with a number of at least `lowest`.
fn duplicate_above(fd: BorrowedFd<'_>, lowest: RawFd) -> nix::Result<OwnedFd> {
    let copy = fcntl(fd, FcntlArg::F_DUPFD_CLOEXEC(lowest))?;
    // SAFETY: the call above has just made this descriptor, and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(copy) })
}

/// Opens a device for another process, `mode` being `O_RDONLY`, `O_WRONLY` or `O_RDWR`. PID 1 itself does not wait for
/// it (a serial line may lack its carrier), nor get it as its terminal; the other process reads and writes as usual.
pub(crate) fn open_waiting(path: &Path, mode: OFlag) -> nix::Result<OwnedFd> {
    let flags = mode | OFlag::O_CLOEXEC | OFlag::O_NOCTTY | OFlag::O_NONBLOCK;
    let fd = nix::fcntl::open(path, flags, Mode::empty())?;
    fcntl(&fd, FcntlArg::F_SETFL(mode))?;
    Ok(fd)
}
