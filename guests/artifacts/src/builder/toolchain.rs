//! Finds a compiler for `wasm32-wasip2`: the first way that works of
//!
//! 1. **installed**: the tree's own compiler has the target;
//! 2. **rustup**: rustup adds it;
//! 3. **distribution**: Debian's second compiler (`rustc-web`, `cargo-web`, `rust-web-src`), which
//!    builds `std` from source, with the linkers of the tree's own toolchain.
//!
//! The environment variable `ARJE_GUEST_TOOLCHAIN` (`installed`, `rustup`, `distribution`) forces
//! one. Components are the same for the host whichever it was, but not their hashes.

use super::{Folders, Result, TARGET, nested, wasi_libc};
use std::env;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Forces one way.
pub const FORCE: &str = "ARJE_GUEST_TOOLCHAIN";
/// Tells the build scripts of command components where the C start file is, when the compiler
/// does not know.
pub const START_FILE: &str = "ARJE_CRT1_COMMAND";
/// Compiler, cargo and sources of the distribution's packages.
const RUSTC: &str = "/usr/bin/rustc";
const CARGO: &str = "/usr/bin/cargo";
const STD_SOURCE: &str = "/usr/lib/rustlib/src/rust/library/std";
/// The oldest compiler that takes the guests (the tree's MSRV, 1.MINOR).
const MINOR: u32 = 95;

/// A compiler for the target that works.
#[derive(Debug)]
pub struct Toolchain {
    way: &'static str,
    cargo: OsString,
    rustc: OsString,
    /// Linkers and `wasi-libc`; only for the distribution's compiler.
    distribution: Option<Distribution>,
}

#[derive(Debug)]
struct Distribution {
    /// `wasm-component-ld`, and below it `gcc-ld/wasm-ld`.
    linkers: PathBuf,
    wasi_libc: PathBuf,
}

/// Finds the first way that works.
///
/// # Errors
/// None does; the error says why for each.
pub fn choose(folders: &Folders) -> Result<Toolchain> {
    type Way = fn(&Folders) -> Result<Toolchain>;
    let ways: [(&str, Way); 3] = [
        ("installed", installed),
        ("rustup", rustup),
        ("distribution", distribution),
    ];
    let forced = env::var(FORCE).ok();
    if let Some(forced) = &forced
        && !ways.iter().any(|(name, _)| name == forced)
    {
        let names = ways.map(|(name, _)| name).join(", ");
        return Err(format!("{FORCE} is {forced:?}, expected one of {names}"));
    }
    let mut reasons = String::new();
    for (name, way) in ways {
        if forced.as_deref().is_some_and(|forced| forced != name) {
            continue;
        }
        match way(folders) {
            Ok(toolchain) => return Ok(toolchain),
            Err(reason) => reasons.push_str(&format!("\n- {name}: {reason}")),
        }
    }
    Err(format!(
        "no compiler for {TARGET}; run `./dev setup`, which installs one. Tried:{reasons}"
    ))
}

fn installed(_: &Folders) -> Result<Toolchain> {
    let rustc = outer("RUSTC", "rustc");
    let mut command = nested::command(&rustc);
    let folder = nested::output(command.args(["--print", "target-libdir", "--target", TARGET]))?;
    let folder = Path::new(folder.trim());
    if !folder.is_dir() {
        return Err(format!("{} does not exist", folder.display()));
    }
    Ok(Toolchain {
        way: "installed",
        cargo: outer("CARGO", "cargo"),
        rustc,
        distribution: None,
    })
}

fn rustup(folders: &Folders) -> Result<Toolchain> {
    nested::run(nested::command("rustup").args(["target", "add", TARGET]))?;
    let toolchain = installed(folders)?;
    Ok(Toolchain {
        way: "rustup",
        ..toolchain
    })
}

fn distribution(folders: &Folders) -> Result<Toolchain> {
    let version = nested::output(nested::command(RUSTC).arg("--version"))
        .map_err(|e| format!("the package rustc-web is not installed ({e})"))?;
    if minor(&version).is_none_or(|minor| minor < MINOR) {
        let version = version.trim();
        return Err(format!(
            "{RUSTC} is {version:?}, expected 1.{MINOR} or newer (rustc-web)"
        ));
    }
    for (path, package) in [(CARGO, "cargo-web"), (STD_SOURCE, "rust-web-src")] {
        if !Path::new(path).exists() {
            return Err(format!(
                "{path} does not exist: the package {package} is not installed"
            ));
        }
    }
    Ok(Toolchain {
        way: "distribution",
        cargo: CARGO.into(),
        rustc: RUSTC.into(),
        distribution: Some(Distribution {
            linkers: linkers()?,
            wasi_libc: wasi_libc::library_folder(folders)?,
        }),
    })
}

/// Where the tree's own toolchain keeps its linkers.
fn linkers() -> Result<PathBuf> {
    let rustc = outer("RUSTC", "rustc");
    let sysroot = nested::output(nested::command(&rustc).args(["--print", "sysroot"]))?;
    let version = nested::output(nested::command(&rustc).arg("-vV"))?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    let host = host.ok_or("rustc does not say its host")?;
    let folder = Path::new(sysroot.trim()).join(format!("lib/rustlib/{host}/bin"));
    let linker = folder.join("wasm-component-ld");
    if !linker.exists() {
        return Err(format!("{} does not exist", linker.display()));
    }
    Ok(folder)
}

