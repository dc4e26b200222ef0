//! The process that runs a component with a body: what it gets of the Card's permissions.

use std::path::Path;

use arje_card::{Bind, Card, Filesystem, Ipc, Mounts, Networking, Payload, Readiness};
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

/// What of this the running kernel cannot enforce, as from [`enforceable`](crate::enforceable).
pub(crate) fn worker_refusals(card: &Card, kernel: &Kernel) -> Vec<String> {
    refusals(&process_card(card, kernel), kernel)
}

/// The confinement of a process in which `program` runs the component of a Wasm Card. [`worker_refusals`] has passed
/// the Card.
///
/// Inside, the permissions are enforced by what is linked, as they are in PID 1. The process gets no more than that
/// needs: no processes, no files but the Card's preopens, and a network only if its permission names one. That
/// `loopback` is the machine's, as it is for a component in PID 1: only sockets that the host makes for it know which
/// addresses it may use.
///
/// # Errors
/// A text of the Card that no plan can hold, or a filter that cannot be compiled.
pub(crate) fn worker_confinement(
    card: &Card,
    program: &str,
    kernel: &Kernel,
) -> Result<Confinement, String> {
    let mut confinement = confinement(&process_card(card, kernel), program, kernel)?;
    if !kernel.root {
        return Ok(confinement);
    }
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
fn process_card(card: &Card, kernel: &Kernel) -> Card {
    let mut process = card.clone();
    process.genesis.clear();
    // The component's affairs: the process itself talks to nobody but PID 1, on the socket that it is given.
    process.permissions.ipc = Ipc::default();
    process.readiness = Readiness::default();
    process.liveness_ms = None;
    if !kernel.root {
        // Nobody but user 0 can confine a process (dev mode); what is linked holds all the same.
        process.permissions.networking = Networking::Full;
        process.permissions.filesystem = Filesystem::ReadWrite;
        process.permissions.processes = true;
        return process;
    }
    process.permissions.processes = false;
    if card.permissions.networking != Networking::None {
        process.permissions.networking = Networking::Full;
    }
    let preopens = preopens(card);
    if preopens.iter().any(|bind| bind.target == "/") {
        return process; // nothing lies around it: the process has the files that the permission names
    }
    process.permissions.filesystem = Filesystem::None;
    // Over themselves: what lies around them becomes read-only, and they are what they were. In what the Card mounts
    // itself, they are there already.
    let outside = preopens
        .into_iter()
        .filter(|bind| !is_mounted(&card.soma.mounts, &bind.target));
    process.soma.mounts.binds.extend(outside);
    process
}

/// The folders that the component has from its Card, each once: a process sees a folder in one way only, and that a
/// component may read it alone is enforced where it is preopened.
fn preopens(card: &Card) -> Vec<Bind> {
    let Payload::Wasm(payload) = &card.payload else {
        return Vec::new();
    };
    let may_write = card.permissions.filesystem == Filesystem::ReadWrite;
    let mut binds: Vec<Bind> = Vec::new();
    for preopen in &payload.preopens {
        let ro = preopen.ro || !may_write;
        match binds.iter_mut().find(|bind| bind.source == preopen.source) {
            Some(bind) => bind.ro &= ro,
            None => binds.push(Bind {
                source: preopen.source.clone(),
                target: preopen.source.clone(),
                ro,
            }),
        }
    }
    binds
}

/// Whether a path lies in one of these mounts.
fn is_mounted(mounts: &Mounts, path: &str) -> bool {
    let binds = mounts.binds.iter().map(|bind| &bind.target);
    let mut targets = binds.chain(mounts.tmpfs.iter().map(|tmpfs| &tmpfs.target));
    targets.any(|target| Path::new(path).starts_with(target))
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
        let kernel = Kernel::complete();
        let process = process_card(&card, &kernel);
        assert_eq!(process.permissions.filesystem, Filesystem::None);
        assert_eq!(process.permissions.networking, Networking::Full);
        assert!(!process.permissions.processes);
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

    fn folders(preopens: &[(&str, bool)], change: impl FnOnce(&mut Card)) -> Vec<(String, bool)> {
        let bind = |(source, ro): &(&str, bool)| Bind {
            source: (*source).into(),
            target: "/seen".into(),
            ro: *ro,
        };
        let payload = Payload::Wasm(WasmPayload {
            preopens: preopens.iter().map(bind).collect(),
            ..WasmPayload::default()
        });
        let mut card = Card::new(Id::from_bytes([1; 16]), "x", payload, Supervision::OneShot);
        card.permissions.filesystem = Filesystem::ReadWrite;
        change(&mut card);
        let process = process_card(&card, &Kernel::complete());
        let binds = process.soma.mounts.binds.into_iter();
        binds.map(|bind| (bind.target, bind.ro)).collect()
    }

    #[test]
    fn a_folder_is_bound_once_and_as_wide_as_its_widest_use() {
        let given = [("/a", true), ("/b", false), ("/a", false), ("/c", true)];
        let folder = |path: &str, ro| (path.to_owned(), ro);
        let expected = [folder("/a", false), folder("/b", false), folder("/c", true)];
        assert_eq!(folders(&given, |_| {}), expected);
        let read_only = folders(&given, |card| {
            card.permissions.filesystem = Filesystem::ReadOnly;
        });
        assert!(read_only.iter().all(|(_, ro)| *ro));
        let tmpfs = arje_card::Tmpfs {
            target: "/b".into(),
            size_bytes: None,
        };
        let mounted = folders(&[("/b/c", false)], |card| {
            card.soma.mounts.tmpfs = vec![tmpfs]
        });
        assert_eq!(mounted, []);
        assert_eq!(folders(&[("/", false), ("/a", true)], |_| {}), []);
    }

    #[test]
    fn where_nobody_can_confine_nothing_is_refused() {
        let payload = Payload::Wasm(WasmPayload::default());
        let mut card = Card::new(Id::from_bytes([1; 16]), "x", payload, Supervision::OneShot);
        let kernel = Kernel {
            root: false,
            ..Kernel::complete()
        };
        assert_eq!(worker_refusals(&card, &kernel), [""; 0]);
        let confinement = worker_confinement(&card, "/worker", &kernel).unwrap();
        assert_eq!(confinement, Confinement::default());
        card.soma.namespaces.pid = true;
        assert_eq!(worker_refusals(&card, &kernel).len(), 1);
    }
}
