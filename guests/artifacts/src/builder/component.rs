//! Builds one component whose folder is anywhere, as the guests of the tree are built.

use super::manifest::{Components, Entry};
use super::toolchain::Toolchain;
use super::{Folders, Result, TARGET, at, nested};
use std::env;
use std::fs;
use std::path::{Path, PathBuf};

/// Builds the package in `package` and puts its component, normalised and named after the package, into `into`. What
/// cargo makes on the way is in `CARGO_TARGET_DIR`, else in the `target` folder of the package.
///
/// # Errors
/// It does not build, or is not one component.
pub fn build(
    toolchain: &Toolchain,
    folders: &Folders,
    package: &Path,
    into: PathBuf,
) -> Result<Entry> {
    let package = at(package, package.canonicalize())?;
    if !package.join("Cargo.toml").is_file() {
        return Err(format!(
            "{}: there is no Cargo.toml; name the folder of a package, as `ente new service` makes one",
            package.display()
        ));
    }
    let target = match env::var_os("CARGO_TARGET_DIR") {
        Some(folder) => at(folder.as_ref(), std::path::absolute(&folder))?,
        None => package.join("target"),
    };
    let output = target.join(TARGET).join("release");
    // What was built under an earlier name would be taken for this one's.
    for stale in components_in(&output)? {
        at(&stale, fs::remove_file(&stale))?;
    }
    // Nobody's folder is in the bytes.
    let remapped = format!("--remap-path-prefix={}=/package", package.display());
    let cargo = |subcommand: &str| {
        let mut cargo = toolchain.cargo(subcommand, folders, std::slice::from_ref(&remapped));
        cargo.current_dir(&package).env("CARGO_TARGET_DIR", &target);
        cargo
    };
    nested::run(cargo("build").arg("--release"))?;
    let found = components_in(&output)?;
    let [wasm] = found.as_slice() else {
        return Err(format!(
            "{}: expected one component, found {found:?}; a package has one [lib] with crate-type = [\"cdylib\"], or one \
             program",
            package.display()
        ));
    };
    // Not `toolchain.cargo`: this subcommand takes no target.
    let mut pkgid = nested::command(toolchain.program());
    let id = nested::output(pkgid.arg("pkgid").current_dir(&package))?;
    let wasm = at(wasm, fs::read(wasm))?;
    Components::open(into)?.install(name(id.trim()), &wasm)
}

/// The components that cargo put into this folder, if it is there.
fn components_in(folder: &Path) -> Result<Vec<PathBuf>> {
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    for entry in at(folder, fs::read_dir(folder))? {
        let path = at(folder, entry)?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "wasm")
        {
            found.push(path);
        }
    }
    Ok(found)
}

/// The package's name in what `cargo pkgid` prints: `URL#NAME@VERSION`, or `URL/NAME#VERSION`.
fn name(id: &str) -> &str {
    let (url, rest) = id.rsplit_once('#').unwrap_or((id, ""));
    match rest.split_once('@') {
        Some((name, _)) => name,
        None => url.rsplit('/').next().unwrap_or(url),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_package_is_read() {
        assert_eq!(name("path+file:///work/door-bell#0.1.0"), "door-bell");
        assert_eq!(
            name("path+file:///work/folder#door-bell@0.1.0"),
            "door-bell"
        );
    }
}
