//! The shared libraries a program needs, found as glibc's dynamic loader finds them (ld.so(8)), but by
//! reading ELF files instead of running anything.
//!
//! Order for a name without a slash: `DT_RPATH` of the object and of those that led to it (where they
//! have no `DT_RUNPATH`), `DT_RUNPATH` of the object, the folders of `/etc/ld.so.conf`, the loader's
//! default folders. `$ORIGIN` is the object's own folder: on this machine for finding the file, in the
//! image for placing it. What a program opens later with `dlopen` (name-service plug-ins, for instance)
//! is not written in its headers; such files are added with `--bin`.
//!
//! The image's loader has no cache (`/etc/ld.so.cache`), so a library found only through
//! `/etc/ld.so.conf` gets a link in a folder where the loader looks by itself.

use std::collections::{BTreeSet, VecDeque};
use std::path::{Path, PathBuf};

use crate::elf::{self, ElfInfo, ElfProblem};
use crate::error::{Error, read_capped};
use crate::ldconf::{self, below};

/// Objects in one program's closure; a desktop browser has about 150.
const MAX_OBJECTS: usize = 1024;
/// Bytes of one library: the largest on a Debian system (LLVM, Chromium) are below 250 MB.
const MAX_LIBRARY: u64 = 512 << 20;

/// Folders that loaders search without being told: Debian's, then those of distributions with `lib64`,
/// then the plain ones that all know.
const DEFAULT_FOLDERS: [&str; 6] = [
    "/lib/x86_64-linux-gnu",
    "/usr/lib/x86_64-linux-gnu",
    "/lib64",
    "/usr/lib64",
    "/lib",
    "/usr/lib",
];

/// What `$LIB` may stand for: it is compiled into the loader, and distributions differ.
const LIB_TOKENS: [&str; 3] = ["lib/x86_64-linux-gnu", "lib64", "lib"];

/// A file or link that a program's closure adds to the image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Placed {
    /// A library or the dynamic loader.
    File {
        /// Where it goes in the image.
        path: String,
        /// The file on this machine.
        source: PathBuf,
        /// Its bytes.
        data: Vec<u8>,
    },
    /// A link that makes a library findable without a loader cache.
    Link {
        /// Where it goes in the image.
        path: String,
        /// The library, in the image.
        target: String,
    },
}

/// Finds libraries below one root.
#[derive(Debug)]
pub struct Libraries {
    root: PathBuf,
    configured: Vec<String>,
}

impl Libraries {
    /// Looks below `root`: `/` for this machine, another folder for an unpacked system.
    #[must_use]
    pub fn below(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
            configured: ldconf::folders(root),
        }
    }

    /// The loader and the libraries, transitively, of the program `info` that lies at `source` on this
    /// machine and will lie at `dest` in the image. Empty for a static program.
    ///
    /// # Errors
    /// [`Error::MissingLibrary`], naming the chain of objects that leads to the missing one;
    /// [`Error::Elf`] for a library that cannot be read; [`Error::TooLarge`].
    pub fn closure(&self, dest: &str, source: &Path, info: &ElfInfo) -> Result<Vec<Placed>, Error> {
        let mut walk = Walk::new(self, dest, source, info);
        if let Some(interpreter) = &info.interpreter {
            walk.load_interpreter(interpreter)?;
        }
        while let Some(index) = walk.queue.pop_front() {
            for name in walk.objects[index].info.needed.clone() {
                walk.load_needed(index, &name)?;
            }
        }
        Ok(walk.finish())
    }
}

/// One object of a closure. The first is the program.
struct Object {
    /// Its name, for the chain in messages.
    name: String,
    /// Its folder on this machine, and in the image: the two meanings of `$ORIGIN`.
    origin: Folder,
    info: ElfInfo,
    /// The object that first needed it.
    parent: Option<usize>,
}

/// A folder to search: where it is on this machine and what it is called in the image.
#[derive(Debug, Clone)]
struct Folder {
    host: PathBuf,
    image: String,
    /// Whether a loader without a cache finds it: it comes from the object itself or is a default.
    known: bool,
}

struct Walk<'a> {
    libraries: &'a Libraries,
    objects: Vec<Object>,
    /// Names already loaded, so that each is looked up once, as the loader does.
    loaded: BTreeSet<String>,
    queue: VecDeque<usize>,
    placed: Vec<Placed>,
    /// A default folder in which this closure's loader found something.
    anchor: Option<String>,
    /// Libraries that need a link in the anchor: name and path.
    unknown: Vec<(String, String)>,
}

