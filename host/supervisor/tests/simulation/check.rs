//! A watcher that checks the invariants after every step.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;

use arje_card::Id;
use arje_supervisor::{
    Action, Command, EventKind, Hold, Incarnation, Millis, Refusal, Report, State, Supervisor,
    limits,
};

use crate::invariants::{Check, Coverage, ensure};
use crate::model::{Caps, Model};
use crate::patience::Word;

/// A short picture of everything, to see that nothing changed.
type Snapshot = (
    arje_supervisor::Usage,
    Vec<(Id, State, Incarnation, bool, Option<Millis>)>,
);

pub struct Checker {
    pub model: Model,
    pub now: u64,
    /// Numbers actions.
    pub clock: u64,
    pub event: Option<EventKind>,
    pub before: Option<Snapshot>,
    /// The deadline of a shutdown.
    pub shutdown: Option<u64>,
    /// When a shutdown kills what is left.
    pub kill_at: Option<u64>,
    /// What the event says about killing.
    pub word: Option<Word>,
    pub complete: bool,
    /// Starts of crashed lives, for `start limit`.
    pub crashes: BTreeMap<Id, VecDeque<u64>>,
    pub coverage: Coverage,
}

fn hold_name(hold: &Hold) -> &'static str {
    match hold {
        Hold::Requires(_) => "held by Requires",
        Hold::Any(_) => "held by Any",
        Hold::Quorum { .. } => "held by Quorum",
        Hold::Conflict(_) => "held by Conflict",
        Hold::After(_) => "held by After",
        Hold::Parent(_) => "held by Parent",
        Hold::Child { .. } => "held by Child",
    }
}

/// The name of a variant: the debug text up to its fields.
pub fn variant(value: &impl fmt::Debug) -> String {
    let text = format!("{value:?}");
    let end = text.find([' ', '(', '{']).unwrap_or(text.len());
    text[..end].to_owned()
}

fn snapshot(supervisor: &Supervisor) -> Snapshot {
    let all = supervisor.statuses();
    let all = all.map(|s| (s.id, s.state, s.incarnation, s.wanted, s.next));
    (supervisor.usage(), all.collect())
}

impl Checker {
    pub fn new() -> Self {
        Self {
            model: Model::new(),
            now: 0,
            clock: 0,
            event: None,
            before: None,
            shutdown: None,
            kill_at: None,
            word: None,
            complete: false,
            crashes: BTreeMap::new(),
            coverage: Coverage::default(),
        }
    }

    pub fn before(&mut self, supervisor: &Supervisor, now: u64, event: &EventKind) {
        self.now = now;
        self.event = Some(event.clone());
        let refusable = !matches!(event, EventKind::Timer | EventKind::Shutdown { .. });
        self.before = refusable.then(|| snapshot(supervisor));
    }

    pub fn after(
        &mut self,
        supervisor: &Supervisor,
        result: Result<Vec<Action>, Refusal>,
        timer: Option<Millis>,
    ) -> Check {
        let event = self.event.take().expect("before() comes first");
        let actions = match result {
            Ok(actions) => actions,
            Err(refusal) => {
                self.coverage.note(format!("refused {}", variant(&refusal)));
                let same = self.before.take() == Some(snapshot(supervisor));
                return ensure(same, "refusal", || refusal.to_string());
            }
        };
        self.expire_returns();
        self.shutdown_gives_up(&event);
        self.word = Word::of(&event);
        self.take_in(event);
        for action in &actions {
            self.clock += 1;
            self.watch(action)?;
        }
        self.check_all(supervisor, timer)
    }

    /// What an accepted event means.
    fn take_in(&mut self, event: EventKind) {
        match event {
            EventKind::Adopt { parent, cards } => {
                for card in &cards {
                    self.model.enter(parent, card);
                }
            }
            EventKind::Report {
                id,
                incarnation,
                report,
            } => self.reported(id, incarnation, report),
            EventKind::HostCapabilities { adds, removes } => {
                for cap in &removes {
                    self.model.host &= !self.model.bit(cap);
                }
                for cap in &adds {
                    self.model.host |= self.model.bit(cap);
                }
            }
            EventKind::Command { id, command } => self.commanded(id, command),
            EventKind::Succeed { id, .. } => {
                let ente = self.model.entes.get(&id).expect("accepted");
                if ente.state != State::Ready {
                    self.commanded(id, Command::Restart);
                }
            }
            EventKind::Shutdown { deadline_ms } => {
                let deadline = self.now + deadline_ms;
                self.shutdown = Some(self.shutdown.map_or(deadline, |old| old.min(deadline)));
                self.shutdown_kills(deadline_ms);
            }
            EventKind::Timer => {}
        }
    }

