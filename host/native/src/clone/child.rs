//! The child between clone and exec, and what it reads. It runs on memory that it shares with PID 1: only system calls,
//! and no operation that could panic, allocate, lock or touch a thread-local variable.

use std::ffi::c_char;
use std::os::fd::RawFd;
use std::sync::atomic::AtomicU32;

use ente_spawn::{FAILURE_EXIT_CODE, FIRST_PASSED_FD, MAX_PASSED, MESSAGE_BYTES, StepKind};

/// Descriptors that a start moves: 0-2, plan, status pipe, passed ones.
pub(super) const MAX_MOVES: usize = FIRST_PASSED_FD as usize + MAX_PASSED as usize;

/// One descriptor and the number it gets in the child.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(crate) struct Move {
    /// Its number now, above all targets.
    pub(crate) from: RawFd,
    /// Its number in the executor.
    pub(crate) to: RawFd,
}

/// Everything that the child reads. It lives in the child's slot.
#[repr(C, align(16))]
pub(super) struct Job {
    /// Not 0 while the child uses the slot; the kernel clears it (`CLONE_CHILD_CLEARTID`, set_tid_address(2)).
    pub(super) taken: AtomicU32,
    pub(super) status: RawFd,
    pub(super) program: *const c_char,
    pub(super) argv: [*const c_char; 2],
    pub(super) envp: [*const c_char; 1],
    pub(super) files: libc::rlimit,
    pub(super) count: usize,
    pub(super) moves: [Move; MAX_MOVES],
}

/// The child. Only system calls from here on, and no operation that could panic.
///
/// # Safety
/// Runs in the new process, on its own stack, with a job that stays as it is.
pub(super) unsafe extern "C" fn child(job: *const Job) -> ! {
    // SAFETY: `job` is valid for reads; the first `count` of its moves are set, and `count` is at most their number.
    // The system calls get numbers, and pointers into the job or to constants.
    unsafe {
        let moves = (&raw const (*job).moves).cast::<Move>();
        let mut index = 0;
        while index < (*job).count {
            let entry = moves.add(index);
            let result = system_call(
                libc::SYS_dup2,
                [(*entry).from as u64, (*entry).to as u64, 0, 0],
            );
            if result < 0 {
                fail((*job).status, result);
            }
            index = index.wrapping_add(1);
        }
        let files = (&raw const (*job).files) as u64;
        let result = system_call(
            libc::SYS_prlimit64,
            [0, u64::from(libc::RLIMIT_NOFILE), files, 0],
        );
        if result < 0 {
            fail((*job).status, result);
        }
        let argv = (&raw const (*job).argv) as u64;
        let envp = (&raw const (*job).envp) as u64;
        let result = system_call(libc::SYS_execve, [(*job).program as u64, argv, envp, 0]);
        fail((*job).status, result)
    }
}

/// Says on the status pipe that the executor could not be executed, and ends, as the executor does it.
///
/// # Safety
/// Only in the child.
unsafe fn fail(status: RawFd, result: i64) -> ! {
    let [a, b, c, d, ..] = result.wrapping_neg().to_le_bytes();
    let failure: [u8; MESSAGE_BYTES] = [StepKind::Executor as u8, a, b, c, d];
    // SAFETY: the first call reads the bytes above; the second one ends the process.
    unsafe {
        let bytes = failure.as_ptr() as u64;
        system_call(
            libc::SYS_write,
            [status as u64, bytes, MESSAGE_BYTES as u64, 0],
        );
        loop {
            system_call(libc::SYS_exit_group, [FAILURE_EXIT_CODE as u64, 0, 0, 0]);
        }
    }
}

/// A system call that leaves `errno` alone: it is the parent's. Returns a negative error number when it fails.
///
/// # Safety
/// As the call itself.
unsafe fn system_call(number: i64, arguments: [u64; 4]) -> i64 {
    let [a, b, c, d] = arguments;
    let result;
    // SAFETY: the registers that the kernel uses are declared; what the call does is the caller's to argue.
    unsafe {
        std::arch::asm!(
            "syscall",
            inlateout("rax") number => result,
            in("rdi") a,
            in("rsi") b,
            in("rdx") c,
            in("r10") d,
            out("rcx") _,
            out("r11") _,
        );
    }
    result
}
