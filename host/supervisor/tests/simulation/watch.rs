//! What each single action may be, given all that happened before it.

use arje_card::{Id, Readiness, Supervision};
use arje_supervisor::{Action, Cause, Command, ExitStatus, Incarnation, State, StopReason};

use crate::check::{Checker, variant};
use crate::invariants::{Check, Failure, ensure};
use crate::model::Caps;

/// The transitions of `docs/supervision.md`.
fn may_follow(from: State, to: State, container: bool) -> bool {
    use State::{Backoff, Declared, Done, Failed, Parked, Ready, Starting, Stopping, Waiting};
    match from {
        Declared => to == Waiting,
        Waiting => matches!(to, Starting | Declared),
        Parked => matches!(to, Starting | Declared | Waiting),
        Starting => {
            matches!(to, Ready | Stopping)
                || !container && matches!(to, Done | Backoff | Failed | Waiting)
        }
        Ready if container => matches!(to, Starting | Stopping),
        Ready => matches!(to, Stopping | Done | Backoff | Failed | Waiting),
        Stopping => matches!(to, Declared | Waiting | Parked | Backoff | Failed),
        Done | Failed => matches!(to, Waiting | Declared),
        Backoff => matches!(to, Starting | Waiting | Declared),
    }
}

impl Checker {
    pub fn watch(&mut self, action: &Action) -> Check {
        self.coverage.note(match action {
            Action::StateChanged { from, to, .. } => format!("{from} -> {to}"),
            Action::Stop { reason, .. } => match reason {
                StopReason::Lost(hold) => format!("stop: lost {}", variant(hold)),
                other => format!("stop: {}", variant(other)),
            },
            other => variant(other),
        });
        match action {
            Action::StateChanged {
                id,
                incarnation,
                from,
                to,
                cause,
            } => self.changed(*id, *incarnation, *from, *to, cause),
            Action::Start { id, incarnation } => {
                let ente = self.model.entes.get_mut(id).expect("known");
                let ok = !ente.running && ente.state == State::Starting && !ente.container;
                ensure(
                    ok && ente.incarnation == *incarnation,
                    "one end per start",
                    || format!("{} is started as {incarnation}", ente.card.label),
                )?;
                (ente.running, ente.told_to_stop, ente.killed) = (true, false, false);
                Ok(())
            }
            Action::Stop {
                id,
                incarnation,
                reason,
            } => self.told(*id, *incarnation, reason),
            Action::StartBeside {
                id, incarnation, ..
            } => {
                let ente = self.model.entes.get_mut(id).expect("known");
                let ok = ente.running && ente.state == State::Ready && ente.successor.is_none();
                let next = *incarnation > ente.numbered;
                (ente.successor, ente.numbered) = (Some(*incarnation), *incarnation);
                ensure(ok && next, "succession", || {
                    format!("{} gets the successor {incarnation}", ente.card.label)
                })
            }
            Action::Kill { id, incarnation } => {
                let ente = self.model.entes.get_mut(id).expect("known");
                if ente.successor == Some(*incarnation) {
                    ente.successor = None;
                    self.coverage.note("a successor was given up");
                    return ensure(ente.state != State::Ready, "succession", || {
                        format!("{} loses its successor", ente.card.label)
                    });
                }
                let ok = ente.running && !ente.killed && ente.incarnation == *incarnation;
                ensure(ok && ente.state == State::Stopping, "states", || {
                    format!("{} is killed in {}", ente.card.label, ente.state)
                })?;
                ente.killed = true;
                self.may_kill(*id)
            }
            Action::Provided { capability, by } => {
                self.routed(*by, self.model.bit(capability), true)
            }
            Action::Withdrawn { capability, by } => {
                self.routed(*by, self.model.bit(capability), false)
            }
            Action::DelegateEnded { id, .. } => {
                let ente = &self.model.entes[id];
                ensure(
                    ente.card.supervision == Supervision::Delegate,
                    "states",
                    || format!("{} is no Delegate", ente.card.label),
                )
            }
            Action::Removed { id } => self.removed(*id),
            Action::SetTimer { .. } => Ok(()),
            Action::ShutdownComplete { left } => self.completed(left),
        }
    }

