//! depmod's text tables, and what a module says of itself.

use std::collections::BTreeMap;

use object::{Object as _, ObjectSection as _};

/// Modules that come before and after another one if they exist (`softdep` in modprobe.d(5)).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct SoftDeps {
    pub(super) pre: Vec<String>,
    pub(super) post: Vec<String>,
}

/// What a module says about itself.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct ModInfo {
    pub(super) depends: Vec<String>,
    pub(super) soft: SoftDeps,
}

impl ModInfo {
    /// Reads the `.modinfo` section: NUL-separated `key=value` strings.
    pub(super) fn parse(data: &[u8]) -> Result<Self, String> {
        let file =
            object::File::parse(data).map_err(|error| format!("not a module file: {error}"))?;
        let section = file
            .section_by_name(".modinfo")
            .ok_or("not a module file: it has no .modinfo section")?;
        let bytes = section
            .data()
            .map_err(|error| format!("not a module file: {error}"))?;
        let mut info = Self::default();
        for field in bytes.split(|b| *b == 0) {
            let field = String::from_utf8_lossy(field);
            if let Some(list) = field.strip_prefix("depends=") {
                let names = list.split(',').filter(|name| !name.is_empty());
                info.depends.extend(names.map(module_name));
            } else if let Some(rule) = field.strip_prefix("softdep=") {
                add_soft(&mut info.soft, rule.split_ascii_whitespace());
            }
        }
        Ok(info)
    }
}

/// Reads `PATH: DEP DEP…` lines.
pub(super) fn parse_dep(text: &str) -> BTreeMap<String, Vec<String>> {
    text.lines()
        .filter_map(|line| line.split_once(':'))
        .map(|(path, deps)| {
            let deps = deps.split_ascii_whitespace().map(str::to_owned).collect();
            (module_name(path.trim()), deps)
        })
        .collect()
}

/// Reads `softdep NAME pre: A B post: C` lines.
pub(super) fn parse_softdep(text: &str) -> BTreeMap<String, SoftDeps> {
    let mut table: BTreeMap<String, SoftDeps> = BTreeMap::new();
    for line in text.lines() {
        let mut words = line.split_ascii_whitespace();
        if let (Some("softdep"), Some(name)) = (words.next(), words.next()) {
            add_soft(table.entry(module_name(name)).or_default(), words);
        }
    }
    table
}

fn add_soft<'a>(soft: &mut SoftDeps, words: impl Iterator<Item = &'a str>) {
    let mut post = false;
    for word in words {
        match word {
            "pre:" => post = false,
            "post:" => post = true,
            name if post => soft.post.push(module_name(name)),
            name => soft.pre.push(module_name(name)),
        }
    }
}

/// The name of a module from its file or from how somebody writes it: no folders, no suffix,
/// underscores for dashes.
pub(super) fn module_name(path: &str) -> String {
    let file = path.rsplit('/').next().unwrap_or(path);
    let stem = file.split_once(".ko").map_or(file, |(stem, _)| stem);
    stem.replace('-', "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for (path, name) in [
            ("kernel/drivers/net/virtio_net.ko", "virtio_net"),
            ("kernel/crypto/crc32c-intel.ko.zst", "crc32c_intel"),
            ("virtio-net", "virtio_net"),
            ("snd-hda-codec.ko.xz", "snd_hda_codec"),
        ] {
            assert_eq!(module_name(path), name);
        }
    }

    #[test]
    fn dep_lines() {
        let table = parse_dep("kernel/a-b.ko: kernel/c.ko kernel/d.ko.gz\nkernel/c.ko:\nnoise\n");
        assert_eq!(table["a_b"], ["kernel/c.ko", "kernel/d.ko.gz"]);
        assert!(table["c"].is_empty());
        assert_eq!(table.len(), 2);
    }

    #[test]
    fn softdep_lines() {
        let table = parse_softdep(
            "# comment\nsoftdep ext4 pre: crc32c\nsoftdep a-b pre: c d post: e\nsoftdep ext4 post: z\n",
        );
        assert_eq!(table["a_b"].pre, ["c", "d"]);
        assert_eq!(table["a_b"].post, ["e"]);
        assert_eq!((table["ext4"].pre.len(), table["ext4"].post.len()), (1, 1));
    }
}
