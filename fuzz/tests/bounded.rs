//! The bounded run of every target, each in a process of its own: an end without words, such as a stack overflow, is one
//! of a known input then.

use arje_fuzz::targets::{ALL, named};
use std::fs;
use std::path::PathBuf;
use std::process::Command;

/// Runs a target; `also` are further arguments.
fn run(name: &str, also: &[&str]) {
    let progress = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("fuzz-{name}"));
    let output = Command::new(env!("CARGO_BIN_EXE_arje-fuzz"))
        .arg(name)
        .arg("--progress")
        .arg(&progress)
        .args(also)
        .output()
        .unwrap();
    let text = [&output.stdout[..], &output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    let number = fs::read(&progress)
        .ok()
        .and_then(|bytes| bytes.try_into().ok());
    let number = number.map_or(0, u64::from_le_bytes);
    assert!(
        output.status.success(),
        "{}, at input {number} (`arje-fuzz {name} --input {number}` writes it):\n{text}",
        output.status
    );
    println!("{}", text.trim_end());
}

macro_rules! bounded {
    ($($name:ident)*) => {
        $(
            #[test]
            fn $name() {
                run(stringify!($name), &[]);
            }
        )*

        #[test]
        fn no_target_is_left_out() {
            let tested = [$(stringify!($name)),*];
            let there: Vec<&str> = ALL.iter().map(|target| target.name).collect();
            assert_eq!(tested.as_slice(), there);
            for target in ALL {
                let program = format!("fuzz_targets/{}.rs", target.name);
                let program = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(program);
                assert!(program.is_file(), "{}", program.display());
                assert!(named(target.name).is_some());
            }
        }
    };
}

bounded! {
    card_json card_toml bus_frames bus_server worker_wire typed_values component store_index notify
}
