//! The init of a PID namespace: the executor stays, and its child becomes the program.
//!
//! The kernel treats the first process of a PID namespace as an init: signals with their default disposition do not
//! reach it from inside, it inherits every orphan, and when it ends, all others are killed before its end is told. A
//! program that does not expect to be one would ignore SIGTERM and collect zombies. So the executor itself stays as
//! the first process, reaps, hands on the signals that come from outside, and ends as the program ended.

use core::sync::atomic::{AtomicI32, Ordering};

use ente_spawn::{MAX_SUBJECT_BYTES, MESSAGE_BYTES, Message, SIGNAL_EXIT_CODE, STATUS_FD};

use crate::sys::process::{self, Ended, SIGCHLD};
use crate::sys::{self, privilege};

/// Returns in the child, which goes on with the plan in a session of its own. Its failures reach PID 1 by way of the
/// init, which tells an exec from a failure by the end of the same pipe.
pub(crate) fn split(status: &AtomicI32) -> Result<(), i32> {
    let (reader, writer) = process::pipe()?;
    // Before there is a child: no signal that comes from now on is lost.
    process::block_all_signals()?;
    match process::fork()? {
        Some(program) => Init { program }.run(reader, status.load(Ordering::Relaxed)),
        None => {
            sys::close(reader);
            // The init keeps the other copy; this one would be open in the program.
            sys::duplicate_to(writer, STATUS_FD)?;
            sys::close(writer);
            status.store(STATUS_FD, Ordering::Relaxed);
            sys::unblock_all_signals()?;
            sys::setsid()
        }
    }
}

struct Init {
    /// Process id of the program, as seen inside.
    program: i32,
}

impl Init {
    fn run(&self, reader: i32, status: i32) -> ! {
        // Failing to give something up is no reason to leave the program without its init.
        let _ = give_up_everything(reader, status);
        relay(reader, status);
        sys::close(reader);
        loop {
            match self.reap() {
                Some(ended) => finish(&ended, status),
                None => self.hand_on_signal(),
            }
        }
    }

    /// Reaps all that have ended; the program, if it is among them.
    fn reap(&self) -> Option<Ended> {
        while let Ok(ended) = process::reap() {
            if ended.pid == 0 {
                break;
            }
            if ended.pid == self.program {
                return Some(ended);
            }
        }
        None
    }

    /// Waits for a signal. What comes from outside goes to the program's process group, as PID 1 sends it to that of an
    /// Ente without an init; what comes from inside goes nowhere, as with any init.
    fn hand_on_signal(&self) {
        let Ok((signal, sender)) = process::next_signal() else {
            return;
        };
        if signal == SIGCHLD || sender != 0 {
            return;
        }
        if process::kill(-self.program, signal) == Err(sys::ESRCH) {
            // It has no group of its own yet, or gave up leading one.
            let _ = process::kill(self.program, signal);
        }
    }
}

/// The init needs one descriptor and one capability: to signal a program of another user.
fn give_up_everything(reader: i32, status: i32) -> Result<(), i32> {
    let (low, high) = (reader.min(status), reader.max(status));
    for (first, last) in [(0, low - 1), (low + 1, high - 1)] {
        if last >= 0 {
            sys::close_range(first as u32, last as u32)?;
        }
    }
    sys::close_range((high + 1) as u32, u32::MAX)?;
    privilege::set_no_new_privileges()?;
    privilege::keep_capabilities(privilege::CAP_KILL)?;
    privilege::set_undumpable()
}

/// Waits until the child has executed the program or failed, and tells PID 1.
fn relay(reader: i32, status: i32) {
    let mut message = [0; MESSAGE_BYTES + MAX_SUBJECT_BYTES];
    let length = sys::read(reader, &mut message).unwrap_or(0);
    let running = Message::Running.encode();
    // Nobody is left to tell when this fails; the exit code still says how it ended.
    let _ = match message.get(..length) {
        Some(failure) if length >= MESSAGE_BYTES => sys::write(status, failure),
        _ => sys::write(status, &running),
    };
}

/// Ends as the program did. All that is left in the namespace ends with it.
fn finish(ended: &Ended, status: i32) -> ! {
    let signal = ended.status & 0x7f;
    if signal == 0 {
        sys::exit(ended.status >> 8 & 0xff);
    }
    let died = Message::Died {
        signal,
        core_dumped: ended.status & 0x80 != 0,
    };
    let _ = sys::write(status, &died.encode());
    sys::exit(SIGNAL_EXIT_CODE + signal)
}
