//! Why an event was not accepted. A refused event has changed nothing.

use std::fmt;

use arje_card::{Capability, Id};

use crate::action::State;
use crate::limits::{MAX_CAPABILITIES, MAX_DEPTH, MAX_DYNAMIC, MAX_ENTES};

/// Why an event was not accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// No Ente with this id is known.
    UnknownEnte(Id),
    /// The parent named for an adoption is not known, or is being removed.
    UnknownParent(Id),
    /// A Card's id is already in use, or twice in the same event.
    DuplicateId {
        /// The id.
        id: Id,
        /// Label of the Card that was to be adopted.
        label: String,
        /// Label of the Ente or Card that has the id.
        held_by: String,
    },
    /// A Card's label is already in use, or twice in the same event.
    DuplicateLabel {
        /// The label.
        label: String,
        /// Id of the Card that was to be adopted.
        id: Id,
        /// Id of the Ente or Card that has the label.
        held_by: Id,
    },
    /// What the Entes need forms a circle. Links are in order; the last one needs the first.
    /// Alternatives do not help: a circle through one provider out of several could be started, but
    /// not stopped in order.
    Cycle(Vec<CycleLink>),
    /// An Ente would provide what its own `Conflicts` excludes.
    OwnConflict {
        /// Label of the Card.
        label: String,
        /// What it would provide.
        capability: Capability,
    },
    /// The tree would be deeper than [`MAX_DEPTH`].
    TooDeep {
        /// Label of the first Card that is too deep.
        label: String,
    },
    /// More Entes than [`MAX_ENTES`].
    TooManyEntes {
        /// How many there would be.
        would_be: usize,
    },
    /// More distinct capabilities than [`MAX_CAPABILITIES`].
    TooManyCapabilities,
    /// More changes to one Ente's capabilities than [`MAX_DYNAMIC`].
    TooManyDynamic(Id),
    /// The Ente is being removed; it can neither be started nor get children.
    BeingRemoved(Id),
    /// The machine goes down; nothing is adopted or started any more.
    ShuttingDown,
    /// The Ente runs no component, so no module can take its place.
    NotAComponent(Id),
    /// Another module is about to take the Ente's place already.
    SuccessorUnderWay(Id),
    /// The Ente is on its way up or down.
    NotReady {
        /// The Ente.
        id: Id,
        /// Its state.
        state: State,
    },
}

/// One step of a circle: this Ente needs the next one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CycleLink {
    /// Its id.
    pub id: Id,
    /// Its label.
    pub label: String,
    /// How it needs the next one.
    pub need: Need,
}

/// How one Ente needs another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Need {
    /// By `requires`, `Any`, `Quorum` or `After`: this capability, which the next one provides.
    Capability(Capability),
    /// It is a child of the next one, and starts only when that one is up.
    Parent,
    /// It is a container, and is ready only when its child, the next one, is.
    Child,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownEnte(id) => write!(f, "no Ente has the id {id}; `ente list` shows all"),
            Self::UnknownParent(id) => {
                write!(
                    f,
                    "the parent {id} is not known or is being removed; adopt it first"
                )
            }
            Self::DuplicateId { id, label, held_by } => write!(
                f,
                "Card `{label}`: its id {id} is already that of `{held_by}`; give it a new one"
            ),
            Self::DuplicateLabel { label, id, held_by } => write!(
                f,
                "Card {id}: its label `{label}` is already that of {held_by}; give it another one"
            ),
            Self::Cycle(links) => write_cycle(f, links),
            Self::OwnConflict { label, capability } => write!(
                f,
                "Card `{label}`: provides {capability}, which its own Conflicts excludes; \
                 take it out of one of both"
            ),
            Self::TooDeep { label } => write!(
                f,
                "Card `{label}`: deeper than {MAX_DEPTH} levels; flatten the tree above it"
            ),
            Self::TooManyEntes { would_be } => write!(
                f,
                "there would be {would_be} Entes, and {MAX_ENTES} is the most; remove some first"
            ),
            Self::TooManyCapabilities => write!(
                f,
                "more than {MAX_CAPABILITIES} different capabilities; share some or remove Entes"
            ),
            Self::TooManyDynamic(id) => write!(
                f,
                "Ente {id}: more than {MAX_DYNAMIC} of its capabilities changed at run time; \
                 list them in its Card, or split it"
            ),
            Self::BeingRemoved(id) => write!(f, "Ente {id} is being removed"),
            Self::NotAComponent(id) => write!(
                f,
                "Ente {id} runs no component, and only those are deployed; `ente restart` starts a changed program"
            ),
            Self::SuccessorUnderWay(id) => write!(
                f,
                "Ente {id}: another module is about to take its place; wait for what comes of that"
            ),
            Self::NotReady { id, state } => write!(
                f,
                "Ente {id} is {state}; deploy when it is ready, or nothing of it lives (`ente stop`)"
            ),
            Self::ShuttingDown => f.write_str("the machine goes down; nothing is started any more"),
        }
    }
}

/// Writes a circle as one sentence per link.
fn write_cycle(f: &mut fmt::Formatter<'_>, links: &[CycleLink]) -> fmt::Result {
    f.write_str("these Entes need each other in a circle: ")?;
    for (n, link) in links.iter().enumerate() {
        let next = &links[(n + 1) % links.len()];
        let comma = if n == 0 { "" } else { "; " };
        let (this, next) = (&link.label, &next.label);
        match &link.need {
            Need::Capability(cap) => write!(f, "{comma}`{this}` needs {cap} from `{next}`")?,
            Need::Parent => write!(f, "{comma}`{this}` is a child of `{next}`")?,
            Need::Child => write!(f, "{comma}`{this}` contains `{next}`")?,
        }
    }
    f.write_str(". Break one of these links")
}

impl std::error::Error for Refusal {}
