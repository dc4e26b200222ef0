//! `./dev boot` as somebody types it in a folder of their own: with a pretended cargo and a pretended arje-qemu, which prints what
//! it is given.

#![expect(clippy::unwrap_used, reason = "tests say what they expect")]

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};

fn put(path: &Path, text: &str) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

/// Runs `dev` in a folder, with what it builds pretended below `target`.
fn dev(folder: &Path, target: &Path, arguments: &[&str]) -> Output {
    let path = std::env::var("PATH").unwrap();
    put(&target.join("path/cargo"), "#!/bin/sh\n");
    let triple = "x86_64-unknown-linux-gnu";
    for built in [
        "compile/TRIPLE/release/ente-compile",
        "spawn/TRIPLE/tiny/ente-spawn",
    ] {
        put(&target.join(built.replace("TRIPLE", triple)), "#!/bin/sh\n");
    }
    let qemu = target.join(triple).join("release/arje-qemu");
    put(
        &qemu,
        "#!/bin/sh\nprintf '%s|' \"$PWD\" \"$CARGO_TARGET_DIR\" \"$@\"\n",
    );
    Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("../dev"))
        .args(arguments)
        .current_dir(folder)
        .env("PATH", format!("{}:{path}", target.join("path").display()))
        .env("CARGO_TARGET_DIR", target)
        .output()
        .unwrap()
}

#[test]
fn files_are_found_from_where_they_were_typed() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().canonicalize().unwrap();
    let target = folder.join("target");
    put(&folder.join("mine/seed.json"), "{}");
    let said = |arguments: &[&str]| {
        let output = dev(&folder, &target, arguments);
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        (String::from_utf8_lossy(&output.stdout).into_owned(), errors)
    };
    let (here, built) = (folder.display(), target.display());
    let (out, errors) = said(&["boot", "--check", "mine/seed.json", "--bin", "/x=mine/x"]);
    let expected = format!("{here}|{built}|check|{here}/mine/seed.json|");
    assert!(out.starts_with(&expected), "{out}\n{errors}");
    assert!(out.ends_with("|--bin|/x=mine/x|"), "{out}");
    // Components beside a seed win over those of the tree, which may have the same names.
    std::fs::create_dir(folder.join("mine/components")).unwrap();
    let (out, errors) = said(&["boot", "mine/seed.json"]);
    let ours =
        format!("|--components|{here}/mine/components|--components|{built}/guests/components|");
    assert!(out.contains(&ours), "{out}\n{errors}");
    // A seed of the tree is found from everywhere.
    let (out, errors) = said(&["boot", "seeds/arje-wasm.card.json"]);
    assert!(
        out.contains("/seeds/arje-wasm.card.json|"),
        "{out}\n{errors}"
    );
    let (_, errors) = said(&["boot", "no.json"]);
    assert!(
        errors.contains("no such seed: no.json (neither in "),
        "{errors}"
    );
}
