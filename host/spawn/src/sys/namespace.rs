//! System calls on namespaces, and on what is in a fresh one.

use core::ffi::CStr;

use super::{close, plain, syscall};

pub(crate) const CLONE_NEWNS: usize = 0x0002_0000;
pub(crate) const CLONE_NEWCGROUP: usize = 0x0200_0000;
pub(crate) const CLONE_NEWUTS: usize = 0x0400_0000;
pub(crate) const CLONE_NEWIPC: usize = 0x0800_0000;
pub(crate) const CLONE_NEWUSER: usize = 0x1000_0000;
pub(crate) const CLONE_NEWNET: usize = 0x4000_0000;

const SYS_IOCTL: usize = 16;
const SYS_SOCKET: usize = 41;
const SYS_SETHOSTNAME: usize = 170;
const SYS_UNSHARE: usize = 272;

const AF_INET: usize = 2;
const SOCK_DGRAM: usize = 2;
const SOCK_CLOEXEC: usize = 0o2_000_000;
const SIOCGIFFLAGS: usize = 0x8913;
const SIOCSIFFLAGS: usize = 0x8914;
const IFF_UP: u16 = 1;

/// `unshare(2)`.
pub(crate) fn unshare(flags: usize) -> Result<(), i32> {
    plain(SYS_UNSHARE, flags, 0, 0).map(drop)
}

/// `sethostname(2)`.
pub(crate) fn set_host_name(name: &CStr) -> Result<(), i32> {
    let args = [name.as_ptr() as usize, name.count_bytes(), 0, 0, 0, 0];
    // SAFETY: the call reads as many bytes as the string has.
    unsafe { syscall(SYS_SETHOSTNAME, args) }.map(drop)
}

/// `struct ifreq` with flags (`netdevice(7)`).
#[repr(C)]
struct InterfaceFlags {
    name: [u8; 16],
    flags: u16,
    rest: [u8; 22],
}

/// `IFF_UP` for `lo`. The kernel adds its addresses by itself.
pub(crate) fn loopback_up() -> Result<(), i32> {
    let socket = plain(SYS_SOCKET, AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)? as i32;
    let mut request = InterfaceFlags {
        name: *b"lo\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
        flags: 0,
        rest: [0; 22],
    };
    let mut ask = |command| {
        let place = core::ptr::from_mut(&mut request) as usize;
        // SAFETY: both requests read and write one such structure.
        unsafe { syscall(SYS_IOCTL, [socket as usize, command, place, 0, 0, 0]) }?;
        request.flags |= IFF_UP;
        Ok(())
    };
    let result = ask(SIOCGIFFLAGS).and_then(|()| ask(SIOCSIFFLAGS));
    close(socket);
    result
}
