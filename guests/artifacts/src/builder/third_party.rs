//! Builds programs that nobody here wrote, from their published crates and unchanged: proof that
//! any `wasi:cli` component runs. Not part of the build script, because it takes minutes.

use super::manifest::Components;
use super::toolchain::Toolchain;
use super::{Folders, Result, at, nested};
use std::fs;
use std::path::{Path, PathBuf};

/// A program that is known to build.
#[derive(Debug)]
pub struct Program {
    /// The crate's name, and the component's.
    pub name: &'static str,
    /// The version that is built when no other is asked for.
    pub version: &'static str,
}

/// All of them.
pub const PROGRAMS: &[Program] = &[Program {
    name: "ripgrep",
    version: "15.2.0",
}];

/// Builds a program with the versions its authors locked, and puts it beside our components. Does
/// nothing when it is there already, in this version and from this compiler.
///
/// # Errors
/// The program is not in [`PROGRAMS`], or does not build.
pub fn build(
    toolchain: &Toolchain,
    folders: &Folders,
    name: &str,
    version: Option<&str>,
) -> Result<PathBuf> {
    let known = PROGRAMS.iter().find(|program| program.name == name);
    let known = known.ok_or_else(|| {
        let names: Vec<_> = PROGRAMS.iter().map(|program| program.name).collect();
        format!(
            "no third-party program {name:?}, expected one of {}",
            names.join(", ")
        )
    })?;
    let version = version.unwrap_or(known.version);
    let path = folders.components().join(format!("{name}.wasm"));
    let root = folders.own().join("third-party").join(name);
    let stamp = root.join("built");
    let state = format!("{version}, {}\n", toolchain.describe()?);
    if path.exists() && fs::read_to_string(&stamp).is_ok_and(|old| old == state) {
        return Ok(path);
    }
    let wasm = compile(toolchain, folders, &root, name, version)?;
    let components = Components::open(folders.components())?;
    let entry = components.install(name, &wasm)?;
    components.write_manifest()?;
    at(&stamp, fs::write(&stamp, state))?;
    Ok(entry.path)
}

fn compile(
    toolchain: &Toolchain,
    folders: &Folders,
    root: &Path,
    name: &str,
    version: &str,
) -> Result<Vec<u8>> {
    // Whatever an earlier version left would be taken for this one's.
    let _ = fs::remove_dir_all(root);
    at(root, fs::create_dir_all(root))?;
    // No build script of ours adds the start file here.
    let start_file = toolchain.start_file();
    let flags: Vec<String> = start_file
        .map(|path| format!("-Clink-arg={}", path.display()))
        .into_iter()
        .collect();
    let mut cargo = toolchain.cargo("install", folders, &flags);
    cargo
        .args([name, "--version", version, "--locked", "--root"])
        .arg(root);
    nested::run(&mut cargo)?;
    let binary = only_component(&root.join("bin"))?;
    at(&binary, fs::read(&binary))
}

/// The one component in a folder; its name is the program's own affair (`rg.wasm`).
fn only_component(folder: &Path) -> Result<PathBuf> {
    let mut found = Vec::new();
    for entry in at(folder, fs::read_dir(folder))? {
        found.push(at(folder, entry)?.path());
    }
    match found.as_slice() {
        [one] => Ok(one.clone()),
        _ => Err(format!(
            "{}: expected one component, found {found:?}",
            folder.display()
        )),
    }
}
