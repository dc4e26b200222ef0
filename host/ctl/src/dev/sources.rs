//! What a component is made of: the files of its folder, and those elsewhere that the compiler read. Whether something
//! has changed is judged by what is in the files: a build that writes into its folder, or an editor that saves the same
//! text, changes nothing.

use std::collections::BTreeMap;
use std::fs::{self, DirEntry, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use arje_store::Sha256;

use super::watch::Watch;

/// Larger files are judged by size and date: reading them at each change would be felt.
const MAX_READ: u64 = 4 << 20;

/// Files of one package. More are no sources of a component, but a folder that was named by mistake.
const MAX_FILES: usize = 20_000;

/// Folders below one another.
const MAX_DEPTH: usize = 32;

/// Where a package's sources are.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// Everything in it counts, except hidden names, `target`, what editors keep as `NAME~`, and what is skipped.
    pub folder: PathBuf,
    /// Files, and folders whose content is made from the sources; absolute.
    pub skipped: Vec<PathBuf>,
    /// Files elsewhere.
    pub elsewhere: Vec<PathBuf>,
}

/// What a file is known by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mark {
    Content(Sha256),
    Large(u64, Option<SystemTime>),
}

/// What was in the files at one time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot(BTreeMap<PathBuf, (Mark, Option<SystemTime>)>);

/// What became of the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Nothing.
    Untouched,
    /// Some were written again, as they were.
    Saved,
    /// There is something else in them.
    Edited,
}

impl Snapshot {
    /// What became of the files between another time and this one.
    #[must_use]
    pub fn since(&self, before: &Self) -> Change {
        if self == before {
            return Change::Untouched;
        }
        match self.marks().eq(before.marks()) {
            true => Change::Saved,
            false => Change::Edited,
        }
    }

    fn marks(&self) -> impl Iterator<Item = (&Path, Mark)> {
        let files = self.0.iter();
        files.map(|(path, (mark, _))| (path.as_path(), *mark))
    }

    /// Takes over what another one knows of this file.
    pub fn adopt(&mut self, file: &Path, from: &Self) {
        match from.0.get(file) {
            Some(known) => self.0.insert(file.to_owned(), *known),
            None => self.0.remove(file),
        };
    }
}

impl Sources {
    /// Looks at all files, and has their folders watched before, so that no change is missed.
    ///
    /// # Errors
    /// There are too many, a folder cannot be read, or cannot be watched.
    pub fn look(&self, watch: &Watch) -> Result<Snapshot, String> {
        let mut snapshot = Snapshot::default();
        self.walk(&self.folder, MAX_DEPTH, watch, &mut snapshot)?;
        for file in &self.elsewhere {
            if let Some(folder) = file.parent() {
                watch.folder(folder)?;
            }
            if let Ok(metadata) = fs::metadata(file) {
                snapshot.put(file.clone(), &metadata);
            }
        }
        Ok(snapshot)
    }

    fn walk(
        &self,
        folder: &Path,
        depth: usize,
        watch: &Watch,
        snapshot: &mut Snapshot,
    ) -> Result<(), String> {
        watch.folder(folder)?;
        let unreadable = |error: io::Error| format!("{}: {error}", folder.display());
        let entries = match fs::read_dir(folder) {
            Ok(entries) => entries,
            // Removed meanwhile, which is a change like any other.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(unreadable(error)),
        };
        for entry in entries {
            let entry = entry.map_err(unreadable)?;
            let path = entry.path();
            if self.skips(&entry, &path) {
                continue;
            }
            // Not through links: they could lead anywhere, in circles, too.
            match entry.metadata() {
                Ok(metadata) if metadata.is_dir() && depth > 0 => {
                    self.walk(&path, depth - 1, watch, snapshot)?;
                }
                Ok(metadata) if metadata.is_file() => snapshot.put(path, &metadata),
                _ => {}
            }
            if snapshot.0.len() > MAX_FILES {
                return Err(format!(
                    "{}: found more than {MAX_FILES} files; name the folder of one package",
                    self.folder.display()
                ));
            }
        }
        Ok(())
    }

    fn skips(&self, entry: &DirEntry, path: &Path) -> bool {
        let name = entry.file_name();
        let bytes = name.as_encoded_bytes();
        let ignored = bytes.starts_with(b".") || bytes.ends_with(b"~") || name == "target";
        ignored || self.skipped.iter().any(|skipped| skipped == path)
    }

    /// Takes in what cargo says that the component was made of, `NAME.d` in its folder of results: files in other
    /// packages count as well, an interface that somebody else provides for example. Without that nothing changes.
    pub fn take_in_dep_info(&mut self, results: &Path, package: &str) {
        let names = [package.replace('-', "_"), package.to_owned()];
        let texts = names
            .iter()
            .filter_map(|name| fs::read_to_string(results.join(format!("{name}.d"))).ok());
        if let Some(text) = texts.into_iter().next() {
            let files = dependencies(&text).into_iter();
            self.elsewhere = files
                .filter(|file| file.is_absolute() && !file.starts_with(&self.folder))
                .collect();
        }
    }
}

