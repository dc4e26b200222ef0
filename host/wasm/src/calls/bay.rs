//! Where a service stands between calls, so that a caller can make its call on the spot.
//!
//! Handing a call to another task and its answer back costs two turns of the scheduler, and often the wake-up of a
//! thread: ten times what a short call takes. A service that has nothing to do therefore leaves its body in its [`Bay`].
//! A caller on a fast worker takes it out, makes the call there and then, and puts it back. If the call does not end at
//! once, because it waits for something or computes for long, it goes to the service's own task as it is, which carries
//! it on under the service's own deadline. So does a failure: how a life ends is that task's to tell.

use super::{Answer, Answers, Call, Reply as To, Work};
use crate::body::{Body, Job, Reply, perform};
use crate::calls::peer::Current;
use crate::event::End;
use crate::exports::by_full_name;
use crate::host::{InvokeError, Shared};
use crate::lane::{self, LaneSignal, panic_message};
use crate::loader::Loaded;
use crate::trap::end_of;
use arje_bus::HandlerError;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};
use tokio::sync::{Notify, oneshot};

/// The place of one service.
#[derive(Default)]
pub(crate) struct Bay {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
enum State {
    /// The service's task has its body.
    #[default]
    Away,
    /// Here, for whoever comes; the service wakes by itself at this time, if ever.
    Idle(Box<Body>, Option<Instant>),
    /// A caller has it; whether the service's task waits for it, too, and the time as above.
    Lent(bool, Option<Instant>),
    /// For the service's task alone.
    Back(Back),
}

/// What a service's task finds.
pub(crate) enum Back {
    /// Its body.
    Body(Box<Body>),
    /// A call that did not end at once.
    Underway(Underway),
    /// The end of its life, and the body, if there is one left.
    Over(Option<Box<Body>>, End),
}

/// A call that did not end at once.
pub(crate) struct Underway {
    pub(crate) call: lane::Call<Performed>,
    pub(crate) signal: Arc<LaneSignal>,
    pub(crate) name: &'static str,
    pub(crate) reply: To,
}

/// What [`perform`] gives.
pub(crate) type Performed = (Box<Body>, wasmtime::Result<Reply>);

impl Bay {
    /// Leaves the body for callers, until this time at the latest.
    pub(crate) fn park(&self, body: Box<Body>, until: Option<Instant>) {
        *self.state() = State::Idle(body, until);
    }

    /// Takes it back, waiting for a caller who has it.
    pub(crate) async fn take(&self) -> Back {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable(); // before the look, so that no change is missed
            if let Some(back) = self.try_take() {
                return back;
            }
            changed.await;
        }
    }

    fn try_take(&self) -> Option<Back> {
        let mut state = self.state();
        match std::mem::take(&mut *state) {
            State::Idle(body, _) => Some(Back::Body(body)),
            State::Back(back) => Some(back),
            State::Lent(_, until) => {
                *state = State::Lent(true, until);
                None
            }
            State::Away => None, // nobody calls this twice
        }
    }

