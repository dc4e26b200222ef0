//! What this version can enforce for a native Card. The rest is refused, never ignored.

use arje_card::{
    Card, Filesystem, Limits, Namespaces, Networking, Payload, Permissions, Readiness, Soma,
};

use serde::Serialize;

use crate::console::console_of;

/// Whether this version can enforce all that a Native Card says about its process.
///
/// Native Cards run unconfined for now, with their resource limits: so `permissions` must say that they are, and
/// a `soma` beyond `rlimits` is refused. Wasm and Virtual Cards are not this crate's business and pass.
///
/// # Errors
/// Every field that cannot be enforced, each as `FIELD: VALUE, what is expected instead`. The field is a path inside
/// the Card; the caller adds where the Card is.
pub fn enforceable(card: &Card) -> Result<(), Vec<String>> {
    enforceable_for(card, nix::unistd::geteuid().is_root())
}

/// `root`: whether the processes run as user 0, as all do whose init does.
fn enforceable_for(card: &Card, root: bool) -> Result<(), Vec<String>> {
    let mut refused = Vec::new();
    match &card.payload {
        Payload::Wasm(_) | Payload::Virtual => return Ok(()),
        Payload::Legacy(_) => refused.push(
            "payload: Legacy, but this version answers for no part of systemd; use Native".into(),
        ),
        Payload::Native(_) => {}
    }
    check_permissions(&card.permissions, &mut refused);
    check_soma(&card.soma, root, &mut refused);
    check_host_services(card, &mut refused);
    refused.extend(console_of(card).err());
    if refused.is_empty() {
        Ok(())
    } else {
        Err(refused)
    }
}

fn check_permissions(permissions: &Permissions, refused: &mut Vec<String>) {
    let mut narrower = |field: &str, found: &str, expected: &str| {
        refused.push(format!(
            "permissions.{field}: {found}, but this version runs native Cards only unconfined; say so with {expected}"
        ));
    };
    if permissions.networking != Networking::Full {
        narrower("networking", &json(&permissions.networking), "\"full\"");
    }
    if permissions.filesystem != Filesystem::ReadWrite {
        let found = json(&permissions.filesystem);
        narrower("filesystem", &found, "\"read-write\"");
    }
    if !permissions.processes {
        narrower("processes", "false", "true");
    }
    if !permissions.ipc.allow.is_empty() {
        refused.push(format!(
            "permissions.ipc.allow: {}, but this version has no bus for native Cards; remove it",
            json(&permissions.ipc.allow)
        ));
    }
}

fn check_soma(soma: &Soma, root: bool, refused: &mut Vec<String>) {
    for (name, wanted) in namespaces(soma.namespaces) {
        if wanted {
            refused.push(not_yet(&format!("soma.namespaces.{name}"), "true"));
        }
    }
    if root && let Some(nproc) = soma.rlimits.nproc {
        // kernel/fork.c: the limit counts the processes of a user, and user 0 is exempt.
        refused.push(format!(
            "soma.rlimits.nproc: {nproc}, but the kernel does not apply this limit to user 0, as whom the Card runs; \
             remove it"
        ));
    }
    let parts = [
        ("cgroup", soma.cgroup.any().then(|| json(&soma.cgroup))),
        ("mounts", soma.mounts.any().then(|| json(&soma.mounts))),
        ("cpu_affinity", soma.cpu_affinity.as_ref().map(json)),
        ("run_as", soma.run_as.as_ref().map(json)),
    ];
    for (field, found) in parts {
        if let Some(found) = found {
            refused.push(not_yet(&format!("soma.{field}"), &found));
        }
    }
}

