//! The archive format, read back by a reader of its own and by the system's `cpio`.

#![expect(clippy::unwrap_used, reason = "tests say what they expect")]

#[path = "common/archive.rs"]
mod archive;

use std::io::Write as _;
use std::process::{Command, Stdio};

use archive::{Read, read_cpio};
use initrd_builder::Error;
use initrd_builder::cpio::{MAX_NAME, pack};
use initrd_builder::tree::{Group, Tree};

fn sample() -> Tree {
    let mut tree = Tree::new();
    tree.add_dir("/tmp", 0o1777, Group::Skeleton).unwrap();
    tree.add_char("/dev/console", (5, 1), 0o600).unwrap();
    tree.add_file("/bin/tool", *b"#!/bin/sh\n", 0o755, Group::Programs)
        .unwrap();
    // Lengths around the alignment of names and contents.
    for length in 0..9 {
        let name = format!("/data/{}", "n".repeat(length + 1));
        tree.add_file(&name, vec![b'x'; length], 0o644, Group::Programs)
            .unwrap();
    }
    tree.add_symlink("/bin/sh", "tool", Group::Busybox).unwrap();
    tree.add_file("/etc/ñandú", *b"utf-8", 0o600, Group::Skeleton)
        .unwrap();
    tree
}

fn entry<'a>(entries: &'a [Read], name: &str) -> &'a Read {
    entries.iter().find(|entry| entry.name == name).unwrap()
}

#[test]
fn what_is_packed_is_read_back() {
    let tree = sample();
    let entries = read_cpio(&pack(&tree, 1_700_000_000).unwrap());
    assert_eq!(entries.len(), tree.iter().len());
    for (index, (entry, (path, _))) in entries.iter().zip(tree.iter()).enumerate() {
        assert_eq!(entry.name, path);
        assert_eq!((entry.uid, entry.gid), (0, 0));
        assert_eq!(entry.mtime, 1_700_000_000);
        assert_eq!(entry.ino as usize, index + 1);
        if let Some((parent, _)) = path.rsplit_once('/') {
            assert!(entries[..index].iter().any(|e| e.name == parent), "{path}");
        }
    }
    for (name, mode, nlink) in [
        ("tmp", 0o041_777, 2),
        ("bin", 0o040_755, 2),
        ("bin/tool", 0o100_755, 1),
        ("bin/sh", 0o120_777, 1),
        ("dev/console", 0o020_600, 1),
    ] {
        let entry = entry(&entries, name);
        assert_eq!((entry.mode, entry.nlink), (mode, nlink), "{name}");
    }
    assert_eq!(entry(&entries, "bin/sh").data, b"tool");
    assert_eq!(entry(&entries, "dev/console").rdev, (5, 1));
    for length in 0..9 {
        let entry = entry(&entries, &format!("data/{}", "n".repeat(length + 1)));
        assert_eq!(entry.data, vec![b'x'; length]);
    }
}

#[test]
fn the_system_cpio_reads_it_too() {
    let mut child = match Command::new("cpio")
        .arg("-itv")
        .env("TZ", "UTC")
        .env("LC_ALL", "C.UTF-8")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
    {
        Ok(child) => child,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            // What a test prints is shown of those alone that fail.
            let why =
                "no cpio program here; the reader of this test file has checked the same bytes";
            let _ = writeln!(
                std::io::stderr(),
                "test the_system_cpio_reads_it_too ... ignored, {why}"
            );
            return;
        }
        Err(error) => panic!("{error}"),
    };
    let archive = pack(&sample(), 86_400).unwrap();
    child.stdin.take().unwrap().write_all(&archive).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    let listing = String::from_utf8(output.stdout).unwrap();
    for (start, end) in [
        ("drwxrwxrwt", " tmp"),
        ("crw-------", " dev/console"),
        ("-rwxr-xr-x", " bin/tool"),
        ("lrwxrwxrwx", " bin/sh -> tool"),
        ("-rw-------", " etc/ñandú"),
    ] {
        let found = listing.lines().find(|line| line.ends_with(end));
        let line = found.unwrap_or_else(|| panic!("{end} in {listing}"));
        assert!(
            line.starts_with(start) && line.contains("Jan  2  1970"),
            "{line}"
        );
    }
    assert_eq!(listing.lines().count(), sample().iter().len());
}

#[test]
fn names_and_targets_have_caps() {
    for (path_length, target_length, ok) in [
        (MAX_NAME - 1, 1, true),
        (MAX_NAME, 1, false),
        (1, MAX_NAME - 1, true),
        (1, MAX_NAME, false),
    ] {
        let mut tree = Tree::new();
        let path = format!("/{}", "p".repeat(path_length));
        tree.add_symlink(&path, &"t".repeat(target_length), Group::Skeleton)
            .unwrap();
        match pack(&tree, 0) {
            Ok(_) => assert!(ok, "{path_length} {target_length}"),
            Err(Error::TooLarge { found, cap, .. }) => {
                assert!(!ok && found == cap + 1, "{path_length} {target_length}");
            }
            Err(other) => panic!("{other}"),
        }
    }
}
