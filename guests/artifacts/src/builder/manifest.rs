//! Puts finished components into one folder, and writes what is there into `manifest.json`.

use super::{Result, at, normalise};
use sha2::{Digest, Sha256};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// A component in the folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// File name without `.wasm`.
    pub name: String,
    /// Absolute path.
    pub path: PathBuf,
    /// Hash of the file.
    pub sha256: [u8; 32],
    /// Bytes in the file.
    pub size: u64,
}

/// 64 hexadecimal digits, as Cards write pins.
#[must_use]
pub fn hex(sha256: &[u8; 32]) -> String {
    sha256.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Normalises a component and puts it into the folder as `NAME.wasm`.
///
/// # Errors
/// The bytes are no component, or the folder cannot be written.
pub fn install(folder: &Path, name: &str, wasm: &[u8]) -> Result<Entry> {
    let bytes = normalise::strip(wasm).map_err(|e| format!("component {name}: {e}"))?;
    let path = folder.join(format!("{name}.wasm"));
    write(&path, &bytes)?;
    Ok(Entry {
        name: name.to_owned(),
        path,
        sha256: Sha256::digest(&bytes).into(),
        size: bytes.len() as u64,
    })
}

/// Removes components that are no longer built (all but `keep`).
///
/// # Errors
/// The folder cannot be read or written.
pub fn prune(folder: &Path, keep: &[&str]) -> Result<()> {
    for path in wasm_files(folder)? {
        let name = path.file_stem().and_then(|s| s.to_str());
        if !name.is_some_and(|name| keep.contains(&name)) {
            at(&path, fs::remove_file(&path))?;
        }
    }
    Ok(())
}

/// Writes `manifest.json`: for each component in the folder its file, relative to the manifest, its
/// sha256 and its size in bytes.
///
/// # Errors
/// The folder cannot be read or written.
pub fn write_manifest(folder: &Path) -> Result<()> {
    let mut lines = Vec::new();
    for path in wasm_files(folder)? {
        let bytes = at(&path, fs::read(&path))?;
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        let sha256 = hex(&Sha256::digest(&bytes).into());
        let size = bytes.len();
        // Names are those of crates and of files in the tree: nothing that JSON would escape.
        lines.push(format!(
            "  \"{name}\": {{ \"path\": \"{name}.wasm\", \"sha256\": \"{sha256}\", \"size\": {size} }}"
        ));
    }
    let text = format!("{{\n{}\n}}\n", lines.join(",\n"));
    write(&folder.join("manifest.json"), text.as_bytes())
}

/// The folder's components, sorted by name.
fn wasm_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in at(folder, fs::read_dir(folder))? {
        let path = at(folder, entry)?.path();
        if path.extension().is_some_and(|e| e == "wasm") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// Writes a file in one step, dated one second after the epoch: cargo watches these files, so that
/// it builds again when one is missing, and takes a file younger than the build script's start for
/// a changed input.
///
/// # Errors
/// The folder cannot be written.
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    if fs::read(path).is_ok_and(|old| old == bytes) {
        return Ok(());
    }
    let mut temporary = path.as_os_str().to_owned();
    // Two builds (debug and release) may write the same file at once.
    temporary.push(format!(".{}", std::process::id()));
    let temporary = PathBuf::from(temporary);
    at(&temporary, fs::write(&temporary, bytes))?;
    let dated = File::options()
        .write(true)
        .open(&temporary)
        .and_then(|file| file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(1)));
    at(&temporary, dated)?;
    at(path, fs::rename(&temporary, path))
}
