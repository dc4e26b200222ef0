//! What the supervisor keeps for one Ente.

use std::cmp::Reverse;
use std::collections::{BTreeSet, VecDeque};
use std::hint::black_box;
use std::sync::Arc;

use arje_card::{
    Card, CardKind, Id, Payload, Pin, Priority, Readiness, RestartOn, StartLimit, Supervision,
};
use serde::{Deserialize, Serialize};

use crate::action::{State, StopReason};
use crate::event::{Incarnation, Millis, ReadyBy, Report};
use crate::exit::ExitStatus;
use crate::few::Few;
use crate::index::{CapIx, EnteIx};
use crate::limits::MAX_HISTORY;
use crate::status::Transition;
use crate::succeed::Successor;

/// The order in which Entes that could start do start: priority first, then order of adoption.
/// The number is unique over the supervisor's life.
pub(crate) type Rank = (Reverse<Priority>, u64);

/// One Ente.
pub(crate) struct Ente {
    pub card: Arc<Card>,
    pub brief: Brief,
    pub parent: Option<EnteIx>,
    pub children: BTreeSet<EnteIx>,
    pub rank: Rank,
    pub needs: Needs,
    pub provides: Vec<Provision>,

    pub state: State,
    pub since: Millis,
    /// Meant to be up.
    pub wanted: bool,
    /// To be forgotten as soon as neither it nor anything below it lives.
    pub removing: bool,
    /// In Done: ended with success in a way that makes its capabilities count.
    pub succeeded: bool,
    /// In Waiting and Starting: on its way back after its host was replaced (see `interrupt.rs`).
    pub returning: bool,
    /// In Stopping: how far.
    pub stop: Option<Box<Stop>>,
    /// Stops that wait for the end of this incarnation: whose, and the stop's ticket.
    pub frees: Vec<(EnteIx, u64)>,
    pub timer: Option<Millis>,
    pub facts: Facts,
    /// Children with [`Facts::missing`], and the last that became so.
    pub missing_children: u32,
    pub missing_child: Option<Id>,
    /// Children with [`Facts::hopeless`].
    pub hopeless_children: u32,
    /// Its last life ended unasked, and it has not been started since.
    pub crashed: bool,

    pub incarnation: Incarnation,
    /// The highest number given to an incarnation or a successor.
    pub numbered: Incarnation,
    /// Who is to take its place; in Ready only.
    pub successor: Option<Box<Successor>>,
    /// The module that it ran before another one took its place.
    pub former: Option<Box<Pin>>,
    pub starts: u64,
    pub restarts: u64,
    pub started_at: Option<Millis>,
    pub ready_after_ms: Option<u64>,
    /// What the running incarnation asked for instead of its Card's `liveness_ms`.
    pub liveness_ms: Option<u64>,
    pub last_exit: Option<ExitStatus>,
    pub history: VecDeque<Transition>,
    pub crashes: Crashes,
}

/// What the steps of an Ente ask of its Card, which does not change. A Card is large and lies elsewhere; a
/// step that reads it waits for memory several times.
#[derive(Clone, Copy)]
pub(crate) struct Brief {
    pub id: Id,
    /// It has nothing to run: a Virtual Card, or one of kind `data`.
    pub container: bool,
    /// It is a component.
    pub component: bool,
    pub readiness: Readiness,
    pub supervision: Supervision,
    pub restart_on: RestartOn,
    pub start_limit: StartLimit,
    pub liveness_ms: Option<u64>,
}

impl Brief {
    fn of(card: &Card) -> Self {
        Self {
            id: card.id,
            container: card.payload == Payload::Virtual || card.kind == CardKind::Data,
            component: matches!(card.payload, Payload::Wasm(_)),
            readiness: card.readiness,
            supervision: card.supervision,
            restart_on: card.restart_on,
            start_limit: card.start_limit,
            liveness_ms: card.liveness_ms,
        }
    }
}

/// The contracts of a Card, with capabilities as numbers.
#[derive(Default)]
pub(crate) struct Needs {
    pub requires: Few,
    pub any: Vec<Vec<CapIx>>,
    pub quorum: Vec<(Vec<CapIx>, usize)>,
    pub conflicts: Vec<CapIx>,
    pub after: Vec<CapIx>,
}