impl<'a> Walk<'a> {
    fn new(libraries: &'a Libraries, dest: &str, source: &Path, info: &ElfInfo) -> Self {
        // ld.so takes $ORIGIN from the resolved path of the program.
        let real = source.canonicalize().unwrap_or_else(|_| source.to_owned());
        let program = Object {
            name: dest.to_owned(),
            origin: Folder {
                host: real.parent().unwrap_or(Path::new("/")).to_owned(),
                image: parent_of(dest).to_owned(),
                known: true,
            },
            info: info.clone(),
            parent: None,
        };
        Self {
            libraries,
            objects: vec![program],
            loaded: BTreeSet::new(),
            queue: VecDeque::from([0]),
            placed: Vec::new(),
            anchor: None,
            unknown: Vec::new(),
        }
    }

    fn load_interpreter(&mut self, path: &str) -> Result<(), Error> {
        let source = below(&self.libraries.root, Path::new(path));
        match self.try_object(path, path, &source)? {
            // The loader itself is linked statically, but libraries name it as needed.
            Some((data, _)) => {
                self.loaded.insert(base_of(path).to_owned());
                self.place(path.to_owned(), source, data);
                Ok(())
            }
            None => Err(self.missing(0, path, Vec::new())),
        }
    }

    fn load_needed(&mut self, by: usize, name: &str) -> Result<(), Error> {
        if self.loaded.contains(name) {
            return Ok(());
        }
        let folders = if name.contains('/') {
            self.direct(by, name)
        } else {
            self.search_folders(by)
        };
        let file = base_of(name);
        for folder in &folders {
            let source = folder.host.join(file);
            let path = join(&folder.image, file);
            if let Some((data, info)) = self.try_object(name, &path, &source)? {
                self.note_folder(name, folder, &path);
                self.enqueue(by, name, folder, &source, info)?;
                self.place(path, source, data);
                return Ok(());
            }
        }
        let searched = folders.into_iter().map(|folder| folder.image).collect();
        Err(self.missing(by, name, searched))
    }

    /// Reads a candidate. `None`: not there, or for another machine; the loader looks on as well.
    fn try_object(
        &self,
        name: &str,
        path: &str,
        source: &Path,
    ) -> Result<Option<(Vec<u8>, ElfInfo)>, Error> {
        if !source.is_file() {
            return Ok(None);
        }
        let data = read_capped(source, MAX_LIBRARY)?;
        match elf::parse(&data) {
            Ok(info) => Ok(Some((data, info))),
            Err(ElfProblem::OtherMachine) => Ok(None),
            Err(problem) => Err(Error::Elf {
                path: source.to_owned(),
                reason: format!("as library {name} (at {path} in the image) it is {problem}"),
            }),
        }
    }

    /// Remembers which libraries a loader without a cache would not find, and one folder where it looks.
    fn note_folder(&mut self, name: &str, folder: &Folder, path: &str) {
        if !folder.known {
            self.unknown.push((name.to_owned(), path.to_owned()));
        } else if DEFAULT_FOLDERS.contains(&folder.image.as_str()) && self.anchor.is_none() {
            self.anchor = Some(folder.image.clone());
        }
    }

    fn enqueue(
        &mut self,
        by: usize,
        name: &str,
        folder: &Folder,
        source: &Path,
        info: ElfInfo,
    ) -> Result<(), Error> {
        if self.objects.len() >= MAX_OBJECTS {
            return Err(Error::TooLarge {
                what: format!("libraries of {}", self.objects[0].name),
                found: self.objects.len() as u64 + 1,
                cap: MAX_OBJECTS as u64,
            });
        }
        let real = source
            .canonicalize()
            .map_err(Error::io("resolve", source))?;
        self.queue.push_back(self.objects.len());
        self.objects.push(Object {
            name: name.to_owned(),
            origin: Folder {
                host: real.parent().unwrap_or(Path::new("/")).to_owned(),
                image: folder.image.clone(),
                known: true,
            },
            info,
            parent: Some(by),
        });
        self.loaded.insert(name.to_owned());
        Ok(())
    }

    fn place(&mut self, path: String, source: PathBuf, data: Vec<u8>) {
        self.placed.push(Placed::File { path, source, data });
    }

