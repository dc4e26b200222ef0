//! [`judge`]: the rules, what cannot be enforced, and what cannot live together, in one list.

use arje_card::{Card, Payload, Reading, Visit};
use arje_native::cgroup::{Support, check_places, check_settings};
use arje_supervisor::{Event, EventKind, Millis, Supervisor};

use crate::findings::{Findings, Place, Problem};

/// For which machine Cards are judged.
#[derive(Clone, Copy, Debug)]
pub enum Machine<'s> {
    /// For any: only what can be enforced nowhere is wrong.
    Any,
    /// For the running one, with what cgroups can do on it.
    This(&'s Support),
}

/// Says everything that is wrong with what was read, whatever is wrong with the rest of it.
#[must_use]
pub fn judge(reading: &Reading, machine: Machine<'_>) -> Findings {
    let report = reading.report();
    let keeps_rules = report.is_empty();
    let mut findings = Findings {
        warnings: reading.warnings(),
        ..Findings::of_report(&report)
    };
    let mut places = check_places(&reading.document.card);
    for visit in reading.walk() {
        findings.cards += 1;
        // Without a path of its own a Card's place follows from its id. That two have the same id is said.
        if visit.card.soma.cgroup.path.is_none() && !keeps_rules {
            places.retain(|(label, _)| *label != visit.card.label);
        }
        judge_support(reading, &visit, &places, machine, &mut findings.problems);
    }
    if keeps_rules {
        findings.problems.extend(unlivable(&reading.document.card));
    }
    findings
}

/// What the host refuses when it loads the seed.
fn judge_support(
    reading: &Reading,
    visit: &Visit<'_>,
    places: &[(String, String)],
    machine: Machine<'_>,
    problems: &mut Vec<Problem>,
) {
    let (path, card) = (&visit.path, visit.card);
    // All of it depends on what the Card runs.
    if !reading.is_sound(path, "payload") {
        return;
    }
    let mut refused = refusals(card, machine);
    let of_card = places.iter().filter(|(label, _)| *label == card.label);
    refused.extend(of_card.map(|(_, problem)| problem.clone()));
    for text in refused {
        // `FIELD: WHY`, and the field is a path inside the Card.
        let (field, why) = text.split_once(": ").unwrap_or(("", &text));
        let key = field.split(['.', '[']).next().unwrap_or_default();
        if reading.is_sound(path, key) {
            let place = Place::of(format!("{path}.{field}"), &card.label);
            problems.push(Problem::at(place, why));
        }
    }
}

/// Each as `FIELD: WHY`.
fn refusals(card: &Card, machine: Machine<'_>) -> Vec<String> {
    let mut refused = arje_card::unsupported(card);
    let of_process = match machine {
        Machine::Any => arje_native::enforceable_somewhere(card),
        Machine::This(_) => arje_native::enforceable(card),
    };
    refused.extend(of_process.err().into_iter().flatten());
    if let Machine::This(support) = machine
        && card.payload != Payload::Virtual
    {
        refused.extend(check_settings(&card.soma.cgroup, support));
    }
    refused
}

/// What the supervisor would refuse when it adopts the seed: nothing has to run for that.
fn unlivable(card: &Card) -> Option<Problem> {
    let adopt = EventKind::Adopt {
        parent: None,
        cards: vec![card.clone()],
    };
    let adopted = Supervisor::new().step(Event::new(Millis(0), adopt));
    let place = Place::of("$".to_owned(), "");
    Some(Problem::at(place, adopted.err()?.to_string()))
}
