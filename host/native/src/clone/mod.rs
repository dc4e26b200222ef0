//! `clone3(2)` straight into the executor, and straight into a cgroup.
//!
//! The child shares PID 1's memory until it has executed the executor, so nothing is copied, however large PID 1 is
//! (`CLONE_VM`). Unlike `vfork(2)` and `posix_spawn(3)` PID 1 does not wait for that exec: a child that is born into
//! a frozen cgroup, or into one that has used up its `cpu.max`, or that is sent `SIGSTOP` at once, does not run for
//! a while or for ever, and PID 1 must not stand still with it. So every child has a [`Slot`] of its own, with its
//! stack and all that it reads, and the kernel itself says when the child has let go of it (`CLONE_CHILD_CLEARTID`).

mod child;
mod starter;

use std::ffi::{CString, c_char, c_void};
use std::mem::size_of;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::unistd::Pid;

pub(crate) use child::Move;
use child::{Job, MAX_MOVES, child};
pub(crate) use starter::{Order, Starter, executor_number};

#[cfg(not(target_arch = "x86_64"))]
compile_error!("the child's system calls are written for x86-64");

/// Children that may be between clone and exec at the same time. That takes some 100 µs each, so that more would be
/// in flight only when a seed of many starts at once, and then the starter lets the others wait.
const SLOTS: usize = 32;

/// How long the end of a [`Cloner`] waits for each child that is still on its way. Only those that the kernel does not
/// let run take as long.
const PATIENCE: Duration = Duration::from_millis(20);

/// Memory of a slot: a guard page that cannot be touched, then the stack, with the [`Job`] at its upper end. The
/// child calls one function, which keeps a few words; no signal handler runs on it.
const SLOT_BYTES: usize = 4 * PAGE;
const PAGE: usize = 4096;

/// What a child is given.
pub(crate) struct Child<'a> {
    /// All descriptors that the executor is to have.
    pub(crate) moves: &'a [Move],
    /// The one among them that takes failures, by its present number.
    pub(crate) status: RawFd,
    /// `RLIMIT_NOFILE` as the child is to have it.
    pub(crate) files: libc::rlimit,
    /// The cgroup it is born into (a folder of cgroup v2); absent means the parent's.
    pub(crate) cgroup: Option<BorrowedFd<'a>>,
    /// Whether the executor is the first process of a PID namespace of its own.
    pub(crate) pid_namespace: bool,
}

/// Clones children that execute one program.
#[derive(Debug)]
pub(crate) struct Cloner {
    /// The executor. Children read it while they share this memory.
    program: CString,
    slots: Vec<Slot>,
}

impl Cloner {
    /// For this executable file.
    pub(crate) fn new(program: CString) -> Cloner {
        Cloner {
            program,
            slots: Vec::new(),
        }
    }

    /// Makes a child that gives its descriptors their numbers and executes the executor. If it cannot, the status
    /// pipe says so ([`StepKind::Executor`](ente_spawn::StepKind::Executor)).
    ///
    /// # Errors
    /// Those of clone3(2), among them `EAGAIN` (too many processes, `pids.max` included), `EBUSY` and `EOPNOTSUPP` (the cgroup takes no processes), `ENODEV` (it was removed). `EAGAIN` also
    /// when there is no [room](Self::has_room). There is no child then.
    pub(crate) fn spawn(&mut self, child: &Child<'_>) -> nix::Result<Pid> {
        if child.moves.len() > MAX_MOVES {
            return Err(Errno::EMFILE);
        }
        let program = self.program.as_ptr();
        let slot = self.free_slot()?;
        slot.write(program, child);
        slot.clone_child(child.cgroup, child.pid_namespace)
    }

    /// Whether one more child may be on its way now.
    pub(crate) fn has_room(&self) -> bool {
        self.slots.len() < SLOTS || self.idle().is_some()
    }

