//! The socket behind `NOTIFY_SOCKET`: what processes say of themselves (`sd_notify(3)`), and who said it.
//!
//! Nothing is believed but what the kernel adds: the sender's process id (`SCM_CREDENTIALS`, `unix(7)`). A process of
//! user 0 with `CAP_SYS_ADMIN` can give another id than its own; nobody else can.

mod message;

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::ptr;

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, UnixAddr, bind, setsockopt, socket, sockopt,
};
use nix::sys::stat::{Mode, fchmod};
use nix::unistd::Pid;

use crate::listen::{SocketFile, make_folder, remove_stale};

pub use message::{Notification, Watchdog};

/// Longest datagram, as with systemd (`PIPE_BUF`).
const MAX_DATAGRAM: usize = 4096;

/// Most descriptors in one datagram (`SCM_MAX_FD` in the kernel's `include/net/scm.h`). The buffer has room for all, so that
/// none is cut off in a way that leaves others open.
const MAX_FDS: usize = 253;

/// Bytes that may wait in the socket: a machine full of Entes that come up at once.
const RECEIVE_BUFFER: usize = 8 << 20;

/// Everybody may send; who is heard is decided by who the sender is.
const FILE_MODE: u32 = 0o666;

/// The socket.
#[derive(Debug)]
pub struct NotifySocket {
    fd: OwnedFd,
    path: PathBuf,
    _file: SocketFile,
}

/// One datagram.
#[derive(Debug)]
pub enum Received {
    /// A notification.
    Said {
        /// The sender's process id, in the receiver's pid namespace.
        pid: Pid,
        /// What it said.
        notification: Notification,
        /// What it passed. A barrier is answered by closing it.
        descriptors: Vec<OwnedFd>,
    },
    /// Too long, malformed, or from a process that cannot be named. Whatever it passed is closed.
    Ignored,
}

impl NotifySocket {
    /// Makes the socket at this path.
    ///
    /// # Errors
    /// The step that failed and why, for example that somebody else has a socket there.
    pub fn bind(path: &Path) -> Result<NotifySocket, String> {
        let failed =
            |step: &str, errno: Errno| format!("{}: {step}: {}", path.display(), errno.desc());
        let address = UnixAddr::new(path).map_err(|errno| failed("bind", errno))?;
        make_folder(path).map_err(|error| format!("{}: {error}", path.display()))?;
        remove_stale(path, &address, SockType::Datagram)
            .map_err(|(step, errno)| failed(step, errno))?;
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let fd = socket(AddressFamily::Unix, SockType::Datagram, flags, None)
            .map_err(|errno| failed("socket", errno))?;
        // Before the first datagram: one that was sent before has no credentials.
        setsockopt(&fd, sockopt::PassCred, &true).map_err(|errno| failed("SO_PASSCRED", errno))?;
        // A smaller buffer only makes senders wait, so an init that is not root may go without.
        let _ = setsockopt(&fd, sockopt::RcvBufForce, &RECEIVE_BUFFER);
        fchmod(&fd, Mode::from_bits_truncate(FILE_MODE))
            .map_err(|errno| failed("fchmod", errno))?;
        bind(fd.as_raw_fd(), &address).map_err(|errno| failed("bind", errno))?;
        // The umask of PID 1 took some bits of the mode away; nobody can have connected in a harmful way meanwhile.
        std::fs::set_permissions(
            path,
            std::os::unix::fs::PermissionsExt::from_mode(FILE_MODE),
        )
        .map_err(|error| format!("{}: chmod: {error}", path.display()))?;
        let file = SocketFile::at(path).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(NotifySocket {
            fd,
            path: path.to_owned(),
            _file: file,
        })
    }

    /// Goes on with the socket that another image of this program has bound to this path.
    ///
    /// # Errors
    /// Its file is gone.
    pub fn take_over(path: &Path, fd: OwnedFd) -> Result<NotifySocket, String> {
        let file = SocketFile::at(path).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(NotifySocket {
            fd,
            path: path.to_owned(),
            _file: file,
        })
    }

