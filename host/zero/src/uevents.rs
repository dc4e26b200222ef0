//! What the kernel tells of devices that come and go (netlink(7), `NETLINK_KOBJECT_UEVENT`).

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recvfrom, setsockopt,
    socket, sockopt,
};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// The kernel's own events; group 2 is udev's.
const KERNEL_GROUP: u32 = 1;

/// What may wait in the socket: some thousand events, more than plugging in a docking station
/// or a shelf of disks makes. When it is full the kernel says so (`ENOBUFS`).
const BUFFER: usize = 2 * 1024 * 1024;

/// The longest event: the kernel's own limit (`UEVENT_BUFFER_SIZE`, include/linux/kobject.h) and
/// a path before it.
const MAX_EVENT: usize = 8192;

/// Events taken in one turn of the core loop.
const BATCH: usize = 64;

/// One event.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Uevent {
    /// `add`, `remove`, `change`, …
    pub action: String,
    /// Which subsystem, such as `block`.
    pub subsystem: String,
    /// The device's path below `/sys`.
    pub path: String,
}

/// What one look at the socket brought.
#[derive(Debug, PartialEq, Eq)]
pub enum Received {
    /// An event.
    Event(Uevent),
    /// Events were lost because too many came at once.
    Overrun,
}

/// The kernel's events.
pub struct Uevents {
    socket: OwnedFd,
}

impl Uevents {
    /// Listens from now on.
    ///
    /// # Errors
    ///
    /// The kernel has no such family, or refuses to join its group.
    pub fn listen() -> io::Result<Uevents> {
        let socket = socket(
            AddressFamily::Netlink,
            SockType::Datagram,
            SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK,
            SockProtocol::NetlinkKObjectUEvent,
        )?;
        // Only PID 1 may have this much; elsewhere the default has to do.
        let _ = setsockopt(&socket, sockopt::RcvBufForce, &BUFFER);
        bind(socket.as_raw_fd(), &NetlinkAddr::new(0, KERNEL_GROUP))?;
        Ok(Uevents { socket })
    }

    /// Hands over what waits, at most a batch of it; the socket stays readable while there is more.
    pub fn receive(&self, mut take: impl FnMut(Received)) {
        let mut buffer = [0; MAX_EVENT];
        for _ in 0..BATCH {
            match recvfrom::<NetlinkAddr>(self.socket.as_raw_fd(), &mut buffer) {
                // Port 0 is the kernel. Privileged programs may send to the group, too.
                Ok((length, Some(from))) if from.pid() == 0 => {
                    let message = buffer.get(..length).and_then(parse);
                    message.map(Received::Event).into_iter().for_each(&mut take);
                }
                Ok(_) | Err(Errno::EINTR) => {}
                Err(Errno::ENOBUFS) => take(Received::Overrun),
                Err(_) => return, // nothing waits
            }
        }
    }
}

impl AsFd for Uevents {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Reads `ACTION@PATH`, then `KEY=VALUE`, each ended by a NUL. `None` for what is not of this form,
/// or cut off.
fn parse(message: &[u8]) -> Option<Uevent> {
    let text = std::str::from_utf8(message.strip_suffix(b"\0")?).ok()?;
    let mut fields = text.split('\0');
    let (action, path) = fields.next()?.split_once('@')?;
    let subsystem = fields.find_map(|field| field.strip_prefix("SUBSYSTEM="))?;
    Some(Uevent {
        action: action.to_owned(),
        subsystem: subsystem.to_owned(),
        path: path.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_of_the_kernel() {
        let message = b"add@/devices/pci0000:00/0000:00:04.0/virtio1/block/vda\0ACTION=add\0\
            DEVPATH=/devices/pci0000:00/0000:00:04.0/virtio1/block/vda\0SUBSYSTEM=block\0\
            MAJOR=254\0MINOR=0\0DEVNAME=vda\0DEVTYPE=disk\0SEQNUM=1057\0";
        let event = Uevent {
            action: "add".into(),
            subsystem: "block".into(),
            path: "/devices/pci0000:00/0000:00:04.0/virtio1/block/vda".into(),
        };
        assert_eq!(parse(message), Some(event));
    }

    #[test]
    fn what_is_none_is_ignored() {
        for message in [
            &b""[..],
            b"\0",
            b"add@/x",
            b"add@/x\0",
            b"add@/x\0SUBSYSTEM=block", // cut off
            b"libudev\0\xfe\xed\xca\xfe SUBSYSTEM=block\0",
            b"add@/\xff\0SUBSYSTEM=block\0",
        ] {
            assert_eq!(parse(message), None, "{message:?}");
        }
    }

    #[test]
    fn listening_needs_no_privilege_and_does_not_block() {
        let uevents = Uevents::listen().unwrap();
        uevents.receive(|_| {});
    }
}
