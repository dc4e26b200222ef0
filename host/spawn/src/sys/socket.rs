//! Receiving descriptors.

use core::ptr;

use ente_spawn::MAX_SENT;

use super::syscall;

const SYS_RECVMSG: usize = 47;

const MSG_CTRUNC: u32 = 0x8;
const MSG_CMSG_CLOEXEC: usize = 0x4000_0000;
const SOL_SOCKET: u32 = 1;
const SCM_RIGHTS: u32 = 1;

/// Bytes of a control message before its contents (`struct cmsghdr`: length, level, kind).
const HEADER_BYTES: usize = 16;

/// 64-bit words that take one control message with as many descriptors as there can be.
const CONTROL_WORDS: usize = (HEADER_BYTES + MAX_SENT * 4).div_ceil(8);

/// The kernel's `struct user_msghdr`.
#[repr(C)]
struct Header {
    name: usize,
    name_length: u32,
    vectors: *mut Vector,
    vector_count: usize,
    control: *mut u64,
    control_length: usize,
    flags: u32,
}

/// `struct iovec`.
#[repr(C)]
struct Vector {
    base: *mut u8,
    length: usize,
}

/// What came.
pub(crate) struct Received {
    pub(crate) bytes: usize,
    pub(crate) descriptors: usize,
    /// Whether all that was sent is there.
    pub(crate) is_whole: bool,
}

/// `recvmsg(2)`: one message, and the descriptors that came with it, which close at exec.
pub(crate) fn receive(
    socket: i32,
    bytes: &mut [u8],
    descriptors: &mut [i32; MAX_SENT],
) -> Result<Received, i32> {
    let mut control = [0_u64; CONTROL_WORDS];
    let mut vector = Vector {
        base: bytes.as_mut_ptr(),
        length: bytes.len(),
    };
    let mut header = Header {
        name: 0,
        name_length: 0,
        vectors: ptr::from_mut(&mut vector),
        vector_count: 1,
        control: control.as_mut_ptr(),
        control_length: size_of_val(&control),
        flags: 0,
    };
    let place = ptr::from_mut(&mut header) as usize;
    let args = [socket as usize, place, MSG_CMSG_CLOEXEC, 0, 0, 0];
    // SAFETY: the call reads and writes the header, and writes at most as many bytes as it says to the two areas that it
    // names, all of which are this function's alone.
    let length = unsafe { syscall(SYS_RECVMSG, args) }?;
    Ok(Received {
        bytes: length,
        descriptors: take(&control, header.control_length, descriptors),
        is_whole: header.flags & MSG_CTRUNC == 0,
    })
}

/// Copies the descriptors of the first control message, which is the only one that is ever sent; how many.
fn take(control: &[u64; CONTROL_WORDS], length: usize, into: &mut [i32; MAX_SENT]) -> usize {
    let [message, kind, numbers @ ..] = control;
    let expected = u64::from(SOL_SOCKET) | u64::from(SCM_RIGHTS) << 32;
    if length < HEADER_BYTES || *kind != expected {
        return 0;
    }
    let count = (*message as usize).saturating_sub(HEADER_BYTES) / 4;
    let halves = numbers
        .iter()
        .flat_map(|pair| [*pair as i32, (*pair >> 32) as i32]);
    let mut taken = 0;
    for (place, number) in into.iter_mut().zip(halves.take(count)) {
        *place = number;
        taken += 1;
    }
    taken
}
