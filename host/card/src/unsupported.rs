//! What a Card may say and this version does on no machine: one table for the init, which refuses such a Card when
//! the seed is loaded, and for `ente verify`, which says so before.
//!
//! What a process can be confined to is not here: the crate that starts processes knows it.

use crate::{Card, Entry, ListenOn, Payload, Readiness, WasmPayload};

/// Most sockets that are handed to the process of a component.
const MAX_WORKER_SOCKETS: usize = 64;

/// Everything in this Card, not in its genesis, that this version does not do, each as `FIELD: WHY; REMEDY`. The field
/// is a path inside the Card; the caller adds where the Card is.
#[must_use]
pub fn unsupported(card: &Card) -> Vec<String> {
    match &card.payload {
        Payload::Virtual => container(card),
        Payload::Wasm(payload) => component(card, payload),
        Payload::Native(_) | Payload::Legacy(_) => Vec::new(),
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

fn component(card: &Card, payload: &WasmPayload) -> Vec<String> {
    let is_http = payload.entry == Entry::Http;
    let bus = card.permissions.ipc.allows("wit-v1");
    let not_http = |on: &ListenOn| matches!(on, ListenOn::Udp(_) | ListenOn::UnixDatagram(_));
    let refused = [
        (
            card.dbus.is_some(),
            "dbus: this version has no system bus; remove it",
        ),
        (
            !card.credentials.is_empty(),
            "credentials: this version hands none to components; remove them",
        ),
        (
            card.readiness == Readiness::Notify,
            "readiness: a component does not notify; leave it out, and a service is Ready when its `start` \
             returned",
        ),
        (
            card.readiness == Readiness::Announce && !bus,
            "readiness: a component announces itself on the bus, which its Card does not allow; add \
             \"wit-v1\" to permissions.ipc.allow, or leave it out, and a service is Ready when its `start` returned",
        ),
        (
            card.liveness_ms.is_some() && payload.entry != Entry::Service,
            "liveness_ms: only a component with the entry `service` can be asked for its health; remove it",
        ),
        (
            !card.listen.is_empty() && !is_http,
            "listen: this version serves sockets to the entry `http` only; remove it",
        ),
        (
            is_http && card.listen.iter().any(|listen| not_http(&listen.on)),
            "listen: HTTP is served on `tcp` and `unix` sockets only; remove the others",
        ),
        (
            !card.soma.is_off() && card.listen.len() > MAX_WORKER_SOCKETS,
            "listen: a component with a body is handed at most 64 sockets; remove some, or its `soma`",
        ),
    ];
    let set = refused.into_iter().filter(|(wanted, _)| *wanted);
    set.map(|(_, why)| why.to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Credential, Dbus, Id, Listen, Supervision};

    type Change = fn(&mut Card);

    fn fields(payload: Payload, change: Change) -> Vec<String> {
        let mut card = Card::new(Id::NIL, "x", payload, Supervision::OneShot);
        change(&mut card);
        let refused = unsupported(&card);
        let field = |text: &String| text.split(':').next().unwrap_or_default().to_owned();
        assert!(
            refused.iter().all(|text| text.contains("; ")),
            "{refused:?}"
        );
        refused.iter().map(field).collect()
    }

    fn component_of(entry: Entry) -> Payload {
        Payload::Wasm(WasmPayload {
            entry,
            ..WasmPayload::default()
        })
    }

    fn listen(on: ListenOn) -> Vec<Listen> {
        let name = "x".into();
        vec![Listen { name, on }]
    }

    #[test]
    fn what_cannot_apply_is_refused_by_field() {
        let everywhere: [(&str, Change); 2] = [
            ("dbus", |c| c.dbus = Some(Dbus::default())),
            ("credentials", |c| {
                c.credentials = vec![Credential::default()]
            }),
        ];
        for (field, change) in everywhere {
            assert_eq!(fields(Payload::Virtual, change), [field]);
            assert_eq!(fields(component_of(Entry::Run), change), [field]);
        }
        let virtual_only: [(&str, Change); 3] = [
            ("soma", |c| c.soma.namespaces.net = true),
            ("liveness_ms", |c| c.liveness_ms = Some(5)),
            ("listen", |c| c.listen = listen(ListenOn::Unix("/x".into()))),
        ];
        for (field, change) in virtual_only {
            assert_eq!(fields(Payload::Virtual, change), [field]);
        }
        let components: [(&str, Entry, Change); 5] = [
            ("readiness", Entry::Service, |c| {
                c.readiness = Readiness::Announce
            }),
            ("readiness", Entry::Service, |c| {
                c.readiness = Readiness::Notify
            }),
            ("liveness_ms", Entry::Http, |c| c.liveness_ms = Some(5)),
            ("listen", Entry::Service, |c| {
                c.listen = listen(ListenOn::Unix("/x".into()))
            }),
            ("listen", Entry::Http, |c| {
                c.listen = listen(ListenOn::UnixDatagram("/x".into()))
            }),
        ];
        for (field, entry, change) in components {
            assert_eq!(fields(component_of(entry), change), [field]);
        }
        let many = |c: &mut Card| {
            c.soma.namespaces.net = true;
            let one = listen(ListenOn::Unix("/x".into()));
            c.listen = vec![one[0].clone(); MAX_WORKER_SOCKETS + 1];
        };
        assert_eq!(fields(component_of(Entry::Http), many), ["listen"]);
    }

    #[test]
    fn what_is_done_is_not_refused() {
        let nothing: [String; 0] = [];
        assert_eq!(fields(Payload::Virtual, |_| {}), nothing);
        let served = |c: &mut Card| c.listen = listen(ListenOn::Unix("/x".into()));
        assert_eq!(fields(component_of(Entry::Http), served), nothing);
        let healthy = |c: &mut Card| c.liveness_ms = Some(5);
        assert_eq!(fields(component_of(Entry::Service), healthy), nothing);
        assert_eq!(
            fields(Payload::Native(Default::default()), healthy),
            nothing
        );
    }
}
