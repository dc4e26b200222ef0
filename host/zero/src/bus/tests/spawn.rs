//! What a caller may bring to life.

use super::rights::{card, member, unconfined, with_bus};
use super::user;
use crate::bus::caller::Caller;
use crate::bus::may_spawn;
use arje_card::{
    Bind, Capability, Card, Credential, Entry, Env, Filesystem, LegacyPayload, Listen, ListenOn,
    Networking, Payload, Pin, RunAs, WasmPayload,
};
use serde_json::json;
use std::sync::Arc;

const NOBODY: u32 = 65_534;

fn run_as(uid: u32) -> Option<RunAs> {
    Some(RunAs {
        uid,
        gid: uid,
        groups: vec![],
    })
}

/// A spawner under restrictions: what it may is what the changes below step over.
fn spawner() -> Arc<Card> {
    card("spawner", |card| {
        with_bus(card);
        card.holds.insert(Capability::Spawn);
        card.permissions.networking = Networking::Outbound;
        card.permissions.filesystem = Filesystem::ReadOnly;
        card.soma.run_as = run_as(NOBODY);
        card.soma.namespaces.pid = true;
    })
}

/// The field that forbids it.
fn refusal(caller: &Caller, child: &Card) -> Option<String> {
    let error = may_spawn(caller, 0, child).err()?;
    let field = error.message.split(": ").nth(1).unwrap();
    Some(field.to_owned())
}

fn wasm(preopens: Vec<Bind>) -> Payload {
    Payload::Wasm(WasmPayload {
        module_sha256: Pin::from([7; 32]),
        entry: Entry::Service,
        argv: vec![],
        envp: Env::default(),
        preopens,
    })
}

type Change = fn(&mut Card);

#[test]
fn nobody_brings_more_to_life_than_it_is() {
    let spawner = spawner();
    let caller = member(&spawner, NOBODY);
    let child = |change: Change| {
        let mut child = Card::clone(&spawner);
        child.label = "child".into();
        change(&mut child);
        child
    };
    let allowed: [Change; 5] = [
        |_| {},
        |c| c.holds.clear(),
        |c| c.permissions = arje_card::Permissions::default(),
        |c| {
            c.provides.insert(Capability::Journal);
        },
        |c| {
            c.permissions = arje_card::Permissions::default();
            c.payload = wasm(vec![]);
        },
    ];
    for change in allowed {
        assert_eq!(refusal(&caller, &child(change)), None);
    }
    let refused: [(&str, Change); 17] = [
        ("holds", |c| {
            c.holds.insert(Capability::Power);
        }),
        ("permissions.networking", |c| {
            c.permissions.networking = Networking::Full;
        }),
        // The machine's loopback, of which its spawner sees nothing.
        ("permissions.networking", |c| {
            c.payload = wasm(vec![]);
            c.permissions.networking = Networking::Loopback;
        }),
        ("permissions.filesystem", |c| {
            c.permissions.filesystem = Filesystem::ReadWrite;
        }),
        ("permissions.ipc.allow", |c| {
            c.permissions.ipc.allow.push("other".into());
        }),
        ("permissions.processes", |c| c.permissions.processes = true),
        ("soma.namespaces", |c| c.soma.namespaces.pid = false),
        ("soma.namespaces", |c| c.soma.namespaces.mount = true),
        ("soma.run_as", |c| c.soma.run_as = None),
        ("soma.run_as", |c| c.soma.run_as = run_as(0)),
        ("soma.cgroup.path", |c| {
            c.soma.cgroup.path = Some("web".into())
        }),
        ("listen", |c| {
            c.listen.push(Listen {
                name: "web".into(),
                on: ListenOn::Tcp("127.0.0.1:80".parse().unwrap()),
            });
        }),
        ("credentials", |c| {
            c.credentials.push(Credential::default());
        }),
        ("payload.Wasm.preopens", |c| {
            c.permissions.networking = Networking::None;
            c.payload = wasm(vec![Bind {
                source: "/".into(),
                target: "/host".into(),
                ro: true,
            }]);
        }),
        ("console", |c| {
            c.extensions.insert("console".into(), json!(true));
        }),
        ("console", |c| {
            c.extensions.insert("console".into(), json!("/dev/tty1"));
        }),
        // What is below counts like what is on top.
        ("holds", |c| {
            let mut below = Card::clone(c);
            below.holds.insert(Capability::SwitchRoot);
            let mut between = Card::clone(c);
            between.genesis.push(below);
            c.genesis.push(between);
        }),
    ];
    for (field, change) in refused {
        assert_eq!(refusal(&caller, &child(change)).as_deref(), Some(field));
    }
    // Another user than the one that its children would be.
    assert_eq!(
        refusal(&member(&spawner, 1000), &child(|_| {})).as_deref(),
        Some("soma.run_as")
    );
}

#[test]
fn who_is_unrestricted_spawns_anything_and_nobody_becomes_it() {
    let free = card("free", |card| {
        unconfined(card);
        card.holds.insert(Capability::Spawn);
    });
    let powerful = card("powerful", |card| {
        unconfined(card);
        card.holds.insert(Capability::Power);
    });
    assert_eq!(refusal(&user(0), &powerful), None);
    assert_eq!(refusal(&member(&free, 0), &powerful), None);
    // A process of it that has given up being user 0 would get that back.
    let refused = refusal(&member(&free, 1000), &free);
    assert_eq!(refused.as_deref(), Some("soma.run_as"));
    // Everything but the one kind of payload that counts as unrestricted.
    let legacy = card("legacy", |card| {
        unconfined(card);
        card.holds.insert(Capability::Spawn);
        card.payload = Payload::Legacy(LegacyPayload {
            exec: "/bin/true".into(),
            argv: vec![],
            fakes: vec![],
        });
    });
    assert_eq!(refusal(&member(&legacy, 0), &legacy), None);
    let refused = refusal(&member(&legacy, 0), &free);
    assert_eq!(refused.as_deref(), Some("permissions"));
    // Without any right it does not get here; if it did, it would end here.
    assert!(may_spawn(&user(1000), 0, &free).is_err());
}

#[test]
fn a_component_brings_no_process_to_life_that_sees_files_or_has_a_user_of_its_own() {
    let component = |body: bool| {
        let spawner = spawner();
        Arc::new(Card {
            payload: wasm(vec![]),
            soma: match body {
                true => spawner.soma.clone(),
                false => arje_card::Soma::default(),
            },
            ..Card::clone(&spawner)
        })
    };
    let with_body = component(true);
    let mut process = Card::clone(&spawner());
    process.label = "process".into();
    let caller = member(&with_body, NOBODY);
    let of_files = refusal(&caller, &process);
    assert_eq!(of_files.as_deref(), Some("permissions.filesystem"));
    process.permissions.filesystem = Filesystem::None;
    assert_eq!(refusal(&caller, &process), None);
    // Without a body it is nobody.
    let without = component(false);
    process.soma = arje_card::Soma::default();
    for caller in [member(&without, u32::MAX), member(&without, NOBODY)] {
        let of_user = refusal(&caller, &process);
        assert_eq!(of_user.as_deref(), Some("soma.run_as"));
    }
    let mut child = Card::clone(&without);
    child.permissions = arje_card::Permissions::default();
    assert_eq!(refusal(&member(&without, u32::MAX), &child), None);
}
