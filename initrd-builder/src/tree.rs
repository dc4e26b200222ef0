//! The image before it is packed: a sorted map from path to entry. It knows nothing of compression or
//! of where bytes came from; it guarantees that parents exist and that no path has two meanings.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::error::Error;

/// Symbolic links followed in one look-up before it is called a loop: the kernel's own `MAXSYMLINKS`.
const MAX_LINKS: usize = 40;

/// What an entry is there for; the printed listing is grouped by it, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Group {
    /// `/init`, PID 1, its helpers and the command line.
    Arje,
    /// The seed and the session fragments.
    Seed,
    /// WebAssembly modules, by hash.
    Modules,
    /// What was compiled from them ahead of time, and the index.
    Artifacts,
    /// The shell and its applets.
    Busybox,
    /// Programs asked for with `--bin` and `--extra-bins`.
    Programs,
    /// Shared libraries those programs need.
    Libraries,
    /// Kernel modules and their dependency table.
    KernelModules,
    /// Folders, mount points, device nodes and `/etc`.
    Skeleton,
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Arje => "arje",
            Self::Seed => "seed",
            Self::Modules => "modules",
            Self::Artifacts => "artifacts",
            Self::Busybox => "busybox",
            Self::Programs => "programs",
            Self::Libraries => "libraries",
            Self::KernelModules => "kernel modules",
            Self::Skeleton => "skeleton",
        })
    }
}

/// What stands at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Node {
    /// A folder.
    Dir,
    /// A regular file.
    File(Arc<[u8]>),
    /// A symbolic link and its target, as written.
    Symlink(String),
    /// A character device.
    Char {
        /// Its major number.
        major: u32,
        /// Its minor number.
        minor: u32,
    },
}

/// One path of the image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// What it is.
    pub node: Node,
    /// Permission bits, set-id and sticky bits included (`07777`).
    pub mode: u32,
    /// What it is there for.
    pub group: Group,
}

impl Entry {
    /// Bytes of content: a file's length, a link's target length, else 0.
    #[must_use]
    pub fn size(&self) -> u64 {
        match &self.node {
            Node::File(data) => data.len() as u64,
            Node::Symlink(target) => target.len() as u64,
            Node::Dir | Node::Char { .. } => 0,
        }
    }
}

/// The files of an image, sorted by path, so that a parent always comes before its children.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tree {
    entries: BTreeMap<String, Entry>,
}

impl Tree {
    /// An empty image.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a folder, and its parents. A folder that is there already keeps its group and takes `mode`.
    ///
    /// # Errors
    /// [`Error::BadPath`] for a path that is not absolute and plain; [`Error::Conflict`] when
    /// something else stands there or at a parent.
    pub fn add_dir(&mut self, path: &str, mode: u32, group: Group) -> Result<(), Error> {
        let key = self.claim(path)?;
        if let Some(old) = self.entries.get_mut(&key) {
            return match old.node {
                Node::Dir => {
                    old.mode = mode;
                    Ok(())
                }
                _ => Err(conflict(path, &old.node, "a folder")),
            };
        }
        self.entries.insert(
            key,
            Entry {
                node: Node::Dir,
                mode,
                group,
            },
        );
        Ok(())
    }

    /// Adds a regular file, and its parents. The same bytes with the same mode may be added again.
    ///
    /// # Errors
    /// As [`Tree::add_dir`].
    pub fn add_file(
        &mut self,
        path: &str,
        data: impl Into<Arc<[u8]>>,
        mode: u32,
        group: Group,
    ) -> Result<(), Error> {
        self.add(path, Node::File(data.into()), mode, group)
    }

    /// Adds a symbolic link, and the parents of the link itself. The target is not looked at.
    ///
    /// # Errors
    /// As [`Tree::add_dir`].
    pub fn add_symlink(&mut self, path: &str, target: &str, group: Group) -> Result<(), Error> {
        self.add(path, Node::Symlink(target.to_owned()), 0o777, group)
    }

    /// Adds a character device.
    ///
    /// # Errors
    /// As [`Tree::add_dir`].
    pub fn add_char(
        &mut self,
        path: &str,
        (major, minor): (u32, u32),
        mode: u32,
    ) -> Result<(), Error> {
        self.add(path, Node::Char { major, minor }, mode, Group::Skeleton)
    }

    /// Whether something stands at exactly this path (links are not followed).
    #[must_use]
    pub fn contains(&self, path: &str) -> bool {
        key_of(path).is_ok_and(|key| self.entries.contains_key(&key))
    }

    /// Finds what a program opening `path` inside the image would find, following links; the path
    /// returned is absolute and free of links. `None`: nothing there, or a loop of links.
    #[must_use]
    pub fn resolve(&self, path: &str) -> Option<(String, &Entry)> {
        let mut todo: Vec<String> = components_reversed(path);
        let mut done: Vec<String> = Vec::new();
        let mut links = 0;
        while let Some(part) = todo.pop() {
            if part == ".." {
                done.pop();
                continue;
            }
            done.push(part);
            let entry = self.entries.get(&done.join("/"))?;
            if let Node::Symlink(target) = &entry.node {
                links += 1;
                if links > MAX_LINKS {
                    return None;
                }
                if target.starts_with('/') {
                    done.clear();
                } else {
                    done.pop();
                }
                todo.extend(components_reversed(target));
            }
        }
        let key = done.join("/");
        self.entries
            .get(&key)
            .map(|entry| (format!("/{key}"), entry))
    }

    /// Whether the image can execute `path`: a regular file with an execute bit, links followed.
    #[must_use]
    pub fn is_executable(&self, path: &str) -> bool {
        self.resolve(path).is_some_and(|(_, entry)| {
            matches!(entry.node, Node::File(_)) && entry.mode & 0o111 != 0
        })
    }

