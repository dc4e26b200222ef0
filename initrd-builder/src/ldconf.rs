//! `/etc/ld.so.conf`: the folders that `ldconfig` indexes for the dynamic loader (ldconfig(8)). Only the
//! folder list is read; the binary cache made from it is not.

use std::path::{Path, PathBuf};

/// Files read in all; real systems have about ten.
const MAX_FILES: usize = 1024;
/// Folders taken from all files together; real lists have about ten.
const MAX_FOLDERS: usize = 1024;

/// The folders that `/etc/ld.so.conf` below `root` names, in order, without repetition, as paths of the
/// machine (without `root`). A file that is not there or not readable names none, as for `ldconfig`.
#[must_use]
pub fn folders(root: &Path) -> Vec<String> {
    let mut reader = Reader {
        root,
        files: Vec::new(),
        folders: Vec::new(),
    };
    reader.read(Path::new("/etc/ld.so.conf"));
    reader.folders
}

struct Reader<'r> {
    root: &'r Path,
    /// Files read already: one that includes itself ends here.
    files: Vec<PathBuf>,
    folders: Vec<String>,
}

impl Reader<'_> {
    fn read(&mut self, file: &Path) {
        if self.files.len() >= MAX_FILES || self.files.iter().any(|old| old == file) {
            return;
        }
        self.files.push(file.to_owned());
        let Ok(text) = std::fs::read_to_string(below(self.root, file)) else {
            return;
        };
        for line in text.lines() {
            let line = line.split('#').next().unwrap_or_default().trim();
            let mut words = line.split_ascii_whitespace();
            match words.next() {
                Some("include") => words.for_each(|pattern| self.include(file, pattern)),
                // Once the name of a capability of the processor; no longer read by anybody.
                Some("hwcap") | None => {}
                Some(_) => line
                    .split([' ', '\t', ':', ','])
                    .for_each(|part| self.add(part)),
            }
        }
    }

    fn add(&mut self, folder: &str) {
        // `folder=TYPE` is an old form; the type no longer means anything.
        let folder = folder.split('=').next().unwrap_or_default();
        let folder = folder.trim_end_matches('/');
        if folder.starts_with('/')
            && self.folders.len() < MAX_FOLDERS
            && !self.folders.iter().any(|old| old == folder)
        {
            self.folders.push(folder.to_owned());
        }
    }

    /// Reads the files that a pattern names, sorted. `*` and `?` work in the last part of the path, which
    /// is where distributions have them.
    fn include(&mut self, from: &Path, pattern: &str) {
        let pattern = from.parent().unwrap_or(Path::new("/")).join(pattern);
        let (Some(folder), Some(name)) = (
            pattern.parent(),
            pattern.file_name().and_then(|name| name.to_str()),
        ) else {
            return;
        };
        let Ok(entries) = std::fs::read_dir(below(self.root, folder)) else {
            return;
        };
        let mut names: Vec<String> = entries
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .filter(|candidate| matches(name.as_bytes(), candidate.as_bytes()))
            .collect();
        names.sort();
        for name in names {
            self.read(&folder.join(name));
        }
    }
}

/// Shell matching with `*` and `?`; a leading dot must be named.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    if name.first() == Some(&b'.') && pattern.first() != Some(&b'.') {
        return false;
    }
    // The classic two-pointer walk: on a mismatch, let the last star take one byte more.
    let (mut p, mut n) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(c) if *c == b'?' || *c == name[n] => {
                p += 1;
                n += 1;
            }
            _ => match star {
                Some((at, taken)) => {
                    star = Some((at, taken + 1));
                    p = at + 1;
                    n = taken + 1;
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|c| *c == b'*')
}

/// An absolute path of the machine, below `root`.
pub(crate) fn below(root: &Path, path: &Path) -> PathBuf {
    root.join(path.strip_prefix("/").unwrap_or(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for (pattern, name, wanted) in [
            ("*.conf", "libc.conf", true),
            ("*.conf", "libc.conf.bak", false),
            ("*.conf", ".hidden.conf", false),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("*b*b", "abab", true),
            ("*b*b", "aba", false),
            ("x", "x", true),
            ("*", "", true),
        ] {
            assert_eq!(
                matches(pattern.as_bytes(), name.as_bytes()),
                wanted,
                "{pattern} {name}"
            );
        }
    }

    #[test]
    fn includes_comments_and_repetitions() {
        let root = tempfile::tempdir().unwrap();
        let etc = root.path().join("etc/ld.so.conf.d");
        std::fs::create_dir_all(&etc).unwrap();
        let write = |name: &str, text: &str| std::fs::write(root.path().join(name), text).unwrap();
        write(
            "etc/ld.so.conf",
            "# all\ninclude ld.so.conf.d/*.conf\n/last/ # trailing\nhwcap 1 x\nrelative\n/old=libc6\n",
        );
        write("etc/ld.so.conf.d/b.conf", "/b\n/a\n");
        write("etc/ld.so.conf.d/a.conf", "/a\ninclude /etc/ld.so.conf\n");
        write("etc/ld.so.conf.d/c.off", "/never\n");
        assert_eq!(folders(root.path()), ["/a", "/b", "/last", "/old"]);
    }

    #[test]
    fn no_file_no_folders() {
        let root = tempfile::tempdir().unwrap();
        assert!(folders(root.path()).is_empty());
    }
}
