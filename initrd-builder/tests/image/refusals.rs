//! What is not built, and what is said then.

use std::path::Path;

use initrd_builder::Program;
use serde_json::json;

use crate::workshop::*;

#[test]
fn all_that_is_missing_is_told_with_its_card() {
    let workshop = Workshop::new();
    workshop.script("tool.py", "#!/usr/bin/python9\n");
    let absent = "11".repeat(32);
    let nested = with(
        card(9, "group", json!("Virtual")),
        "genesis",
        json!([native(1, "deep", "/opt/deep")]),
    );
    let mut options = workshop.options(&seed(vec![
        nested,
        wasm(2, "unpinned", &absent),
        card(
            3,
            "old",
            json!({ "Legacy": { "exec": "/usr/bin/old", "fakes": [] } }),
        ),
        native(4, "python", "/opt/tool"),
        native(5, "folder", "/etc"),
        native(6, "fine", "/sbin/modprobe"),
    ]));
    options.programs = vec![Program {
        dest: "/opt/tool".to_owned(),
        source: workshop.path("tool.py"),
    }];
    let lines = workshop.refused(&options);
    let expected = [
        ("unpinned", absent.as_str()),
        ("deep", "--bin /opt/deep=FILE"),
        ("old", "/usr/bin/old"),
        ("python", "/usr/bin/python9"),
        ("folder", "not an executable file"),
    ];
    assert_eq!(lines.len(), 1 + expected.len(), "{lines:#?}");
    for (item, (label, part)) in lines[1..].iter().zip(expected) {
        assert!(
            item.contains(&format!("{label:?}")) && item.contains(part),
            "{item}"
        );
    }
}

#[test]
fn an_invalid_seed_lists_every_violation() {
    let workshop = Workshop::new();
    let options = workshop.options(&seed(vec![
        native(1, "relative", "bin/sh"),
        native(1, "twice", "/bin/sh"),
        with(native(3, "module", "/bin/sh"), "module", json!("hello")),
        with(wasm(4, "number", &hello()), "module", json!(7)),
        with(
            wasm(5, "absent", &"22".repeat(32)),
            "module",
            json!("absent"),
        ),
    ]));
    let violations = workshop.refused(&options);
    for part in ["bin/sh", "twice", "not Wasm", "is 7", "absent.wasm"] {
        assert!(
            violations.iter().any(|line| line.contains(part)),
            "{part} in {violations:#?}"
        );
    }
    for text in ["", "{", "[]", "{\"schema_version\": 2}"] {
        workshop.put("seed.card.json", text.as_bytes());
        assert!(workshop.refused(&options).len() > 1, "{text:?}");
    }
}

#[test]
fn what_is_not_on_this_machine_is_named() {
    let workshop = Workshop::new();
    let seed = seed(vec![wasm(1, "one", &hello())]);
    let mut options = workshop.options(&seed);
    std::fs::remove_file(workshop.path("helpers/ente-spawn")).unwrap();
    let text = workshop.build(&options).unwrap_err().to_string();
    assert!(
        text.contains("ente-spawn") && text.contains("--helpers"),
        "{text}"
    );

    workshop.script("helpers/ente-spawn", "#!/bin/sh\n");
    workshop.script("helpers/ente-compile", "#!/bin/sh\nexit 1\n");
    let text = workshop.build(&options).unwrap_err().to_string();
    assert!(text.contains("compiler"), "{text}");

    options.busybox = Some(Path::new("/no/busybox").to_owned());
    let text = workshop.build(&options).unwrap_err().to_string();
    assert!(text.contains("/no/busybox"), "{text}");
}

#[test]
fn a_component_that_does_not_compile_is_told_with_its_card() {
    let workshop = Workshop::new();
    workshop.script(
        "helpers/ente-compile",
        &COMPILER.replace("printf 'compiled '; cat", "echo 'bad magic' >&2; exit 1"),
    );
    let options = workshop.options(&seed(vec![wasm(1, "the-label", &hello())]));
    let text = workshop.build(&options).unwrap_err().to_string();
    assert!(
        text.contains("the-label") && text.contains(&hello()) && text.contains("bad magic"),
        "{text}"
    );
}