    fn free_slot(&mut self) -> nix::Result<&mut Slot> {
        let found = match self.idle() {
            Some(index) => index,
            None if self.slots.len() < SLOTS => {
                self.slots.push(Slot::new()?);
                self.slots.len() - 1
            }
            None => return Err(Errno::EAGAIN),
        };
        self.slots.get_mut(found).ok_or(Errno::EAGAIN)
    }

    fn idle(&self) -> Option<usize> {
        self.slots.iter().position(|slot| !slot.taken())
    }
}

impl Drop for Cloner {
    fn drop(&mut self) {
        for slot in &self.slots {
            slot.wait_idle();
        }
        if self.slots.iter().any(Slot::taken) {
            // A child that the kernel does not let run still reads this.
            std::mem::forget(std::mem::take(&mut self.program));
        }
    }
}

/// Memory for one child between clone and exec.
#[derive(Debug)]
struct Slot {
    base: NonNull<c_void>,
}

// SAFETY: the slot owns its mapping, which can be used from any thread.
unsafe impl Send for Slot {}

impl Slot {
    fn new() -> nix::Result<Slot> {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_STACK;
        let mode = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new mapping, wherever the kernel likes; it replaces nothing.
        let base = unsafe { libc::mmap(ptr::null_mut(), SLOT_BYTES, mode, flags, -1, 0) };
        if base == libc::MAP_FAILED {
            return Err(Errno::last());
        }
        let slot = Slot {
            base: NonNull::new(base).ok_or(Errno::ENOMEM)?,
        };
        // SAFETY: the first page of the mapping made above, of which nothing is used yet.
        Errno::result(unsafe { libc::mprotect(base, PAGE, libc::PROT_NONE) })?;
        Ok(slot)
    }

    /// The upper end of the slot, below which the stack begins.
    fn job(&self) -> *mut Job {
        // SAFETY: the offset lies inside the mapping, since a job is smaller than a page.
        unsafe { self.base.byte_add(SLOT_BYTES - size_of::<Job>()) }
            .as_ptr()
            .cast()
    }

    fn taken_word(&self) -> &AtomicU32 {
        // SAFETY: in the mapping, aligned (a job's size is a multiple of its alignment), zero from birth on, and
        // only ever used as an atomic, by the kernel too.
        unsafe { &(*self.job()).taken }
    }

    fn taken(&self) -> bool {
        self.taken_word().load(Ordering::Acquire) != 0
    }

