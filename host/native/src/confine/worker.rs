//! The process that runs a component with a body: what it gets of the Card's permissions.

use arje_card::{Bind, Card, Filesystem, Networking, Payload};
use ente_spawn::{Confinement, PathRule};

use super::capabilities::kept_for_component;
use super::landlock::READ;
use super::{Kernel, confinement, refusals};

/// What a C library reads in order to resolve names.
const RESOLVER: [&str; 6] = [
    "/etc/resolv.conf",
    "/etc/hosts",
    "/etc/nsswitch.conf",
    "/etc/host.conf",
    "/etc/gai.conf",
    "/etc/services",
];

/// The confinement of a process in which `program` runs the component of a Wasm Card.
///
/// Inside, the permissions are enforced by what is linked, as they are in PID 1. The process gets no more than that
/// needs: no processes, no files but the Card's preopens, and a network only if its permission names one. That
/// `loopback` is the machine's, as it is for a component in PID 1: only sockets that the host makes for it know which
/// addresses it may use.
///
/// # Errors
/// What the running kernel cannot enforce, one text for each field, as from [`enforceable`](crate::enforceable).
pub fn worker_confinement(card: &Card, program: &str) -> Result<Confinement, Vec<String>> {
    let kernel = Kernel::running();
    let process = process_card(card);
    let refused = refusals(&process, kernel);
    if !refused.is_empty() {
        return Err(refused);
    }
    let mut confinement = confinement(&process, program, kernel).map_err(|reason| vec![reason])?;
    confinement.capabilities = Some(kept_for_component(card));
    if let Some(landlock) = &mut confinement.landlock
        && card.permissions.networking >= Networking::Outbound
    {
        let readable = RESOLVER
            .iter()
            .filter_map(|path| std::ffi::CString::new(*path).ok());
        landlock.paths.extend(readable.map(|path| PathRule {
            path,
            access: READ & landlock.handled,
            optional: true,
            program: false,
        }));
    }
    Ok(confinement)
}

/// A Card that says of the process what the Wasm Card says of its component.
fn process_card(card: &Card) -> Card {
    let mut process = card.clone();
    process.permissions.processes = false;
    process.permissions.filesystem = Filesystem::None;
    if card.permissions.networking != Networking::None {
        process.permissions.networking = Networking::Full;
    }
    if let Payload::Wasm(payload) = &card.payload {
        // Over themselves: what lies around them becomes read-only, and they are what they were.
        let binds = payload.preopens.iter().map(|preopen| Bind {
            source: preopen.source.clone(),
            target: preopen.source.clone(),
            ro: preopen.ro,
        });
        process.soma.mounts.binds.extend(binds);
    }
    process
}

#[cfg(test)]
mod tests {
    use super::*;
    use arje_card::{Id, Supervision, WasmPayload};

    #[test]
    fn a_component_gets_its_preopens_and_nothing_else() {
        let payload = Payload::Wasm(WasmPayload {
            preopens: vec![Bind {
                source: "/srv/data".into(),
                target: "/data".into(),
                ro: true,
            }],
            ..WasmPayload::default()
        });
        let mut card = Card::new(Id::from_bytes([1; 16]), "x", payload, Supervision::OneShot);
        card.permissions.filesystem = Filesystem::ReadOnly;
        card.permissions.networking = Networking::Loopback;
        let process = process_card(&card);
        assert_eq!(process.permissions.filesystem, Filesystem::None);
        assert_eq!(process.permissions.networking, Networking::Full);
        assert!(!process.permissions.processes);
        let kernel = Kernel::complete();
        assert!(refusals(&process, &kernel).is_empty());
        let confinement = confinement(&process, "/usr/lib/ente/ente-worker", &kernel).unwrap();
        assert!(!confinement.namespaces.net && confinement.namespaces.mount);
        let paths = confinement.landlock.unwrap().paths;
        let data = paths
            .iter()
            .find(|rule| *rule.path == *c"/srv/data")
            .unwrap();
        assert_eq!(data.access, READ);
        // DAC_READ_SEARCH and NET_BIND_SERVICE.
        assert_eq!(kept_for_component(&card), 1 << 2 | 1 << 10);
    }
}