    /// Where it is: the value of `NOTIFY_SOCKET`.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Takes the next datagram; `None` when there is none. Never waits.
    ///
    /// # Errors
    /// What `recvmsg(2)` says; the next call may succeed.
    pub fn receive(&self) -> io::Result<Option<Received>> {
        let mut bytes = [0; MAX_DATAGRAM];
        let raw = match receive(self.fd.as_fd(), &mut bytes) {
            Ok(raw) => raw,
            Err(Errno::EAGAIN) => return Ok(None),
            Err(errno) => return Err(errno.into()),
        };
        let whole = raw.flags & (libc::MSG_TRUNC | libc::MSG_CTRUNC) == 0;
        let notification = Notification::parse(&bytes[..raw.length]).filter(|_| whole);
        Ok(Some(match (raw.pid, notification) {
            // 0: of a pid namespace that cannot be seen from here.
            (Some(pid @ 1..), Some(notification)) => Received::Said {
                pid: Pid::from_raw(pid),
                notification,
                descriptors: raw.descriptors,
            },
            _ => Received::Ignored,
        }))
    }
}

impl AsFd for NotifySocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

struct Raw {
    length: usize,
    flags: i32,
    pid: Option<i32>,
    descriptors: Vec<OwnedFd>,
}

/// Control messages of one datagram. `cmsghdr` is the strictest alignment in it.
#[repr(C)]
union Control {
    _aligned: libc::cmsghdr,
    bytes: [u8; CONTROL_BYTES],
}

/// Room for the credentials and [`MAX_FDS`] descriptors.
// SAFETY: the macro only computes.
const CONTROL_BYTES: usize = unsafe {
    libc::CMSG_SPACE(size_of::<libc::ucred>() as u32)
        + libc::CMSG_SPACE((MAX_FDS * size_of::<i32>()) as u32)
} as usize;

/// `recvmsg(2)`. nix's wrapper is not used: where control messages were cut off, it hands out none, and the descriptors
/// that did arrive stay open for ever.
fn receive(socket: BorrowedFd<'_>, bytes: &mut [u8]) -> nix::Result<Raw> {
    let mut control = MaybeUninit::<Control>::zeroed();
    let mut vector = libc::iovec {
        iov_base: bytes.as_mut_ptr().cast(),
        iov_len: bytes.len(),
    };
    // SAFETY: all zero is a valid value of this structure of integers and pointers.
    let mut header: libc::msghdr = unsafe { MaybeUninit::zeroed().assume_init() };
    header.msg_iov = &raw mut vector;
    header.msg_iovlen = 1;
    header.msg_control = control.as_mut_ptr().cast();
    header.msg_controllen = CONTROL_BYTES;
    let flags = libc::MSG_DONTWAIT | libc::MSG_CMSG_CLOEXEC;
    // SAFETY: the header points to live buffers of the lengths it gives.
    let length =
        Errno::result(unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut header, flags) })?;
    let mut raw = Raw {
        length: length.cast_unsigned(),
        flags: header.msg_flags,
        pid: None,
        descriptors: Vec::new(),
    };
    // SAFETY: the kernel has filled in `header`, and its buffers are still there.
    unsafe { take_control(&header, &mut raw) };
    Ok(raw)
}

