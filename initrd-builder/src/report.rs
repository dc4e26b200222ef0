//! What is printed about a finished image: what went in, by group, with sizes, and the image's own size and
//! hash.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use arje_card::Card;

use crate::build::{Assembled, digest};
use crate::compress::Compression;
use crate::tree::{Entry, Group, Node, Tree};

/// Entries of one group that are listed; of larger groups the rest is counted.
const SHOWN: usize = 24;

/// A finished image.
#[derive(Debug, Clone)]
pub struct Summary {
    /// Where it was written.
    pub out: PathBuf,
    /// How it is compressed.
    pub compression: Compression,
    /// What went in.
    pub tree: Tree,
    /// The seed as it was packed.
    pub seed: Card,
    /// The session fragments as they were packed, with their names.
    pub fragments: Vec<(String, Card)>,
    /// What is worth telling, one line each.
    pub notes: Vec<String>,
    /// Bytes of the archive before compression.
    pub unpacked: u64,
    /// Bytes of the image.
    pub packed: u64,
    /// The image's sha256, hexadecimal.
    pub sha256: String,
}

impl Summary {
    pub(crate) fn new(
        out: &Path,
        compression: Compression,
        assembled: Assembled,
        unpacked: u64,
        packed: &[u8],
    ) -> Self {
        Self {
            out: out.to_owned(),
            compression,
            tree: assembled.tree,
            seed: assembled.seed,
            fragments: assembled.fragments,
            notes: assembled.notes,
            unpacked,
            packed: packed.len() as u64,
            sha256: digest(packed),
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut groups: BTreeMap<Group, Vec<(&str, &Entry)>> = BTreeMap::new();
        for (path, entry) in self.tree.iter() {
            groups.entry(entry.group).or_default().push((path, entry));
        }
        for (group, entries) in groups {
            show_group(f, group, &entries)?;
        }
        for note in &self.notes {
            writeln!(f, "note: {note}")?;
        }
        let form = self.compression.name();
        writeln!(f, "unpacked {:>12} bytes", self.unpacked)?;
        writeln!(f, "packed   {:>12} bytes ({form})", self.packed)?;
        writeln!(f, "sha256   {}", self.sha256)?;
        writeln!(f, "image    {}", self.out.display())
    }
}

fn show_group(f: &mut fmt::Formatter<'_>, group: Group, entries: &[(&str, &Entry)]) -> fmt::Result {
    let bytes: u64 = entries.iter().map(|(_, entry)| entry.size()).sum();
    writeln!(f, "{group}: {} entries, {bytes} bytes", entries.len())?;
    let mut listed = entries.iter().filter(|(_, entry)| is_listed(entry));
    for (path, entry) in listed.by_ref().take(SHOWN) {
        write!(f, "  {:>10} /{path}", entry.size())?;
        match &entry.node {
            Node::Symlink(target) => writeln!(f, " -> {target}")?,
            Node::Char { major, minor } => writeln!(f, " c {major}:{minor}")?,
            Node::Dir | Node::File(_) => writeln!(f)?,
        }
    }
    match listed.count() {
        0 => Ok(()),
        more => writeln!(f, "             and {more} more"),
    }
}

/// Folders are only counted, and so are busybox's links: two hundred lines that say the same.
fn is_listed(entry: &Entry) -> bool {
    match entry.node {
        Node::Dir => false,
        Node::Symlink(_) => entry.group != Group::Busybox,
        Node::File(_) | Node::Char { .. } => true,
    }
}