    fn changed(
        &mut self,
        id: Id,
        incarnation: Incarnation,
        from: State,
        to: State,
        cause: &Cause,
    ) -> Check {
        let (now, clock, down) = (self.now, self.clock, self.shutdown.is_some());
        let can_start = self.can_start(id);
        let ente = self.model.entes.get_mut(&id).expect("known");
        let label = ente.card.label.clone();
        let text = || format!("{label}: {from} -> {to} ({cause})");
        let mut returned = false;
        ensure(ente.state == from, "states", || {
            format!("{} in fact, {}", ente.state, text())
        })?;
        let replaced = *cause == Cause::Replaced;
        let follows = may_follow(from, to, ente.container) && !replaced;
        let succeeds = (from, to) == (State::Ready, State::Ready) && replaced;
        ensure(follows || succeeds, "states", text)?;
        if succeeds {
            let its = ente.successor.take() == Some(incarnation);
            ensure(its && ente.running, "succession", text)?;
            (ente.incarnation, ente.started_at) = (incarnation, now);
            (ente.extras, ente.hidden, ente.delay) = (0, 0, None);
            ente.patience.rhythm = None;
            self.crashes.remove(&id);
            self.coverage.note("a successor took over");
        }
        let begins = to == State::Starting && from != State::Ready;
        if begins {
            ensure(ente.wanted && !ente.removing && !down, "stays down", text)?;
            ensure(can_start, "needs", text)?;
            // The first life of an id that was used before goes on counting somewhere.
            let next = ente.numbered == 0 || incarnation == ente.numbered + 1;
            ensure(
                next && incarnation > 0 && !ente.running,
                "one end per start",
                text,
            )?;
            let waited = ente.not_before.take().is_none_or(|at| now >= at);
            ensure(waited, "backoff", || format!("too early: {}", text()))?;
            (ente.born, ente.started_at) = (clock, now);
            (ente.incarnation, ente.told_to_stop, ente.killed) = (incarnation, false, false);
            ente.numbered = incarnation;
        }
        if to == State::Starting || to == State::Ready {
            ensure(
                ente.container || begins || ente.running,
                "one end per start",
                text,
            )?;
        }
        if from.is_live() && !to.is_live() {
            ensure(!ente.running, "one end per start", || {
                format!("still runs: {}", text())
            })?;
            if *cause == Cause::Interrupted {
                ente.extras &= ente.kept;
                ente.hidden = ente.extras;
            } else {
                (ente.extras, ente.hidden) = (0, 0);
            }
        }
        if !matches!(to, State::Waiting | State::Starting) {
            returned = ente.is_returning() && to == State::Ready;
            ente.end_return();
        }
        if ente.offering() {
            ente.offer_ended = clock;
        }
        if to != State::Backoff && to != State::Waiting && !begins {
            ente.not_before = None;
        }
        if matches!(cause, Cause::Command(_)) {
            ente.not_before = None;
        }
        let success = ente.last_exit.as_ref().is_some_and(ExitStatus::success);
        ente.succeeded = to == State::Done
            && success
            && (ente.card.supervision == Supervision::OneShot
                || ente.card.readiness == Readiness::Exit);
        ente.state = to;
        if returned {
            self.coverage.note("returned in time");
        }
        self.patience_changes(id, from, to, cause)?;
        match to {
            State::Backoff => self.backs_off(id),
            State::Failed => self.fails(id, cause),
            State::Done => ensure(success, "states", text),
            _ => Ok(()),
        }
    }

    /// Who starts counts only what is really there.
    fn can_start(&self, id: Id) -> bool {
        let ente = &self.model.entes[&id];
        ente.met(self.model.available()) && self.model.is_open(ente.parent)
    }

    fn backs_off(&mut self, id: Id) -> Check {
        let now = self.now;
        let ente = self.model.entes.get_mut(&id).expect("known");
        let Supervision::Restart { initial, max } = ente.card.supervision else {
            return Err(Failure::new(
                "backoff",
                format!("{} is not restarted", ente.card.label),
            ));
        };
        let delay = match ente.delay {
            Some(delay) if now - ente.started_at < max => delay,
            _ => initial,
        };
        ente.delay = Some((delay * 2).min(max));
        ente.not_before = Some((ente.started_at + delay).max(now));
        let limit = ente.card.start_limit;
        let started = ente.started_at;
        // Intervals begin with their first start, so two of them may meet: together they hold at
        // most 2 * burst - 2 crashes that do not end in Failed.
        let most = 2 * limit.burst as usize - 2;
        let crashes = self.crashes.entry(id).or_default();
        crashes.push_back(started);
        if crashes.len() > most {
            let first = crashes.pop_front().expect("more than none");
            ensure(started - first > limit.interval_ms, "start limit", || {
                format!("{}: {} crashes since {first}", ente.card.label, most + 1)
            })?;
        }
        Ok(())
    }

