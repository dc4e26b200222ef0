//! The table of interfaces and permissions.
use std::collections::BTreeSet;

use arje_card::grants::{GRANTS, Needs, SurplusReason, audit, lookup, summary};
use arje_card::{
    Capability, Card, Id, InterfaceName, Networking, Payload, Permissions, Supervision,
};

fn card(networking: Networking) -> Card {
    let permissions = Permissions {
        networking,
        ..Permissions::default()
    };
    let new = Card::new(Id::NIL, "fetch", Payload::Virtual, Supervision::OneShot);
    Card { permissions, ..new }
}

#[test]
fn every_entry_is_found_by_its_own_name() {
    let names: BTreeSet<&str> = GRANTS.iter().map(|grant| grant.interface).collect();
    assert_eq!(names.len(), GRANTS.len());
    for grant in GRANTS {
        let (major, minor, patch) = grant.version;
        let import = format!("{}@{major}.{minor}.{patch}", grant.interface);
        assert!(import.parse::<InterfaceName>().is_ok(), "{import}");
        assert_eq!(lookup(&import), Some(grant));
    }
}

#[test]
fn compatible_versions_are_found() {
    let cases = [
        ("wasi:cli/stdout@0.2.0", true),
        ("wasi:cli/stdout@0.2.99", true),
        ("wasi:cli/stdout@0.3.0", false),
        ("wasi:cli/stdout@1.2.0", false),
        ("wasi:cli/stdout", false),
        ("arje:ente/log@1.0.0", true),
        ("arje:ente/log@1.9.3", true),
        ("arje:ente/log@2.0.0", false),
        ("arje:ente/logs@1.0.0", false),
        ("wasi:http/incoming-handler@0.2.0", false),
        ("wasi_snapshot_preview1", false),
        ("", false),
    ];
    for (import, found) in cases {
        assert_eq!(lookup(import).is_some(), found, "{import}");
    }
}

#[test]
fn each_step_of_networking_grants_more() {
    use Networking::{Full, Loopback, None, Outbound};
    let cases = [
        ("wasi:sockets/tcp@0.2.0", None),
        ("wasi:sockets/udp@0.2.0", None),
        ("wasi:sockets/network@0.2.0", None),
        ("wasi:filesystem/types@0.2.0", None),
        ("wasi:filesystem/preopens@0.2.0", None),
        ("wasi:http/types@0.2.0", None),
        ("wasi:sockets/instance-network@0.2.0", Loopback),
        ("wasi:sockets/tcp-create-socket@0.2.0", Loopback),
        ("wasi:sockets/udp-create-socket@0.2.0", Loopback),
        ("wasi:sockets/ip-name-lookup@0.2.0", Loopback),
        ("wasi:http/outgoing-handler@0.2.0", Outbound),
    ];
    for (import, least) in cases {
        for granted in [None, Loopback, Outbound, Full] {
            let allowed = audit(&card(granted), [import]).is_ok();
            assert_eq!(allowed, granted >= least, "{import} under {granted:?}");
        }
    }
}

#[test]
fn the_supervisor_is_granted_by_holds() {
    let import = ["arje:ente/supervisor@1.0.0"];
    let mut card = card(Networking::Full);
    card.permissions.ipc.allow = vec!["wit-v1".into()];
    card.holds = [Capability::Power].into();
    let surplus = audit(&card, import).unwrap_err();
    assert_eq!(
        summary(&surplus),
        "it needs \"Spawn\" in holds, found [\"Power\"], for arje:ente/supervisor@1.0.0; grant it in the Card, or use \
         another component"
    );
    card.holds.insert(Capability::Spawn);
    assert!(audit(&card, import).is_ok());
}

#[test]
fn every_surplus_is_named_with_its_remedy() {
    let imports = [
        "wasi:cli/run@0.3.0",
        "wasi:io/streams@0.2.3",
        "wasi:http/outgoing-handler@0.2.3",
        "wasi:clocks/wall-clock@0.3.0",
        "evil:host/everything@1.0.0",
    ];
    let surplus = audit(&card(Networking::Loopback), imports).unwrap_err();
    let reasons: Vec<&SurplusReason> = surplus.iter().map(|surplus| &surplus.reason).collect();
    let needs = Needs::Networking(Networking::Outbound);
    let refused = SurplusReason::NotGranted {
        needs,
        granted: "\"loopback\"".into(),
    };
    assert_eq!(reasons[0], &SurplusReason::Unknown);
    assert_eq!(reasons[1], &refused);
    assert!(matches!(reasons[2], SurplusReason::Version(grant) if grant.version == (0, 2, 0)));
    assert_eq!(reasons[3], &SurplusReason::NotRequired);
    let texts: Vec<String> = surplus.iter().map(ToString::to_string).collect();
    assert_eq!(
        texts[1],
        "Card \"fetch\": the component imports wasi:http/outgoing-handler@0.2.3, which needs \
         permissions.networking = \"outbound\"; found \"loopback\"; grant it in the Card or use another \
         component"
    );
    assert_eq!(
        texts[2],
        "Card \"fetch\": the component imports wasi:clocks/wall-clock@0.3.0, but this host has \
         wasi:clocks/wall-clock@0.2.0; build the component against that"
    );
    assert_eq!(
        texts[3],
        "Card \"fetch\": the component imports evil:host/everything@1.0.0, which this host does not have; if \
         another Ente provides it, add {\"Wit\": \"evil:host/everything@1.0.0\"} to the Card's requires; else \
         build the component without it"
    );
}

