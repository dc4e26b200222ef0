//! Fetches `wasi-libc` from the distribution's next release.
//!
//! Debian 12 has a compiler with a buildable `std` (`rustc-web`), but its `wasi-libc` is too old
//! for `wasm32-wasip2`. The package of Debian 13 is data only, so it is downloaded from the mirror
//! apt already uses and unpacked below `target/`. apt's own configuration is not touched, and apt
//! checks the signature.

use super::{Folders, Result, TARGET, at, nested};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The first release whose `wasi-libc` has `wasm32-wasip2`.
const SUITE: &str = "trixie";
const PACKAGE: &str = "wasi-libc";
/// Debian's keys, from the package debian-archive-keyring, which apt itself needs.
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";
const APT: &str = "/etc/apt";

/// The folder with `libc.a` and the start files; fetched on first use.
///
/// # Errors
/// apt cannot fetch the package; the error ends with what to do.
pub fn library_folder(folders: &Folders) -> Result<PathBuf> {
    let unpacked = folders.own().join(PACKAGE);
    let libraries = unpacked.join("usr/lib").join(TARGET);
    if !libraries.join("libc.a").exists() {
        fetch(folders, &unpacked).map_err(|e| {
            format!("cannot fetch {PACKAGE} from {SUITE}: {e}\nrun `./dev setup`, with network")
        })?;
    }
    Ok(libraries)
}

fn fetch(folders: &Folders, unpacked: &Path) -> Result<()> {
    let work = folders.own().join("apt");
    for part in ["lists/partial", "cache/archives/partial"] {
        let folder = work.join(part);
        at(&folder, fs::create_dir_all(&folder))?;
    }
    let source = work.join("sources.list");
    let line = format!("deb [signed-by={KEYRING}] {} {SUITE} main\n", mirror()?);
    at(&source, fs::write(&source, line))?;
    nested::run(apt_get(&work).arg("update"))?;
    nested::run(apt_get(&work).args(["download", PACKAGE]))?;
    let package = downloaded(&work)?;
    // Unpacked beside and renamed, so that an interrupted run leaves no half library.
    let partial = folders.own().join(format!("{PACKAGE}.partial"));
    let _ = fs::remove_dir_all(&partial);
    nested::run(Command::new("dpkg").arg("-x").arg(&package).arg(&partial))?;
    let _ = fs::remove_dir_all(unpacked);
    at(unpacked, fs::rename(&partial, unpacked))?;
    at(&work, fs::remove_dir_all(&work))
}

/// `apt-get` with state and sources of its own, run inside `work`.
fn apt_get(work: &Path) -> Command {
    let mut command = Command::new("apt-get");
    command.current_dir(work);
    let settings = [
        ("Dir::Etc::SourceList", work.join("sources.list")),
        ("Dir::Etc::SourceParts", PathBuf::from("/dev/null")),
        ("Dir::State::Lists", work.join("lists")),
        ("Dir::Cache", work.join("cache")),
    ];
    for (key, path) in settings {
        command.arg("-o").arg(format!("{key}={}", path.display()));
    }
    // As root, apt would drop to a user who cannot write here.
    command.args(["-o", "APT::Sandbox::User=root", "-q"]);
    command
}

fn downloaded(work: &Path) -> Result<PathBuf> {
    let entries = at(work, fs::read_dir(work))?;
    entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.extension().is_some_and(|e| e == "deb"))
        .ok_or_else(|| "apt-get download left no package".to_owned())
}

/// The mirror apt uses for Debian's main archive.
fn mirror() -> Result<String> {
    let mut files = vec![Path::new(APT).join("sources.list")];
    let parts = Path::new(APT).join("sources.list.d");
    files.extend(
        fs::read_dir(&parts)
            .into_iter()
            .flatten()
            .filter_map(|entry| Some(entry.ok()?.path())),
    );
    files.sort();
    files
        .iter()
        .filter_map(|file| fs::read_to_string(file).ok())
        .find_map(|text| mirror_in(&text))
        .ok_or_else(|| format!("no source of Debian's archive in {APT}"))
}

/// The first address that serves Debian's main archive (its path ends in `/debian`), in either of
/// apt's formats: `deb [options] URI suite…` or a field `URIs: URI…` (sources.list(5)).
fn mirror_in(text: &str) -> Option<String> {
    text.lines()
        .filter(|line| line.starts_with("deb ") || line.starts_with("URIs:"))
        .flat_map(str::split_whitespace)
        .find(|word| word.contains("://") && word.trim_end_matches('/').ends_with("/debian"))
        .map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mirror_is_found_in_both_formats() {
        let cases = [
            (
                "deb http://m.example/debian bookworm main",
                Some("http://m.example/debian"),
            ),
            (
                "# deb http://old.example/debian x y\ndeb [signed-by=/k] https://m.example/debian/ bookworm main",
                Some("https://m.example/debian/"),
            ),
            (
                "Types: deb\nURIs: http://m.example/debian\nSuites: bookworm",
                Some("http://m.example/debian"),
            ),
            ("Types: deb\nURIs: http://m.example/debian-security\n", None),
            ("deb-src http://m.example/debian bookworm main", None),
            ("", None),
        ];
        for (text, expected) in cases {
            assert_eq!(mirror_in(text).as_deref(), expected, "{text}");
        }
    }
}
