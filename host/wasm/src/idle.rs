//! Threads that the kernel runs only when no other thread wants the processor (SCHED_IDLE, sched(7)), and what they do not do
//! so: hold what the core loop waits for. On a busy machine a thread that is interrupted there might go on a second later.

use std::cell::Cell;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, MutexGuard, PoisonError};

thread_local! {
    /// Whether this thread is one of them.
    static IS_IDLE: Cell<bool> = const { Cell::new(false) };
    /// How many [`AsOthers`] it has.
    static REASONS: Cell<usize> = const { Cell::new(0) };
}

/// Makes this thread one of them. Allowed to every process; where it fails, the thread keeps its weight and only
/// neighbours' latency suffers.
pub(crate) fn run_when_idle() {
    IS_IDLE.set(set_class(libc::SCHED_IDLE));
}

/// While this lives, the thread that made it runs as any other one. Nothing where it does that anyway; a microsecond
/// elsewhere. Without CAP_SYS_NICE the kernel may not allow it, and then nothing changes: that is dev mode, and no PID 1.
#[must_use]
pub(crate) struct AsOthers {
    is_idle: bool,
    /// Another thread is another one's.
    not_send: PhantomData<*const ()>,
}

impl AsOthers {
    pub(crate) fn enter() -> AsOthers {
        let is_idle = IS_IDLE.get();
        if is_idle && REASONS.replace(REASONS.get() + 1) == 0 {
            set_class(libc::SCHED_OTHER);
        }
        AsOthers {
            is_idle,
            not_send: PhantomData,
        }
    }
}

impl Drop for AsOthers {
    fn drop(&mut self) {
        if self.is_idle {
            REASONS.set(REASONS.get() - 1);
            if REASONS.get() == 0 {
                set_class(libc::SCHED_IDLE);
            }
        }
    }
}

/// A lock that the core loop takes, held.
pub(crate) struct Held<'a, T> {
    // The order counts: let go first, idle again then.
    guard: MutexGuard<'a, T>,
    _as_others: AsOthers,
}

impl<'a, T> Held<'a, T> {
    /// Of a value that a panic cannot leave half-made.
    pub(crate) fn of(lock: &'a Mutex<T>) -> Held<'a, T> {
        let as_others = AsOthers::enter();
        Held {
            guard: lock.lock().unwrap_or_else(PoisonError::into_inner),
            _as_others: as_others,
        }
    }
}

impl<T> Deref for Held<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.guard
    }
}

impl<T> DerefMut for Held<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.guard
    }
}

/// Puts this thread into a scheduling class; whether the kernel allows it.
fn set_class(class: libc::c_int) -> bool {
    // SAFETY: an all-zero sched_param is valid, lives through the call, and pid 0 is this thread.
    unsafe {
        let param: libc::sched_param = std::mem::zeroed();
        libc::sched_setscheduler(0, class, &raw const param) == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    fn class() -> libc::c_int {
        // SAFETY: asks for a number; pid 0 is this thread.
        unsafe { libc::sched_getscheduler(0) }
    }

    /// What a thread of this class that wants to be as others is then: not everybody may.
    fn allowed() -> libc::c_int {
        thread::spawn(|| {
            set_class(libc::SCHED_IDLE);
            set_class(libc::SCHED_OTHER);
            class()
        })
        .join()
        .unwrap()
    }

    #[test]
    fn an_idle_thread_holds_a_lock_as_any_other_one_and_is_idle_again() {
        let allowed = allowed();
        thread::spawn(move || {
            let lock = Mutex::new(1);
            run_when_idle();
            assert_eq!(class(), libc::SCHED_IDLE);
            let held = Held::of(&lock);
            assert_eq!(class(), allowed);
            // Until the last one is let go, in whichever order.
            let another = Mutex::new(2);
            let another = Held::of(&another);
            drop(held);
            assert_eq!((class(), *another), (allowed, 2));
            drop(AsOthers::enter());
            assert_eq!(class(), allowed);
            drop(another);
            assert_eq!(class(), libc::SCHED_IDLE);
        })
        .join()
        .unwrap();
    }

    #[test]
    fn any_other_thread_stays_what_it_is() {
        thread::spawn(|| {
            let before = class();
            drop(Held::of(&Mutex::new(1)));
            assert_eq!(class(), before);
        })
        .join()
        .unwrap();
    }
}
