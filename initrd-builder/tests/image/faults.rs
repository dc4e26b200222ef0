//! Every kind of fault is told in one go. `ente verify` and PID 1 have the same test.

#[path = "../../../host/verify/tests/faults/mod.rs"]
mod shared;

use initrd_builder::{Error, Options, build};
use serde_json::json;
use shared::Faults;

use crate::workshop::*;

#[test]
fn every_fault_is_told_at_once() {
    let (faults, workshop) = (Faults::new(), Workshop::new());
    let readers = ["any", "name", "modules", "image"];
    faults.compare(&readers, |seed| {
        let options = Options {
            seed,
            ..workshop.options(&json!({}))
        };
        let options = Options {
            components: Vec::new(),
            ..options
        };
        let refused = build(&options, &workshop.path("image.zst")).unwrap_err();
        assert!(matches!(refused, Error::Cards { .. }), "{refused}");
        refused.to_string()
    });
}

#[test]
fn fragments_and_what_else_is_missing_are_told_along() {
    let workshop = Workshop::new();
    let mut options = workshop.options(&seed(vec![native(1, "relative", "bin/sh")]));
    options.fragments = Some(workshop.path("fragments"));
    let fragment = with(card(7, "kiosk", json!("Virtual")), "liveness_ms", json!(5));
    workshop.put(
        "fragments/session-kiosk.card.json",
        fragment.to_string().as_bytes(),
    );
    workshop.put("fragments/session-torn.card.json", b"{");
    std::fs::remove_file(workshop.path("helpers/ente-spawn")).unwrap();
    let told = workshop.refused(&options);
    let expected = [
        "nothing was built: 3 errors in the Cards",
        "seed.card.json: error: $.genesis[0].payload.Native.exec (Card \"relative\"): ",
        "fragments/session-kiosk.card.json: error: $.liveness_ms (Card \"kiosk\"): ",
        "fragments/session-torn.card.json: error: $: found broken JSON",
        "also: no program ente-spawn ",
    ];
    assert_eq!(told.len(), expected.len(), "{told:#?}");
    for (told, expected) in told.iter().zip(expected) {
        assert!(told.starts_with(expected), "{told}");
    }
}

#[test]
fn what_mounts_preopens_and_credentials_name_must_be_there() {
    let workshop = Workshop::new();
    let mut confined = native(1, "confined", "/bin/sh");
    confined["soma"] = json!({
        "namespaces": { "mount": true },
        "mounts": {
            "binds": [
                { "source": "/srv/data", "target": "/mnt" },
                { "source": "/etc", "target": "/tmp/etc" },
            ],
            "tmpfs": [{ "target": "/var" }, { "target": "/var/made" }],
        },
    });
    confined["credentials"] = json!([
        { "name": "key", "source": "/etc/key" },
        { "name": "seed", "source": "/ente/seed.card.json" },
    ]);
    let mut opened = wasm(2, "opened", &hello());
    opened["permissions"] = json!({ "filesystem": "read-write" });
    opened["payload"]["Wasm"]["preopens"] = json!([{ "source": "/srv/www", "target": "/www" }]);
    let options = workshop.options(&seed(vec![confined, opened]));
    let told = workshop.refused(&options);
    let expected = [
        "$.genesis[0].soma.mounts.binds[0].source (Card \"confined\"): source /srv/data is not in the image; ",
        "$.genesis[0].soma.mounts.binds[0].target (Card \"confined\"): target /mnt is not in the image",
        "$.genesis[0].soma.mounts.tmpfs[0].target (Card \"confined\"): target /var is not in the image",
        "$.genesis[0].credentials[0].source (Card \"confined\"): source /etc/key is not in the image; ",
        "$.genesis[1].payload.Wasm.preopens[0].source (Card \"opened\"): source /srv/www is not in the image; ",
    ];
    assert_eq!(told.len(), 1 + expected.len(), "{told:#?}");
    for (told, expected) in told[1..].iter().zip(expected) {
        assert!(told.contains(expected), "{told}");
    }
}

#[test]
fn the_seed_of_a_packed_image_is_read_without_its_components() {
    let workshop = Workshop::new();
    // The image has other pins, and whoever checks it has no components.
    let named = with(wasm(1, "one", &"00".repeat(32)), "module", json!("hello"));
    let options = workshop.options(&seed(vec![named]));
    let card = initrd_builder::seed::read(&options.seed).unwrap();
    assert_eq!(card.genesis[0].label, "one");
    workshop.put("seed.card.json", b"{");
    let refused = initrd_builder::seed::read(&options.seed).unwrap_err();
    assert!(refused.to_string().contains("broken JSON"), "{refused}");
}

#[test]
fn warnings_are_notes_of_an_image() {
    let workshop = Workshop::new();
    let shell = with(native(1, "shell", "/bin/sh"), "prioritty", json!("high"));
    let (summary, _) = workshop
        .build(&workshop.options(&seed(vec![shell])))
        .unwrap();
    let note = "seed.card.json: warning: $.genesis[0].prioritty (Card \"shell\"): unknown key";
    assert!(summary.to_string().contains(note), "{summary}");
}
