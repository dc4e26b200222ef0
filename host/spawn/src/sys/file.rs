//! System calls on ordinary files.

use core::ffi::CStr;

use ente_spawn::Owner;

use super::{AT_FDCWD, O_CLOEXEC, SYS_FSTAT, syscall};

const SYS_READ: usize = 0;
const SYS_OPENAT: usize = 257;
const SYS_FCHOWNAT: usize = 260;

const O_WRONLY: usize = 0o1;
const O_CREAT: usize = 0o100;
const O_EXCL: usize = 0o200;
const O_NOCTTY: usize = 0o400;
const O_NONBLOCK: usize = 0o4000;
const AT_EMPTY_PATH: usize = 0x1000;

/// `openat(2)` for reading. It waits for nobody, whatever is there, and takes no terminal.
pub(crate) fn open(path: &CStr) -> Result<i32, i32> {
    open_at(path, O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0)
}

/// `openat(2)` of a new file, for writing; its owner may read it.
pub(crate) fn create(path: &CStr) -> Result<i32, i32> {
    open_at(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o400)
}

fn open_at(path: &CStr, flags: usize, mode: usize) -> Result<i32, i32> {
    let args = [AT_FDCWD, path.as_ptr() as usize, flags, mode, 0, 0];
    // SAFETY: the call reads one NUL-terminated string.
    unsafe { syscall(SYS_OPENAT, args) }.map(|fd| fd as i32)
}

/// Length of a regular file: `st_mode` and `st_size` of `fstat(2)`. `None` for anything else.
pub(crate) fn length(fd: i32) -> Result<Option<u64>, i32> {
    // The kernel's `struct stat` has 144 bytes; `st_mode` is in the lower half at 24, `st_size` at 48.
    let mut stat = [0u64; 18];
    let args = [fd as usize, stat.as_mut_ptr() as usize, 0, 0, 0, 0];
    // SAFETY: the call writes one such structure.
    unsafe { syscall(SYS_FSTAT, args) }?;
    let regular = stat[3] & 0o170_000 == 0o100_000;
    Ok(regular.then_some(stat[6]))
}

/// `read(2)`.
pub(crate) fn read(fd: i32, buffer: &mut [u8]) -> Result<usize, i32> {
    let (start, length) = (buffer.as_mut_ptr() as usize, buffer.len());
    // SAFETY: the call writes at most so many bytes to a live slice of that length.
    unsafe { syscall(SYS_READ, [fd as usize, start, length, 0, 0, 0]) }
}

/// `fchownat(2)` of an open file, or of the root of a detached mount.
pub(crate) fn set_owner(fd: i32, owner: Owner) -> Result<(), i32> {
    let (user, group) = (owner.user as usize, owner.group as usize);
    let empty = c"".as_ptr() as usize;
    let args = [fd as usize, empty, user, group, AT_EMPTY_PATH, 0];
    // SAFETY: the call reads one NUL-terminated string.
    unsafe { syscall(SYS_FCHOWNAT, args) }.map(drop)
}