impl Needs {
    /// All capabilities whose providers must or may carry this Ente.
    pub fn required(&self) -> impl Iterator<Item = CapIx> {
        let any = self.any.iter().flatten();
        let quorum = self.quorum.iter().flat_map(|(of, _)| of);
        self.requires.iter().chain(any).chain(quorum).copied()
    }
}

/// One capability that an Ente provides.
#[derive(Clone, Copy)]
pub(crate) struct Provision {
    pub cap: CapIx,
    /// Not in its Card: added by the running incarnation.
    pub extra: bool,
    /// Taken back by the running incarnation.
    pub hidden: bool,
    /// Counted among the offers of its capability.
    pub offered: bool,
    /// Was offered when its provider was interrupted, and goes on counting for those who live.
    pub kept: bool,
    /// The executor was told [`crate::Action::Provided`].
    pub routed: bool,
}

impl Provision {
    pub const fn new(cap: CapIx, extra: bool) -> Self {
        Self {
            cap,
            extra,
            hidden: false,
            offered: false,
            kept: false,
            routed: false,
        }
    }

    /// The facts of its Ente as far as they hold for this provision: what the Ente has taken back is not
    /// coming, and nobody may hope for it.
    pub const fn seen(self, facts: Facts) -> Facts {
        Facts {
            hope: facts.hope && !self.hidden,
            coming: facts.coming && !self.hidden,
            ..facts
        }
    }
}

/// A stop under way.
pub(crate) struct Stop {
    pub reason: StopReason,
    pub stage: Stage,
    /// In `Draining`: ends still to come.
    pub waits_for: u32,
    /// Tells this stop from earlier and later ones of the same table slot.
    pub ticket: u64,
}

/// How far a stop has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Stage {
    /// Those who depend on it end first.
    Draining,
    /// It was told to stop.
    Asked,
    /// It was killed.
    Killed,
}

/// What other Entes look at. Derived from the rest and from others; kept so that only changes
/// travel.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Facts {
    /// An incarnation exists.
    pub live: bool,
    /// On its way back: those who live may rely on it, and its rivals stay out.
    pub returning: bool,
    /// What it provides counts.
    pub offering: bool,
    /// Its children may run.
    pub open: bool,
    /// It may still come to offer without anybody's help.
    pub hope: bool,
    /// It may still come to let its children run. Differs from `hope` for containers only, whose
    /// readiness hangs on their children.
    pub hope_open: bool,
    /// It is on its way up, so whoever comes `After` it waits.
    pub coming: bool,
    /// A container above it cannot be ready yet.
    pub missing: bool,
    /// A container above it cannot become ready without somebody's help.
    pub hopeless: bool,
}

impl Facts {
    /// Whether its rivals have to stay out.
    pub const fn present(self) -> bool {
        self.live || self.returning
    }
}

/// The memory of crashes: backoff and start limit.
#[derive(Clone, Copy, Default)]
pub(crate) struct Crashes {
    /// The next delay in milliseconds; 0 means the Card's `initial`.
    pub delay: u64,
    /// Start of the first life counted in this interval.
    pub begin: Millis,
    /// Lives counted in it.
    pub count: u32,
}

impl Crashes {
    /// Notes that a life from `started` to `now` ended unasked. Returns how long after `started`
    /// the next one may begin at the earliest, or the number of starts that broke the limit.
    ///
    /// The interval is fixed: it begins with the first start counted, and a start after its end
    /// begins a new one (as systemd's `StartLimitBurst=` counts, systemd.unit(5)). Two numbers
    /// are enough for that, whatever the burst.
    pub fn note(
        &mut self,
        limit: StartLimit,
        (initial, max): (u64, u64),
        started: Millis,
        now: Millis,
    ) -> Result<u64, u32> {
        if self.count == 0 || started.since(self.begin) > limit.interval_ms {
            self.begin = started;
            self.count = 0;
        }
        self.count = self.count.saturating_add(1);
        if self.count >= limit.burst {
            return Err(self.count);
        }
        // A delay of 0 would let a crash loop run within one step.
        let initial = initial.max(1);
        let max = max.max(initial);
        if self.delay == 0 || now.since(started) >= max {
            self.delay = initial;
        }
        let delay = self.delay;
        self.delay = delay.saturating_mul(2).min(max);
        Ok(delay)
    }
}

