//! Folds functions with equal code into one, and constants with equal bytes, where the linker can:
//! generic code is full of them, and so are the tables of methods it refers to. PID 1 is a sixteenth
//! smaller for it. Nothing in it compares the addresses of functions; of the constants whose
//! addresses are compared (tables of methods of wakers and buffers, records of diagnostics, which
//! are written to and stay) no two that mean different things are equal.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Understood by lld, which the Rust toolchain brings along, but not by every linker that a
/// distribution may have put in its place.
const FOLD: &str = "-Wl,--icf=all,--ignore-data-address-equality";

/// For PID 1; whoever shares this file calls it as well.
pub fn main() {
    println!("cargo::rerun-if-changed=../zero/build.rs");
    use_if_understood(FOLD);
}

/// Gives an option to the linker of this package's programs, unless it does not know it.
pub fn use_if_understood(option: &str) {
    if links_with(option).is_some_and(|linked| linked) {
        println!("cargo::rustc-link-arg-bins={option}");
    }
}

/// Whether an empty program can be linked with it; `None` when that cannot be tried.
fn links_with(option: &str) -> Option<bool> {
    let folder = PathBuf::from(env::var_os("OUT_DIR")?);
    let source = folder.join("empty.rs");
    std::fs::write(&source, "fn main() {}\n").ok()?;
    let status = compiler(&source, &folder.join("empty"), option)?
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .ok()?;
    Some(status.success())
}

fn compiler(source: &Path, program: &Path, option: &str) -> Option<Command> {
    let mut rustc = Command::new(env::var_os("RUSTC")?);
    rustc.arg("--target").arg(env::var_os("TARGET")?);
    if let Some(linker) = env::var_os("RUSTC_LINKER") {
        rustc.arg("-C").arg(format!("linker={}", linker.display()));
    }
    rustc.arg("-C").arg(format!("link-arg={option}"));
    rustc.arg("-o").arg(program).arg(source);
    Some(rustc)
}
