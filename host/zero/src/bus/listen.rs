//! The listening socket: made so that nobody can connect before its mode and group are right.

use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, UnixAddr, bind, listen, socket,
};
use nix::sys::stat::{Mode, fchmod};
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _, chown};
use std::os::unix::net::UnixListener;
use std::path::Path;

/// The group whose members may connect, if the machine has it.
const GROUP: &str = "ente";

/// User and group, nobody else (unix(7): connecting needs the right to write).
const MODE: Mode = Mode::from_bits_truncate(0o660);

/// Connections that the kernel holds until they are accepted.
const BACKLOG: i32 = 128;

/// Makes the socket, in the place of one that an earlier run left.
///
/// # Errors
///
/// The path is too long (`sun_path` has 108 bytes), taken by something else than a socket, or cannot be written.
pub fn open(path: &Path) -> io::Result<UnixListener> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_socket() => fs::remove_file(path)?,
        Ok(_) => return Err(io::Error::from(io::ErrorKind::AlreadyExists)),
        Err(_) => {}
    }
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let fd = socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
    // The mode of the unbound socket, less the umask, becomes that of the file; if it were made as usual,
    // others could connect until it is changed.
    fchmod(&fd, MODE)?;
    bind(std::os::fd::AsRawFd::as_raw_fd(&fd), &UnixAddr::new(path)?)?;
    if let Some(gid) = group_id(&fs::read_to_string("/etc/group").unwrap_or_default(), GROUP) {
        // Without it only user 0 can connect, which `ente` tells its user.
        let _ = chown(path, None, Some(gid));
    }
    fs::set_permissions(path, Permissions::from_mode(MODE.bits()))?;
    listen(&fd, Backlog::new(BACKLOG)?)?;
    Ok(UnixListener::from(fd))
}

/// The number of a group in the text of `/etc/group` (group(5)); by hand, since a static program has
/// no name service.
fn group_id(text: &str, name: &str) -> Option<u32> {
    text.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next()? == name).then(|| fields.nth(1)?.parse().ok())?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_found_by_name() {
        let text = "root:x:0:\nentelechy:x:7:\nente:x:990:ann,bob\nbroken\n";
        assert_eq!(group_id(text, "ente"), Some(990));
        assert_eq!(group_id(text, "wheel"), None);
    }

    #[test]
    fn a_left_socket_is_replaced_and_anything_else_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bus");
        drop(open(&path).unwrap());
        let listener = open(&path).unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o660);
        drop(listener);
        fs::remove_file(&path).unwrap();
        fs::write(&path, "precious").unwrap();
        let error = open(&path).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&path).unwrap(), b"precious");
    }
}
