//! Reading and writing the small files of a cgroup.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{BorrowedFd, OwnedFd};

use nix::fcntl::{OFlag, openat};
use nix::sys::stat::Mode;

/// Most bytes read of one file. The longest that the host reads are lists of process ids, which it reads in parts.
const MAX_TEXT: u64 = 1 << 16;

pub(super) fn open_file(folder: BorrowedFd<'_>, name: &str, mode: OFlag) -> io::Result<File> {
    let flags = mode | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW;
    Ok(File::from(openat(folder, name, flags, Mode::empty())?))
}

pub(super) fn open_folder(folder: BorrowedFd<'_>, name: &str) -> nix::Result<OwnedFd> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW;
    openat(folder, name, flags, Mode::empty())
}

/// What a file holds, cut at 64 KiB.
pub(super) fn read_file(folder: BorrowedFd<'_>, name: &str) -> io::Result<String> {
    let mut text = String::new();
    open_file(folder, name, OFlag::O_RDONLY)?
        .take(MAX_TEXT)
        .read_to_string(&mut text)?;
    Ok(text)
}

/// One write, as the kernel wants it: a value is not continued by a second one.
pub(super) fn write_file(folder: BorrowedFd<'_>, name: &str, value: &str) -> io::Result<()> {
    let written = open_file(folder, name, OFlag::O_WRONLY)?.write(value.as_bytes())?;
    if written == value.len() {
        Ok(())
    } else {
        Err(io::Error::from(io::ErrorKind::WriteZero))
    }
}