/// What the host would have to do for the process beyond starting it.
fn check_host_services(card: &Card, refused: &mut Vec<String>) {
    if matches!(card.readiness, Readiness::Notify | Readiness::Announce) {
        let found = json(&card.readiness);
        refused.push(format!(
            "readiness: {found}, but this version receives neither notifications nor announcements of native Cards; \
             use \"started\" or \"exit\""
        ));
    }
    if let Some(liveness) = card.liveness_ms {
        refused.push(not_yet("liveness_ms", &liveness.to_string()));
    }
    if !card.listen.is_empty() {
        refused.push(not_yet("listen", &json(&card.listen)));
    }
    if !card.credentials.is_empty() {
        refused.push(not_yet("credentials", &json(&card.credentials)));
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

/// A value as the Card has it.
fn json(value: &impl Serialize) -> String {
    // Plain data always can be written; the type says otherwise.
    serde_json::to_string(value).unwrap_or_default()
}

fn not_yet(field: &str, found: &str) -> String {
    format!("{field}: {found}, but this version cannot enforce it for native Cards; remove it")
}

fn namespaces(namespaces: Namespaces) -> [(&'static str, bool); 7] {
    // Taken apart by name, so that a new field does not go unnoticed.
    let Namespaces {
        mount,
        pid,
        net,
        uts,
        ipc,
        user,
        cgroup,
    } = namespaces;
    [
        ("mount", mount),
        ("pid", pid),
        ("net", net),
        ("uts", uts),
        ("ipc", ipc),
        ("user", user),
        ("cgroup", cgroup),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use arje_card::{
        Bind, Cgroup, CpuMax, Credential, Dbus, Id, Ipc, LegacyPayload, Listen, ListenOn, Mounts,
        NativePayload, RunAs, Supervision, Tmpfs,
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
        let reasons = enforceable_for(&card, root).err().unwrap_or_default();
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
        let cases: [(&str, Change); 26] = [
            ("permissions.networking", |c| {
                c.permissions.networking = Networking::Loopback;
            }),
            ("permissions.networking", |c| {
                c.permissions.networking = Networking::Outbound;
            }),
            ("permissions.networking", |c| {
                c.permissions.networking = Networking::None;
            }),
            ("permissions.filesystem", |c| {
                c.permissions.filesystem = Filesystem::ReadOnly;
            }),
            ("permissions.processes", |c| c.permissions.processes = false),
            ("permissions.ipc.allow", |c| {
                c.permissions.ipc.allow = vec!["wit-v1".into()];
            }),
            ("soma.namespaces.mount", |c| c.soma.namespaces.mount = true),
            ("soma.namespaces.pid", |c| c.soma.namespaces.pid = true),
            ("soma.namespaces.net", |c| c.soma.namespaces.net = true),
            ("soma.namespaces.uts", |c| c.soma.namespaces.uts = true),
            ("soma.namespaces.ipc", |c| c.soma.namespaces.ipc = true),
            ("soma.namespaces.user", |c| c.soma.namespaces.user = true),
            ("soma.namespaces.cgroup", |c| {
                c.soma.namespaces.cgroup = true;
            }),
            ("soma.rlimits.nproc", |c| c.soma.rlimits.nproc = Some(10)),
            ("soma.cgroup", |c| {
                c.soma.cgroup = Cgroup {
                    cpu_max: Some(CpuMax {
                        quota_us: 1000,
                        period_us: 1000,
                    }),
                    ..Cgroup::default()
                };
            }),
            ("soma.cpu_affinity", |c| c.soma.cpu_affinity = Some(vec![0])),
            ("soma.run_as", |c| c.soma.run_as = Some(RunAs::default())),
            ("soma.mounts", |c| {
                c.soma.mounts = Mounts {
                    binds: vec![Bind::default()],
                    tmpfs: Vec::new(),
                };
            }),
            ("soma.mounts", |c| {
                c.soma.mounts.tmpfs = vec![Tmpfs::default()];
            }),
            ("readiness", |c| c.readiness = Readiness::Notify),
            ("readiness", |c| c.readiness = Readiness::Announce),
            ("liveness_ms", |c| c.liveness_ms = Some(1000)),
            ("listen", |c| {
                c.listen = vec![Listen {
                    name: "x".into(),
                    on: ListenOn::Unix("/run/x".into()),
                }];
            }),
            ("credentials", |c| {
                c.credentials = vec![Credential::default()];
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
        assert_eq!(
            refused(true, |c| c.payload =
                Payload::Legacy(LegacyPayload::default())),
            ["payload"]
        );
    }

    #[test]
    fn the_default_permissions_are_refused_one_by_one() {
        let mut card = unconfined();
        card.permissions = Permissions::default();
        let reasons = enforceable_for(&card, true).unwrap_err();
        assert_eq!(
            reasons,
            [
                "permissions.networking: \"none\", but this version runs native Cards only unconfined; say so with \
                 \"full\"",
                "permissions.filesystem: \"none\", but this version runs native Cards only unconfined; say so with \
                 \"read-write\"",
                "permissions.processes: false, but this version runs native Cards only unconfined; say so with true",
            ]
        );
    }

    #[test]
    fn a_refusal_shows_what_the_card_says() {
        let mut card = unconfined();
        card.soma.cgroup.cpu_weight = Some(50);
        card.soma.run_as = Some(RunAs {
            uid: 7,
            ..RunAs::default()
        });
        let ending = "but this version cannot enforce it for native Cards; remove it";
        assert_eq!(
            enforceable_for(&card, true).unwrap_err(),
            [
                format!("soma.cgroup: {{\"cpu_weight\":50}}, {ending}"),
                format!("soma.run_as: {{\"uid\":7,\"gid\":0}}, {ending}"),
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
