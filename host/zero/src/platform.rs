//! What a Card may ask for that this version, on this machine, does not do.
//!
//! A permission or limit that is read but not enforced would be a lie, so each is refused when the
//! seed is loaded, with the Card, the field and the reason.

use arje_card::{Card, Payload};
use arje_native::cgroup::{Support, check_places, check_settings};

/// Everything in this tree that cannot be done, one line each. `support` is what cgroups can do here.
#[must_use]
pub fn problems(root: &Card, support: &Support) -> Vec<String> {
    let places = check_places(root).into_iter();
    let mut all: Vec<String> = places
        .map(|(label, problem)| format!("Card `{label}`: {problem}"))
        .collect();
    let mut open = vec![root];
    while let Some(card) = open.pop() {
        all.extend(
            of_card(card, support)
                .into_iter()
                .map(|problem| format!("Card `{}`: {problem}", card.label)),
        );
        open.extend(card.genesis.iter().rev());
    }
    all
}

fn of_card(card: &Card, support: &Support) -> Vec<String> {
    let mut problems = arje_card::unsupported(card);
    let refused = arje_native::enforceable(card).err().unwrap_or_default();
    match &card.payload {
        Payload::Wasm(_) => {
            let refused = refused.into_iter();
            problems
                .extend(refused.map(|reason| format!("the process of the component: {reason}")));
        }
        Payload::Native(_) | Payload::Legacy(_) => problems.extend(refused),
        Payload::Virtual => return problems,
    }
    problems.extend(check_settings(&card.soma.cgroup, support));
    problems
}
