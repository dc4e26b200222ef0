//! `ente-spawn`: makes children for PID 1; each performs a sealed spawn plan, then becomes the program.
//!
//! What has to happen between clone and exec must not happen in a process that shares PID 1's memory, and forking a large
//! PID 1 is slow. So PID 1 starts this program once, and asks it for children ([`server`]). It has no libc, no standard
//! library and no data, so that a copy of it is cheap.
//!
//! Descriptors of a child: 0-2 as the program is to have them, [`PLAN_FD`] the sealed plan, [`STATUS_FD`] the status
//! pipe, from [`FIRST_PASSED_FD`](ente_spawn::FIRST_PASSED_FD) on those to pass. Arguments and environment of the server
//! are ignored. On success the status pipe closes at `execve`; on failure it carries a [`Failure`], and the exit code
//! is [`FAILURE_EXIT_CODE`].

#![no_std]
#![no_main]

#[cfg(not(all(target_arch = "x86_64", target_os = "linux")))]
compile_error!("ente-spawn knows the system calls of x86-64 Linux only");

mod mem;
mod plan;
mod server;
mod steps;
mod sys;

use core::convert::Infallible as Never;
use core::ffi::CStr;
use core::sync::atomic::{AtomicI32, Ordering};

use ente_spawn::{
    FAILURE_EXIT_CODE, Failure, MAX_SUBJECT_BYTES, MESSAGE_BYTES, Message, Plan, STATUS_FD, Step,
    StepKind,
};

use crate::steps::Executor;

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

/// This process in its parent's `/proc`.
const OWN_PROC: &CStr = c"/proc/self";

extern "C" fn main() -> ! {
    // Where the status pipe is now. Not a static variable, so that the program has no segment of data.
    let status = AtomicI32::new(STATUS_FD);
    let child = server::serve(&status).map_err(|errno| Report {
        failure: Failure {
            step: server::STEP,
            errno,
        },
        subject: c"",
    });
    match child.and_then(|()| run(&status)) {
        Ok(never) => match never {},
        Err(report) => fail(&report, &status),
    }
}

fn run(status: &AtomicI32) -> Result<Never, Report<'static>> {
    let plan = plan::load().map_err(at_plan)?;
    let executor = Executor {
        status,
        own_proc: own_proc(&plan).map_err(|errno| Report {
            failure: Failure {
                step: StepKind::UserNamespace,
                errno,
            },
            subject: OWN_PROC,
        })?,
    };
    for step in plan.steps() {
        let step = step.map_err(|_| at_plan(sys::EBADMSG))?;
        executor.perform(step).map_err(|fault| Report {
            failure: Failure {
                step: step.kind(),
                errno: fault.errno,
            },
            subject: fault.subject,
        })?;
    }
    // `execve` does not return on success, and every plan ends with it.
    Err(at_plan(sys::EBADMSG))
}

/// A failure, and what it was about.
struct Report<'a> {
    failure: Failure,
    subject: &'a CStr,
}

fn at_plan(errno: i32) -> Report<'static> {
    let step = StepKind::Plan;
    Report {
        failure: Failure { step, errno },
        subject: c"",
    }
}

/// This process's own folder, opened before other mounts may lie over it.
fn own_proc(plan: &Plan<'_>) -> Result<Option<i32>, i32> {
    let mut steps = plan.steps();
    if steps.any(|step| matches!(step, Ok(Step::UserNamespace { .. }))) {
        sys::open(None, OWN_PROC, sys::O_PATH).map(Some)
    } else {
        Ok(None)
    }
}

fn fail(report: &Report<'_>, status: &AtomicI32) -> ! {
    let mut bytes = [0; MESSAGE_BYTES + MAX_SUBJECT_BYTES];
    let message = Message::Failed(report.failure).encode();
    let subject = report.subject.to_bytes();
    let said = message.iter().chain(subject);
    let mut length = 0;
    for (place, byte) in bytes.iter_mut().zip(said) {
        *place = *byte;
        length += 1;
    }
    // Nobody is left to tell when this fails; the exit code still says it.
    let _ = sys::write(
        status.load(Ordering::Relaxed),
        bytes.get(..length).unwrap_or(&message),
    );
    sys::exit(FAILURE_EXIT_CODE)
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    // No code above panics; the language asks for a handler all the same. The exit code says what became of it.
    sys::exit(FAILURE_EXIT_CODE)
}
