//! What PID 1 does when it faults itself: it becomes the rescue shell instead of a kernel panic.
//!
//! wasmtime takes SIGSEGV and its like for the traps of components, and hands everything else on to
//! the handler that was there before, which is this one. Without it, a mere `kill -SEGV 1` would
//! make wasmtime restore the default action, and the next component's trap would end PID 1.

use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use std::ffi::{CStr, c_char, c_int, c_void};

/// Signals that the processor or abort(3) raises.
const FAULTS: &[Signal] = &[
    Signal::SIGSEGV,
    Signal::SIGBUS,
    Signal::SIGILL,
    Signal::SIGFPE,
    Signal::SIGABRT,
];

/// Catches faults from now on. Comes before the Wasm host is made.
///
/// # Errors
///
/// sigaction(2) refuses.
pub fn catch() -> nix::Result<()> {
    let action = SigAction::new(
        SigHandler::SigAction(on_fault),
        // On the alternate stack that Rust gives each thread, since the fault may be an overflow.
        SaFlags::SA_SIGINFO | SaFlags::SA_ONSTACK | SaFlags::SA_NODEFER,
        SigSet::empty(),
    );
    for signal in FAULTS {
        // SAFETY: the handler makes only async-signal-safe calls (signal-safety(7)).
        unsafe { sigaction(*signal, &action) }?;
    }
    Ok(())
}

extern "C" fn on_fault(signal: c_int, info: *mut libc::siginfo_t, _context: *mut c_void) {
    // SAFETY: with SA_SIGINFO the kernel passes a valid siginfo_t; for a signal that was sent
    // (si_code <= 0) it holds the sender, else the field is not read.
    let (sent, sender) = unsafe {
        let sent = (*info).si_code <= 0;
        (sent, if sent { (*info).si_pid() } else { 0 })
    };
    // SAFETY: getpid(2) has no preconditions.
    let own = sender == unsafe { libc::getpid() };
    if sent && !own {
        return; // somebody's kill(2); PID 1 has nothing to do with it
    }
    become_rescue(reason(signal));
}

fn reason(signal: c_int) -> &'static CStr {
    match signal {
        libc::SIGSEGV => c"the core of ente-zero faulted (SIGSEGV)",
        libc::SIGBUS => c"the core of ente-zero faulted (SIGBUS)",
        libc::SIGILL => c"the core of ente-zero faulted (SIGILL)",
        libc::SIGFPE => c"the core of ente-zero faulted (SIGFPE)",
        _ => c"the core of ente-zero aborted",
    }
}

/// Replaces this process; without allocating, as memory may be what is broken.
fn become_rescue(reason: &CStr) {
    let arguments: [*const c_char; 4] = [
        c"ente-zero".as_ptr(),
        c"--rescue".as_ptr(),
        reason.as_ptr(),
        std::ptr::null(),
    ];
    let environment: [*const c_char; 1] = [std::ptr::null()];
    // SAFETY: path, arguments and environment are NUL-terminated and end in a null pointer.
    // execve(2) is async-signal-safe, ends the other threads, and returns only if it fails.
    unsafe {
        libc::execve(
            c"/proc/self/exe".as_ptr(),
            arguments.as_ptr(),
            environment.as_ptr(),
        );
    }
    // Nothing left to try. With the default action the repeated fault ends PID 1, and the kernel
    // says what happened.
    for signal in FAULTS {
        // SAFETY: signal(2) takes plain values, and is async-signal-safe.
        unsafe { libc::signal(*signal as c_int, libc::SIG_DFL) };
    }
}
