//! What a Card may ask for that this version, on this machine, does not do.
//!
//! A permission or limit that is read but not enforced would be a lie, so each is refused when the
//! seed is loaded, with the Card, the field and the reason.

use crate::workers;
use arje_card::{Card, Entry, ListenOn, Payload, Readiness, WasmPayload};
use arje_native::cgroup::{Support, check_places, check_settings};
use arje_wasm::wire::MAX_SOCKETS;

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
    match &card.payload {
        Payload::Wasm(payload) => {
            let mut problems = wasm(card, payload);
            problems.extend(check_settings(&card.soma.cgroup, support));
            problems
        }
        Payload::Native(_) | Payload::Legacy(_) => {
            let mut problems = arje_native::enforceable(card).err().unwrap_or_default();
            problems.extend(check_settings(&card.soma.cgroup, support));
            problems
        }
        Payload::Virtual => container(card),
    }
}

/// A container has nothing that these could apply to, so they would be without effect.
fn container(card: &Card) -> Vec<String> {
    let fields = [
        ("soma", !card.soma.is_off()),
        ("listen", !card.listen.is_empty()),
        ("dbus", card.dbus.is_some()),
        ("credentials", !card.credentials.is_empty()),
        ("liveness_ms", card.liveness_ms.is_some()),
    ];
    let set = fields.into_iter().filter(|(_, set)| *set);
    set.map(|(field, _)| format!("{field}: a Virtual Card runs nothing; remove it"))
        .collect()
}

fn wasm(card: &Card, payload: &WasmPayload) -> Vec<String> {
    let mut problems = Vec::new();
    let mut refuse = |wanted: bool, problem: &str| {
        if wanted {
            problems.push(problem.to_owned());
        }
    };
    refuse(
        card.dbus.is_some(),
        "dbus: this version has no system bus; remove it",
    );
    refuse(
        !card.credentials.is_empty(),
        "credentials: this version hands none to components; remove them",
    );
    refuse(
        matches!(card.readiness, Readiness::Notify | Readiness::Announce),
        "readiness: a component does not notify or announce; leave it out, and a service is Ready \
         when its `start` returned",
    );
    refuse(
        card.liveness_ms.is_some() && payload.entry != Entry::Service,
        "liveness_ms: only a component with the entry `service` can be asked for its health",
    );
    refuse(
        !card.listen.is_empty() && payload.entry != Entry::Http,
        "listen: this version serves sockets to the entry `http` only; remove it",
    );
    let not_http = |on: &ListenOn| matches!(on, ListenOn::Udp(_) | ListenOn::UnixDatagram(_));
    refuse(
        payload.entry == Entry::Http && card.listen.iter().any(|listen| not_http(&listen.on)),
        "listen: HTTP is served on `tcp` and `unix` sockets only",
    );
    refuse(
        workers::has_body(card) && card.listen.len() > MAX_SOCKETS,
        "listen: a component with a body is handed at most 64 sockets; remove some, or its `soma`",
    );
    let refused = arje_native::enforceable(card).err().unwrap_or_default();
    let refused = refused.into_iter();
    problems.extend(refused.map(|reason| format!("the process of the component: {reason}")));
    problems
}
