//! System calls on mounts (`mount(2)`, and the kernel's `fs/namespace.c` and `fs/fsopen.c` for the newer ones).
//!
//! Every place is given as a descriptor: a path is looked up once, without following symbolic links, and what was
//! found is what is used.

use core::ffi::CStr;
use core::ptr;

use super::{O_CLOEXEC, O_PATH, syscall};

const SYS_MKDIRAT: usize = 258;
const SYS_MKNODAT: usize = 259;
const SYS_SYMLINKAT: usize = 266;
const SYS_MOUNT: usize = 165;
const SYS_OPEN_TREE: usize = 428;
const SYS_MOVE_MOUNT: usize = 429;
const SYS_FSOPEN: usize = 430;
const SYS_FSCONFIG: usize = 431;
const SYS_FSMOUNT: usize = 432;
const SYS_OPENAT2: usize = 437;
const SYS_MOUNT_SETATTR: usize = 442;

const AT_FDCWD: usize = super::AT_FDCWD;
const AT_EMPTY_PATH: usize = 0x1000;
const AT_RECURSIVE: usize = 0x8000;
const MS_REC: usize = 0x4000;
const MS_PRIVATE: usize = 1 << 18;
const OPEN_TREE_CLONE: usize = 1;
const OPEN_TREE_CLOEXEC: usize = O_CLOEXEC;
const MOVE_MOUNT_F_EMPTY_PATH: usize = 0x4;
const MOVE_MOUNT_T_EMPTY_PATH: usize = 0x40;
const FSOPEN_CLOEXEC: usize = 1;
const FSCONFIG_SET_STRING: usize = 1;
const FSCONFIG_CMD_CREATE: usize = 6;
const FSMOUNT_CLOEXEC: usize = 1;
const RESOLVE_NO_MAGICLINKS: u64 = 0x02;
const RESOLVE_NO_SYMLINKS: u64 = 0x04;
const S_IFREG: usize = 0o100_000;

pub(crate) const MOUNT_ATTR_RDONLY: usize = 0x1;
pub(crate) const MOUNT_ATTR_NOSUID: usize = 0x2;
pub(crate) const MOUNT_ATTR_NODEV: usize = 0x4;
pub(crate) const MOUNT_ATTR_NOEXEC: usize = 0x8;

/// Nothing that is mounted elsewhere from now on appears here, and the other way round.
pub(crate) fn make_all_private() -> Result<(), i32> {
    let args = [0, c"/".as_ptr() as usize, 0, MS_REC | MS_PRIVATE, 0, 0];
    // SAFETY: the call reads one NUL-terminated string; the other pointers are null, as for a change of propagation.
    unsafe { syscall(SYS_MOUNT, args) }.map(drop)
}

/// `openat2(2)` of an absolute path for use as a place; `ELOOP` if a symbolic link is on the way.
pub(crate) fn place(path: &CStr) -> Result<i32, i32> {
    // `struct open_how`: flags, mode, resolve.
    let how = [
        (O_PATH | O_CLOEXEC) as u64,
        0,
        RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
    ];
    let args = [
        AT_FDCWD,
        path.as_ptr() as usize,
        how.as_ptr() as usize,
        size_of_val(&how),
        0,
        0,
    ];
    // SAFETY: the call reads one NUL-terminated string and one such structure.
    unsafe { syscall(SYS_OPENAT2, args) }.map(|fd| fd as i32)
}

/// `open_tree(2)`: a detached copy of the mount at a place and of all below it.
pub(crate) fn clone_tree(place: i32) -> Result<i32, i32> {
    let flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH | AT_RECURSIVE;
    let args = [place as usize, c"".as_ptr() as usize, flags, 0, 0, 0];
    // SAFETY: the call reads one NUL-terminated string.
    unsafe { syscall(SYS_OPEN_TREE, args) }.map(|fd| fd as i32)
}