impl Snapshot {
    fn put(&mut self, path: PathBuf, metadata: &Metadata) {
        let large = Mark::Large(metadata.len(), metadata.modified().ok());
        let mark = if metadata.len() > MAX_READ {
            large
        } else {
            // Gone, or not to be read: then the compiler says so.
            match fs::read(&path) {
                Ok(bytes) => Mark::Content(Sha256::of(&bytes)),
                Err(_) => large,
            }
        };
        self.0.insert(path, (mark, metadata.modified().ok()));
    }
}

/// The files after the colon of a line as make(1) reads them: spaces in names have a backslash before them.
fn dependencies(text: &str) -> Vec<PathBuf> {
    let line = text.lines().next().unwrap_or_default();
    let Some((_, files)) = line.split_once(": ") else {
        return Vec::new();
    };
    let files = files.replace("\\ ", "\0");
    let names = files.split_whitespace();
    names.map(|name| name.replace('\0', " ").into()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package() -> (tempfile::TempDir, Sources, Watch) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        for inside in ["src/deep", "target", ".git", "components"] {
            fs::create_dir_all(path.join(inside)).unwrap();
        }
        fs::write(path.join("src/lib.rs"), "one").unwrap();
        let sources = Sources {
            folder: path.to_owned(),
            skipped: vec![path.join("components")],
            elsewhere: Vec::new(),
        };
        (folder, sources, Watch::new().unwrap())
    }

    #[test]
    fn what_counts_is_what_is_in_the_sources() {
        let (folder, sources, watch) = package();
        let before = sources.look(&watch).unwrap();
        for ignored in ["target/a", ".git/b", "components/c.wasm", ".swp", "a~"] {
            fs::write(folder.path().join(ignored), "x").unwrap();
        }
        assert_eq!(
            sources.look(&watch).unwrap().since(&before),
            Change::Untouched
        );
        save_again(&folder.path().join("src/lib.rs"));
        assert_eq!(sources.look(&watch).unwrap().since(&before), Change::Saved);
        // As editors do it.
        fs::write(folder.path().join("new"), "two").unwrap();
        fs::rename(folder.path().join("new"), folder.path().join("src/lib.rs")).unwrap();
        let after = sources.look(&watch).unwrap();
        assert_eq!(after.since(&before), Change::Edited);
        fs::write(folder.path().join("src/deep/x.rs"), "").unwrap();
        let deep = sources.look(&watch).unwrap();
        assert_eq!(deep.since(&after), Change::Edited);
        fs::remove_dir_all(folder.path().join("src/deep")).unwrap();
        assert_eq!(
            sources.look(&watch).unwrap().since(&after),
            Change::Untouched
        );
    }

    /// The same text, at another time.
    fn save_again(path: &Path) {
        let later = SystemTime::now() + std::time::Duration::from_secs(10);
        let file = fs::File::options().write(true).open(path).unwrap();
        file.set_modified(later).unwrap();
    }

    #[test]
    fn a_folder_that_comes_is_watched() {
        let (folder, sources, mut watch) = package();
        sources.look(&watch).unwrap();
        let now = std::time::Instant::now();
        fs::create_dir(folder.path().join("src/late")).unwrap();
        watch.take_in(now).unwrap();
        sources.look(&watch).unwrap();
        while !watch.burst_ended(watch.due().unwrap()) {}
        fs::write(folder.path().join("src/late/mod.rs"), "").unwrap();
        watch.take_in(now).unwrap();
        assert!(watch.due().is_some());
    }

    #[test]
    fn files_elsewhere_are_those_that_the_compiler_names() {
        let (folder, mut sources, watch) = package();
        let (results, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let shared = other.path().join("a b.wit");
        fs::write(&shared, "one").unwrap();
        let own = folder.path().join("src/lib.rs");
        let line = format!(
            "/x/door_bell.wasm: {} {}\n",
            own.display(),
            shared.display().to_string().replace(' ', "\\ ")
        );
        fs::write(results.path().join("door_bell.d"), line).unwrap();
        sources.take_in_dep_info(results.path(), "nobody");
        assert!(sources.elsewhere.is_empty());
        sources.take_in_dep_info(results.path(), "door-bell");
        assert_eq!(sources.elsewhere, std::slice::from_ref(&shared));
        let before = sources.look(&watch).unwrap();
        fs::write(&shared, "two").unwrap();
        assert_eq!(sources.look(&watch).unwrap().since(&before), Change::Edited);
    }
}
