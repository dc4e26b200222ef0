//! From what changed to what follows: looking again at exactly the Entes that are concerned, until
//! nothing more follows.

use arje_card::Supervision;

use crate::action::{Action, Cause, State, StopReason};
use crate::event::Millis;
use crate::index::EnteIx;
use crate::status::Transition;
use crate::supervisor::Supervisor;

impl Supervisor {
    /// Works through all lists. Facts first, so that nobody starts on outdated ones; then starts and
    /// stops, in order of rank; then the stops begun, when all who must stop with them are known.
    pub(crate) fn settle(&mut self) {
        loop {
            if let Some(ix) = self.work.refresh.pop_first() {
                self.refresh(ix);
            } else if let Some((_, ix)) = self.work.check.pop_first() {
                self.evaluate(ix);
            } else if !self.work.closing.is_empty() {
                self.close_round();
            } else {
                return;
            }
        }
    }

    fn evaluate(&mut self, ix: EnteIx) {
        self.work.looks += 1;
        let Some(ente) = self.table.get(ix) else {
            return;
        };
        match ente.state {
            State::Waiting | State::Parked => self.try_start(ix, Cause::Met),
            // With its deadline taken away, the delay has passed.
            State::Backoff if ente.timer.is_none() => self.try_start(ix, Cause::BackoffOver),
            State::Starting | State::Ready => match self.find_loss(ix) {
                Some(hold) => self.begin_stop(ix, StopReason::Lost(hold)),
                None => self.evaluate_container(ix),
            },
            _ => {}
        }
    }

    fn try_start(&mut self, ix: EnteIx, cause: Cause) {
        if self.shutdown.is_some() {
            return;
        }
        if self.find_hold(ix).is_none() {
            return self.start(ix, cause);
        }
        if cause == Cause::BackoffOver {
            self.set_state(ix, State::Waiting, cause);
        }
    }

    fn start(&mut self, ix: EnteIx, cause: Cause) {
        let now = self.now;
        let Some(ente) = self.table.get_mut(ix) else {
            return;
        };
        ente.incarnation = ente.next_number();
        ente.starts = ente.starts.saturating_add(1);
        if ente.crashed {
            ente.restarts = ente.restarts.saturating_add(1);
        }
        ente.crashed = false;
        ente.started_at = Some(now);
        ente.ready_after_ms = None;
        ente.liveness_ms = None;
        let (id, incarnation) = (ente.brief.id, ente.incarnation);
        let container = ente.is_container();
        self.set_state(ix, State::Starting, cause);
        if !container {
            self.out.push(Action::Start { id, incarnation });
        }
    }

    /// A container is ready when every child that must be is ready or done.
    fn evaluate_container(&mut self, ix: EnteIx) {
        let Some(ente) = self.table.get(ix).filter(|ente| ente.is_container()) else {
            return;
        };
        match (ente.state, ente.missing_children) {
            (State::Starting, 0) => self.become_ready(ix),
            (State::Ready, 1..) => {
                let child = ente.missing_child.unwrap_or(ente.brief.id);
                self.set_state(ix, State::Starting, Cause::ChildMissing(child));
            }
            _ => {}
        }
    }

    pub(crate) fn become_ready(&mut self, ix: EnteIx) {
        let now = self.now;
        let Some(ente) = self.table.get_mut(ix) else {
            return;
        };
        ente.ready_after_ms = ente.started_at.map(|started| now.since(started));
        // The deadline of its return, if it had one.
        self.set_timer(ix, None);
        self.set_state(ix, State::Ready, Cause::Ready);
        self.arm_liveness(ix);
    }

    /// The next sign of life is due `liveness_ms` from now, if its Card wants any.
    pub(crate) fn arm_liveness(&mut self, ix: EnteIx) {
        let Some(ente) = self.table.get(ix).filter(|ente| !ente.is_container()) else {
            return;
        };
        if let Some(ms) = ente.liveness_ms.or(ente.brief.liveness_ms) {
            // 0 would be due before anything can answer.
            self.set_timer(ix, Some(self.now.plus(ms.max(1))));
        }
    }

    /// Signs of life are due in another rhythm than the Card says, until the incarnation ends.
    pub(crate) fn change_liveness(&mut self, ix: EnteIx, ms: u64) {
        let Some(ente) = self.table.get_mut(ix) else {
            return;
        };
        if ente.brief.liveness_ms.is_some() {
            ente.liveness_ms = Some(ms.max(1));
            if ente.state == State::Ready {
                self.arm_liveness(ix);
            }
        }
    }

    /// The one place where a state changes.
    pub(crate) fn set_state(&mut self, ix: EnteIx, to: State, cause: Cause) {
        let now = self.now;
        let Some(ente) = self.table.get_mut(ix) else {
            return;
        };
        let (id, incarnation) = (ente.brief.id, ente.incarnation);
        let from = std::mem::replace(&mut ente.state, to);
        ente.since = now;
        ente.remember(Transition {
            at: now,
            incarnation,
            from,
            to,
            cause: cause.clone(),
        });
        self.out.push(Action::StateChanged {
            id,
            incarnation,
            from,
            to,
            cause,
        });
        if !matches!(to, State::Waiting | State::Starting) {
            self.end_return(ix);
        }
        if to != State::Ready {
            self.abandon_successor(ix);
        }
        self.refresh(ix);
        self.check(ix);
    }

    pub(crate) fn set_timer(&mut self, ix: EnteIx, at: Option<Millis>) {
        let Some(ente) = self.table.get_mut(ix) else {
            return;
        };
        let old = std::mem::replace(&mut ente.timer, at);
        if let Some(old) = old {
            self.timers.remove(&(old, ix));
        }
        if let Some(at) = at {
            self.timers.insert((at, ix));
        }
    }

    /// Fires the deadlines that have come; returns whether there were any.
    pub(crate) fn fire_due(&mut self) -> bool {
        let mut any = self.fire_shutdown();
        while let Some((at, ix)) = self.timers.first().copied()
            && at <= self.now
        {
            any = true;
            self.set_timer(ix, None);
            self.fire(ix);
        }
        any
    }

    fn fire(&mut self, ix: EnteIx) {
        let Some(ente) = self.table.get(ix) else {
            return;
        };
        match ente.state {
            State::Backoff => self.check(ix),
            // No sign of life: it cannot be expected to stop in order either.
            State::Ready => self.kill(ix, StopReason::NotAlive),
            // Its grace has passed.
            State::Stopping => self.kill_stopping(ix),
            // It did not come back in time.
            State::Waiting | State::Starting => {
                self.end_return(ix);
                self.refresh(ix);
                // What it no longer holds may have been what kept it from starting.
                self.check(ix);
            }
            _ => {}
        }
    }

    /// Tells the executor the next deadline, if it is another one than before.
    pub(crate) fn announce_timer(&mut self) {
        let first = self.timers.first().map(|(at, _)| *at);
        let shutdown = self.shutdown.as_ref().and_then(|down| down.next());
        let at = match (first, shutdown) {
            (Some(first), Some(shutdown)) => Some(first.min(shutdown)),
            (first, shutdown) => first.or(shutdown),
        };
        if at != self.timer_sent {
            self.timer_sent = at;
            self.out.push(Action::SetTimer { at });
        }
    }

    /// Whether ends of this Ente that nobody asked for lead to a restart, and with which delays.
    pub(crate) fn restart_delays(&self, ix: EnteIx) -> Option<(u64, u64)> {
        match self.table.get(ix)?.brief.supervision {
            Supervision::Restart { initial, max } => Some((initial, max)),
            Supervision::OneShot | Supervision::Delegate => None,
        }
    }
}
