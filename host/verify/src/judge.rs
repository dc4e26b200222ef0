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

#[cfg(test)]
mod tests {
    use arje_card::Format;
    use serde_json::{Value, json};

    use super::*;

    fn told(seed: &Value) -> Vec<String> {
        let reading = Reading::parse(seed.to_string().as_bytes(), Format::Json).unwrap();
        let problems = judge(&reading, Machine::Any).problems.into_iter();
        problems.map(|problem| problem.to_string()).collect()
    }

    fn native(number: u8, label: &str) -> Value {
        json!({
            "schema_version": 1, "id": format!("01J0000000000000000000000{number}"), "label": label,
            "supervision": "OneShot", "payload": { "Native": { "exec": "/bin/sh" } },
        })
    }

    fn seed(genesis: &[Value]) -> Value {
        let mut seed = native(0, "seed");
        seed["payload"] = json!("Virtual");
        seed["genesis"] = json!(genesis);
        seed
    }

    #[test]
    fn a_stand_in_is_not_blamed() {
        let mut card = native(1, "card");
        // Without its payload it would be a container, which may have none of these.
        card["payload"] = json!({ "Natvie": { "exec": "/bin/sh" } });
        card["liveness_ms"] = json!(5);
        card["soma"] = json!({ "rlimits": { "nofile": 5 } });
        let lines = told(&json!({ "seed": seed(&[card]) }));
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(
            lines[0].starts_with("$.seed.genesis[0].payload (Card \"card\"): found \"Natvie\"")
        );
    }

    #[test]
    fn what_does_not_depend_on_a_stand_in_is_told() {
        let mut card = native(1, "card");
        card["liveness_ms"] = json!("often");
        card["readiness"] = json!("announce");
        let lines = told(&seed(&[card]));
        let fields = ["$.genesis[0].liveness_ms ", "$.genesis[0].readiness "];
        assert_eq!(lines.len(), fields.len(), "{lines:?}");
        for (line, field) in lines.iter().zip(fields) {
            assert!(line.starts_with(field), "{line}");
        }
    }

    #[test]
    fn one_fault_is_told_once() {
        // Two of one id would have one cgroup; that is no fault of its own.
        let lines = told(&seed(&[native(1, "a"), native(1, "b")]));
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(lines[0].ends_with("[id-duplicate]"), "{lines:?}");
    }

    #[test]
    fn a_circle_is_looked_for_when_the_rules_hold() {
        let (mut hen, mut egg) = (native(1, "hen"), native(2, "egg"));
        hen["provides"] = json!(["Journal"]);
        hen["requires"] = json!(["Spawn"]);
        egg["provides"] = json!(["Spawn"]);
        egg["requires"] = json!(["Journal"]);
        egg["readiness"] = json!("announce");
        let lines = told(&seed(&[hen.clone(), egg.clone()]));
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert!(lines[1].contains("in a circle"), "{lines:?}");
        egg["label"] = json!("hen");
        let lines = told(&seed(&[hen, egg]));
        assert!(
            !lines.iter().any(|line| line.contains("in a circle")),
            "{lines:?}"
        );
    }
}
