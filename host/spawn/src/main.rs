//! `ente-spawn`: performs a sealed spawn plan, then becomes the program.
//!
//! PID 1 starts this instead of the program itself, because what has to happen between clone and exec must not happen
//! in a process that shares PID 1's memory, and because forking a large PID 1 is slow. It has no libc and no
//! standard library: a static executable with libc takes ten times as long to start.
//!
//! Descriptors on entry: 0-2 as the program is to have them, [`PLAN_FD`] the sealed plan, [`STATUS_FD`] the status
//! pipe, from [`FIRST_PASSED_FD`](ente_spawn::FIRST_PASSED_FD) on those to pass. Arguments and environment are
//! ignored. On success the status pipe closes at `execve`; on failure it carries a [`Failure`], and the exit code
//! is [`FAILURE_EXIT_CODE`].

#![no_std]
#![no_main]

#[cfg(not(all(target_arch = "x86_64", target_os = "linux")))]
compile_error!("ente-spawn knows the system calls of x86-64 Linux only");

mod mem;
mod perform;
mod plan;
mod sys;

use core::sync::atomic::{AtomicI32, Ordering};

use ente_spawn::{FAILURE_EXIT_CODE, Failure, STATUS_FD, StepKind};

// The kernel enters here with the stack pointer at argc, aligned to 16 bytes; a call keeps the alignment that the
// System V ABI promises to the callee. The frame pointer marks the outermost frame.
core::arch::global_asm!(
    ".globl _start",
    "_start:",
    "xor ebp, ebp",
    "call {main}",
    "ud2",
    main = sym main,
);

/// Where the status pipe is now: [`STATUS_FD`] until the descriptors are put in place.
static STATUS: AtomicI32 = AtomicI32::new(STATUS_FD);

extern "C" fn main() -> ! {
    match run() {
        // `execve` does not return on success, so no plan ends well here.
        Ok(()) => fail(StepKind::Exec, sys::EBADMSG),
        Err(failure) => fail(failure.step, failure.errno),
    }
}

fn run() -> Result<(), Failure> {
    let at_plan = |errno| Failure {
        step: StepKind::Plan,
        errno,
    };
    let plan = plan::load().map_err(at_plan)?;
    for step in plan.steps() {
        let step = step.map_err(|_| at_plan(sys::EBADMSG))?;
        perform::perform(step, &STATUS).map_err(|errno| Failure {
            step: step.kind(),
            errno,
        })?;
    }
    Ok(())
}

fn fail(step: StepKind, errno: i32) -> ! {
    let failure = Failure { step, errno }.encode();
    // Nobody is left to tell when this fails; the exit code still says it.
    let _ = sys::write(STATUS.load(Ordering::Relaxed), &failure);
    sys::exit(FAILURE_EXIT_CODE)
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    // No code above panics; the language asks for a handler all the same.
    fail(StepKind::Plan, sys::EIO)
}
