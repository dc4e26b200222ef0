//! Cargo inside cargo: the outer one's settings must not leak into the build of the guests, or the
//! same sources would give different components under `cargo test`, `cargo clippy` and by hand.

use super::Result;
use std::ffi::{OsStr, OsString};
use std::process::{Command, Stdio};

/// Variables that are about where and how to fetch, not about what to build.
const KEPT: &[&str] = &[
    "CARGO_HOME",
    "RUSTUP_HOME",
    "RUSTUP_TOOLCHAIN",
    "RUST_BACKTRACE",
];
const KEPT_PREFIXES: &[&str] = &[
    "CARGO_HTTP_",
    "CARGO_NET_",
    "CARGO_REGISTRIES_",
    "CARGO_REGISTRY_",
    "CARGO_SOURCE_",
];
/// What cargo, rustc and build scripts read.
const SCRUBBED_PREFIXES: &[&str] = &["CARGO", "RUST", "CLIPPY", "DEP_"];
const SCRUBBED: &[&str] = &[
    "TARGET",
    "HOST",
    "PROFILE",
    "OPT_LEVEL",
    "DEBUG",
    "OUT_DIR",
    "NUM_JOBS",
    "MAKEFLAGS",
    "CC",
    "CFLAGS",
    "SOURCE_DATE_EPOCH",
];

/// A command whose environment has nothing of the outer cargo's build.
#[must_use]
pub fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        if is_scrubbed(&name) {
            command.env_remove(name);
        }
    }
    command
}

fn is_scrubbed(name: &OsStr) -> bool {
    let Some(name) = name.to_str() else {
        return false;
    };
    if KEPT.contains(&name) || KEPT_PREFIXES.iter().any(|p| name.starts_with(p)) {
        return false;
    }
    SCRUBBED.contains(&name) || SCRUBBED_PREFIXES.iter().any(|p| name.starts_with(p))
}

/// Runs a command to its end; its words are part of the error.
///
/// # Errors
/// It cannot be started, or ends with a failure.
pub fn run(command: &mut Command) -> Result<()> {
    output(command).map(drop)
}

/// Runs a command and gives what it wrote to stdout.
///
/// # Errors
/// It cannot be started, ends with a failure, or its output is no UTF-8.
pub fn output(command: &mut Command) -> Result<String> {
    let program = command.get_program().to_owned();
    let described = describe(command);
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|e| format!("cannot run {}: {e}", program.display()))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("`{described}` failed ({}):\n{said}", output.status));
    }
    String::from_utf8(output.stdout).map_err(|_| format!("`{described}` wrote no UTF-8"))
}

fn describe(command: &Command) -> String {
    let words: Vec<OsString> = std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(OsStr::to_owned)
        .collect();
    words.join(OsStr::new(" ")).to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_of_a_build_go_and_settings_of_fetching_stay() {
        let cases = [
            ("CARGO_ENCODED_RUSTFLAGS", true),
            ("CARGO_TARGET_DIR", true),
            ("CARGO_BUILD_TARGET", true),
            ("CARGO_MAKEFLAGS", true),
            ("CARGO_PROFILE_RELEASE_LTO", true),
            ("RUSTFLAGS", true),
            ("RUSTC_WORKSPACE_WRAPPER", true),
            ("RUSTC_BOOTSTRAP", true),
            ("TARGET", true),
            ("CARGO_HOME", false),
            ("CARGO_HTTP_CAINFO", false),
            ("RUSTUP_TOOLCHAIN", false),
            ("PATH", false),
            ("TARGETED", false),
        ];
        for (name, scrubbed) in cases {
            assert_eq!(is_scrubbed(OsStr::new(name)), scrubbed, "{name}");
        }
    }

    #[test]
    fn a_failure_has_the_words_of_the_program() {
        let error = run(Command::new("sh").args(["-c", "echo reason >&2; exit 3"])).unwrap_err();
        assert!(error.contains("sh -c"), "{error}");
        assert!(error.contains("exit status: 3"), "{error}");
        assert!(error.contains("reason"), "{error}");
    }

    #[test]
    fn a_missing_program_is_named() {
        let error = run(&mut Command::new("/nonexistent/cargo")).unwrap_err();
        assert!(
            error.starts_with("cannot run /nonexistent/cargo"),
            "{error}"
        );
    }
}