/// Takes the sender's process id and every descriptor out of the control messages.
///
/// # Safety
/// `header` is as `recvmsg(2)` left it, its control buffer is alive, and nobody has taken the descriptors yet.
unsafe fn take_control(header: &libc::msghdr, raw: &mut Raw) {
    // SAFETY: the caller vouches for the header; the macros stay within its control buffer.
    let mut message = unsafe { libc::CMSG_FIRSTHDR(header) };
    while !message.is_null() {
        // SAFETY: not null, so it points to a whole header in the control buffer; its data follows it.
        let (head, data) = unsafe { (ptr::read_unaligned(message), libc::CMSG_DATA(message)) };
        // SAFETY: the macro only computes.
        let length = head.cmsg_len - unsafe { libc::CMSG_LEN(0) } as usize;
        match (head.cmsg_level, head.cmsg_type) {
            (libc::SOL_SOCKET, libc::SCM_CREDENTIALS) if length >= size_of::<libc::ucred>() => {
                // SAFETY: the kernel wrote a ucred of this length there.
                raw.pid = Some(unsafe { ptr::read_unaligned(data.cast::<libc::ucred>()) }.pid);
            }
            (libc::SOL_SOCKET, libc::SCM_RIGHTS) => {
                for index in 0..length / size_of::<i32>() {
                    // SAFETY: the kernel wrote that many descriptors there, all new and ours.
                    let fd = unsafe { ptr::read_unaligned(data.cast::<i32>().add(index)) };
                    // SAFETY: as above.
                    raw.descriptors.push(unsafe { OwnedFd::from_raw_fd(fd) });
                }
            }
            _ => {}
        }
        // SAFETY: as for the first.
        message = unsafe { libc::CMSG_NXTHDR(header, message) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
    use std::io::IoSlice;
    use std::os::unix::net::UnixDatagram;

    fn socket_in(folder: &tempfile::TempDir) -> (NotifySocket, UnixDatagram) {
        let path = folder.path().join("below/notify");
        let socket = NotifySocket::bind(&path).unwrap();
        let sender = UnixDatagram::unbound().unwrap();
        sender.connect(socket.path()).unwrap();
        (socket, sender)
    }

    fn send(sender: &UnixDatagram, bytes: &[u8], fds: &[i32]) {
        let rights = [ControlMessage::ScmRights(fds)];
        let control: &[ControlMessage<'_>] = if fds.is_empty() { &[] } else { &rights };
        let bytes = [IoSlice::new(bytes)];
        sendmsg::<()>(sender.as_raw_fd(), &bytes, control, MsgFlags::empty(), None).unwrap();
    }

    /// How many descriptors of this process are open on a file that only this test knows.
    fn open_on(path: &Path) -> usize {
        let entries = std::fs::read_dir("/proc/self/fd").unwrap();
        let links = entries.filter_map(|entry| std::fs::read_link(entry.unwrap().path()).ok());
        links.filter(|link| link == path).count()
    }

    #[test]
    fn the_sender_is_known_and_what_it_passes_is_ours() {
        let folder = tempfile::tempdir().unwrap();
        let (socket, sender) = socket_in(&folder);
        assert!(socket.receive().unwrap().is_none());
        let pipe = nix::unistd::pipe().unwrap();
        send(&sender, b"BARRIER=1", &[pipe.1.as_raw_fd()]);
        drop(pipe.1);
        let Some(Received::Said {
            pid,
            notification,
            descriptors,
        }) = socket.receive().unwrap()
        else {
            panic!("nothing was said");
        };
        assert_eq!(pid, Pid::this());
        assert!(notification.barrier);
        assert_eq!(descriptors.len(), 1);
        drop(descriptors);
        // The other end sees that the barrier has been passed.
        assert_eq!(nix::unistd::read(&pipe.0, &mut [0]).unwrap(), 0);
    }

    #[test]
    fn hostile_datagrams_are_ignored_and_leave_no_descriptor_behind() {
        let folder = tempfile::tempdir().unwrap();
        let (socket, sender) = socket_in(&folder);
        let path = folder.path().join("passed");
        let file = std::fs::File::create(&path).unwrap();
        let many = vec![file.as_raw_fd(); MAX_FDS];
        for round in 0..50 {
            for (bytes, fds) in [
                (&[b'x'; MAX_DATAGRAM + 1][..], &many[..]),
                (b"READY=1\0oops", &many[..7]),
                (b"STATUS=\xff", &many[..1]),
                (b"", &many[..1]),
            ] {
                send(&sender, bytes, fds);
                let received = socket.receive().unwrap();
                assert!(
                    matches!(received, Some(Received::Ignored)),
                    "{round} {received:?}"
                );
            }
        }
        assert_eq!(open_on(&path), 1);
        send(&sender, b"READY=1", &many);
        match socket.receive().unwrap() {
            Some(Received::Said { descriptors, .. }) => assert_eq!(descriptors.len(), MAX_FDS),
            other => panic!("{other:?}"),
        }
        assert_eq!(open_on(&path), 1);
    }

    #[test]
    fn only_a_socket_that_nobody_has_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let first = NotifySocket::bind(&path).unwrap();
        let error = NotifySocket::bind(&path).unwrap_err();
        assert!(error.contains("bind: Address already in use"), "{error}");
        let left = folder.path().join("left");
        std::fs::rename(&path, &left).unwrap();
        drop(first);
        std::fs::rename(&left, &path).unwrap();
        drop(NotifySocket::bind(&path).unwrap());
        assert!(!path.exists());
    }
}
