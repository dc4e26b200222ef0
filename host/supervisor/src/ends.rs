//! What an end leads to.

use arje_card::{RestartOn, Supervision};

use crate::action::{Action, Cause, State, StopReason};
use crate::exit::{ExitStatus, KilledFor, SIGKILL};
use crate::index::EnteIx;
use crate::supervisor::Supervisor;

impl Supervisor {
    /// The live incarnation of an Ente has ended. `None` for a container, which has no status.
    pub(crate) fn ended(&mut self, ix: EnteIx, status: Option<ExitStatus>) {
        self.set_timer(ix, None);
        self.forget_dynamic(ix);
        let Some(ente) = self.table.get_mut(ix) else {
            return;
        };
        let stop = ente.stop.take();
        let frees = std::mem::take(&mut ente.frees);
        let silent = matches!(&stop, Some(stop) if stop.reason == StopReason::NotAlive);
        let status = match status {
            Some(ExitStatus::Signal(SIGKILL)) if silent => {
                Some(ExitStatus::Killed(KilledFor::Silence))
            }
            other => other,
        };
        if let Some(status) = &status {
            ente.last_exit = Some(status.clone());
        }
        let cause = match (&status, &stop) {
            (Some(status), _) => Cause::Exited(status.clone()),
            (None, Some(stop)) => Cause::Stop(stop.reason.clone()),
            (None, None) => Cause::Ready,
        };
        match (stop.map(|stop| stop.reason), status) {
            // Killed because it hung: a crash, whatever status that left.
            (Some(StopReason::NotAlive), Some(status)) if self.is_wanted(ix) => {
                self.crashed(ix, status.clone());
                self.report_delegate(ix, status);
            }
            (Some(reason), _) => self.stopped(ix, &reason, cause),
            (None, Some(status)) => self.ended_unasked(ix, status),
            (None, None) => {}
        }
        for (other, ticket) in frees {
            self.release(other, ticket);
        }
        self.sweep(ix);
    }

    fn is_wanted(&self, ix: EnteIx) -> bool {
        let up = self.shutdown.is_none();
        up && self.table.get(ix).is_some_and(|ente| ente.wanted)
    }

    /// It ended because it was told to.
    fn stopped(&mut self, ix: EnteIx, reason: &StopReason, cause: Cause) {
        let to = match reason {
            _ if !self.is_wanted(ix) => State::Declared,
            StopReason::Lost(_) => State::Parked,
            // Wanted again: restart, or start after stop.
            _ => State::Waiting,
        };
        self.set_state(ix, to, cause);
    }

    /// It ended by itself.
    fn ended_unasked(&mut self, ix: EnteIx, status: ExitStatus) {
        let Some(ente) = self.table.get_mut(ix) else {
            return;
        };
        let (success, ready_by_exit) = (status.success(), ente.ready_by_exit());
        if success && ready_by_exit {
            ente.succeeded = true;
        }
        let clean = match ente.brief.supervision {
            Supervision::Restart { .. } => ente.brief.restart_on == RestartOn::Failure,
            Supervision::OneShot | Supervision::Delegate => true,
        };
        if success && (clean || ready_by_exit) {
            self.set_state(ix, State::Done, Cause::Exited(status.clone()));
        } else {
            self.crashed(ix, status.clone());
        }
        self.report_delegate(ix, status);
    }

    /// It ended as it should not: again after a delay, or never again.
    fn crashed(&mut self, ix: EnteIx, status: ExitStatus) {
        let now = self.now;
        let Some(delays) = self.restart_delays(ix) else {
            return self.set_state(ix, State::Failed, Cause::Exited(status));
        };
        let Some(ente) = self.table.get_mut(ix) else {
            return;
        };
        ente.crashed = true;
        let limit = ente.brief.start_limit;
        let started = ente.started_at.unwrap_or(now);
        match ente.crashes.note(limit, delays, started, now) {
            Ok(delay) => {
                // From the start, not from the end: a delay keeps starts apart, and one that lived
                // longer has waited already.
                self.set_timer(ix, Some(started.plus(delay).max(now)));
                self.set_state(ix, State::Backoff, Cause::Exited(status));
            }
            Err(starts) => {
                let cause = Cause::StartLimit {
                    status,
                    starts,
                    interval_ms: limit.interval_ms,
                };
                self.set_state(ix, State::Failed, cause);
            }
        }
    }

    /// Tells the parent of a `Delegate` Ente, and of no other, that it ended.
    fn report_delegate(&mut self, ix: EnteIx, status: ExitStatus) {
        let Some(ente) = self.table.get(ix) else {
            return;
        };
        if ente.brief.supervision != Supervision::Delegate {
            return;
        }
        let parent = ente.parent.and_then(|parent| self.table.get(parent));
        self.out.push(Action::DelegateEnded {
            id: ente.brief.id,
            incarnation: ente.incarnation,
            parent: parent.map(|parent| parent.brief.id),
            status,
        });
    }
}
