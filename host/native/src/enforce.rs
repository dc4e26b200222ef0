//! What this version can enforce for a native Card. The rest is refused, never ignored.

use arje_card::{Card, Fake, Limits, Payload, Readiness};

use ente_spawn::MAX_PASSED;
use serde::Serialize;

use crate::confine::{Kernel, refusals, worker_refusals};
use crate::console::console_of;

/// The name of the bus in `permissions.ipc.allow` (docs/bus.md); without it `ente-zero` refuses the Ente's connections.
const BUS: &str = "wit-v1";

/// Most credentials of a Card. Each is a descriptor of the executor while they are copied, and a line among the 256 mounts
/// that a plan has room for.
const MAX_CREDENTIALS: usize = 64;

/// Whether this version, on the running kernel, can enforce all that a Native Card says about its process.
///
/// What cgroups can do depends on the machine: see [`check_settings`](crate::cgroup::check_settings). Of a Wasm Card it
/// looks at what concerns the process that runs its component, if its `soma` asks for one. Virtual
/// Cards are not this crate's business and pass.
///
/// # Errors
/// Every field that cannot be enforced, each as `FIELD: VALUE, what is expected instead`. The field is a path inside
/// the Card; the caller adds where the Card is.
pub fn enforceable(card: &Card) -> Result<(), Vec<String>> {
    enforceable_on(card, Kernel::running())
}

/// Whether there is a machine, and a user of it, for whom [`enforceable`] would pass the Card: what can be said far from
/// the machine that is to run it.
///
/// # Errors
/// As [`enforceable`], without what depends on the kernel, the CPUs, or the user that the init runs as.
pub fn enforceable_somewhere(card: &Card) -> Result<(), Vec<String>> {
    let refused_to = |root| {
        let cpus = card.soma.cpu_affinity.iter().flatten().copied().collect();
        let refused = enforceable_on(card, &Kernel::ideal(root, cpus));
        refused.err().unwrap_or_default()
    };
    let (mut refused, by_others) = (refused_to(true), refused_to(false));
    refused.retain(|reason| by_others.contains(reason));
    if refused.is_empty() {
        Ok(())
    } else {
        Err(refused)
    }
}

fn enforceable_on(card: &Card, kernel: &Kernel) -> Result<(), Vec<String>> {
    let mut refused = Vec::new();
    match &card.payload {
        Payload::Virtual => return Ok(()),
        Payload::Wasm(_) => return component(card, kernel),
        Payload::Legacy(legacy) => check_fakes(&legacy.fakes, &mut refused),
        Payload::Native(_) => {}
    }
    refused.extend(refusals(card, kernel));
    check_ipc(card, &mut refused);
    check_credentials(card, kernel, &mut refused);
    check_host_services(card, &mut refused);
    refused.extend(console_of(card).err());
    if refused.is_empty() {
        Ok(())
    } else {
        Err(refused)
    }
}

/// Whether the process of a component can be what its Card says.
fn component(card: &Card, kernel: &Kernel) -> Result<(), Vec<String>> {
    let mut refused = Vec::new();
    if !card.soma.is_off() {
        refused.extend(worker_refusals(card, kernel));
    }
    if refused.is_empty() {
        Ok(())
    } else {
        Err(refused)
    }
}

fn check_ipc(card: &Card, refused: &mut Vec<String>) {
    let names = card.permissions.ipc.allow.iter();
    for name in names.filter(|name| *name != BUS) {
        refused.push(format!(
            "permissions.ipc.allow: {}, but the one way there is for native Cards is the bus, {BUS:?}; remove it",
            json(name)
        ));
    }
}

/// What the host would have to do for the process beyond starting it.
fn check_host_services(card: &Card, refused: &mut Vec<String>) {
    if card.readiness == Readiness::Announce && !card.permissions.ipc.allows(BUS) {
        let found = json(&card.readiness);
        refused.push(format!(
            "readiness: {found}, but it announces itself on the bus, which its permissions.ipc.allow does not name; \
             add {BUS:?} there"
        ));
    }
    if card.listen.len() > MAX_PASSED as usize {
        refused.push(format!(
            "listen: {} sockets, but a program is passed at most {MAX_PASSED}; remove some",
            card.listen.len()
        ));
    }
    if let Some(dbus) = &card.dbus {
        refused.push(not_yet("dbus", &json(dbus)));
    }
    if card.limits != Limits::default() {
        refused.push(
            "limits: set, but they are those of Wasm Cards; remove them, or use soma.rlimits"
                .into(),
        );
    }
}

