//! System calls on processes and signals.

use core::ptr;

use super::{SIG_SETMASK, SIGSET_BYTES, plain, syscall};

const SYS_RT_SIGPROCMASK: usize = 14;
const SYS_GETPID: usize = 39;
const SYS_FORK: usize = 57;
const SYS_WAIT4: usize = 61;
const SYS_KILL: usize = 62;
const SYS_RT_SIGTIMEDWAIT: usize = 128;
const SYS_PIPE2: usize = 293;
const SYS_CLONE3: usize = 435;

/// `linux/sched.h`.
const CLONE_PARENT: u64 = 0x8000;
const CLONE_NEWPID: u64 = 0x2000_0000;
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

const WNOHANG: usize = 1;
const ANY_CHILD: usize = usize::MAX;

pub(crate) const SIGCHLD: i32 = 17;

/// `fork(2)`: `None` in the child, its process id in the parent.
pub(crate) fn fork() -> Result<Option<i32>, i32> {
    // Memory is copied, so neither process sees what the other does with it.
    let pid = plain(SYS_FORK, 0, 0, 0)? as i32;
    Ok((pid != 0).then_some(pid))
}

/// The kernel's `struct clone_args`.
#[repr(C)]
#[derive(Default)]
struct CloneArgs {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}

/// `clone3(2)` of a copy of this process that is its parent's child, born into this cgroup, as the first process of a PID
/// namespace if it is to be: `None` in the copy, its process id here. The parent is told of its end as it would be of
/// this process's own.
pub(crate) fn clone_sibling(cgroup: Option<i32>, pid_namespace: bool) -> Result<Option<i32>, i32> {
    let into = u64::from(cgroup.is_some()) * CLONE_INTO_CGROUP;
    let namespace = u64::from(pid_namespace) * CLONE_NEWPID;
    let args = CloneArgs {
        flags: CLONE_PARENT | into | namespace,
        cgroup: cgroup.unwrap_or(0) as u64,
        ..CloneArgs::default()
    };
    let place = ptr::from_ref(&args) as usize;
    // SAFETY: the call reads one such structure. Memory is copied, the stack included, so neither process sees what the
    // other does with it.
    let pid = unsafe { syscall(SYS_CLONE3, [place, size_of::<CloneArgs>(), 0, 0, 0, 0]) }? as i32;
    Ok((pid != 0).then_some(pid))
}

/// `getpid(2)`.
pub(crate) fn own_id() -> u32 {
    // Cannot fail, and is never negative.
    plain(SYS_GETPID, 0, 0, 0).unwrap_or(0) as u32
}

/// A child that ended, and its status word of `wait(2)`.
pub(crate) struct Ended {
    pub(crate) pid: i32,
    pub(crate) status: i32,
}

/// `wait4(2)` for this child, until it has ended.
pub(crate) fn wait_for(pid: i32) -> Result<Ended, i32> {
    wait(pid as usize, 0)
}

/// `wait4(2)` for any child that has ended by now; a `pid` of 0 says that there is none.
pub(crate) fn reap() -> Result<Ended, i32> {
    wait(ANY_CHILD, WNOHANG)
}

fn wait(pid: usize, flags: usize) -> Result<Ended, i32> {
    let mut status = 0i32;
    let args = [pid, ptr::from_mut(&mut status) as usize, flags, 0, 0, 0];
    // SAFETY: the call writes one integer; the last pointer is null.
    let pid = unsafe { syscall(SYS_WAIT4, args) }? as i32;
    Ok(Ended { pid, status })
}

/// `kill(2)`; a negative number means that process group.
pub(crate) fn kill(pid: i32, signal: i32) -> Result<(), i32> {
    plain(SYS_KILL, pid as usize, signal as usize, 0).map(drop)
}

/// `rt_sigprocmask(2)`: all that can be blocked.
pub(crate) fn block_all_signals() -> Result<(), i32> {
    let mask = u64::MAX;
    let place = ptr::from_ref(&mask) as usize;
    // SAFETY: the call reads one signal set and writes nothing, as the third argument is null.
    unsafe {
        syscall(
            SYS_RT_SIGPROCMASK,
            [SIG_SETMASK, place, 0, SIGSET_BYTES, 0, 0],
        )
    }
    .map(drop)
}

/// `rt_sigtimedwait(2)` without a limit of time: a blocked signal that came, and who sent it; 0 stands for a sender
/// outside the PID namespace, and for the kernel.
pub(crate) fn next_signal() -> Result<(i32, i32), i32> {
    let mask = u64::MAX;
    // `siginfo_t` has 128 bytes: the signal at 0, the code at 8, the sender at 16.
    let mut info = [0i32; 32];
    let args = [
        ptr::from_ref(&mask) as usize,
        info.as_mut_ptr() as usize,
        0,
        SIGSET_BYTES,
        0,
        0,
    ];
    // SAFETY: the call reads one signal set and writes one such structure; no time is given.
    let signal = unsafe { syscall(SYS_RT_SIGTIMEDWAIT, args) }? as i32;
    Ok((signal, info[4]))
}

/// `pipe2(2)`, closed at exec: reading end, writing end.
pub(crate) fn pipe() -> Result<(i32, i32), i32> {
    let mut ends = [0i32; 2];
    let args = [ends.as_mut_ptr() as usize, super::O_CLOEXEC, 0, 0, 0, 0];
    // SAFETY: the call writes two integers.
    unsafe { syscall(SYS_PIPE2, args) }?;
    Ok((ends[0], ends[1]))
}