impl Ente {
    pub fn new(card: Arc<Card>, parent: Option<EnteIx>, rank: Rank, at: Millis) -> Self {
        Self {
            brief: Brief::of(&card),
            card,
            parent,
            children: BTreeSet::new(),
            rank,
            needs: Needs::default(),
            provides: Vec::new(),
            state: State::Declared,
            since: at,
            wanted: true,
            removing: false,
            succeeded: false,
            returning: false,
            stop: None,
            frees: Vec::new(),
            timer: None,
            facts: Facts::default(),
            missing_children: 0,
            missing_child: None,
            hopeless_children: 0,
            crashed: false,
            incarnation: 0,
            numbered: 0,
            successor: None,
            former: None,
            starts: 0,
            restarts: 0,
            started_at: None,
            ready_after_ms: None,
            liveness_ms: None,
            last_exit: None,
            history: VecDeque::new(),
            crashes: Crashes::default(),
        }
    }

    /// Adds to the history, in the place of the oldest change when it is full.
    pub fn remember(&mut self, change: Transition) {
        if self.history.len() < MAX_HISTORY {
            return self.history.push_back(change);
        }
        if let Some(oldest) = self.history.front_mut() {
            *oldest = change;
        }
        self.history.rotate_left(1);
    }

    /// Reads something of every part of this that a step reads.
    pub fn fetch(&self) {
        black_box((
            (
                self.state,
                self.since,
                self.facts,
                self.started_at,
                self.timer,
            ),
            (
                self.provides.len(),
                self.children.len(),
                self.needs.after.len(),
                self.needs.any.len(),
            ),
            (
                self.brief.start_limit,
                self.brief.id,
                self.rank,
                self.parent,
            ),
            (
                self.last_exit.is_some(),
                self.stop.is_some(),
                self.successor.is_some(),
            ),
            (self.crashes, self.frees.len(), self.restarts, self.numbered),
        ));
    }

    /// The number of the next incarnation or successor.
    pub fn next_number(&mut self) -> Incarnation {
        self.numbered = self.numbered.max(self.incarnation).saturating_add(1);
        self.numbered
    }

    /// Goes on with a Card that names another module.
    pub fn take_card(&mut self, card: Arc<Card>) {
        if let Payload::Wasm(payload) = &self.card.payload {
            self.former = Some(Box::new(payload.module_sha256));
        }
        self.card = card;
    }

    /// Whether it has nothing to run: a Virtual Card, or one of kind `data`.
    pub fn is_container(&self) -> bool {
        self.brief.container
    }

    /// Whether exit 0 is what makes it ready (and Done).
    pub fn ready_by_exit(&self) -> bool {
        self.brief.readiness == Readiness::Exit || self.brief.supervision == Supervision::OneShot
    }

    /// Whether this report is the sign of readiness that its Card waits for.
    pub fn is_sign(&self, report: &Report) -> bool {
        let ready_by = match report {
            Report::Started => None,
            Report::Ready { by } => Some(*by),
            _ => return false,
        };
        match self.brief.readiness {
            Readiness::Exit => false,
            Readiness::Notify => ready_by == Some(ReadyBy::Notify),
            Readiness::Announce => ready_by == Some(ReadyBy::Announce),
            // A one-shot is useful when it is through, not when it has begun.
            Readiness::Started if self.brief.supervision == Supervision::OneShot => false,
            // A component may fail in `start`, long after it was instantiated.
            Readiness::Started if self.brief.component => ready_by == Some(ReadyBy::Start),
            Readiness::Started => ready_by.is_none(),
        }
    }

    /// In Stopping, what was told and not yet withdrawn may still be called by dependents on
    /// their way down.
    pub fn is_draining(&self) -> bool {
        let draining = |stop: &Stop| stop.stage == Stage::Draining;
        self.stop.as_deref().is_some_and(draining)
    }
}