/// Their folder is a mount in a namespace of the Ente's own.
fn check_credentials(card: &Card, kernel: &Kernel, refused: &mut Vec<String>) {
    let found = json(&card.credentials);
    if card.credentials.is_empty() {
        return;
    }
    if !kernel.root {
        refused.push(format!(
            "credentials: {found}, but only user 0 can make the folder that nobody else sees; run the init as root, \
             or remove them"
        ));
    } else if !kernel.namespaces.contains("mnt") || !kernel.mount_attributes {
        refused.push(format!(
            "credentials: {found}, but this kernel cannot make the folder that nobody else sees; remove them"
        ));
    }
    if card.credentials.len() > MAX_CREDENTIALS {
        refused.push(format!(
            "credentials: {}, but at most {MAX_CREDENTIALS} are handed over; remove some",
            card.credentials.len()
        ));
    }
}

/// The parts of systemd that a Legacy Card expects.
fn check_fakes(fakes: &[Fake], refused: &mut Vec<String>) {
    for fake in fakes {
        match fake {
            Fake::SystemdNotify => {}
            Fake::SystemdLogind | Fake::SystemdHostnamed => refused.push(format!(
                "payload.Legacy.fakes: {}, but this version answers for it nowhere; remove it if the program can do \
                 without",
                json(fake)
            )),
        }
    }
}

/// A value as the Card has it.
pub(crate) fn json(value: &impl Serialize) -> String {
    // Plain data always can be written; the type says otherwise.
    serde_json::to_string(value).unwrap_or_default()
}

fn not_yet(field: &str, found: &str) -> String {
    format!("{field}: {found}, but this version cannot enforce it for native Cards; remove it")
}

#[cfg(test)]
mod tests {
    use super::*;
    use arje_card::{
        Credential, Dbus, Filesystem, Id, Ipc, LegacyPayload, Listen, ListenOn, NativePayload,
        Networking, Permissions, Supervision,
    };
    use serde_json::json;

    fn unconfined() -> Card {
        let payload = Payload::Native(NativePayload {
            exec: "/bin/sh".into(),
            ..NativePayload::default()
        });
        let mut card = Card::new(Id::from_bytes([1; 16]), "sh", payload, Supervision::OneShot);
        card.permissions = Permissions {
            networking: Networking::Full,
            filesystem: Filesystem::ReadWrite,
            ipc: Ipc::default(),
            processes: true,
        };
        card
    }

    /// The fields that are refused in an unconfined Card with this change.
    fn refused(root: bool, change: impl FnOnce(&mut Card)) -> Vec<String> {
        let mut card = unconfined();
        change(&mut card);
        let kernel = Kernel {
            root,
            ..Kernel::complete()
        };
        let reasons = enforceable_on(&card, &kernel).err().unwrap_or_default();
        reasons
            .iter()
            .map(|reason| reason.split(':').next().unwrap().to_owned())
            .collect()
    }

    #[test]
    fn an_unconfined_card_with_limits_passes() {
        let nothing: Vec<String> = Vec::new();
        assert_eq!(refused(true, |_| {}), nothing);
        assert_eq!(
            refused(true, |card| {
                card.soma.rlimits.mem_bytes = Some(1 << 20);
                card.soma.rlimits.nofile = Some(64);
                card.readiness = Readiness::Exit;
                card.permissions.ipc.allow = vec!["wit-v1".into()];
                card.extensions.insert("console".into(), json!(true));
            }),
            nothing
        );
        assert_eq!(
            refused(false, |card| card.soma.rlimits.nproc = Some(10)),
            nothing
        );
    }

    type Change = fn(&mut Card);