    fn fails(&mut self, id: Id, cause: &Cause) -> Check {
        let ente = &self.model.entes[&id];
        let looped = match cause {
            Cause::StartLimit { starts, .. } => *starts >= ente.card.start_limit.burst,
            _ => false,
        };
        let once = !matches!(ente.card.supervision, Supervision::Restart { .. });
        ensure(looped || once, "start limit", || {
            format!("{}: {cause}", ente.card.label)
        })
    }

    fn told(&mut self, id: Id, incarnation: Incarnation, reason: &StopReason) -> Check {
        let ente = self.model.entes.get_mut(&id).expect("known");
        let ok = ente.running && !ente.told_to_stop && ente.incarnation == incarnation;
        ensure(ok && ente.state == State::Stopping, "states", || {
            format!("{} is told to stop in {}", ente.card.label, ente.state)
        })?;
        ente.told_to_stop = true;
        ente.give_grace(self.now);
        let label = ente.card.label.clone();
        if let Some((other, _)) = self
            .model
            .children(id)
            .find(|(_, child)| child.state.is_live())
        {
            let other = &self.model.entes[other].card.label;
            return Err(Failure::new(
                "order",
                format!("{label} before its child {other}"),
            ));
        }
        self.told_after_dependents(id, reason)
    }

    /// Whoever lived while this Ente (or a container that needs it to be ready) offered what it
    /// requires, and cannot have it from anybody else, must have ended.
    fn told_after_dependents(&self, id: Id, reason: &StopReason) -> Check {
        let ente = &self.model.entes[&id];
        let available = self.model.sustained();
        let mut nodes = vec![ente];
        let counted = ente.card.supervision != Supervision::Delegate;
        let asked = matches!(reason, StopReason::Command(command) if *command != Command::Restart);
        let mut next = ente.parent;
        while let Some(parent) = next.and_then(|id| self.model.entes.get(&id)) {
            if asked || !counted || !parent.container || parent.offering() {
                break;
            }
            nodes.push(parent);
            next = parent.parent;
        }
        for node in nodes {
            let lost = self
                .model
                .served((node.provides | node.extras) & !node.hidden)
                & !available;
            let mut others = self.model.entes.iter().filter(|(other, _)| **other != id);
            let left = others.find(|(_, other)| {
                let bound = other.requires & lost != 0 && other.born < node.offer_ended;
                let late = *reason == StopReason::Shutdown
                    && other.after & self.model.served(node.provides) != 0;
                other.state.is_live() && (bound || late)
            });
            if let Some((_, other)) = left {
                let (this, other) = (&ente.card.label, &other.card.label);
                return Err(Failure::new(
                    "order",
                    format!("{this} before its dependent {other}"),
                ));
            }
        }
        Ok(())
    }

    fn routed(&mut self, id: Id, cap: Caps, on: bool) -> Check {
        let ente = self.model.entes.get_mut(&id).expect("known");
        let news = (ente.routed & cap == 0) == on;
        ensure(news, "routes", || {
            format!("{}: the same twice", ente.card.label)
        })?;
        ente.routed ^= cap;
        Ok(())
    }

    fn removed(&mut self, id: Id) -> Check {
        let childless = self.model.children(id).next().is_none();
        let ente = self.model.entes.remove(&id).expect("known");
        self.crashes.remove(&id);
        let still = ente.running || ente.state.is_live() || ente.routed != 0;
        ensure(ente.removing && childless && !still, "states", || {
            format!("{} is removed in {}", ente.card.label, ente.state)
        })
    }

    fn completed(&mut self, left: &[Id]) -> Check {
        let live = self
            .model
            .entes
            .iter()
            .filter(|(_, ente)| ente.state.is_live());
        let live: Vec<Id> = live.map(|(id, _)| *id).collect();
        let over = self.shutdown.is_some_and(|deadline| self.now >= deadline);
        let ok = !self.complete && live == left && (left.is_empty() || over);
        self.complete = true;
        ensure(ok, "shutdown", || {
            format!("complete with {left:?} left of {live:?}")
        })
    }
}
