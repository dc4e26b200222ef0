//! The fork server: a small process that makes children for PID 1.
//!
//! PID 1 is large, and a child that it made itself would have to share its memory up to an `execve`. Such a child could
//! do nothing of a plan: a fault in it, or its core dump, would be PID 1's. This process is a few pages, so a copy of it
//! is cheap, and the copy goes on with the plan at once: from clone to program there is one `execve` and not two. The
//! children are PID 1's own all the same (`CLONE_PARENT`, clone(2)), which alone reaps them.
//!
//! It knows nothing but what is sent to it, and ends when PID 1's end of the socket is closed.

use core::sync::atomic::{AtomicI32, Ordering};

use ente_spawn::{
    FIRST_PASSED_FD, MAX_SENT, ORDER_BYTES, Order, PLAN_FD, SERVER_FD, STATUS_FD, StepKind,
};

use crate::sys::{self, process, socket};

/// Descriptors up to here are never free in the server, so that what is sent gets higher numbers, in ascending order, and
/// nothing that has yet to be moved lies where something is moved to.
const LAST_KEPT: i32 = FIRST_PASSED_FD - 1;

/// The last real-time signal (`signal(7)`).
const LAST_SIGNAL: i32 = 64;

/// Serves until PID 1's end is closed, and exits then. Returns in each child, with its descriptors as in
/// `docs/native.md` and its status pipe noted in `status`; an error is about that.
pub(crate) fn serve(status: &AtomicI32) -> Result<(), i32> {
    if prepare().is_err() {
        sys::exit(1); // PID 1 sees the end of the socket
    }
    let mut descriptors = [-1; MAX_SENT];
    loop {
        let mut request = [0; ORDER_BYTES];
        let Ok(received) = socket::receive(SERVER_FD, &mut request, &mut descriptors) else {
            sys::exit(0);
        };
        let sent = descriptors.get(..received.descriptors).unwrap_or(&[]);
        let order = Order::decode(&request, received.bytes, sent.len());
        let answer = match order {
            Some(order) if received.is_whole => match make(order, sent) {
                Ok(None) => return become_child(order, sent, status),
                Ok(Some(pid)) => pid,
                Err(errno) => -errno,
            },
            // More than this process may have open.
            Some(_) => -sys::EMFILE,
            // The other end is closed, or it is not PID 1.
            None => sys::exit(0),
        };
        // A failure is that of the socket, and then the next call says so.
        let _ = sys::close_range(FIRST_PASSED_FD as u32, u32::MAX);
        let _ = sys::write(SERVER_FD, &answer.to_le_bytes());
    }
}

/// A session of its own, so that no terminal's signals reach it, no signal ignored or blocked, and nothing open but the
/// socket.
fn prepare() -> Result<(), i32> {
    sys::setsid()?;
    // What PID 1, or the C library when it started this, ignores or blocks would stay so over `execve`, in every child.
    for signal in 1..=LAST_SIGNAL {
        // Two cannot be set, and need not be.
        let _ = sys::default_disposition(signal);
    }
    sys::unblock_all_signals()?;
    for number in SERVER_FD + 1..=LAST_KEPT {
        sys::duplicate_to(SERVER_FD, number)?;
    }
    sys::close_range(FIRST_PASSED_FD as u32, u32::MAX)
}

/// `None` in the child.
fn make(order: Order, sent: &[i32]) -> Result<Option<i32>, i32> {
    let cgroup = if order.has_cgroup {
        Some(*sent.get(Order::CGROUP).ok_or(sys::EBADMSG)?)
    } else {
        None
    };
    process::clone_sibling(cgroup, order.pid_namespace)
}

fn become_child(order: Order, sent: &[i32], status: &AtomicI32) -> Result<(), i32> {
    // By its present number first, since what follows can fail.
    status.store(
        *sent.get(Order::STATUS).ok_or(sys::EBADMSG)?,
        Ordering::Relaxed,
    );
    for (from, to) in order.moved(sent).zip(0..) {
        // See LAST_KEPT; anything else would overwrite what is still to be moved.
        if from <= to {
            return Err(sys::EBADMSG);
        }
        sys::move_to(from, to)?;
    }
    status.store(STATUS_FD, Ordering::Relaxed);
    // What was moved is still open by its old number, and must not be taken for something that was passed.
    let first_free = sent.len() - usize::from(order.has_cgroup);
    sys::close_range(first_free as u32, u32::MAX)?;
    sys::limit_files(order.files_soft, order.files_hard)
}

/// What is wrong before there is a plan.
pub(crate) const STEP: StepKind = StepKind::Executor;

// The numbers of the descriptors follow from their order.
const _: () = assert!(PLAN_FD == 3 && STATUS_FD == 4 && FIRST_PASSED_FD == 5);
