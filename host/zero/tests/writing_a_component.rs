//! docs/writing-a-component.md, done as it says: what an author types and writes, in a folder outside of the tree, up to
//! the machine that boots with it.
#![expect(
    clippy::unwrap_used,
    reason = "a test may panic; helpers outside of test functions, too"
)]

use arje_guest_artifacts::builder::nested;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// The guide as a script: each block of `sh` as it is, and each block whose opening line names a file as the making of
/// that file.
fn script(guide: &str) -> String {
    let mut script = String::new();
    for block in guide.split("\n```").skip(1).step_by(2) {
        let (opening, content) = block.split_once('\n').unwrap();
        match opening.split_once(' ') {
            Some((_, file)) => {
                writeln!(
                    script,
                    "cat >{file} <<'END OF FILE'\n{content}\nEND OF FILE"
                )
                .unwrap();
            }
            None if opening == "sh" => writeln!(script, "{content}").unwrap(),
            None => {}
        }
    }
    script
}

/// Where the tools of the guide are: beside `ente-zero`.
fn programs() -> PathBuf {
    let zero = Path::new(env!("CARGO_BIN_EXE_ente-zero"));
    let folder = zero.parent().unwrap();
    for program in ["ente", "arje-component", "arje-qemu"] {
        assert!(
            folder.join(program).is_file(),
            "{program} is not beside ente-zero; `cargo build --release` in the tree makes it"
        );
    }
    folder.to_owned()
}

/// The tree as the guide's last part wants it: its `./dev boot`, where everything is built already.
fn stand_in(tree: &Path) {
    let programs = programs();
    let of = |variable: &str| {
        let program = std::env::var_os(variable).map(PathBuf::from);
        program.and_then(|program| Some(program.parent()?.to_owned()))
    };
    let folders = [
        of("ARJE_ENTE_COMPILE"),
        of("ARJE_ENTE_SPAWN"),
        Some(programs),
    ];
    let helpers: String = folders
        .into_iter()
        .flatten()
        .fold(String::new(), |all, folder| {
            format!("{all} --helpers '{}'", folder.display())
        });
    let kernels = Path::new(env!("CARGO_TARGET_TMPDIR")).join("../kernel");
    let script = format!(
        "#!/bin/sh -eu\ntest \"$1 $2\" = 'boot --check'\nshift 2\n\
         exec arje-qemu check \"$@\" {helpers} --kernel-cache '{}' --deadline 600\n",
        kernels.display()
    );
    fs::create_dir(tree).unwrap();
    fs::write(tree.join("dev"), script).unwrap();
    fs::set_permissions(tree.join("dev"), Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn an_author_who_follows_the_guide_has_a_typed_service_running() {
    let tree = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let guide = fs::read_to_string(tree.join("docs/writing-a-component.md")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let stand_in_for_tree = folder.path().join("arje");
    stand_in(&stand_in_for_tree);
    let mut path = OsString::from(programs());
    path.push(":");
    path.push(std::env::var_os("PATH").unwrap());
    let ended = nested::command("sh")
        .args(["-eu", "-c", &script(&guide)])
        .current_dir(folder.path())
        .env("PATH", path)
        .env("ARJE", stand_in_for_tree)
        // Else the kit would be compiled three times, and at every run.
        .env(
            "CARGO_TARGET_DIR",
            Path::new(env!("CARGO_TARGET_TMPDIR")).join("guide"),
        )
        .env("XDG_CACHE_HOME", folder.path().join("cache"))
        .env("XDG_RUNTIME_DIR", folder.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ended.stdout);
    let errors = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success(), "{said}\n{errors}");
    // The guide's own words on what is to be seen.
    for shown in guide.split("\n```text\n").skip(1) {
        for line in shown.split("\n```").next().unwrap().lines() {
            assert!(said.contains(line), "no {line:?} in\n{said}\n{errors}");
        }
    }
    assert!(said.contains("2 passed"), "{said}");
}
