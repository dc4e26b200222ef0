//! What every built component must be, read from the bytes that were built.
#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests; the lint spares only the tests themselves"
)]

use arje_guest_artifacts::{GUESTS, Guest, components, find, folders, guest};
use sha2::{Digest, Sha256};
use std::fs;
use std::path::Path;
use wasmparser::{ComponentExternalKind, Parser, Payload, Validator, WasmFeatures};

/// What a component without `std` may weigh. Every kilobyte is hashed and mapped at each boot.
const SMALL: u64 = 16_000;

/// Names of a component's own imports (not of what is nested in it).
fn imports(guest: &Guest) -> Vec<String> {
    names(guest, |payload, into| {
        if let Payload::ComponentImportSection(section) = payload {
            into.extend(
                section
                    .clone()
                    .into_iter()
                    .map(|i| i.unwrap().name.name.to_owned()),
            );
        }
    })
}

/// Names of a component's own exports.
fn exports(guest: &Guest) -> Vec<String> {
    names(guest, |payload, into| {
        if let Payload::ComponentExportSection(section) = payload {
            for export in section.clone() {
                let export = export.unwrap();
                if export.kind != ComponentExternalKind::Type {
                    into.push(export.name.name.to_owned());
                }
            }
        }
    })
}

fn names(guest: &Guest, collect: impl Fn(&Payload<'_>, &mut Vec<String>)) -> Vec<String> {
    let bytes = guest.bytes().unwrap();
    let mut names = Vec::new();
    let mut depth = 0;
    for payload in Parser::new(0).parse_all(&bytes) {
        let payload = payload.unwrap();
        match payload {
            Payload::Version { .. } => depth += 1,
            Payload::End(_) => depth -= 1,
            _ if depth == 1 => collect(&payload, &mut names),
            _ => {}
        }
    }
    names
}

#[test]
fn the_table_says_what_is_on_disk() {
    assert!(GUESTS.is_sorted_by_key(|guest| guest.name));
    for guest in GUESTS {
        let bytes = guest.bytes().unwrap();
        assert_eq!(bytes.len() as u64, guest.size, "{}", guest.name);
        assert_eq!(guest.sha256, *Sha256::digest(&bytes), "{}", guest.name);
        assert_eq!(find(guest.name), Some(guest));
    }
    assert_eq!(find("no such guest"), None);
}

#[test]
fn the_manifest_says_the_same() {
    let manifest = fs::read_to_string(components().join("manifest.json")).unwrap();
    for guest in GUESTS {
        let Guest { name, size, .. } = guest;
        let pin = guest.pin();
        let line = format!(
            "\"{name}\": {{ \"path\": \"{name}.wasm\", \"sha256\": \"{pin}\", \"size\": {size} }}"
        );
        assert!(manifest.contains(&line), "{line}\nis not in\n{manifest}");
    }
}

#[test]
fn every_component_is_valid() {
    for guest in GUESTS {
        let mut validator = Validator::new_with_features(WasmFeatures::default());
        if let Err(error) = validator.validate_all(&guest.bytes().unwrap()) {
            panic!("{}: {error}", guest.name);
        }
    }
}

#[test]
fn no_component_has_custom_sections() {
    for guest in GUESTS {
        for payload in Parser::new(0).parse_all(&guest.bytes().unwrap()) {
            if let Payload::CustomSection(section) = payload.unwrap() {
                panic!("{}: {}", guest.name, section.name());
            }
        }
    }
}

#[test]
fn no_component_names_the_folder_it_was_built_in() {
    let folders = folders();
    let secrets = [folders.tree().to_owned(), folders.target.clone()];
    for guest in GUESTS {
        let bytes = guest.bytes().unwrap();
        for secret in &secrets {
            let secret = secret.to_str().unwrap().as_bytes();
            let found = bytes.windows(secret.len()).any(|window| window == secret);
            assert!(!found, "{} contains {secret:?}", guest.name);
        }
    }
}

#[test]
fn services_import_only_what_the_host_always_grants() {
    let cases: &[(&str, &[&str], &[&str])] = &[
        (
            "hello",
            &["arje:ente/types@1.0.0", "arje:ente/log@1.0.0"],
            &["arje:ente/service@1.0.0"],
        ),
        (
            "ticker",
            &[
                "arje:ente/types@1.0.0",
                "arje:ente/log@1.0.0",
                "arje:ente/clock@1.0.0",
                "arje:ente/timer@1.0.0",
            ],
            &[
                "arje:ente/service@1.0.0",
                "arje:ente/health@1.0.0",
                "arje:ente/timer-handler@1.0.0",
            ],
        ),
        ("export_plain", &["arje:ente/log@1.0.0"], &["tick"]),
    ];
    for (name, expected_imports, expected_exports) in cases {
        let guest = guest(name);
        let sorted = |mut names: Vec<String>| {
            names.sort();
            names
        };
        let owned = |names: &[&str]| sorted(names.iter().map(|&n| n.to_owned()).collect());
        assert_eq!(sorted(imports(guest)), owned(expected_imports), "{name}");
        assert_eq!(sorted(exports(guest)), owned(expected_exports), "{name}");
    }
}

/// A program with `std` that does not touch the network must not import what hands it out: its Card
/// would have to grant it. (Debian's libc imports `wasi:filesystem` in every program; what that can
/// reach is decided by the preopens.)
#[test]
fn commands_import_only_what_they_use() {
    let of = |name| imports(guest(name));
    let sources = [
        "wasi:sockets/instance-network",
        "wasi:sockets/tcp-create-socket",
        "wasi:sockets/udp-create-socket",
        "wasi:sockets/ip-name-lookup",
        "wasi:http/outgoing-handler",
    ];
    for name in ["greet", "run_ok", "web"] {
        for import in of(name) {
            let found = sources.iter().any(|source| import.starts_with(source));
            assert!(!found, "{name} imports {import}");
        }
    }
    let cases = [
        ("run_reads_preopen", "wasi:filesystem/"),
        ("run_connects_tcp", "wasi:sockets/"),
        ("run_fetches_http", "wasi:http/outgoing-handler"),
        ("two_imports_surplus", "wasi:sockets/instance-network"),
        ("two_imports_surplus", "wasi:sockets/ip-name-lookup"),
        ("import_unknown", "acme:unknown/thing"),
    ];
    for (name, expected) in cases {
        let imports = of(name);
        assert!(
            imports.iter().any(|i| i.starts_with(expected)),
            "{name}: {imports:?}"
        );
    }
}

#[test]
fn services_without_std_are_small() {
    for guest in GUESTS {
        // Those that know nobody but the host: what others' interfaces need of code is their own affair.
        if !imports(guest).iter().all(|i| i.starts_with("arje:ente/")) {
            continue;
        }
        assert!(
            guest.size < SMALL,
            "{} has {} bytes",
            guest.name,
            guest.size
        );
    }
}

macro_rules! count_case {
    ($name:ident) => {
        assert!(find(stringify!($name)).is_some(), stringify!($name));
        assert_opens_with_what_the_host_does(stringify!($name));
    };
}

#[test]
fn every_case_is_built_and_says_what_the_host_does_with_it() {
    arje_guest_artifacts::foreach_case!(count_case);
}

fn assert_opens_with_what_the_host_does(name: &str) {
    let cases = folders().guests.join("cases");
    let candidates = [
        (format!("src/bin/{name}.rs"), "//! Host: "),
        (format!("examples/{name}.rs"), "//! Host: "),
        (format!("wat/{name}.wat"), ";; Host: "),
    ];
    let read = |path: &str| fs::read_to_string(cases.join(Path::new(path)));
    let (text, opening) = candidates
        .iter()
        .find_map(|(path, opening)| Some((read(path).ok()?, opening)))
        .unwrap();
    assert!(
        text.starts_with(opening),
        "{name} must open with {opening:?}"
    );
}
