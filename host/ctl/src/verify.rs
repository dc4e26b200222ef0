//! [`verify`]: everything that can be said about a Card file without running it.

use std::fmt;
use std::path::Path;

use arje_card::grants::{self, Surplus};
use arje_card::{
    Card, Document, LoadError, Oddity, Payload, Violation, Visit, Warning, WasmPayload,
};
use arje_native::cgroup::check_places;
use arje_supervisor::{Event, EventKind, Millis, Supervisor};
use initrd_builder::pins::{self, Components, MODULE_KEY, PinProblem};

use crate::component::Component;
use crate::entry::{self, MissingEntry};
use crate::modules::{ModuleProblem, Modules};

/// Something wrong with a Card.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// A rule of the Card is broken.
    Rule(Violation),
    /// More rules are broken than are listed.
    More(usize),
    /// The `module` key cannot be used.
    Name(PinProblem),
    /// The pinned module is not there, or is not what it should be.
    Module(Place, ModuleProblem),
    /// The component imports what the Card does not grant; in the words of the host.
    Import(Place, Surplus),
    /// The component does not export what the host is to drive.
    Entry(Place, MissingEntry),
    /// `liveness_ms` is set, but there is no health to ask for.
    Health(Place, u64),
    /// This version does it on no machine; in the words of the host.
    Unsupported(Place, String),
    /// The Cards cannot live together: a circle of needs; in the words of the supervisor.
    Tree(String),
}

/// Where in a file, and of which Card.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// A JSON path.
    pub path: String,
    /// The Card's label.
    pub label: String,
}

impl Problem {
    /// Where, as a JSON path, where there is one place.
    #[must_use]
    pub fn path(&self) -> Option<&str> {
        match self {
            Self::Rule(violation) => Some(&violation.path),
            Self::More(_) | Self::Name(_) | Self::Tree(_) => None,
            Self::Module(place, _)
            | Self::Import(place, _)
            | Self::Entry(place, _)
            | Self::Health(place, _)
            | Self::Unsupported(place, _) => Some(&place.path),
        }
    }

    /// The label of the Card it is about.
    #[must_use]
    pub fn label(&self) -> Option<&str> {
        match self {
            Self::Rule(violation) => violation.label.as_deref(),
            Self::More(_) | Self::Tree(_) => None,
            Self::Name(
                PinProblem::NotAString { label, .. }
                | PinProblem::NotWasm { label }
                | PinProblem::Unknown { label, .. },
            ) => Some(label),
            Self::Module(place, _)
            | Self::Import(place, _)
            | Self::Entry(place, _)
            | Self::Health(place, _)
            | Self::Unsupported(place, _) => Some(&place.label),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rule(violation) => violation.fmt(f),
            Self::More(count) => write!(f, "and {count} more violations, not listed"),
            Self::Name(problem) => problem.fmt(f),
            Self::Module(place, problem) => write!(f, "{place}: {problem}"),
            // It names the Card itself.
            Self::Import(place, surplus) => write!(f, "{}: {surplus}", place.path),
            Self::Entry(place, missing) => write!(f, "{place}: {missing}"),
            Self::Unsupported(place, why) => write!(f, "{place}: {why}"),
            Self::Tree(why) => write!(f, "$: {why}"),
            Self::Health(place, liveness) => write!(
                f,
                "{place}: liveness_ms is {liveness}, but the component does not export \
                 arje:ente/health@1.x; export it or remove liveness_ms"
            ),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (Card {:?})", self.path, self.label)
    }
}

/// What was found in one file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Findings {
    /// Cards in it, as far as it could be read.
    pub cards: usize,
    /// What is wrong.
    pub problems: Vec<Problem>,
    /// What is odd, such as unknown keys.
    pub warnings: Vec<Warning>,
}

/// Checks a Card file by the rules, and its Wasm Cards against their modules where some are given.
///
/// # Errors
/// [`LoadError::Io`] and [`LoadError::TooLarge`] only: whatever can be read is judged.
pub fn verify(file: &Path, modules: Option<&mut Modules>) -> Result<Findings, LoadError> {
    let mut findings = Findings::default();
    let document = match Document::load(file) {
        Ok(document) => document,
        Err(LoadError::Invalid { report, .. }) => {
            let rules = report.violations().iter().cloned().map(Problem::Rule);
            findings.problems.extend(rules);
            if report.omitted() > 0 {
                findings.problems.push(Problem::More(report.omitted()));
            }
            // With the right shape there is still more to say.
            match Document::load_unchecked(file) {
                Ok(document) => document,
                Err(_) => {
                    judge_shapeless(file, &mut findings);
                    return Ok(findings);
                }
            }
        }
        Err(error) => return Err(error),
    };
    judge(&document, modules, &mut findings);
    Ok(findings)
}

