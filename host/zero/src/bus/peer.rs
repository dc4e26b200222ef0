//! Who is at the other end of a socket, by what the kernel knows.

use arje_native::pidfd_open;
use nix::errno::Errno;
use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use nix::unistd::Pid;
use std::mem::size_of;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::net::UnixStream;

/// The process that connected, held by a descriptor so that its number cannot come to mean another.
#[derive(Debug)]
pub struct Peer {
    /// Its number, in this program's pid namespace.
    pub pid: i32,
    /// Its effective user.
    pub uid: u32,
    /// Its effective group.
    pub gid: u32,
    pidfd: OwnedFd,
}

/// `SO_PEERPIDFD` (unix(7)), of Linux 6.5.
const SO_PEERPIDFD: libc::c_int = 77;

impl Peer {
    /// Asks the kernel.
    ///
    /// # Errors
    ///
    /// The process is gone, so nobody can say who it was.
    pub fn of(stream: &UnixStream) -> nix::Result<Peer> {
        let credentials = getsockopt(stream, PeerCredentials)?;
        let pid = credentials.pid();
        let pidfd = match peer_pidfd(stream) {
            // An older kernel: whoever has the number now. It could be somebody else only if the
            // peer has ended and all numbers were given out since it connected.
            Err(Errno::ENOPROTOOPT) => pidfd_open(Pid::from_raw(pid)),
            result => result,
        }?;
        Ok(Peer {
            pid,
            uid: credentials.uid(),
            gid: credentials.gid(),
            pidfd,
        })
    }

    /// Whether it still runs: then everything that was read about its number until now was about it.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        let mut poll = libc::pollfd {
            fd: self.pidfd.as_raw_fd(),
            events: libc::POLLIN,
            revents: 0,
        };
        // SAFETY: one valid pollfd; a timeout of 0 does not wait.
        let ended = unsafe { libc::poll(&mut poll, 1, 0) };
        ended == 0
    }
}

fn peer_pidfd(stream: &UnixStream) -> nix::Result<OwnedFd> {
    let mut fd: libc::c_int = -1;
    let mut length = size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: the value is an int, and the length says so.
    let result = unsafe {
        libc::getsockopt(
            stream.as_raw_fd(),
            libc::SOL_SOCKET,
            SO_PEERPIDFD,
            (&raw mut fd).cast(),
            &raw mut length,
        )
    };
    Errno::result(result)?;
    // SAFETY: the kernel has just made this descriptor for us (close-on-exec).
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}
