//! How long an Ente is waited for: signs of life while it is Ready, grace when it was told to stop. Who
//! is killed was silent, said that it cannot go on, had its time, or was to be killed by somebody's word;
//! and whoever this is true of is killed.

use arje_card::Id;
use arje_supervisor::{Cause, Command, EventKind, Incarnation, Report, State, StopReason, limits};

use crate::check::Checker;
use crate::invariants::{Check, ensure};
use crate::model::Ente;

/// What a watcher believes about one life.
#[derive(Default)]
pub struct Patience {
    /// Another rhythm of signs of life than the Card's.
    pub rhythm: Option<u64>,
    /// When the next sign of life is due at the latest.
    alive_until: Option<u64>,
    /// When it is killed, having been told to stop.
    grace_until: Option<u64>,
    /// It said that it cannot go on.
    doomed: bool,
    /// Why it is Stopping.
    reason: Option<StopReason>,
}

/// What an event says about killing.
#[derive(Clone, Copy, PartialEq)]
pub enum Word {
    /// Somebody asked for it.
    Kill(Id),
    /// It said itself that it cannot go on.
    NotAlive(Id, Incarnation),
}

impl Word {
    pub fn of(event: &EventKind) -> Option<Word> {
        match event {
            EventKind::Command {
                id,
                command: Command::Kill,
            } => Some(Word::Kill(*id)),
            EventKind::Report {
                id,
                incarnation,
                report: Report::NotAlive,
            } => Some(Word::NotAlive(*id, *incarnation)),
            _ => None,
        }
    }
}

impl Ente {
    /// A sign of life is due a full rhythm from now on, if it is watched at all.
    fn await_sign(&mut self, now: u64) {
        let rhythm = self.patience.rhythm.or(self.card.liveness_ms);
        if let Some(ms) = rhythm.filter(|_| !self.container) {
            self.patience.alive_until = Some(now + ms.max(1));
        }
    }

    /// It was told to stop.
    pub fn give_grace(&mut self, now: u64) {
        self.patience.grace_until = Some(now + self.card.stop_timeout_ms);
    }

    /// Its restart was asked for while it was Stopping: that is why it stops now.
    pub fn stops_to_restart(&mut self) {
        if self.state == State::Stopping {
            self.patience.reason = Some(StopReason::Command(Command::Restart));
        }
    }

    /// It says something about its time; what that was, if it counts.
    pub fn speaks(&mut self, report: &Report, now: u64) -> Option<&'static str> {
        match report {
            Report::Alive if self.state == State::Ready => self.await_sign(now),
            Report::NotAlive if self.state != State::Stopping => {
                self.patience.doomed = true;
                return Some("said that it cannot go on");
            }
            Report::Liveness { ms } if self.card.liveness_ms.is_some() => {
                self.patience.rhythm = Some((*ms).max(1));
                if self.state == State::Ready {
                    self.await_sign(now);
                }
                return Some("asked for another rhythm");
            }
            Report::MoreTime { ms } if self.told_to_stop && !self.killed => {
                let until = now + ms;
                let longer = self.patience.grace_until < Some(until);
                self.patience.grace_until = self.patience.grace_until.max(Some(until));
                return longer.then_some("got more time");
            }
            // It has stopped: what its end looks like is not its doing.
            Report::Interrupted => self.patience.reason = None,
            _ => {}
        }
        None
    }

    /// After a hand-over signs of life are due anew; nobody was there to take them.
    pub fn await_sign_anew(&mut self, now: u64) {
        if self.state == State::Ready {
            self.await_sign(now);
        }
    }
}

impl Checker {
    /// A state has changed; `self` still has the reason of a stop that ends with it.
    pub fn patience_changes(&mut self, id: Id, from: State, to: State, cause: &Cause) -> Check {
        let (now, word, up) = (self.now, self.word, self.shutdown.is_none());
        let ente = self.model.entes.get_mut(&id).expect("known");
        let label = &ente.card.label;
        if let Cause::Stop(reason) = cause
            && to == State::Stopping
        {
            ente.patience.reason = Some(reason.clone());
            let silent =
                from == State::Ready && ente.patience.alive_until.is_some_and(|at| at <= now);
            let said = word == Some(Word::NotAlive(id, ente.incarnation));
            ensure(
                *reason != StopReason::NotAlive || silent || said,
                "patience",
                || format!("{label} is not silent"),
            )?;
            if silent && *reason == StopReason::NotAlive {
                self.coverage.note("was silent");
            }
        } else if from == State::Stopping {
            let hung = ente.patience.reason.take() == Some(StopReason::NotAlive);
            let crash = hung && ente.wanted && up;
            ensure(
                !crash || matches!(to, State::Backoff | State::Failed),
                "patience",
                || format!("{label} hung, and is {to}"),
            )?;
        } else if to == State::Ready {
            ente.await_sign(now);
        } else if to == State::Starting && from != State::Ready {
            ente.patience = Patience::default();
        }
        Ok(())
    }

    /// Whether an Ente may be killed now.
    pub fn may_kill(&self, id: Id) -> Check {
        let ente = &self.model.entes[&id];
        let patience = &ente.patience;
        let over = ente.told_to_stop && patience.grace_until.is_some_and(|at| at <= self.now);
        let ok = over
            || patience.reason == Some(StopReason::NotAlive)
            || self.word == Some(Word::Kill(id))
            || self.kill_at.is_some_and(|at| at <= self.now);
        ensure(ok, "patience", || {
            let until = patience.grace_until;
            format!("{} is killed before its time, {until:?}", ente.card.label)
        })
    }

    /// What must hold of an Ente after every step: nobody is waited for any longer than that.
    pub fn check_patience(&self, id: Id) -> Check {
        let ente = &self.model.entes[&id];
        let patience = &ente.patience;
        let over = |at: Option<u64>| at.is_some_and(|at| at <= self.now);
        let due = match ente.state {
            State::Ready => over(patience.alive_until),
            State::Stopping => {
                ente.told_to_stop && over(patience.grace_until) || over(self.kill_at)
            }
            _ => false,
        };
        let due = due || patience.doomed && ente.state.is_live();
        ensure(!due || !ente.running || ente.killed, "patience", || {
            format!("{} is {} and not killed", ente.card.label, ente.state)
        })
    }

    /// A shutdown kills what is left a while before its deadline.
    pub fn shutdown_kills(&mut self, deadline_ms: u64) {
        let before = (deadline_ms / 4).min(limits::SHUTDOWN_KILL_MS);
        let at = self.now + deadline_ms - before;
        self.kill_at = Some(self.kill_at.map_or(at, |earlier| earlier.min(at)));
    }
}
