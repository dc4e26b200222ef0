//! Selecting kernel modules from folders with and without depmod's tables.

#![expect(clippy::unwrap_used, reason = "tests say what they expect")]

use std::io::Write as _;
use std::path::Path;

use initrd_builder::kmod::{ModuleFolder, Selection};

/// A module file: an ELF object with a `.modinfo` section.
fn module(info: &[&str]) -> Vec<u8> {
    let mut modinfo = Vec::new();
    for field in info {
        modinfo.extend_from_slice(field.as_bytes());
        modinfo.push(0);
    }
    let names = b"\0.modinfo\0.shstrtab\0";
    let names_at = 64 + modinfo.len();
    let sections_at = (names_at + names.len()).next_multiple_of(8);
    let mut out = b"\x7fELF\x02\x01\x01".to_vec();
    out.resize(16, 0);
    out.extend(1u16.to_le_bytes()); // ET_REL
    out.extend(62u16.to_le_bytes());
    out.extend(1u32.to_le_bytes());
    out.extend([0; 16]);
    out.extend((sections_at as u64).to_le_bytes());
    out.extend([0; 4]);
    for half in [64u16, 0, 0, 64, 3, 2] {
        out.extend(half.to_le_bytes());
    }
    out.extend(&modinfo);
    out.extend(names);
    out.resize(sections_at + 64, 0);
    for (name, kind, at, size) in [
        (1u32, 1u32, 64, modinfo.len()),
        (10, 3, names_at, names.len()),
    ] {
        out.extend(name.to_le_bytes());
        out.extend(kind.to_le_bytes());
        out.extend([0; 16]);
        out.extend((at as u64).to_le_bytes());
        out.extend((size as u64).to_le_bytes());
        out.extend([0; 8]);
        out.extend(1u64.to_le_bytes());
        out.extend([0; 8]);
    }
    out
}

fn folder(files: &[(&str, Vec<u8>)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (path, data) in files {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, data).unwrap();
    }
    folder
}

fn select(folder: &Path, names: &[&str]) -> Result<Selection, String> {
    ModuleFolder::open(folder)
        .and_then(|folder| folder.select(names))
        .map_err(|error| error.to_string())
}

fn names(selection: &Selection) -> Vec<&str> {
    selection.modules.iter().map(|m| m.name.as_str()).collect()
}

/// The same modules, with depmod's tables.
fn with_tables() -> tempfile::TempDir {
    folder(&[
        ("kernel/net/virtio_net.ko", b"vn".to_vec()),
        ("kernel/net/net-failover.ko", b"nf".to_vec()),
        ("kernel/core/failover.ko", b"fo".to_vec()),
        ("kernel/fs/ext4.ko", b"e4".to_vec()),
        ("kernel/crypto/crc32c.ko", b"c3".to_vec()),
        (
            "modules.dep",
            b"kernel/net/virtio_net.ko: kernel/net/net-failover.ko kernel/core/failover.ko\n\
              kernel/net/net-failover.ko: kernel/core/failover.ko\n\
              kernel/core/failover.ko:\nkernel/fs/ext4.ko:\nkernel/crypto/crc32c.ko:\n"
                .to_vec(),
        ),
        (
            "modules.softdep",
            b"softdep ext4 pre: crc32c absent post: failover\n".to_vec(),
        ),
        (
            "modules.builtin",
            b"kernel/drivers/virtio/virtio-pci.ko\n".to_vec(),
        ),
    ])
}

/// The same facts in the modules themselves.
fn without_tables() -> tempfile::TempDir {
    folder(&[
        (
            "kernel/net/virtio_net.ko",
            module(&["license=GPL", "depends=net-failover,virtio_pci"]),
        ),
        ("kernel/net/net-failover.ko", module(&["depends=failover"])),
        ("kernel/core/failover.ko", module(&["depends="])),
        (
            "kernel/fs/ext4.ko",
            module(&["softdep=pre: crc32c absent", "softdep=post: failover"]),
        ),
        ("kernel/crypto/crc32c.ko", module(&["depends="])),
        (
            "modules.builtin",
            b"kernel/drivers/virtio/virtio-pci.ko\n".to_vec(),
        ),
    ])
}

#[test]
fn order_and_tables_are_the_same_from_either_source() {
    for folder in [with_tables(), without_tables()] {
        let selection = select(folder.path(), &["virtio-net", "virtio_pci", "ext4"]).unwrap();
        assert_eq!(
            names(&selection),
            ["failover", "net_failover", "virtio_net", "crc32c", "ext4"]
        );
        assert_eq!(selection.builtin, ["virtio_pci"]);
        assert_eq!(
            selection.modules_dep(),
            "kernel/core/failover.ko:\n\
             kernel/crypto/crc32c.ko:\n\
             kernel/fs/ext4.ko:\n\
             kernel/net/net-failover.ko: kernel/core/failover.ko\n\
             kernel/net/virtio_net.ko: kernel/net/net-failover.ko kernel/core/failover.ko\n"
        );
        let selection = select(folder.path(), &["ext4"]).unwrap();
        assert_eq!(
            names(&selection),
            ["crc32c", "ext4", "failover"],
            "post comes after"
        );
    }
}

#[test]
fn packed_modules_are_unpacked() {
    let plain = module(&["depends="]);
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&plain).unwrap();
    let folder = folder(&[
        ("kernel/a.ko.gz", gzip.finish().unwrap()),
        (
            "kernel/b.ko.zst",
            zstd::encode_all(plain.as_slice(), 1).unwrap(),
        ),
        ("kernel/c.ko.xz", b"\xfd7zXZ".to_vec()),
        ("kernel/d.ko.gz", b"not gzip".to_vec()),
    ]);
    let selection = select(folder.path(), &["a", "b"]).unwrap();
    for (module, path) in selection.modules.iter().zip(["kernel/a.ko", "kernel/b.ko"]) {
        assert_eq!((module.path.as_str(), &module.data), (path, &plain));
    }
    let error = select(folder.path(), &["c"]).unwrap_err();
    assert!(
        error.contains("xz") && error.contains("--modules-dir"),
        "{error}"
    );
    assert!(select(folder.path(), &["d"]).is_err());
}

#[test]
fn what_is_wrong_is_named() {
    let folder = folder(&[
        ("kernel/a.ko", module(&["depends=b"])),
        ("kernel/b.ko", module(&["depends=gone"])),
        ("kernel/x.ko", module(&["depends=y"])),
        ("kernel/y.ko", module(&["depends=x"])),
        ("kernel/junk.ko", b"junk".to_vec()),
    ]);
    for (name, parts) in [
        ("a", ["gone", "needed by b"]),
        ("none", ["none", "not in"]),
        ("x", ["x", "depends on itself"]),
        ("junk", ["junk", "not a module file"]),
    ] {
        let error = select(folder.path(), &[name]).unwrap_err();
        for part in parts {
            assert!(error.contains(part), "{name}: {error}");
        }
    }
    assert!(select(&folder.path().join("no"), &["a"]).is_err());
    let stale = with_tables();
    std::fs::write(stale.path().join("kernel/new.ko"), "x").unwrap();
    let error = select(stale.path(), &["new"]).unwrap_err();
    assert!(error.contains("depmod"), "{error}");
}
