//! The invariants by name, what breaks them, and how often what they speak of came to pass.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

/// What is checked, and why it matters.
pub const INVARIANTS: [(&str, &str); 19] = [
    (
        "states",
        "every change of state begins where the last one ended, and is one the document has",
    ),
    (
        "one end per start",
        "nothing is started that lives; incarnations rise by one",
    ),
    (
        "needs",
        "after a settle nothing is Starting or Ready without its requirements and its parent",
    ),
    (
        "exclusion",
        "two Entes in conflict never live at the same time",
    ),
    (
        "order",
        "nothing is told to stop while something that depends on it lives",
    ),
    (
        "stays down",
        "nothing starts after a stop, a removal or a shutdown",
    ),
    (
        "backoff",
        "delays double from initial to max, reset after a life of max, and are waited out",
    ),
    (
        "start limit",
        "crash loops end in Failed, and only crash loops do",
    ),
    (
        "routes",
        "calls are routed to exactly those who offer, or who drain",
    ),
    (
        "containers",
        "a container is Ready exactly when all children that must be are",
    ),
    (
        "timer",
        "the executor's timer is set to the earliest deadline",
    ),
    (
        "bounded",
        "tables hold no more than there are Entes and names",
    ),
    (
        "succession",
        "a successor takes over from an incarnation that is Ready, or not at all",
    ),
    ("prompt", "nothing waits that could start"),
    (
        "settles",
        "left alone, everything that can be Ready is, soon",
    ),
    (
        "shutdown",
        "it is over in time, once, and with nothing left that answered",
    ),
    (
        "patience",
        "who is silent or has had its time is killed then, and nobody is killed before",
    ),
    ("refusal", "a refused event changes nothing"),
    (
        "hand-over",
        "a supervisor taken up again is the one that was written down",
    ),
];

/// A broken invariant.
#[derive(Debug)]
pub struct Failure {
    pub invariant: &'static str,
    pub detail: String,
}

impl Failure {
    pub fn new(invariant: &'static str, detail: impl Into<String>) -> Self {
        Self {
            invariant,
            detail: detail.into(),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "invariant `{}` broken: {}", self.invariant, self.detail)
    }
}

pub type Check = Result<(), Failure>;

pub fn ensure(holds: bool, invariant: &'static str, detail: impl FnOnce() -> String) -> Check {
    if holds {
        Ok(())
    } else {
        Err(Failure::new(invariant, detail()))
    }
}

/// How often what happened: an invariant says little about what never came to pass.
#[derive(Default)]
pub struct Coverage(pub BTreeMap<Cow<'static, str>, u64>);

impl Coverage {
    pub fn note(&mut self, what: impl Into<Cow<'static, str>>) {
        *self.0.entry(what.into()).or_default() += 1;
    }

    pub fn add(&mut self, other: Self) {
        for (what, count) in other.0 {
            *self.0.entry(what).or_default() += count;
        }
    }
}
