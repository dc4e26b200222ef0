//! PID 1 contains no compiler: Cranelift is not among what the shipped programs are built from.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::process::Command;

/// Every crate that goes into the default members, as `./dev` builds them: with one set of features.
fn crates() -> String {
    let output = Command::new(env!("CARGO"))
        .args([
            "tree",
            "--locked",
            "--offline",
            "--edges",
            "normal",
            "--prefix",
            "none",
        ])
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
        .output()
        .unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn cranelift_is_not_linked() {
    let crates = crates();
    assert!(crates.contains("\nwasmtime v"), "{crates}");
    for compiler in [
        "cranelift-codegen ",
        "cranelift-frontend ",
        "winch-codegen ",
        "wasmtime-internal-cranelift ",
    ] {
        assert!(!crates.contains(&format!("\n{compiler}")), "{compiler}");
    }
}
