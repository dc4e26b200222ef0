//! One function per step of a plan. The order, and why it is this one, is in `docs/native.md`.

use core::ffi::CStr;
use core::sync::atomic::{AtomicI32, Ordering};

use ente_spawn::{FIRST_PASSED_FD, Step, Strings};

use crate::sys;

/// First descriptor number that the program sees beyond its standard streams (`sd_listen_fds(3)`).
const FIRST_PROGRAM_FD: i32 = 3;

/// Signals whose disposition cannot be set (`sigaction(2)`): `SIGKILL` and `SIGSTOP`.
const FIXED_SIGNALS: [i32; 2] = [9, 19];

/// Highest signal number.
const LAST_SIGNAL: i32 = 64;

/// Performs one step. `Exec` returns only when it failed.
pub(crate) fn perform(step: Step<'_>, status: &AtomicI32) -> Result<(), i32> {
    match step {
        Step::Signals => reset_signals(),
        Step::Session => sys::setsid(),
        Step::Terminal => take_terminal(),
        Step::Umask(mask) => sys::umask(mask),
        Step::WorkingDirectory(path) => sys::chdir(path),
        Step::Descriptors { passed } => place_descriptors(passed as i32, status),
        Step::Rlimit(rlimit) => sys::set_limit(rlimit),
        Step::Exec {
            program,
            argv,
            envp,
        } => exec(program, argv, envp),
    }
}

/// Ignored signals and the mask survive `execve`, and PID 1 ignores and blocks some of its own.
fn reset_signals() -> Result<(), i32> {
    for signal in (1..=LAST_SIGNAL).filter(|signal| !FIXED_SIGNALS.contains(signal)) {
        sys::default_disposition(signal)?;
    }
    sys::unblock_all_signals()
}

/// Without force: a terminal that controls another session is not taken away from it. Only then are its modes reset,
/// because the session before may have been killed while it had switched off echo or signals.
fn take_terminal() -> Result<(), i32> {
    sys::take_terminal(0)?;
    sys::reset_terminal(0)
}

/// Moves what is passed down to 3 and after, then closes everything but 0-2, that, and the status pipe, which closes
/// itself at `execve`.
fn place_descriptors(passed: i32, status: &AtomicI32) -> Result<(), i32> {
    // Out of the way of both the old places and the new ones. The plan is mapped: its descriptor is not needed.
    let pipe = sys::duplicate_cloexec(status.load(Ordering::Relaxed), FIRST_PASSED_FD + passed)?;
    status.store(pipe, Ordering::Relaxed);
    for index in 0..passed {
        // Upwards, and each target lies below its source: no source is overwritten before it was moved.
        sys::move_to(FIRST_PASSED_FD + index, FIRST_PROGRAM_FD + index)?;
    }
    sys::close_range((FIRST_PROGRAM_FD + passed) as u32, (pipe - 1) as u32)?;
    sys::close_range((pipe + 1) as u32, u32::MAX)
}

fn exec(program: &CStr, argv: Strings<'_>, envp: Strings<'_>) -> Result<(), i32> {
    let table = sys::pointer_table(argv.count() + 1 + envp.count() + 1)?;
    // Fresh anonymous memory is zero, so both lists already end in a null pointer.
    let (arguments, environment) = table
        .split_at_mut_checked(argv.count() + 1)
        .ok_or(sys::EBADMSG)?;
    fill(arguments, argv);
    fill(environment, envp);
    // SAFETY: each list has one slot more than strings, and that slot is null; the strings lie in the mapped plan.
    unsafe { sys::execve(program, arguments, environment) }
}

fn fill(slots: &mut [*const i8], strings: Strings<'_>) {
    // One slot more than strings: the last stays null.
    for (slot, string) in slots.iter_mut().zip(strings.iter()) {
        *slot = string.as_ptr();
    }
}