/// Of a file that has not the shape of a Card, what can be said of the rest of it: a misspelt key is the likely reason
/// for one that is missing.
fn judge_shapeless(file: &Path, findings: &mut Findings) {
    if let Ok(document) = Document::load_partly(file) {
        findings.cards = document.card.walk().count();
        findings.warnings = document.warnings();
        // Anything else may be about a value that is not the one that was written.
        let is_key = |warning: &Warning| matches!(warning.oddity, Oddity::UnknownKey { .. });
        findings.warnings.retain(is_key);
    }
}

fn judge(document: &Document, mut modules: Option<&mut Modules>, findings: &mut Findings) {
    findings.warnings = document.warnings();
    let keeps_rules = findings.problems.is_empty();
    findings.problems.extend(unusable_names(&document.card));
    let places = check_places(&document.card);
    for Visit { mut path, card, .. } in document.card.walk() {
        findings.cards += 1;
        if document.wrapped {
            path = path.replacen('$', "$.seed", 1);
        }
        judge_support(&path, card, &places, &mut findings.problems);
        if let (Payload::Wasm(wasm), Some(modules)) = (&card.payload, modules.as_deref_mut()) {
            judge_wasm(&path, card, wasm, modules, &mut findings.problems);
        }
    }
    if keeps_rules {
        findings.problems.extend(unlivable(&document.card));
    }
}

/// What the host refuses when it loads the seed, whatever the machine.
fn judge_support(
    path: &str,
    card: &Card,
    places: &[(String, String)],
    problems: &mut Vec<Problem>,
) {
    let mut refused = arje_card::unsupported(card);
    refused.extend(
        arje_native::enforceable_somewhere(card)
            .err()
            .into_iter()
            .flatten(),
    );
    let of_card = places.iter().filter(|(label, _)| *label == card.label);
    refused.extend(of_card.map(|(_, problem)| problem.clone()));
    for text in refused {
        // `FIELD: WHY`, and the field is a path inside the Card.
        let (field, why) = text.split_once(": ").unwrap_or(("", &text));
        let dot = if field.is_empty() { "" } else { "." };
        let place = Place {
            path: format!("{path}{dot}{field}"),
            label: card.label.clone(),
        };
        problems.push(Problem::Unsupported(place, why.to_owned()));
    }
}

/// What the supervisor would refuse when it adopts the seed: nothing has to run for that.
fn unlivable(card: &Card) -> Option<Problem> {
    let adopt = EventKind::Adopt {
        parent: None,
        cards: vec![card.clone()],
    };
    let adopted = Supervisor::new().step(Event::new(Millis(0), adopt));
    Some(Problem::Tree(adopted.err()?.to_string()))
}

fn judge_wasm(
    path: &str,
    card: &Card,
    wasm: &WasmPayload,
    modules: &mut Modules,
    problems: &mut Vec<Problem>,
) {
    if wasm.module_sha256.is_zero() {
        return; // a broken rule already
    }
    let place = |key: &str| Place {
        path: format!("{path}{key}"),
        label: card.label.clone(),
    };
    let name = card
        .extensions
        .get(MODULE_KEY)
        .and_then(|name| name.as_str());
    match modules.component(wasm.module_sha256, name) {
        Ok(component) => judge_component(card, wasm, &component, &place, problems),
        Err(problem) => {
            let place = place(".payload.Wasm.module_sha256");
            problems.push(Problem::Module(place, problem));
        }
    }
}

fn judge_component(
    card: &Card,
    wasm: &WasmPayload,
    component: &Component,
    place: &impl Fn(&str) -> Place,
    problems: &mut Vec<Problem>,
) {
    if let Err(missing) = entry::check(component, &wasm.entry) {
        problems.push(Problem::Entry(place(".payload.Wasm.entry"), missing));
    }
    if let Some(liveness) = card.liveness_ms
        && !entry::has_health(component)
    {
        problems.push(Problem::Health(place(".liveness_ms"), liveness));
    }
    let imports = component.imports.iter().map(String::as_str);
    if let Err(surplus) = grants::audit(card, imports) {
        let refused = |surplus| Problem::Import(place(".payload.Wasm"), surplus);
        problems.extend(surplus.into_iter().map(refused));
    }
}

/// `module` keys that name no component whatever is at hand.
fn unusable_names(card: &Card) -> Vec<Problem> {
    let resolution = pins::resolve(&mut card.clone(), &Components::default());
    let unusable = |problem: &PinProblem| !matches!(problem, PinProblem::Unknown { .. });
    let problems = resolution.problems.into_iter();
    problems.filter(unusable).map(Problem::Name).collect()
}
