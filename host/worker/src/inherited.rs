//! The one descriptor that the process is started with.

use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;

/// Where ente-spawn puts the first passed descriptor.
const SOCKET: RawFd = 3;

/// Takes the socket over. Called once, before anything else opens a descriptor.
pub(crate) fn socket() -> io::Result<UnixStream> {
    let kind = option(libc::SO_TYPE)
        .map_err(|error| io::Error::new(error.kind(), format!("descriptor {SOCKET}: {error}")))?;
    if option(libc::SO_DOMAIN)? != libc::AF_UNIX || kind != libc::SOCK_STREAM {
        let text = format!("descriptor {SOCKET} is not a Unix stream socket");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    }
    // SAFETY: it is open (the call above succeeded), and this program owns it: its starter put it
    // there for it, and nothing in it has taken it over yet.
    let fd = unsafe { OwnedFd::from_raw_fd(SOCKET) };
    Ok(fd.into())
}

/// `getsockopt(2)` of a number.
fn option(name: libc::c_int) -> io::Result<libc::c_int> {
    let mut value: libc::c_int = 0;
    let mut length = size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: value and length are valid for writing, and length says how long value is.
    let result = unsafe {
        libc::getsockopt(
            SOCKET,
            libc::SOL_SOCKET,
            name,
            (&raw mut value).cast(),
            &raw mut length,
        )
    };
    if result == 0 {
        Ok(value)
    } else {
        Err(io::Error::last_os_error())
    }
}