    /// Returns when something came back that the service's task has to see to.
    pub(crate) async fn changed(&self) {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if matches!(*self.state(), State::Back(_)) {
                return;
            }
            changed.await;
        }
    }

    /// Lends the body to a caller; none if it is not here.
    fn lend(&self) -> Option<Box<Body>> {
        let mut state = self.state();
        match std::mem::take(&mut *state) {
            State::Idle(body, until) => {
                *state = State::Lent(false, until);
                Some(body)
            }
            other => {
                *state = other;
                None
            }
        }
    }

    /// Takes the body back from a caller.
    fn give_back(&self, body: Box<Body>) {
        let mut state = self.state();
        let (awaited, until) = match *state {
            State::Lent(awaited, until) => (awaited, until),
            _ => (true, None),
        };
        // A timer that the call has set may be due before the service would wake.
        let next = body.data().timers.next();
        let sooner = next.is_some_and(|next| until.is_none_or(|until| next < until));
        if awaited || sooner {
            *state = State::Back(Back::Body(body));
            drop(state);
            self.changed.notify_waiters();
        } else {
            *state = State::Idle(body, until);
        }
    }

    /// Leaves to the service's task what is its to see to.
    fn leave(&self, back: Back) {
        *self.state() = State::Back(back);
        self.changed.notify_waiters();
    }

    /// Drops whatever is here: the life is over.
    pub(crate) fn clear(&self) {
        let state = std::mem::take(&mut *self.state());
        drop(state); // not under the lock
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Every change is one assignment; a panic cannot leave it half-made.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What comes of trying to make a call on the spot.
pub(crate) enum Attempt {
    /// It is made.
    Answered(Result<Answer, InvokeError>),
    /// It goes on in the provider's task.
    Underway(Answers),
    /// The provider is not idle; the call is to wait in its mailbox.
    Busy(Work),
}

impl Shared {
    /// Makes a call on the spot, if its provider is idle.
    pub(crate) fn attempt(&self, provider: arje_card::Id, work: Work) -> Attempt {
        let Some((control, mailbox)) = self.living_of(provider) else {
            return Attempt::Busy(work);
        };
        // Whoever waits in the mailbox came first.
        let nobody_waits = mailbox.is_empty();
        let Some(loaded) = control
            .loaded()
            .filter(|_| nobody_waits && control.is_running())
        else {
            return Attempt::Busy(work);
        };
        let Some(mut body) = control.bay.lend() else {
            return Attempt::Busy(work);
        };
        if body.data().signal.is_slow() {
            // Its calls compute long: they are for the slow lane.
            control.bay.give_back(body);
            return Attempt::Busy(work);
        }
        let (job, current) = match job(&loaded, work) {
            Ok(job) => job,
            Err(error) => {
                control.bay.give_back(body);
                return Attempt::Answered(Err(error));
            }
        };
        let within = Duration::from_millis(body.data().peer.card().limits.call_ms);
        body.data_mut().peer.begin(Some(within), current);
        let (name, signal) = (job.name(), Arc::clone(&body.data().signal));
        signal.resume_here(&self.ticker);
        let mut call: lane::Call<Performed> = Box::pin(perform(body, job));
        // Nobody has to be woken: if it does not end now, the service's task polls it next.
        let mut context = Context::from_waker(Waker::noop());
        let polled = catch_unwind(AssertUnwindSafe(|| call.as_mut().poll(&mut context)));
        match polled {
            Ok(Poll::Ready((body, Ok(reply)))) => {
                control.bay.give_back(body);
                Attempt::Answered(answer_of(reply))
            }
            Ok(Poll::Ready((body, Err(error)))) => {
                let end = end_of(&error);
                control.bay.leave(Back::Over(Some(body), end));
                Attempt::Answered(Err(InvokeError::ProviderDied))
            }
            Ok(Poll::Pending) => {
                let (reply, answer) = oneshot::channel();
                control.bay.leave(Back::Underway(Underway {
                    call,
                    signal,
                    name,
                    reply,
                }));
                Attempt::Underway(answer)
            }
            Err(panic) => {
                drop(call);
                let message = panic_message(panic.as_ref());
                control.bay.leave(Back::Over(None, End::HostPanic(message)));
                Attempt::Answered(Err(InvokeError::ProviderDied))
            }
        }
    }
}

/// What a provider's reply is to its caller.
pub(crate) fn answer_of(reply: Reply) -> Result<Answer, InvokeError> {
    match reply {
        Reply::Bytes(bytes) => Ok(Answer::Bytes(bytes)),
        Reply::Values(values) => Ok(Answer::Values(values?)),
        Reply::Refused(error) => Err(InvokeError::Refused(error)),
        Reply::Done | Reply::Failed(_) => Err(InvokeError::ProviderDied), // no call ends so
    }
}

/// What is to be done, and for whom.
pub(crate) fn job(loaded: &Loaded, work: Work) -> Result<(Job, Option<Current>), InvokeError> {
    Ok(match work {
        Work::Function { name, payload } => match by_full_name(&loaded.component, &name) {
            Some(export) => (Job::Invoke(export, payload), None),
            None => return Err(InvokeError::NoSuchFunction(name.into())),
        },
        Work::Handle(call) => {
            let handle = loaded
                .exports
                .handle
                .ok_or(InvokeError::Refused(HandlerError::Unsupported))?;
            let current = current_of(&call);
            (Job::Handle(handle, call), Some(current))
        }
        Work::Typed(call) => {
            let current = Current {
                caller: call.caller.clone(),
                capability: call.capability.clone(),
                deadline: call.deadline,
            };
            (Job::Typed(call.made_in(loaded)?), Some(current))
        }
    })
}

fn current_of(call: &Call) -> Current {
    Current {
        caller: call.caller.clone(),
        capability: call.capability.clone(),
        deadline: call.deadline,
    }
}