/// The program that cargo names for build scripts and tests; outside of cargo, the one in the path.
fn outer(variable: &str, otherwise: &str) -> OsString {
    env::var_os(variable).unwrap_or_else(|| otherwise.into())
}

/// The second number of `rustc 1.96.0 (…)`.
fn minor(version: &str) -> Option<u32> {
    version
        .split_whitespace()
        .nth(1)?
        .split('.')
        .nth(1)?
        .parse()
        .ok()
}

impl Toolchain {
    /// `installed`, `rustup` or `distribution`.
    #[must_use]
    pub fn way(&self) -> &'static str {
        self.way
    }

    /// Its cargo.
    #[must_use]
    pub fn program(&self) -> &OsStr {
        &self.cargo
    }

    /// One line for people: the way, and the compiler's version.
    ///
    /// # Errors
    /// The compiler does not run.
    pub fn describe(&self) -> Result<String> {
        let version = nested::output(nested::command(&self.rustc).arg("--version"))?;
        Ok(format!("{}: {}", self.way, version.trim()))
    }

    /// A cargo command (`build`, `install`) for the target, in the workspace of the guests, with a
    /// target folder of its own. `flags` are further compiler flags.
    #[must_use]
    pub fn cargo(&self, subcommand: &str, folders: &Folders, flags: &[String]) -> Command {
        let mut command = nested::command(&self.cargo);
        let mut all_flags = remapped(folders);
        all_flags.extend_from_slice(flags);
        command
            .arg(subcommand)
            // Only warnings and errors, for they end up in the error of this crate.
            .arg("--quiet")
            .args(["--target", TARGET])
            .current_dir(&folders.guests)
            .env("RUSTC", &self.rustc)
            // Two compilers in one target folder would build everything anew at each change.
            .env("CARGO_TARGET_DIR", folders.own().join(self.way_folder()));
        if let Some(distribution) = &self.distribution {
            distribution.apply(&mut command, &mut all_flags);
        }
        command.env("CARGO_ENCODED_RUSTFLAGS", all_flags.join("\x1f"));
        command
    }

    /// Where cargo puts what it built for the target.
    #[must_use]
    pub fn output(&self, folders: &Folders) -> PathBuf {
        let build = folders.own().join(self.way_folder());
        build.join(TARGET).join("release")
    }

    /// The C start file, where cargo must be told.
    #[must_use]
    pub fn start_file(&self) -> Option<PathBuf> {
        let distribution = self.distribution.as_ref()?;
        Some(distribution.wasi_libc.join("crt1-command.o"))
    }

    fn way_folder(&self) -> &'static str {
        match self.distribution {
            Some(_) => "build-distribution",
            None => "build",
        }
    }
}

impl Distribution {
    fn apply(&self, command: &mut Command, flags: &mut Vec<String>) {
        let mut path = vec![self.linkers.join("gcc-ld"), PathBuf::from("/usr/bin")];
        path.extend(env::split_paths(&env::var_os("PATH").unwrap_or_default()));
        if let Ok(path) = env::join_paths(path) {
            command.env("PATH", path);
        }
        command
            .arg("-Zbuild-std=std,panic_abort")
            // -Z on a compiler of the stable channel; its own `std` is built, so nothing else
            // depends on it.
            .env("RUSTC_BOOTSTRAP", "1")
            .env(
                "CARGO_TARGET_WASM32_WASIP2_LINKER",
                self.linkers.join("wasm-component-ld"),
            )
            .env(START_FILE, self.wasi_libc.join("crt1-command.o"));
        flags.push(format!("-Lnative={}", self.wasi_libc.display()));
        flags.push("-Clink-self-contained=no".to_owned());
        // `std` names functions for threads, which Debian's libc keeps apart; starting one fails
        // at run time, as with the other compilers.
        flags.push("-Clink-arg=-lwasi-emulated-pthread".to_owned());
    }
}

/// Names of folders that would otherwise be in panic messages: components must not depend on where
/// they were built.
fn remapped(folders: &Folders) -> Vec<String> {
    let home = env::var_os("CARGO_HOME").map(PathBuf::from).or_else(|| {
        let home = env::home_dir()?;
        Some(home.join(".cargo"))
    });
    let mut pairs = vec![
        (folders.tree().to_owned(), "/arje"),
        (folders.target.clone(), "/target"),
    ];
    pairs.extend(home.map(|home| (home, "/cargo")));
    pairs
        .iter()
        .map(|(from, to)| format!("--remap-path-prefix={}={to}", from.display()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_minor_version_is_read() {
        let cases = [
            (
                "rustc 1.96.0 (ac68faa20 2026-05-25) (built from a source tarball)",
                Some(96),
            ),
            ("rustc 1.63.0\n", Some(63)),
            ("cc 12", None),
            ("", None),
        ];
        for (text, expected) in cases {
            assert_eq!(minor(text), expected, "{text}");
        }
    }
}
