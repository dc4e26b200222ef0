//! Folds functions with equal code into one, where the linker can: generic code is full of them, and
//! it makes PID 1 smaller by a thirtieth. Nothing in it compares the addresses of functions.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Understood by lld, which the Rust toolchain brings along, but not by every linker that a
/// distribution may have put in its place.
const FOLD: &str = "-Wl,--icf=all";

fn main() {
    println!("cargo::rerun-if-changed=../zero/build.rs");
    if links_with_fold().is_some_and(|linked| linked) {
        println!("cargo::rustc-link-arg-bins={FOLD}");
    }
}

/// Whether an empty program can be linked with it; `None` when that cannot be tried.
fn links_with_fold() -> Option<bool> {
    let folder = PathBuf::from(env::var_os("OUT_DIR")?);
    let source = folder.join("empty.rs");
    std::fs::write(&source, "fn main() {}\n").ok()?;
    let status = compiler(&source, &folder.join("empty"))?
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .ok()?;
    Some(status.success())
}

fn compiler(source: &Path, program: &Path) -> Option<Command> {
    let mut rustc = Command::new(env::var_os("RUSTC")?);
    rustc.arg("--target").arg(env::var_os("TARGET")?);
    if let Some(linker) = env::var_os("RUSTC_LINKER") {
        rustc.arg("-C").arg(format!("linker={}", linker.display()));
    }
    rustc.arg("-C").arg(format!("link-arg={FOLD}"));
    rustc.arg("-o").arg(program).arg(source);
    Some(rustc)
}
