//! A schedule that failed, step by step: events and what the supervisor wants done.

use arje_card::{Card, Id, Payload};
use arje_supervisor::{Action, EventKind, Refusal};

use crate::world::World;

impl World {
    pub fn print(&self, result: &Result<Vec<Action>, Refusal>) {
        match result {
            Ok(actions) => actions.iter().for_each(|action| match action {
                Action::StateChanged {
                    id,
                    from,
                    to,
                    cause,
                    ..
                } => {
                    eprintln!("    {}: {from} -> {to} ({cause})", self.label(*id));
                }
                Action::Start { id, .. } => eprintln!("    start {}", self.label(*id)),
                Action::Stop { id, .. } => eprintln!("    stop {}", self.label(*id)),
                Action::Kill { id, .. } => eprintln!("    kill {}", self.label(*id)),
                Action::SetTimer { .. } => {}
                other => eprintln!("    {other:?}"),
            }),
            Err(refusal) => eprintln!("    refused: {refusal}"),
        }
    }

    fn label(&self, id: Id) -> String {
        let card = self.supervisor.card(id);
        card.map_or_else(|| id.to_string(), |card| card.label.clone())
    }
}

/// An event in one line, Cards by what matters here.
pub fn brief(kind: &EventKind) -> String {
    let EventKind::Adopt { parent, cards } = kind else {
        return format!("{kind:?}");
    };
    fn describe(card: &Card, depth: usize, text: &mut String) {
        let caps = |set: &arje_card::CapabilitySet| {
            let names: Vec<String> = set.iter().map(ToString::to_string).collect();
            names.join(" ")
        };
        let kind = if card.payload == Payload::Virtual {
            "container "
        } else {
            ""
        };
        *text += &format!(
            "\n  {:depth$}{kind}{} {:?} {:?} provides [{}] requires [{}] {:?}",
            "",
            card.label,
            card.supervision,
            card.readiness,
            caps(&card.provides),
            caps(&card.requires),
            card.contracts,
            depth = depth * 2,
        );
        card.genesis
            .iter()
            .for_each(|child| describe(child, depth + 1, text));
    }
    let mut text = format!("adopt below {parent:?}");
    cards.iter().for_each(|card| describe(card, 0, &mut text));
    text
}
