//! `networking: outbound`: no port of its own choice, so that nothing can be waited for there.
//!
//! A program in the Ente's cgroup, run by the kernel at every `bind(2)` of an IPv4 or IPv6 socket, refuses every port
//! but 0, which stands for "any". It holds for TCP and UDP alike; landlock's rules of ports know TCP only.

use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::sync::OnceLock;

use nix::errno::Errno;

const BPF_PROG_LOAD: i64 = 5;
const BPF_PROG_ATTACH: i64 = 8;
const BPF_PROG_TYPE_CGROUP_SOCK_ADDR: u32 = 18;
/// `BPF_CGROUP_INET4_BIND`, `BPF_CGROUP_INET6_BIND`
const ATTACH_TYPES: [u32; 2] = [8, 9];

/// Return 1 (allow) if `user_port` of `struct bpf_sock_addr` is 0, else 0 (`EPERM`). Instructions as in the kernel's
/// `Documentation/bpf/standardization/instruction-set.rst`: opcode, registers, offset, immediate.
static PROGRAM: [u64; 5] = [
    instruction(0x61, 0x11, 24, 0), // r1 = *(u32 *)(r1 + 24)
    instruction(0xb7, 0x00, 0, 1),  // r0 = 1
    instruction(0x15, 0x01, 1, 0),  // if r1 == 0, skip one
    instruction(0xb7, 0x00, 0, 0),  // r0 = 0
    instruction(0x95, 0x00, 0, 0),  // return r0
];

const fn instruction(opcode: u8, registers: u8, offset: u16, immediate: u32) -> u64 {
    opcode as u64 | (registers as u64) << 8 | (offset as u64) << 16 | (immediate as u64) << 32
}

/// The part of `union bpf_attr` that `BPF_PROG_LOAD` needs.
#[repr(C)]
#[derive(Default)]
struct Load {
    kind: u32,
    instructions: u32,
    program: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log: u64,
    kernel_version: u32,
    flags: u32,
    name: [u8; 16],
    interface: u32,
    attach_type: u32,
}

/// The part of `union bpf_attr` that `BPF_PROG_ATTACH` needs. Without flags, a program that was attached before is
/// replaced.
#[repr(C)]
struct Attach {
    cgroup: u32,
    program: u32,
    attach_type: u32,
    flags: u32,
}

/// Whether the kernel can do it, and lets this process.
pub(super) fn available() -> bool {
    programs().is_ok()
}

/// From now on no process in this cgroup, or below it, can choose a port.
///
/// # Errors
/// Those of bpf(2).
pub(crate) fn forbid_chosen_ports(cgroup: BorrowedFd<'_>) -> nix::Result<()> {
    let programs = programs().as_ref().map_err(|errno| *errno)?;
    for (program, attach_type) in programs.iter().zip(ATTACH_TYPES) {
        let attach = Attach {
            cgroup: cgroup.as_raw_fd() as u32,
            program: program.as_raw_fd() as u32,
            attach_type,
            flags: 0,
        };
        // SAFETY: the call reads one such structure.
        unsafe { bpf(BPF_PROG_ATTACH, &attach) }?;
    }
    Ok(())
}

/// Loaded once; cgroups share them.
fn programs() -> &'static nix::Result<[OwnedFd; 2]> {
    static PROGRAMS: OnceLock<nix::Result<[OwnedFd; 2]>> = OnceLock::new();
    PROGRAMS.get_or_init(|| {
        let [v4, v6] = ATTACH_TYPES;
        Ok([load(v4)?, load(v6)?])
    })
}

fn load(attach_type: u32) -> nix::Result<OwnedFd> {
    let load = Load {
        kind: BPF_PROG_TYPE_CGROUP_SOCK_ADDR,
        instructions: PROGRAM.len() as u32,
        program: PROGRAM.as_ptr() as u64,
        license: c"".as_ptr() as u64,
        name: *b"outbound\0\0\0\0\0\0\0\0",
        attach_type,
        ..Load::default()
    };
    // SAFETY: the structure points to the program, whose length it gives, and to an empty license; the call reads
    // both and keeps neither.
    let fd = unsafe { bpf(BPF_PROG_LOAD, &load) }?;
    // SAFETY: the call has just made this descriptor, closed at exec, and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// `bpf(2)`.
///
/// # Safety
/// `attributes` must be what the command expects, with pointers that are valid for what it reads.
unsafe fn bpf<T>(command: i64, attributes: &T) -> nix::Result<i32> {
    let attributes: *const T = attributes;
    // SAFETY: the caller vouches for the structure, and its length is given.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, attributes, size_of::<T>()) };
    Errno::result(result).map(|result| result as i32)
}