    #[test]
    fn everything_else_is_refused_by_field() {
        let cases: [(&str, Change); 7] = [
            ("permissions.ipc.allow", |c| {
                c.permissions.ipc.allow = vec!["wit-v1".into(), "wit-v2".into()];
            }),
            ("soma.rlimits.nproc", |c| c.soma.rlimits.nproc = Some(10)),
            ("readiness", |c| c.readiness = Readiness::Announce),
            ("listen", |c| {
                let on = ListenOn::Unix("/run/x".into());
                let socket = |n: u32| Listen {
                    name: n.to_string(),
                    on: on.clone(),
                };
                c.listen = (0..=MAX_PASSED).map(socket).collect();
            }),
            ("credentials", |c| {
                c.credentials = vec![Credential::default(); MAX_CREDENTIALS + 1];
            }),
            ("dbus", |c| c.dbus = Some(Dbus::default())),
            ("console", |c| {
                c.extensions.insert("console".into(), json!("/etc/passwd"));
            }),
        ];
        for (field, change) in cases {
            assert_eq!(refused(true, change), [field]);
        }
        assert_eq!(refused(true, |c| c.limits.mailbox = 1), ["limits"]);
        let credentials = |c: &mut Card| c.credentials = vec![Credential::default()];
        assert_eq!(refused(true, credentials), [""; 0]);
        assert_eq!(refused(false, credentials), ["credentials"]);
        for (fake, expected) in [
            (Fake::SystemdNotify, &[][..]),
            (Fake::SystemdLogind, &["payload.Legacy.fakes"]),
            (Fake::SystemdHostnamed, &["payload.Legacy.fakes"]),
        ] {
            let legacy = LegacyPayload {
                fakes: vec![fake],
                ..LegacyPayload::default()
            };
            let found = refused(true, |c| c.payload = Payload::Legacy(legacy));
            assert_eq!(found, expected, "{fake:?}");
        }
    }

    #[test]
    fn what_depends_on_the_machine_is_possible_somewhere() {
        let somewhere = |change: Change| {
            let mut card = unconfined();
            change(&mut card);
            let refused = enforceable_somewhere(&card).err().unwrap_or_default();
            let field = |reason: &String| reason.split(':').next().unwrap().to_owned();
            refused.iter().map(field).collect::<Vec<_>>()
        };
        let possible: [Change; 4] = [
            |c| c.permissions = Permissions::default(),
            |c| c.soma.rlimits.nproc = Some(10),
            |c| c.soma.cpu_affinity = Some(vec![4000]),
            |c| c.credentials = vec![Credential::default()],
        ];
        for change in possible {
            assert_eq!(somewhere(change), [""; 0]);
        }
        let announces = |c: &mut Card| c.readiness = Readiness::Announce;
        assert_eq!(somewhere(announces), ["readiness"]);
        let on_the_bus = |c: &mut Card| {
            c.readiness = Readiness::Announce;
            c.permissions.ipc.allow = vec![BUS.into()];
        };
        assert_eq!(somewhere(on_the_bus), [""; 0]);
        assert_eq!(somewhere(|c| c.dbus = Some(Dbus::default())), ["dbus"]);
        let shell = |c: &mut Card| {
            c.extensions.insert("console".into(), json!("/etc/passwd"));
        };
        assert_eq!(somewhere(shell), ["console"]);
    }

    #[test]
    fn a_refusal_shows_what_the_card_says() {
        let mut card = unconfined();
        card.limits.mailbox = 1;
        card.dbus = Some(Dbus::default());
        let ending = "but this version cannot enforce it for native Cards; remove it";
        assert_eq!(
            enforceable_on(&card, &Kernel::complete()).unwrap_err(),
            [
                format!("dbus: {{\"own\":[]}}, {ending}"),
                "limits: set, but they are those of Wasm Cards; remove them, or use soma.rlimits"
                    .to_owned(),
            ]
        );
    }

    #[test]
    fn other_payloads_are_not_this_crates_business() {
        let mut card = unconfined();
        card.payload = Payload::Virtual;
        card.permissions = Permissions::default();
        assert_eq!(enforceable(&card), Ok(()));
    }
}