#[test]
fn one_text_tells_of_all_surplus_and_is_short() {
    let said = |imports: &[&str]| {
        let surplus = audit(&card(Networking::None), imports.iter().copied()).unwrap_err();
        summary(&surplus)
    };
    assert_eq!(
        said(&["wasi:sockets/tcp-create-socket@0.2.6"]),
        "it needs permissions.networking = \"loopback\", found \"none\", for wasi:sockets/tcp-create-socket@0.2.6; \
         grant it in the Card, or use another component"
    );
    let sockets = [
        "wasi:sockets/instance-network@0.2.6",
        "wasi:sockets/tcp-create-socket@0.2.6",
        "wasi:http/outgoing-handler@0.2.6",
        "wasi:sockets/udp-create-socket@0.2.6",
        "wasi:sockets/ip-name-lookup@0.2.6",
    ];
    // The one permission that allows all of it.
    assert_eq!(
        said(&sockets),
        "it needs permissions.networking = \"outbound\", found \"none\", for wasi:sockets/instance-network@0.2.6, \
         wasi:sockets/tcp-create-socket@0.2.6, wasi:http/outgoing-handler@0.2.6, \
         wasi:sockets/udp-create-socket@0.2.6 and 1 more; grant it in the Card, or use another component"
    );
    let long: Vec<String> = (0..50)
        .map(|n| format!("acme:kv/{}{n}@1.0.0", "é".repeat(200)))
        .collect();
    let long = long.iter().map(String::as_str);
    let versions = ["arje:ente/log@2.0.0", "wasi:cli/stdout@0.3.0"];
    let all: Vec<&str> = sockets.into_iter().chain(versions).chain(long).collect();
    let text = said(&all);
    for part in [
        "\"outbound\"",
        "and 4 more",
        "other versions of arje:ente/log@2.0.0 and 1 more",
        "and 49 more",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(text.ends_with("use another one"), "{text}");
    assert!(text.len() < 460, "{} bytes: {text}", text.len());
    assert!(said(&all[7..]).len() < 460, "the longest names");
}

#[test]
fn the_bus_needs_its_name() {
    let mut card = card(Networking::None);
    let imports = ["arje:bus/types@1.0.0", "arje:bus/bus@1.0.0"];
    let surplus = audit(&card, imports).unwrap_err();
    assert_eq!(
        summary(&surplus),
        "it needs \"wit-v1\" in permissions.ipc.allow, found [], for arje:bus/bus@1.0.0; grant it in the Card, or \
         use another component"
    );
    card.permissions.ipc.allow = vec!["other".into(), "wit-v1".into()];
    assert_eq!(audit(&card, imports), Ok(()));
}

#[test]
fn a_typed_service_needs_to_be_required() {
    let mut card = card(Networking::Full);
    let import = ["acme:kv/store@1.2.0"];
    let refused = |card: &Card| summary(&audit(card, import).unwrap_err());
    assert_eq!(
        refused(&card),
        "its requires does not list acme:kv/store@1.2.0; add it there, as {\"Wit\": …}, or build the component \
         without"
    );
    for (required, granted) in [
        ("acme:kv/store@1.2.0", true),
        ("acme:kv/store@1.9.3", true),
        ("acme:kv/store@1.1.9", false),
        ("acme:kv/store@2.0.0", false),
        ("acme:kv/stores@1.2.0", false),
    ] {
        card.requires = [Capability::Wit(required.parse().unwrap())].into();
        assert_eq!(audit(&card, import).is_ok(), granted, "{required}");
    }
    // Nobody but the host provides what is the host's, whatever a Card requires.
    card.requires = [Capability::Wit(
        "wasi:keyvalue/store@0.2.0".parse().unwrap(),
    )]
    .into();
    let surplus = audit(&card, ["wasi:keyvalue/store@0.2.0"]).unwrap_err();
    assert_eq!(surplus[0].reason, SurplusReason::Unknown);
}
