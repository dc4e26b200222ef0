//! Writes a [`Tree`] as a cpio archive in the `newc` form (SVR4, no checksum), the one the kernel unpacks
//! into its root file system (`Documentation/driver-api/early-userspace/buffer-format.rst`).
//!
//! The bytes depend on the tree and on `mtime` alone: entries are sorted, owner and group are 0, inode
//! numbers count from 1, devices are 0. It does not read archives and does not do hard links.

use crate::error::Error;
use crate::tree::{Entry, Node, Tree};

/// Entries in one archive: a whole Debian has a fifth of it in `/usr`, an image some hundred.
pub const MAX_ENTRIES: usize = 65_536;
/// Bytes of a name or link target, NUL included: the kernel's `PATH_MAX`; it skips longer ones silently.
pub const MAX_NAME: usize = 4096;
/// Bytes of one file. The format's own limit is 4 GiB - 1; no initramfs file is near this.
pub const MAX_FILE: u64 = 1 << 30;
/// Bytes of one archive, which must fit into the memory of the machine that boots it.
pub const MAX_ARCHIVE: u64 = 2 << 30;

const MAGIC: &str = "070701";
const TRAILER: &str = "TRAILER!!!";
/// Names and contents start at multiples of this.
const ALIGN: usize = 4;
/// Archives end at a multiple of this, as those of the cpio programs do.
const BLOCK: usize = 512;

const S_IFDIR: u32 = 0o040_000;
const S_IFREG: u32 = 0o100_000;
const S_IFLNK: u32 = 0o120_000;
const S_IFCHR: u32 = 0o020_000;

/// Packs the tree. `mtime` is the modification time of every entry, in seconds since 1970.
///
/// # Errors
/// [`Error::TooLarge`] when a name, a file, the number of entries or the archive is over its cap.
pub fn pack(tree: &Tree, mtime: u32) -> Result<Vec<u8>, Error> {
    check_cap(
        "entries of the image",
        tree.iter().len() as u64,
        MAX_ENTRIES as u64,
    )?;
    let mut out = Vec::new();
    for (index, (name, entry)) in tree.iter().enumerate() {
        check_cap(
            &format!("name of /{name} in bytes"),
            name.len() as u64 + 1,
            MAX_NAME as u64,
        )?;
        // MAX_ENTRIES keeps the number far inside 32 bits.
        append(&mut out, name, entry, index as u32 + 1, mtime)?;
        check_cap("the unpacked image in bytes", out.len() as u64, MAX_ARCHIVE)?;
    }
    append_record(&mut out, TRAILER, &Header::default(), &[]);
    pad(&mut out, BLOCK);
    Ok(out)
}

fn append(out: &mut Vec<u8>, name: &str, entry: &Entry, ino: u32, mtime: u32) -> Result<(), Error> {
    let mut header = Header {
        ino,
        nlink: 1,
        mtime,
        mode: entry.mode & 0o7777,
        ..Header::default()
    };
    let data: &[u8] = match &entry.node {
        Node::Dir => {
            header.mode |= S_IFDIR;
            header.nlink = 2;
            &[]
        }
        Node::File(data) => {
            check_cap(&format!("/{name} in bytes"), data.len() as u64, MAX_FILE)?;
            header.mode |= S_IFREG;
            data
        }
        Node::Symlink(target) => {
            let size = target.len() as u64 + 1;
            check_cap(
                &format!("target of /{name} in bytes"),
                size,
                MAX_NAME as u64,
            )?;
            header.mode |= S_IFLNK;
            target.as_bytes()
        }
        Node::Char { major, minor } => {
            header.mode |= S_IFCHR;
            header.rdev = (*major, *minor);
            &[]
        }
    };
    append_record(out, name, &header, data);
    Ok(())
}

/// The fields that vary; uid, gid, the device of the file and the checksum are always 0.
#[derive(Default)]
struct Header {
    ino: u32,
    mode: u32,
    nlink: u32,
    mtime: u32,
    rdev: (u32, u32),
}

fn append_record(out: &mut Vec<u8>, name: &str, header: &Header, data: &[u8]) {
    out.extend_from_slice(MAGIC.as_bytes());
    let fields = [
        header.ino,
        header.mode,
        0, // uid
        0, // gid
        header.nlink,
        header.mtime,
        data.len() as u32, // checked against MAX_FILE by the caller
        0,                 // device of the file, major
        0,                 // and minor
        header.rdev.0,
        header.rdev.1,
        name.len() as u32 + 1,
        0, // checksum, unused in this form
    ];
    for field in fields {
        out.extend_from_slice(format!("{field:08x}").as_bytes());
    }
    out.extend_from_slice(name.as_bytes());
    out.push(0);
    pad(out, ALIGN);
    out.extend_from_slice(data);
    pad(out, ALIGN);
}

fn pad(out: &mut Vec<u8>, to: usize) {
    out.resize(out.len().next_multiple_of(to), 0);
}

fn check_cap(what: &str, found: u64, cap: u64) -> Result<(), Error> {
    if found > cap {
        return Err(Error::TooLarge {
            what: what.to_owned(),
            found,
            cap,
        });
    }
    Ok(())
}