    fn reported(&mut self, id: Id, incarnation: Incarnation, report: Report) {
        let caps = match &report {
            Report::Capabilities { adds, removes } => {
                let bits = |caps: &[_]| caps.iter().fold(0, |all, cap| all | self.model.bit(cap));
                (bits(adds), bits(removes))
            }
            _ => (0, 0),
        };
        let Some(ente) = self.model.entes.get_mut(&id) else {
            return;
        };
        if ente.successor == Some(incarnation) {
            if matches!(report, Report::Exited(_)) {
                ente.successor = None;
                self.coverage.note("a successor failed");
            }
            return;
        }
        if !ente.running || ente.incarnation != incarnation {
            return;
        }
        if let Some(said) = ente.speaks(&report, self.now) {
            self.coverage.note(said);
        }
        match report {
            Report::Exited(status) => {
                ente.running = false;
                ente.succeeded = false;
                ente.last_exit = Some(status);
            }
            Report::Interrupted => {
                ente.running = false;
                ente.interrupt(self.now);
                self.coverage
                    .note(format!("interrupted while {}", ente.state));
            }
            Report::Capabilities { .. } if ente.state != State::Stopping => {
                let (adds, removes) = caps;
                ente.hidden |= removes & (ente.provides | ente.extras);
                ente.extras |= adds & !ente.provides;
                ente.hidden &= !adds;
            }
            _ => {}
        }
    }

    fn commanded(&mut self, id: Id, command: Command) {
        if command == Command::Remove {
            let mut tree = vec![id];
            let mut next = 0;
            while next < tree.len() {
                tree.extend(self.model.children(tree[next]).map(|(id, _)| *id));
                next += 1;
            }
            for id in tree {
                let ente = self.model.entes.get_mut(&id).expect("in the tree");
                (ente.removing, ente.wanted) = (true, false);
            }
            return;
        }
        let ente = self.model.entes.get_mut(&id).expect("accepted");
        ente.wanted = matches!(command, Command::Start | Command::Restart);
        let anew = matches!(ente.state, State::Declared | State::Done | State::Failed);
        if command == Command::Restart || command == Command::Start && anew {
            ente.delay = None;
            self.crashes.remove(&id);
        }
        if command == Command::Restart {
            ente.stops_to_restart();
        }
    }

    /// What must hold after every step.
    pub fn check_all(&mut self, supervisor: &Supervisor, timer: Option<Millis>) -> Check {
        let available = self.model.available();
        let sustained = self.model.sustained();
        let mut earliest: Option<Millis> = None;
        let mut count = 0;
        let mut holds = Vec::new();
        for status in supervisor.statuses() {
            count += 1;
            let ente = &self.model.entes[&status.id];
            let label = status.label;
            let same = ente.state == status.state && ente.wanted == status.wanted;
            ensure(same, "states", || {
                format!("{label} is in fact {}", status.state)
            })?;
            ensure(
                status.history.len() <= limits::MAX_HISTORY,
                "bounded",
                || label.into(),
            )?;
            holds.extend(status.held_by.as_ref().map(hold_name));
            if let Some(at) = status.next {
                earliest = Some(earliest.map_or(at, |other| other.min(at)));
                ensure(at.0 > self.now, "timer", || {
                    format!("{label}: {at} is over")
                })?;
            }
            self.check_one(status.id, available, sustained, status.held_by)?;
            self.check_patience(status.id)?;
            if ente.state == State::Backoff && self.shutdown.is_none() {
                let ok = status.next.map(|at| at.0) == ente.not_before;
                ensure(ok, "backoff", || format!("{label}: next {:?}", status.next))?;
            }
        }
        for hold in holds {
            self.coverage.note(hold);
        }
        let usage = supervisor.usage();
        let live = self
            .model
            .entes
            .values()
            .filter(|ente| ente.state.is_live())
            .count();
        let sizes = usage.entes == count && usage.entes == self.model.entes.len();
        let bounded = usage.timers <= usage.entes
            && usage.capabilities <= crate::plan::CAPS
            && usage.retired <= limits::MAX_RETIRED
            && usage.live == live;
        ensure(sizes && bounded, "bounded", || {
            format!("{usage:?}, {live} live")
        })?;
        self.check_timer(earliest, timer)
    }

