//! What this version can enforce for a native Card. The rest is refused, never ignored.

use arje_card::{Card, Limits, Payload, Readiness, Soma};

use serde::Serialize;

use crate::confine::{Kernel, refusals};
use crate::console::console_of;

/// The name of the bus in `permissions.ipc.allow` (docs/bus.md); without it `ente-zero` refuses the Ente's connections.
const BUS: &str = "wit-v1";

/// Whether this version, on the running kernel, can enforce all that a Native Card says about its process.
///
/// Wasm and Virtual Cards are not this crate's business and pass.
///
/// # Errors
/// Every field that cannot be enforced, each as `FIELD: VALUE, what is expected instead`. The field is a path inside
/// the Card; the caller adds where the Card is.
pub fn enforceable(card: &Card) -> Result<(), Vec<String>> {
    enforceable_on(card, Kernel::running())
}

fn enforceable_on(card: &Card, kernel: &Kernel) -> Result<(), Vec<String>> {
    let mut refused = Vec::new();
    match &card.payload {
        Payload::Wasm(_) | Payload::Virtual => return Ok(()),
        Payload::Legacy(_) => refused.push(
            "payload: Legacy, but this version answers for no part of systemd; use Native".into(),
        ),
        Payload::Native(_) => {}
    }
    refused.extend(refusals(card, kernel));
    check_ipc(card, &mut refused);
    check_soma(&card.soma, &mut refused);
    check_host_services(card, &mut refused);
    refused.extend(console_of(card).err());
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

fn check_soma(soma: &Soma, refused: &mut Vec<String>) {
    if soma.cgroup.any() {
        refused.push(not_yet("soma.cgroup", &json(&soma.cgroup)));
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
        Cgroup, CpuMax, Credential, Dbus, Filesystem, Id, Ipc, LegacyPayload, Listen, ListenOn,
        NativePayload, Networking, Permissions, Supervision,
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
        let cases: [(&str, Change); 10] = [
            ("permissions.ipc.allow", |c| {
                c.permissions.ipc.allow = vec!["wit-v1".into(), "wit-v2".into()];
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
    fn a_refusal_shows_what_the_card_says() {
        let mut card = unconfined();
        card.soma.cgroup.cpu_weight = Some(50);
        card.liveness_ms = Some(7);
        let ending = "but this version cannot enforce it for native Cards; remove it";
        assert_eq!(
            enforceable_on(&card, &Kernel::complete()).unwrap_err(),
            [
                format!("soma.cgroup: {{\"cpu_weight\":50}}, {ending}"),
                format!("liveness_ms: 7, {ending}"),
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