/// `move_mount(2)`: a detached mount appears at a place.
pub(crate) fn attach(mount: i32, place: i32) -> Result<(), i32> {
    let empty = c"".as_ptr() as usize;
    let flags = MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH;
    let args = [mount as usize, empty, place as usize, empty, flags, 0];
    // SAFETY: the call reads two NUL-terminated strings.
    unsafe { syscall(SYS_MOVE_MOUNT, args) }.map(drop)
}

/// `mount_setattr(2)`: the mount becomes read-only, with `recursive` all below it, too.
pub(crate) fn set_read_only(mount: i32, recursive: bool) -> Result<(), i32> {
    // `struct mount_attr`: attributes to set, to clear, propagation, user namespace.
    let attributes = [MOUNT_ATTR_RDONLY as u64, 0, 0, 0];
    let flags = AT_EMPTY_PATH | if recursive { AT_RECURSIVE } else { 0 };
    let args = [
        mount as usize,
        c"".as_ptr() as usize,
        flags,
        attributes.as_ptr() as usize,
        size_of_val(&attributes),
        0,
    ];
    // SAFETY: the call reads one NUL-terminated string and one such structure.
    unsafe { syscall(SYS_MOUNT_SETATTR, args) }.map(drop)
}

/// `fsopen(2)`, `fsconfig(2)`, `fsmount(2)`: a detached mount of a fresh file system with these parameters.
pub(crate) fn fresh(
    kind: &CStr,
    parameters: &[(&CStr, &CStr)],
    attributes: usize,
) -> Result<i32, i32> {
    let args = [kind.as_ptr() as usize, FSOPEN_CLOEXEC, 0, 0, 0, 0];
    // SAFETY: the call reads one NUL-terminated string.
    let context = unsafe { syscall(SYS_FSOPEN, args) }? as i32;
    let result = configure(context, parameters)
        .and_then(|()| super::plain(SYS_FSMOUNT, context as usize, FSMOUNT_CLOEXEC, attributes));
    super::close(context);
    result.map(|fd| fd as i32)
}

fn configure(context: i32, parameters: &[(&CStr, &CStr)]) -> Result<(), i32> {
    for (key, value) in parameters {
        let (key, value) = (key.as_ptr() as usize, value.as_ptr() as usize);
        let args = [context as usize, FSCONFIG_SET_STRING, key, value, 0, 0];
        // SAFETY: the call reads two NUL-terminated strings.
        unsafe { syscall(SYS_FSCONFIG, args) }?;
    }
    let null = ptr::null::<u8>() as usize;
    let args = [context as usize, FSCONFIG_CMD_CREATE, null, null, 0, 0];
    // SAFETY: this command takes no strings.
    unsafe { syscall(SYS_FSCONFIG, args) }.map(drop)
}

/// `mkdirat(2)`.
pub(crate) fn make_folder(path: &CStr) -> Result<(), i32> {
    let args = [AT_FDCWD, path.as_ptr() as usize, 0o755, 0, 0, 0];
    // SAFETY: the call reads one NUL-terminated string.
    unsafe { syscall(SYS_MKDIRAT, args) }.map(drop)
}

/// `mknodat(2)`: an empty file.
pub(crate) fn make_file(path: &CStr) -> Result<(), i32> {
    let args = [AT_FDCWD, path.as_ptr() as usize, S_IFREG | 0o644, 0, 0, 0];
    // SAFETY: the call reads one NUL-terminated string.
    unsafe { syscall(SYS_MKNODAT, args) }.map(drop)
}

/// `symlinkat(2)`.
pub(crate) fn make_link(content: &CStr, path: &CStr) -> Result<(), i32> {
    let args = [
        content.as_ptr() as usize,
        AT_FDCWD,
        path.as_ptr() as usize,
        0,
        0,
        0,
    ];
    // SAFETY: the call reads two NUL-terminated strings.
    unsafe { syscall(SYS_SYMLINKAT, args) }.map(drop)
}
