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

/// An empty program, with the function of `src/nameless.rs`.
const EMPTY: &str = "\
fn main() {}
#[unsafe(no_mangle)]
fn arje_no_backtrace(_: &(), _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { Ok(()) }
";

/// For PID 1; whoever shares this file calls it as well, and has `src/nameless.rs`.
pub fn main() {
    println!("cargo::rerun-if-changed=../zero/build.rs");
    use_if_understood(FOLD);
    // Programs for debugging are not stripped.
    if released() {
        for printer in backtrace_printers().unwrap_or_default() {
            use_if_understood(&format!(
                "-Wl,--wrap={printer},--defsym=__wrap_{printer}=arje_no_backtrace"
            ));
        }
    }
}

/// Whether this is the profile of what is shipped.
pub fn released() -> bool {
    env::var("PROFILE").is_ok_and(|profile| profile == "release")
}

/// Gives an option to the linker of this package's programs, unless it does not know it.
pub fn use_if_understood(option: &str) {
    if links_with(option).is_some_and(|linked| linked) {
        println!("cargo::rustc-link-arg-bins={option}");
    }
}

/// The names, as they are linked, of the functions of the standard library that print backtraces: that of a panic, and
/// those that errors bring along. They differ from compiler to compiler, and are found in the library itself.
fn backtrace_printers() -> Option<Vec<String>> {
    let printed = Command::new(env::var_os("RUSTC")?)
        .args(["--print", "target-libdir", "--target"])
        .arg(env::var_os("TARGET")?)
        .output()
        .ok()?;
    let folder = String::from_utf8(printed.stdout).ok()?;
    let library = std::fs::read_dir(folder.trim())
        .ok()?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.starts_with("libstd-") && name.ends_with(".rlib")
        })?;
    let archive = std::fs::read(library).ok()?;
    let names = symbols(&archive)?.split(|byte| *byte == 0);
    let names = names.filter_map(|name| str::from_utf8(name).ok());
    let printers = names.filter(|name| prints_backtraces(name));
    Some(printers.map(str::to_owned).collect())
}

/// Whether a mangled name ("v0", as the standard library's are) is `<TYPE as core::fmt::TRAIT>::fmt` for a type that is
/// a backtrace.
fn prints_backtraces(name: &str) -> bool {
    let of_backtrace = name.contains("16DisplayBacktraceNt")
        || name.contains("3std9backtraceNt") && name.contains("_9BacktraceNt");
    let printer = name.ends_with("4core3fmt7Display3fmt") || name.ends_with("4core3fmt5Debug3fmt");
    name.starts_with("_RNvX") && of_backtrace && printer
}

/// The names in an archive's table of symbols, a zero byte after each. It is the first member: a magic of 8 bytes, a
/// header of 60 with the length as decimal text, the number of symbols, a place for each, and the names (`ar.h`).
fn symbols(archive: &[u8]) -> Option<&[u8]> {
    let rest = archive.strip_prefix(b"!<arch>\n/ ")?;
    let length = str::from_utf8(rest.get(46..56)?).ok()?;
    let table = rest.get(58..)?.get(..length.trim().parse().ok()?)?;
    let (count, rest) = table.split_first_chunk::<4>()?;
    rest.get(u32::from_be_bytes(*count) as usize * 4..)
}

/// Whether an empty program can be linked with it; `None` when that cannot be tried.
fn links_with(option: &str) -> Option<bool> {
    let folder = PathBuf::from(env::var_os("OUT_DIR")?);
    let source = folder.join("empty.rs");
    std::fs::write(&source, EMPTY).ok()?;
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
