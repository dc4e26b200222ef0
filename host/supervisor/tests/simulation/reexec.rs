//! The executor replaces itself: the supervisor is written down and taken up again, processes live
//! on, components do not.

use arje_card::Payload;
use arje_supervisor::{Action, EventKind, Hold, Report, Snapshot, State, Supervisor, limits};

use crate::check::Checker;
use crate::invariants::{Check, Failure, ensure};
use crate::model::{Ente, Model};
use crate::rng::Rng;
use crate::world::World;

impl World {
    /// Hands over to a new image. The few processes that die in between are not missed.
    pub fn reexec(&mut self, seed: u64) -> Result<(), Failure> {
        let broken = |error: &dyn std::fmt::Display| Failure::new("hand-over", error.to_string());
        let now = arje_supervisor::Millis(self.now);
        let text = self.supervisor.snapshot(now).to_json();
        let snapshot = text.and_then(|text| Snapshot::from_json(&text));
        let snapshot = snapshot.map_err(|error| broken(&error))?;
        let restored = Supervisor::restore(snapshot, now);
        let (supervisor, actions) = restored.map_err(|error| broken(&error))?;
        if self.trace {
            eprintln!("{now}: reexec");
        }
        self.checker.same(&self.supervisor, &supervisor)?;
        self.successors.clear();
        self.checker.model.without_successors();
        self.supervisor = supervisor;
        self.checker.now = self.now;
        self.timer = None;
        for action in &actions {
            if let Action::SetTimer { at } = action {
                self.timer = *at;
            }
        }
        self.checker
            .restored(&self.supervisor, &actions, self.timer)?;
        self.bury_components(&mut Rng::new(seed))
    }

    fn bury_components(&mut self, rng: &mut Rng) -> Result<(), Failure> {
        let lives: Vec<_> = self.life_ids().collect();
        for (id, incarnation) in lives {
            let card = self.supervisor.card(id);
            let wasm = card.is_some_and(|card| matches!(card.payload, Payload::Wasm(_)));
            if wasm || rng.chance(3) {
                self.report(id, incarnation, Report::Interrupted)?;
            }
        }
        Ok(())
    }
}

impl Checker {
    /// What was taken up is what was written down.
    fn same(&mut self, old: &Supervisor, new: &Supervisor) -> Check {
        self.coverage.note("reexec");
        let (was, is) = (old.usage(), new.usage());
        let same =
            arje_supervisor::Usage { looks: 0, ..was } == arje_supervisor::Usage { looks: 0, ..is };
        ensure(same, "hand-over", || format!("{was:?} became {is:?}"))?;
        for (mut was, is) in old.statuses().zip(new.statuses()) {
            let alive = was.state == State::Ready && was.next.is_some();
            // Signs of life are due anew.
            was.next = if alive { is.next } else { was.next };
            // Of several rivals another one may come first.
            if let (Some(Hold::Conflict(_)), Some(Hold::Conflict(_))) = (&was.held_by, &is.held_by)
            {
                was.held_by = is.held_by.clone();
            }
            // Whoever was to take a place ended with the image.
            was.successor = None;
            ensure(was == is, "hand-over", || format!("{was:?} became {is:?}"))?;
            ensure(old.card(was.id) == new.card(is.id), "hand-over", || {
                format!("{}'s Card", was.label)
            })?;
        }
        Ok(())
    }

    /// A new executor is told who provides what, and nothing else.
    fn restored(
        &mut self,
        supervisor: &Supervisor,
        actions: &[Action],
        timer: Option<arje_supervisor::Millis>,
    ) -> Check {
        for ente in self.model.entes.values_mut() {
            ente.routed = 0;
            ente.await_sign_anew(self.now);
        }
        for action in actions {
            let quiet = matches!(action, Action::Provided { .. } | Action::SetTimer { .. });
            ensure(quiet, "hand-over", || format!("{action:?}"))?;
            self.watch(action)?;
        }
        self.check_all(supervisor, timer)
    }

    /// Returns end when their time is over.
    pub fn expire_returns(&mut self) {
        let now = self.now;
        for ente in self.model.entes.values_mut() {
            if ente.return_until.is_some_and(|until| until <= now) {
                ente.end_return();
            }
        }
    }

    /// A shutdown gives up on whoever has not even begun to return.
    pub fn shutdown_gives_up(&mut self, event: &EventKind) {
        if !matches!(event, EventKind::Shutdown { .. }) || self.shutdown.is_some() {
            return;
        }
        let all = self.model.entes.values_mut();
        all.filter(|ente| ente.state == State::Waiting)
            .for_each(Ente::end_return);
    }
}

impl Model {
    /// What those who live may rely on.
    pub fn sustained(&self) -> crate::model::Caps {
        let kept = self.entes.values().fold(0, |all, ente| all | ente.kept);
        self.available() | self.served(kept)
    }
}

impl Ente {
    pub fn is_returning(&self) -> bool {
        self.return_until.is_some()
    }

    /// Its life ended with its host.
    pub fn interrupt(&mut self, now: u64) {
        if !matches!(self.state, State::Starting | State::Ready) {
            return;
        }
        self.kept |= self.offer();
        self.return_until = Some(now + limits::RETURN_MS);
    }

    pub fn end_return(&mut self) {
        if self.is_returning() {
            (self.kept, self.return_until) = (0, None);
            self.extras &= !self.hidden;
            self.hidden &= self.provides | self.extras;
        }
    }
}
