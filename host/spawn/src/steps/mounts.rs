//! Mounts in the Ente's own mount namespace.

use core::ffi::CStr;

use ente_spawn::{MAX_MOUNTS, MAX_SECRET_BYTES, Mount, MountAction, Mounts, Owner};

use super::{Fault, about};
use crate::sys::{self, file, mount};

/// Longest path that the kernel takes, with its NUL (`PATH_MAX`).
const PATH_BYTES: usize = 4096;

/// Bytes copied at once.
const COPY_BYTES: usize = 4096;

/// Digits of the largest size.
const DIGITS: usize = 20;

/// Makes all of them. The sources of binds are opened first, while they still are what PID 1 sees.
pub(crate) fn make(mounts: Mounts<'_>) -> Result<(), Fault<'_>> {
    let mut sources = [-1; MAX_MOUNTS];
    for (slot, mount) in sources.iter_mut().zip(mounts.iter()) {
        match mount.action {
            MountAction::Bind { source, read_only } => {
                *slot = open_source(source, read_only).map_err(about(source))?;
            }
            MountAction::Secret { source, .. } => {
                *slot = open_secret(source).map_err(about(source))?;
            }
            _ => {}
        }
    }
    for (source, mount) in sources.into_iter().zip(mounts.iter()) {
        perform(&mount, source).map_err(about(mount.target))?;
    }
    Ok(())
}

fn open_source(path: &CStr, read_only: bool) -> Result<i32, i32> {
    let place = mount::place(path)?;
    let tree = mount::clone_tree(place);
    sys::close(place);
    let tree = tree?;
    if read_only {
        mount::set_read_only(tree, true)?;
    }
    Ok(tree)
}

fn perform(mount: &Mount<&CStr>, source: i32) -> Result<(), i32> {
    match mount.action {
        MountAction::Bind { .. } => attach(mount, source),
        MountAction::Tmpfs {
            size,
            mode,
            devices,
        } => attach(mount, tmpfs(size, mode, devices)?),
        MountAction::Proc { read_only } => attach(mount, fresh(c"proc", read_only)?),
        MountAction::Cgroup { read_only } => attach(mount, fresh(c"cgroup2", read_only)?),
        MountAction::ReadOnly { recursive } => {
            let place = mount::place(mount.target)?;
            let result = mount::set_read_only(place, recursive);
            sys::close(place);
            result
        }
        MountAction::Protect => protect(mount.target),
        MountAction::Symlink(content) => mount::make_link(content, mount.target),
        MountAction::Secrets(owner) => attach(mount, secrets(owner)?),
        MountAction::Secret { owner, .. } => copy(source, mount.target, owner),
    }
}

/// Without waiting for anybody, should it be no file at all.
fn open_secret(path: &CStr) -> Result<i32, i32> {
    let file = file::open(path)?;
    match file::length(file)? {
        None => Err(sys::EINVAL),
        Some(length) if length > MAX_SECRET_BYTES => Err(sys::EFBIG),
        Some(_) => Ok(file),
    }
}

fn secrets(owner: Owner) -> Result<i32, i32> {
    let attributes = mount::MOUNT_ATTR_NOSUID | mount::MOUNT_ATTR_NODEV | mount::MOUNT_ATTR_NOEXEC;
    let mount = mount::fresh(c"ramfs", &[(c"mode", c"500")], attributes)?;
    file::set_owner(mount, owner)?;
    Ok(mount)
}

/// Copies what a source has now; if it grows meanwhile, not beyond the bound.
fn copy(source: i32, target: &CStr, owner: Owner) -> Result<(), i32> {
    let copy = file::create(target)?;
    let mut buffer = [0; COPY_BYTES];
    let mut left = MAX_SECRET_BYTES as usize;
    loop {
        let length = file::read(source, &mut buffer)?;
        let Some(bytes) = buffer.get(..length).filter(|bytes| !bytes.is_empty()) else {
            break;
        };
        left = left.checked_sub(length).ok_or(sys::EFBIG)?;
        // A file system in memory takes all, or says why it cannot.
        if sys::write(copy, bytes)? != length {
            return Err(sys::EIO);
        }
    }
    file::set_owner(copy, owner)?;
    sys::close(copy);
    sys::close(source);
    Ok(())
}

/// A detached mount appears at the target, which is made where the plan says so.
fn attach(mount: &Mount<&CStr>, detached: i32) -> Result<(), i32> {
    let folder = sys::is_folder(detached)?;
    if mount.create_below > 0 {
        create(mount.target, usize::from(mount.create_below), folder)?;
    }
    let place = mount::place(mount.target)?;
    let result = if sys::is_folder(place)? == folder {
        mount::attach(detached, place)
    } else {
        // A folder over a file or the other way round, for which the kernel has no better word than EINVAL.
        Err(sys::ENOTDIR)
    };
    sys::close(place);
    sys::close(detached);
    result
}

/// Makes the folders on the way to `target` from its byte `below` on, then the target itself.
fn create(target: &CStr, below: usize, folder: bool) -> Result<(), i32> {
    let mut path = [0u8; PATH_BYTES];
    let bytes = target.to_bytes();
    if bytes.len() >= path.len() {
        return Err(sys::ENAMETOOLONG);
    }
    for (index, byte) in bytes.iter().enumerate() {
        if *byte == b'/' && index > below {
            // The bytes after the prefix are still zero, so it ends here.
            exists(mount::make_folder(until_nul(&path)?))?;
        }
        path[index] = *byte;
    }
    exists(if folder {
        mount::make_folder(target)
    } else {
        mount::make_file(target)
    })
}

fn until_nul(bytes: &[u8]) -> Result<&CStr, i32> {
    CStr::from_bytes_until_nul(bytes).map_err(|_| sys::ENAMETOOLONG)
}

/// What is there already is not to be made.
fn exists(result: Result<(), i32>) -> Result<(), i32> {
    match result {
        Err(sys::EEXIST) => Ok(()),
        result => result,
    }
}

/// A read-only copy of what is here, over itself.
fn protect(target: &CStr) -> Result<(), i32> {
    let place = match mount::place(target) {
        // What this kernel does not have needs no protection.
        Err(sys::ENOENT) => return Ok(()),
        place => place?,
    };
    let tree = mount::clone_tree(place)?;
    mount::set_read_only(tree, true)?;
    let result = mount::attach(tree, place);
    sys::close(place);
    sys::close(tree);
    result
}

fn fresh(kind: &CStr, read_only: bool) -> Result<i32, i32> {
    let attributes = mount::MOUNT_ATTR_NOSUID | mount::MOUNT_ATTR_NODEV | mount::MOUNT_ATTR_NOEXEC;
    let attributes = attributes
        | if read_only {
            mount::MOUNT_ATTR_RDONLY
        } else {
            0
        };
    mount::fresh(kind, &[], attributes)
}

fn tmpfs(size: u64, mode: u16, devices: bool) -> Result<i32, i32> {
    let (mut size_text, mut mode_text) = ([0; DIGITS + 1], [0; DIGITS + 1]);
    let size_value = digits(size, 10, &mut size_text)?;
    let mode_value = digits(u64::from(mode), 8, &mut mode_text)?;
    let parameters = [(c"mode", mode_value), (c"size", size_value)];
    // Without a size, the kernel's default: half of the memory.
    let parameters = parameters
        .get(..if size == 0 { 1 } else { 2 })
        .unwrap_or(&[]);
    let nodev = if devices { 0 } else { mount::MOUNT_ATTR_NODEV };
    mount::fresh(c"tmpfs", parameters, mount::MOUNT_ATTR_NOSUID | nodev)
}

/// A number as text, at the end of a buffer that is zero.
fn digits(number: u64, base: u64, text: &mut [u8; DIGITS + 1]) -> Result<&CStr, i32> {
    let mut rest = number;
    let mut start = DIGITS;
    loop {
        start -= 1;
        let Some(place) = text.get_mut(start) else {
            return Err(sys::EFBIG);
        };
        *place = b'0' + (rest % base) as u8;
        rest /= base;
        if rest == 0 || start == 0 {
            break;
        }
    }
    until_nul(text.get(start..).unwrap_or(&[]))
}
