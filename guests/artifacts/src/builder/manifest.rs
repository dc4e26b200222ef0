//! The folder with the finished components, and `manifest.json`, which says what is in it.

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

/// How long before the start of a build its files are dated; see [`Components::open`].
const MARGIN: Duration = Duration::from_secs(2);

/// The folder, open for one build.
#[derive(Debug)]
pub struct Components {
    folder: PathBuf,
    dated: SystemTime,
}

impl Components {
    /// Opens the folder; to be called when a build script starts.
    ///
    /// What is written is dated just before that. Cargo watches these files and takes one younger
    /// than a build script's last start for a changed input: so the script that wrote them does not
    /// run again for nothing, but another's (`--release`, or `cargo clippy`) does when the files
    /// are no longer those it knows. Files that are already right keep their date.
    ///
    /// # Errors
    /// The folder cannot be made.
    pub fn open(folder: PathBuf) -> Result<Self> {
        at(&folder, fs::create_dir_all(&folder))?;
        let dated = SystemTime::now() - MARGIN;
        Ok(Self { folder, dated })
    }

    /// Normalises a component and puts it into the folder as `NAME.wasm`.
    ///
    /// # Errors
    /// The bytes are no component, or the folder cannot be written.
    pub fn install(&self, name: &str, wasm: &[u8]) -> Result<Entry> {
        let bytes = normalise::strip(wasm).map_err(|e| format!("component {name}: {e}"))?;
        let path = self.folder.join(format!("{name}.wasm"));
        self.write(&path, &bytes)?;
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
    pub fn prune(&self, keep: &[&str]) -> Result<()> {
        for path in self.files()? {
            let name = path.file_stem().and_then(|s| s.to_str());
            if !name.is_some_and(|name| keep.contains(&name)) {
                at(&path, fs::remove_file(&path))?;
            }
        }
        Ok(())
    }

    /// Writes `manifest.json`: for each component in the folder its file, relative to the
    /// manifest, its sha256 and its size in bytes.
    ///
    /// # Errors
    /// The folder cannot be read or written.
    pub fn write_manifest(&self) -> Result<()> {
        let mut lines = Vec::new();
        for path in self.files()? {
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
        self.write(&self.folder.join("manifest.json"), text.as_bytes())
    }

    /// The components, sorted by name.
    fn files(&self) -> Result<Vec<PathBuf>> {
        let mut files = Vec::new();
        for entry in at(&self.folder, fs::read_dir(&self.folder))? {
            let path = at(&self.folder, entry)?.path();
            if path.extension().is_some_and(|e| e == "wasm") {
                files.push(path);
            }
        }
        files.sort();
        Ok(files)
    }

    /// Writes a file in one step, unless it has these bytes already.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn write(&self, path: &Path, bytes: &[u8]) -> Result<()> {
        if fs::read(path).is_ok_and(|old| old == bytes) {
            return Ok(());
        }
        let mut temporary = path.as_os_str().to_owned();
        // Two builds may write the same file at once.
        temporary.push(format!(".{}", std::process::id()));
        let temporary = PathBuf::from(temporary);
        at(&temporary, fs::write(&temporary, bytes))?;
        let dated = File::options()
            .write(true)
            .open(&temporary)
            .and_then(|file| file.set_modified(self.dated));
        at(&temporary, dated)?;
        at(path, fs::rename(&temporary, path))
    }
}
