//! A worker on which an Ente has just ended stays awake for a moment: the core loop is about to start the
//! next incarnation, and to wake a thread that sleeps takes as long as to make an instance.
//!
//! It costs nothing while nothing ends, and at most [`MOMENT`] for each end that a start is likely to
//! follow; meanwhile the processor goes to whoever wants it. Another component's call that wants this very
//! worker waits for the rest of the moment, or is taken by another worker.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// How long a worker stays awake at most: what it takes the core loop to wake up and to decide, with some
/// to spare.
pub(crate) const MOMENT: Duration = Duration::from_micros(100);

/// Hands what is to be started to workers that are awake for it.
#[derive(Debug)]
pub(crate) struct Vigil<T> {
    state: Mutex<State<T>>,
    /// How many are given, to be read without the lock.
    given: AtomicUsize,
}

#[derive(Debug)]
struct State<T> {
    /// Workers that are awake.
    awake: usize,
    /// What they are to start; never more than there are workers to take it.
    given: VecDeque<T>,
}

impl<T> Default for Vigil<T> {
    fn default() -> Self {
        Vigil {
            state: Mutex::new(State {
                awake: 0,
                given: VecDeque::new(),
            }),
            given: AtomicUsize::new(0),
        }
    }
}

impl<T> Vigil<T> {
    /// Gives something to a worker that is awake; gives it back when none is.
    pub(crate) fn give(&self, what: T) -> Result<(), T> {
        let mut state = self.state();
        if state.given.len() >= state.awake {
            return Err(what);
        }
        state.given.push_back(what);
        self.given.store(state.given.len(), Ordering::Release);
        Ok(())
    }

    /// Says that this worker is awake, before anybody is told what makes a start likely. What is given to
    /// it and not taken by [`Awake::wait`] goes to `otherwise`.
    pub(crate) fn enter(self: &Arc<Self>, otherwise: fn(T)) -> Awake<T> {
        self.state().awake += 1;
        Awake {
            vigil: Arc::clone(self),
            otherwise,
            here: true,
        }
    }

    fn take(&self, state: &mut State<T>) -> Option<T> {
        let taken = state.given.pop_front();
        self.given.store(state.given.len(), Ordering::Release);
        taken
    }

    /// One worker less; what the others are too few to take.
    fn leave(&self) -> Option<T> {
        let mut state = self.state();
        state.awake -= 1;
        match state.given.len() > state.awake {
            true => self.take(&mut state),
            false => None,
        }
    }

    /// One worker less, if there is something for it.
    fn leave_with_one(&self) -> Option<T> {
        let mut state = self.state();
        let taken = self.take(&mut state);
        state.awake -= usize::from(taken.is_some());
        taken
    }

    fn state(&self) -> MutexGuard<'_, State<T>> {
        // Nothing panics while it is held.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A worker that is awake.
pub(crate) struct Awake<T> {
    vigil: Arc<Vigil<T>>,
    otherwise: fn(T),
    here: bool,
}

impl<T> Awake<T> {
    /// Waits until something is given, but not longer than `at_most`.
    pub(crate) fn wait(mut self, at_most: Duration) -> Option<T> {
        let until = Instant::now() + at_most;
        while Instant::now() < until {
            if self.vigil.given.load(Ordering::Acquire) > 0
                && let Some(taken) = self.vigil.leave_with_one()
            {
                self.here = false;
                return Some(taken);
            }
            // The core loop may have been woken on this very processor.
            thread::yield_now();
        }
        self.here = false;
        self.vigil.leave()
    }
}

impl<T> Drop for Awake<T> {
    fn drop(&mut self) {
        if self.here
            && let Some(given) = self.vigil.leave()
        {
            (self.otherwise)(given);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    fn lost(number: usize) {
        panic!("{number} was given and not taken");
    }

    #[test]
    fn without_anybody_awake_it_is_given_back() {
        let vigil = Arc::new(Vigil::default());
        assert_eq!(vigil.give(1), Err(1));
        assert_eq!(vigil.enter(lost).wait(Duration::ZERO), None);
        assert_eq!(vigil.give(2), Err(2));
    }

    #[test]
    fn each_worker_takes_one() {
        let vigil = Arc::new(Vigil::default());
        let awake = [vigil.enter(lost), vigil.enter(lost)];
        assert_eq!(vigil.give(1), Ok(()));
        assert_eq!(vigil.give(2), Ok(()));
        assert_eq!(vigil.give(3), Err(3));
        assert_eq!(awake.map(|one| one.wait(LONG)), [Some(1), Some(2)]);
        assert_eq!(vigil.give(4), Err(4));
    }

    #[test]
    fn what_is_given_at_the_last_moment_is_taken() {
        let vigil = Arc::new(Vigil::default());
        let (first, second) = (vigil.enter(lost), vigil.enter(lost));
        assert_eq!(vigil.give(1), Ok(()));
        // The other one is there for it.
        assert_eq!(first.wait(Duration::ZERO), None);
        assert_eq!(second.wait(Duration::ZERO), Some(1));
    }

    #[test]
    fn what_a_worker_that_fails_was_given_goes_elsewhere() {
        static ELSEWHERE: AtomicUsize = AtomicUsize::new(0);
        let vigil = Arc::new(Vigil::default());
        let awake = vigil.enter(|number| ELSEWHERE.store(number, Ordering::SeqCst));
        assert_eq!(vigil.give(7), Ok(()));
        drop(awake);
        assert_eq!(ELSEWHERE.load(Ordering::SeqCst), 7);
        assert_eq!(vigil.give(8), Err(8));
    }

    /// However a gift and the end of a vigil meet, what is accepted is also taken.
    #[test]
    fn nothing_is_lost_between_giving_and_leaving() {
        const GIFTS: usize = 20_000;
        let vigil = Arc::new(Vigil::default());
        let keeper = {
            let vigil = Arc::clone(&vigil);
            thread::spawn(move || {
                let mut taken = Vec::new();
                while taken.last() != Some(&GIFTS) {
                    taken.extend(vigil.enter(lost).wait(Duration::from_nanos(200)));
                }
                taken.len()
            })
        };
        let given = (0..GIFTS).filter(|number| vigil.give(*number).is_ok());
        let given = given.count();
        while vigil.give(GIFTS).is_err() {
            thread::yield_now();
        }
        assert_eq!(keeper.join().unwrap(), given + 1);
    }
}
