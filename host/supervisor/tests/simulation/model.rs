//! What a watcher may believe about each Ente, from Cards, events and actions alone. Written
//! without the supervisor's own tables, with sets of capabilities as bits.

use std::collections::BTreeMap;

use arje_card::{Capability, Card, Contract, Id, Payload, Supervision};
use arje_supervisor::{ExitStatus, Incarnation, State};

use crate::patience::Patience;
use crate::plan::{CAPS, capability};

/// Capabilities as bits.
pub type Caps = u32;

/// One Ente.
pub struct Ente {
    pub card: Card,
    pub parent: Option<Id>,
    pub container: bool,
    pub provides: Caps,
    pub requires: Caps,
    pub any: Vec<Caps>,
    pub quorum: Vec<(Caps, u32)>,
    pub conflicts: Caps,
    pub after: Caps,

    pub state: State,
    pub wanted: bool,
    pub removing: bool,
    pub incarnation: Incarnation,
    /// The highest number given so far.
    pub numbered: Incarnation,
    /// Who is to take its place.
    pub successor: Option<Incarnation>,
    /// A payload was started and has not ended.
    pub running: bool,
    pub told_to_stop: bool,
    pub killed: bool,
    pub succeeded: bool,
    pub extras: Caps,
    pub hidden: Caps,
    pub routed: Caps,
    /// Number of the action that began this life, and of the last that ended an offer.
    pub born: u64,
    pub offer_ended: u64,
    pub started_at: u64,
    /// The delay that the next crash must lead to; `None`: the Card's `initial`.
    pub delay: Option<u64>,
    /// When the last delay is over.
    pub not_before: Option<u64>,
    /// Until when those who live may rely on `kept`, and rivals stay out.
    pub return_until: Option<u64>,
    pub kept: Caps,
    pub last_exit: Option<ExitStatus>,
    pub patience: Patience,
}

/// Everybody, and the machine.
pub struct Model {
    pub entes: BTreeMap<Id, Ente>,
    pub host: Caps,
    universe: Vec<Capability>,
    /// For each capability, those that its provider serves.
    serves: Vec<Caps>,
}

impl Model {
    pub fn new() -> Self {
        let universe: Vec<Capability> = (0..CAPS).map(capability).collect();
        let serves = universe.iter().map(|provided| {
            let served = universe.iter().enumerate();
            let served = served.filter(|(_, required)| provided.satisfies(required));
            served.fold(0, |caps, (n, _)| caps | 1 << n)
        });
        let serves = serves.collect();
        Self {
            entes: BTreeMap::new(),
            host: 0,
            universe,
            serves,
        }
    }

    pub fn bit(&self, capability: &Capability) -> Caps {
        let n = self.universe.iter().position(|known| known == capability);
        1 << n.expect("a capability of the universe")
    }

    fn bits<'a>(&self, capabilities: impl IntoIterator<Item = &'a Capability>) -> Caps {
        let all = capabilities.into_iter();
        all.fold(0, |caps, capability| caps | self.bit(capability))
    }

    /// Nobody is about to take a place any more.
    pub fn without_successors(&mut self) {
        for ente in self.entes.values_mut() {
            ente.successor = None;
        }
    }

    pub fn enter(&mut self, parent: Option<Id>, card: &Card) {
        let mut ente = Ente {
            container: card.payload == Payload::Virtual,
            card: Card {
                genesis: Vec::new(),
                ..card.clone()
            },
            parent,
            provides: self.bits(&card.provides),
            requires: self.bits(&card.requires),
            any: Vec::new(),
            quorum: Vec::new(),
            conflicts: 0,
            after: 0,
            state: State::Declared,
            wanted: true,
            removing: false,
            incarnation: 0,
            numbered: 0,
            successor: None,
            running: false,
            told_to_stop: false,
            killed: false,
            succeeded: false,
            extras: 0,
            hidden: 0,
            routed: 0,
            born: 0,
            offer_ended: 0,
            started_at: 0,
            delay: None,
            not_before: None,
            return_until: None,
            kept: 0,
            last_exit: None,
            patience: Patience::default(),
        };
        for contract in &card.contracts {
            match contract {
                Contract::Any(caps) => ente.any.push(self.bits(caps)),
                Contract::Quorum { of, at_least } => {
                    ente.quorum.push((self.bits(of), *at_least));
                }
                Contract::Conflicts(caps) => ente.conflicts |= self.bits(caps),
                Contract::After(caps) => ente.after |= self.bits(caps),
            }
        }
        self.entes.insert(card.id, ente);
        for child in &card.genesis {
            self.enter(Some(card.id), child);
        }
    }

    /// All that providers of these capabilities serve.
    pub fn served(&self, provided: Caps) -> Caps {
        let each = self.serves.iter().enumerate();
        each.filter(|(n, _)| provided >> n & 1 != 0)
            .fold(0, |all, (_, serves)| all | serves)
    }

    /// What is available now.
    pub fn available(&self) -> Caps {
        let offered = self
            .entes
            .values()
            .fold(self.host, |all, ente| all | ente.offer());
        self.served(offered)
    }

    /// Whether the parent lets its children go on.
    pub fn carries(&self, parent: Option<Id>) -> bool {
        let known = parent.and_then(|id| self.entes.get(&id));
        self.is_open(parent) || known.is_some_and(Ente::is_returning)
    }

    /// Whether the parent lets its children start.
    pub fn is_open(&self, parent: Option<Id>) -> bool {
        let Some(parent) = parent.and_then(|id| self.entes.get(&id)) else {
            return true;
        };
        match parent.container {
            true => matches!(parent.state, State::Starting | State::Ready),
            false => parent.offering(),
        }
    }

    /// Whether this Ente, which does not live, is kept out by somebody who does.
    pub fn excluded(&self, id: Id) -> bool {
        let Some(ente) = self.entes.get(&id) else {
            return false;
        };
        let others = self.entes.iter().filter(|(other, _)| **other != id);
        let mut present = self.host;
        let mut excluded = false;
        for (_, other) in others {
            if other.state.is_live() || other.is_returning() {
                present |= other.provides | other.extras;
                // What it added before it was interrupted is still its own while it returns.
                excluded |= other.conflicts & self.served(ente.provides | ente.extras) != 0;
            }
            present |= other.offer();
        }
        excluded || self.served(present) & ente.conflicts != 0
    }

    /// Whether a container above cannot be ready because of this one.
    pub fn missing(&self, id: Id) -> bool {
        let Some(ente) = self.entes.get(&id) else {
            return false;
        };
        let held = matches!(ente.state, State::Waiting | State::Parked);
        ente.wanted
            && ente.card.supervision != Supervision::Delegate
            && !matches!(ente.state, State::Ready | State::Done)
            && !ente.is_returning()
            && !(held && self.excluded(id))
    }

    pub fn children(&self, id: Id) -> impl Iterator<Item = (&Id, &Ente)> {
        self.entes
            .iter()
            .filter(move |(_, child)| child.parent == Some(id))
    }
}

impl Ente {
    pub fn offering(&self) -> bool {
        self.state == State::Ready || self.state == State::Done && self.succeeded
    }

    /// What it offers now.
    pub fn offer(&self) -> Caps {
        match self.offering() {
            true => (self.provides | self.extras) & !self.hidden,
            false => 0,
        }
    }

    /// Whether `requires`, `Any` and `Quorum` are met.
    pub fn met(&self, available: Caps) -> bool {
        self.requires & !available == 0
            && self.any.iter().all(|of| of & available != 0)
            && self
                .quorum
                .iter()
                .all(|(of, least)| (of & available).count_ones() >= *least)
    }
}