    /// All entries in packing order; paths are relative to the root (`bin/sh`).
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &Entry)> {
        self.entries
            .iter()
            .map(|(path, entry)| (path.as_str(), entry))
    }

    fn add(&mut self, path: &str, node: Node, mode: u32, group: Group) -> Result<(), Error> {
        let key = self.claim(path)?;
        let entry = Entry { node, mode, group };
        match self.entries.get(&key) {
            Some(old) if old.node == entry.node && old.mode == entry.mode => Ok(()),
            Some(old) => Err(conflict(path, &old.node, describe(&entry.node))),
            None => {
                self.entries.insert(key, entry);
                Ok(())
            }
        }
    }

    /// Checks the path and makes its parents.
    fn claim(&mut self, path: &str) -> Result<String, Error> {
        let key = key_of(path)?;
        for (at, _) in key.match_indices('/') {
            let parent = &key[..at];
            match self.entries.get(parent) {
                Some(Entry {
                    node: Node::Dir, ..
                }) => {}
                Some(other) => {
                    return Err(conflict(&format!("/{parent}"), &other.node, "a folder"));
                }
                None => {
                    self.entries.insert(
                        parent.to_owned(),
                        Entry {
                            node: Node::Dir,
                            mode: 0o755,
                            group: Group::Skeleton,
                        },
                    );
                }
            }
        }
        Ok(key)
    }
}

fn key_of(path: &str) -> Result<String, Error> {
    let bad = |reason| Error::BadPath {
        path: path.to_owned(),
        reason,
    };
    let key = path
        .strip_prefix('/')
        .ok_or_else(|| bad("it must start with '/'"))?;
    if key.is_empty() {
        return Err(bad("it names the root itself"));
    }
    if key.contains('\0') {
        return Err(bad("it contains a NUL"));
    }
    if key.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return Err(bad("empty parts, '.' and '..' are not allowed"));
    }
    Ok(key.to_owned())
}

fn components_reversed(path: &str) -> Vec<String> {
    path.rsplit('/')
        .filter(|part| !matches!(*part, "" | "."))
        .map(str::to_owned)
        .collect()
}

fn describe(node: &Node) -> &'static str {
    match node {
        Node::Dir => "a folder",
        Node::File(_) => "another file",
        Node::Symlink(_) => "another link",
        Node::Char { .. } => "a device",
    }
}

fn conflict(path: &str, old: &Node, new: &str) -> Error {
    let old = match old {
        Node::File(data) => format!("a file of {} bytes", data.len()),
        Node::Symlink(target) => format!("a link to {target}"),
        other => describe(other).to_owned(),
    };
    Error::Conflict {
        path: path.to_owned(),
        reason: format!("{new} was to be put where {old} stands already"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Tree {
        let mut tree = Tree::new();
        tree.add_file("/bin/busybox", *b"bb", 0o755, Group::Busybox)
            .unwrap();
        tree.add_symlink("/bin/sh", "busybox", Group::Busybox)
            .unwrap();
        tree.add_symlink("/usr/bin", "../bin", Group::Skeleton)
            .unwrap();
        tree.add_symlink("/loop", "/loop", Group::Skeleton).unwrap();
        tree.add_symlink("/abs", "/usr/bin/sh", Group::Skeleton)
            .unwrap();
        tree.add_file("/etc/plain", *b"", 0o644, Group::Skeleton)
            .unwrap();
        tree
    }

    #[test]
    fn parents_come_first_and_are_made() {
        let tree = sample();
        let order: Vec<&str> = tree.iter().map(|(path, _)| path).collect();
        let at = |wanted| order.iter().position(|path| *path == wanted).unwrap();
        assert!(at("bin") < at("bin/busybox"));
        assert!(at("usr") < at("usr/bin"));
        assert!(order.is_sorted());
    }

    #[test]
    fn look_ups_follow_links_as_the_kernel_would() {
        let tree = sample();
        for (path, found) in [
            ("/bin/sh", Some("/bin/busybox")),
            ("/usr/bin/sh", Some("/bin/busybox")),
            ("/abs", Some("/bin/busybox")),
            ("/bin/../bin/sh", Some("/bin/busybox")),
            ("/etc", Some("/etc")),
            ("/bin/none", None),
            ("/loop", None),
            ("/bin/busybox/x", None),
        ] {
            let got = tree.resolve(path).map(|(path, _)| path);
            assert_eq!(got.as_deref(), found, "{path}");
        }
        assert!(tree.is_executable("/abs"));
        assert!(!tree.is_executable("/etc/plain"));
        assert!(!tree.is_executable("/bin"));
    }

    #[test]
    fn paths_and_conflicts_are_refused() {
        let mut tree = sample();
        for path in ["bin/x", "/", "/a//b", "/a/../b", "/a/.", "/a\0b", ""] {
            let error = tree.add_dir(path, 0o755, Group::Skeleton).unwrap_err();
            assert!(matches!(error, Error::BadPath { .. }), "{path:?}: {error}");
        }
        let conflicts: [Result<(), Error>; 4] = [
            tree.add_file("/bin/busybox", *b"other", 0o755, Group::Programs),
            tree.add_file("/bin/busybox", *b"bb", 0o644, Group::Programs),
            tree.add_file("/bin/busybox/x", *b"", 0o644, Group::Programs),
            tree.add_dir("/bin/sh", 0o755, Group::Programs),
        ];
        for result in conflicts {
            assert!(matches!(result, Err(Error::Conflict { .. })));
        }
        tree.add_file("/bin/busybox", *b"bb", 0o755, Group::Programs)
            .unwrap();
    }
}