    fn check_timer(&self, earliest: Option<Millis>, timer: Option<Millis>) -> Check {
        let ok = match self.shutdown {
            None => earliest == timer,
            Some(_) if self.complete => earliest == timer,
            Some(deadline) => {
                let most = earliest.map_or(deadline, |at| at.0.min(deadline));
                timer.is_some_and(|at| at.0 <= most)
            }
        };
        ensure(ok, "timer", || {
            format!("set to {timer:?}, earliest {earliest:?}")
        })?;
        let late = self.shutdown.is_some_and(|deadline| self.now >= deadline) && !self.complete;
        ensure(!late, "shutdown", || "not complete at its deadline".into())
    }

    fn check_one(&self, id: Id, available: Caps, sustained: Caps, held_by: Option<Hold>) -> Check {
        let ente = &self.model.entes[&id];
        let label = &ente.card.label;
        let can_be = ente.met(available) && self.model.is_open(ente.parent);
        match ente.state {
            State::Starting | State::Ready => {
                let goes_on = ente.met(sustained) && self.model.carries(ente.parent);
                ensure(goes_on, "needs", || format!("{label} is {}", ente.state))?;
                ensure(
                    !self.model.excluded(id) || self.only_draining(id),
                    "exclusion",
                    || format!("{label} lives"),
                )?;
            }
            State::Waiting | State::Parked if self.shutdown.is_none() => {
                let after = matches!(&held_by, Some(Hold::After(cap))
                    if ente.after & self.model.bit(cap) != 0);
                let held = !can_be || self.model.excluded(id) || after;
                ensure(held, "prompt", || format!("{label} is {}", ente.state))?;
                ensure(held_by.is_some(), "prompt", || {
                    format!("{label}: held by nothing")
                })?;
            }
            _ => {}
        }
        let expected = match ente.state {
            State::Stopping if !ente.told_to_stop && !ente.killed => ente.routed,
            _ => ente.offer(),
        };
        let within = (ente.provides | ente.extras) & !ente.hidden;
        let ok = ente.routed == expected && ente.routed & !within == 0;
        ensure(ok, "routes", || {
            format!("{label}, {}: {:#b}", ente.state, ente.routed)
        })?;
        self.check_container(id)
    }

    /// Something excluded may have been added at run time by a live Ente; then one of both is on its
    /// way down, and no longer Starting or Ready.
    fn only_draining(&self, id: Id) -> bool {
        let ente = &self.model.entes[&id];
        let others = self.model.entes.iter().filter(|(other, _)| **other != id);
        let mut clash = ente.conflicts & self.model.served(self.model.host) != 0;
        for (_, other) in others.filter(|(_, other)| other.state.is_live() || other.offering()) {
            let mine = ente.conflicts & self.model.served(other.provides) != 0;
            let theirs = other.conflicts & self.model.served(ente.provides) != 0;
            let added = ente.conflicts & self.model.served(other.offer()) != 0;
            clash |= added || (mine || theirs) && other.state.is_live();
        }
        !clash
    }

    fn check_container(&self, id: Id) -> Check {
        let ente = &self.model.entes[&id];
        if !ente.container || !matches!(ente.state, State::Starting | State::Ready) {
            return Ok(());
        }
        let mut children = self.model.children(id);
        let missing = children.find(|(child, _)| self.model.missing(**child));
        let ok = missing.is_some() == (ente.state == State::Starting);
        ensure(ok, "containers", || {
            let missing = missing.map(|(_, child)| &child.card.label);
            format!(
                "{} is {}, missing: {missing:?}",
                ente.card.label, ente.state
            )
        })
    }

    /// What must hold when nothing disturbs any more and nothing is left to do.
    pub fn settled(&self, supervisor: &Supervisor) -> Check {
        if self.shutdown.is_some() {
            let ok = self.complete && supervisor.usage().live == 0;
            return ensure(ok, "shutdown", || "something still lives".into());
        }
        for status in supervisor.statuses() {
            let ente = &self.model.entes[&status.id];
            let ok = match status.state {
                State::Stopping | State::Backoff => false,
                // `check_container` says whether a container is rightly not ready.
                State::Starting => ente.container,
                // Whoever is still `After` somebody waits for nothing that is on its way.
                State::Waiting | State::Parked => !matches!(status.held_by, Some(Hold::After(_))),
                State::Declared => !ente.wanted,
                State::Ready | State::Done | State::Failed => true,
            };
            let hold = &status.held_by;
            ensure(ok, "settles", || {
                format!("{} is {}: {hold:?}", status.label, status.state)
            })?;
        }
        Ok(())
    }
}