    /// A `DT_NEEDED` entry with a slash is a path, not a name to search for.
    fn direct(&self, by: usize, name: &str) -> Vec<Folder> {
        self.expand(parent_of(name), &self.objects[by].origin)
    }

    fn search_folders(&self, by: usize) -> Vec<Folder> {
        let mut folders = Vec::new();
        let object = &self.objects[by];
        match &object.info.runpath {
            Some(runpath) => {
                for entry in runpath {
                    folders.extend(self.expand(entry, &object.origin));
                }
            }
            None => self.rpath_chain(by, &mut folders),
        }
        let configured = self.libraries.configured.iter().map(String::as_str);
        for folder in configured.chain(DEFAULT_FOLDERS) {
            folders.push(Folder {
                host: below(&self.libraries.root, Path::new(folder)),
                image: folder.to_owned(),
                known: DEFAULT_FOLDERS.contains(&folder),
            });
        }
        folders
    }

    /// `DT_RPATH` of the object and of every object on the way to the program; one that has a
    /// `DT_RUNPATH` does not count.
    fn rpath_chain(&self, by: usize, folders: &mut Vec<Folder>) {
        let mut next = Some(by);
        while let Some(index) = next {
            let object = &self.objects[index];
            if object.info.runpath.is_none() {
                for entry in &object.info.rpath {
                    folders.extend(self.expand(entry, &object.origin));
                }
            }
            next = object.parent;
        }
    }

    /// Replaces `$ORIGIN`, `$LIB` and `$PLATFORM` in a search folder. A relative one depends on where the
    /// program is started and is left out.
    fn expand(&self, entry: &str, origin: &Folder) -> Vec<Folder> {
        let entry = entry
            .replace("${PLATFORM}", "x86_64")
            .replace("$PLATFORM", "x86_64")
            .replace("${ORIGIN}", "$ORIGIN")
            .replace("${LIB}", "$LIB");
        let variants: Vec<String> = if entry.contains("$LIB") {
            LIB_TOKENS
                .iter()
                .map(|token| entry.replace("$LIB", token))
                .collect()
        } else {
            vec![entry]
        };
        variants
            .iter()
            .filter_map(|variant| {
                let (host, image) = match variant.strip_prefix("$ORIGIN") {
                    Some(rest) => (
                        origin.host.join(rest.trim_start_matches('/')),
                        join(&origin.image, rest),
                    ),
                    None if variant.starts_with('/') => (
                        below(&self.libraries.root, Path::new(variant)),
                        variant.clone(),
                    ),
                    None => return None,
                };
                Some(Folder {
                    host,
                    image: plain(&image),
                    known: true,
                })
            })
            .collect()
    }

    fn missing(&self, by: usize, name: &str, searched: Vec<String>) -> Error {
        let mut needed_by = Vec::new();
        let mut next = Some(by);
        while let Some(index) = next {
            needed_by.push(self.objects[index].name.clone());
            next = self.objects[index].parent;
        }
        Error::MissingLibrary {
            name: name.to_owned(),
            needed_by,
            searched,
        }
    }

    fn finish(mut self) -> Vec<Placed> {
        let anchor = self.anchor.as_deref().unwrap_or("/lib");
        for (name, target) in self.unknown {
            let path = join(anchor, &name);
            self.placed.push(Placed::Link { path, target });
        }
        self.placed
    }
}

fn base_of(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

fn parent_of(path: &str) -> &str {
    match path.rsplit_once('/') {
        Some(("", _)) | None => "/",
        Some((parent, _)) => parent,
    }
}

fn join(folder: &str, rest: &str) -> String {
    format!(
        "{}/{}",
        folder.trim_end_matches('/'),
        rest.trim_start_matches('/')
    )
}

/// Removes `.`, `..` and doubled slashes. The image's folders are real folders, so this is exact.
fn plain(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn image_paths_are_made_plain() {
        for (path, wanted) in [
            ("/opt/app/bin/../lib", "/opt/app/lib"),
            ("/opt//x/./y/", "/opt/x/y"),
            ("/../x", "/x"),
            ("/", "/"),
        ] {
            assert_eq!(plain(path), wanted);
        }
    }

    #[test]
    fn path_parts() {
        assert_eq!((parent_of("/a/b"), base_of("/a/b")), ("/a", "b"));
        assert_eq!((parent_of("/a"), base_of("/a")), ("/", "a"));
        assert_eq!(join("/", "x"), "/x");
        assert_eq!(join("/a/", "/x"), "/a/x");
    }
}
