//! Processes as descriptors, and signals to a native Ente.

use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::sys::signal::Signal;
use nix::unistd::Pid;

/// `pidfd_open(2)`: a descriptor that stands for the process of this number as it is now.
///
/// # Errors
/// `ESRCH` when there is none.
pub fn pidfd_open(pid: Pid) -> nix::Result<OwnedFd> {
    // SAFETY: the call takes two numbers.
    let fd = Errno::result(unsafe { libc::syscall(libc::SYS_pidfd_open, pid.as_raw(), 0) })?;
    // SAFETY: the call has just made this descriptor, and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as RawFd) })
}

/// `pidfd_send_signal(2)`: to this very process, whatever its number means by now.
///
/// # Errors
/// `ESRCH` when the process has been reaped.
pub fn send_signal(pidfd: BorrowedFd<'_>, signal: Signal) -> nix::Result<()> {
    pidfd_send_signal(pidfd, signal as i32)
}

/// To every process in the Ente's process group.
///
/// A plain Ente is a session and so a process group of its own, whose number is the Ente's process id: this reaches
/// its children too, unless they left for a group of their own (a shell's jobs, a daemon's second fork). Those are
/// out of reach until an Ente has a cgroup, which nobody can leave.
///
/// The number is safe to use although it is not a descriptor: the kernel does not give it to another process before
/// the Ente is reaped, only the caller reaps, and an Ente that is reaped already is found out by `pidfd` first.
///
/// # Errors
/// `ESRCH` when the Ente has been reaped.
pub fn signal_group(pid: Pid, pidfd: BorrowedFd<'_>, signal: Signal) -> nix::Result<()> {
    pidfd_send_signal(pidfd, 0)?;
    match nix::sys::signal::killpg(pid, signal) {
        // The executor has not made its session yet: there is nobody but itself.
        Err(Errno::ESRCH) => send_signal(pidfd, signal),
        result => result,
    }
}

/// Signal 0 sends nothing and only says whether the process can be signalled.
fn pidfd_send_signal(pidfd: BorrowedFd<'_>, signal: i32) -> nix::Result<()> {
    let no_info = std::ptr::null::<libc::siginfo_t>();
    // SAFETY: an open descriptor, numbers, and a null pointer, for which the kernel fills in the information.
    let result = unsafe {
        libc::syscall(
            libc::SYS_pidfd_send_signal,
            pidfd.as_raw_fd(),
            signal,
            no_info,
            0,
        )
    };
    Errno::result(result).map(drop)
}