    /// Waits for the child to let go of the slot, but not longer than [`PATIENCE`].
    fn wait_idle(&self) {
        let until = Instant::now() + PATIENCE;
        while self.taken() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            let timeout = libc::timespec {
                tv_sec: 0,
                tv_nsec: i64::from(left.subsec_nanos()),
            };
            let word: *const AtomicU32 = self.taken_word();
            // SAFETY: futex(2) reads the word and the time, both of which live as long as the call. Not private,
            // because the kernel's wake-up is not.
            unsafe {
                libc::syscall(
                    libc::SYS_futex,
                    word,
                    libc::FUTEX_WAIT,
                    1,
                    &raw const timeout,
                );
            }
        }
    }

    /// Notes what the child shall do. The slot must be idle.
    fn write(&mut self, program: *const c_char, child: &Child<'_>) {
        let nobody = Move { from: -1, to: -1 };
        let mut moves = [nobody; MAX_MOVES];
        for (slot, entry) in moves.iter_mut().zip(child.moves) {
            *slot = *entry;
        }
        let job = Job {
            taken: AtomicU32::new(0),
            status: child.status,
            program,
            argv: [c"ente-spawn".as_ptr(), ptr::null()],
            envp: [ptr::null()],
            files: child.files,
            count: child.moves.len().min(MAX_MOVES),
            moves,
        };
        // SAFETY: inside the mapping and aligned; nobody else uses an idle slot, and a job needs no drop.
        unsafe { self.job().write(job) };
    }

    /// Makes the child, with all signals blocked: a handler that ran in it would work on PID 1's memory. The
    /// executor unblocks them.
    fn clone_child(
        &mut self,
        cgroup: Option<BorrowedFd<'_>>,
        pid_namespace: bool,
    ) -> nix::Result<Pid> {
        self.taken_word().store(1, Ordering::Release);
        let before = set_signal_mask(u64::MAX);
        // SAFETY: the slot is idle and its job written; signals are blocked.
        let result = unsafe { self.clone3(cgroup, pid_namespace) };
        set_signal_mask(before);
        if result.is_err() {
            self.taken_word().store(0, Ordering::Release);
        }
        result
    }

    /// # Safety
    /// The job is written and no other child uses this slot; all signals are blocked.
    unsafe fn clone3(
        &mut self,
        cgroup: Option<BorrowedFd<'_>>,
        pid_namespace: bool,
    ) -> nix::Result<Pid> {
        let job = self.job();
        let into = u64::from(cgroup.is_some()) * CLONE_INTO_CGROUP;
        let new_pid = u64::from(pid_namespace) * CLONE_NEWPID;
        let arguments = libc::clone_args {
            flags: CLONE_FLAGS | into | new_pid,
            pidfd: 0,
            child_tid: self.taken_word() as *const AtomicU32 as u64,
            parent_tid: 0,
            exit_signal: libc::SIGCHLD as u64,
            stack: self.base.as_ptr() as u64 + PAGE as u64,
            stack_size: (SLOT_BYTES - PAGE - size_of::<Job>()) as u64,
            tls: 0,
            set_tid: 0,
            set_tid_size: 0,
            cgroup: cgroup.map_or(0, |fd| fd.as_raw_fd() as u64),
        };
        let result: i64;
        // SAFETY: In the parent this is a system call like any other. The child comes out of it on a stack of its
        // own, whose upper end is aligned to 16 bytes as the ABI wants it at a call, calls `child`, which does not
        // return, and so never comes to code that was compiled for the parent's stack. It shares memory with the
        // parent and with the parent's other threads, which go on meanwhile: it reads only its job, which stays as
        // it is until the kernel clears `taken`, writes only its stack, allocates nothing, takes no lock, touches no
        // thread-local variable (so not `errno` either) and cannot unwind. Its descriptors are copies
        // (no `CLONE_FILES`), as are its signal handlers, all at their defaults (`CLONE_CLEAR_SIGHAND`).
        unsafe {
            std::arch::asm!(
                "syscall",
                "test rax, rax",
                "jnz 2f",
                "xor ebp, ebp",
                "mov rdi, r12",
                "call {child}",
                "ud2",
                "2:",
                child = sym child,
                inlateout("rax") libc::SYS_clone3 => result,
                in("rdi") &raw const arguments,
                in("rsi") size_of::<libc::clone_args>(),
                in("r12") job,
                out("rcx") _,
                out("r11") _,
            );
        }
        if result < 0 {
            return Err(Errno::from_raw((-result) as i32));
        }
        Ok(Pid::from_raw(result as i32))
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if !self.taken() {
            // SAFETY: the mapping is the slot's own, and no child uses it.
            unsafe { libc::munmap(self.base.as_ptr(), SLOT_BYTES) };
        }
    }
}

/// `linux/sched.h`. libc has the old flags only, as signed numbers.
const CLONE_FLAGS: u64 = 0x100 // CLONE_VM
    | 0x20_0000 // CLONE_CHILD_CLEARTID
    | 0x1_0000_0000; // CLONE_CLEAR_SIGHAND
const CLONE_NEWPID: u64 = 0x2000_0000;
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// rt_sigprocmask(2) itself: the C library's function leaves out two signals that it uses itself.
fn set_signal_mask(mask: u64) -> u64 {
    let mut before = 0_u64;
    // SAFETY: reads one mask and writes the other, both of the size given.
    unsafe {
        libc::syscall(
            libc::SYS_rt_sigprocmask,
            libc::SIG_SETMASK,
            &raw const mask,
            &raw mut before,
            size_of::<u64>(),
        );
    }
    before
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_and_a_stack_fit_a_slot() {
        assert!(size_of::<Job>() + 2048 < PAGE);
        assert_eq!(size_of::<Job>() % 16, 0);
    }
}
