//! The memory functions that the compiler may call (`core`, "How to use the core library"). libc would have them.
//!
//! Only their symbols are needed; nothing here is on a path where speed matters.

use core::arch::asm;

/// Copies as much as both have. Not by a call of [`memcpy`]: that goes by way of a table, and the table alone would be a
/// segment of data.
pub(crate) fn copy(to: &mut [u8], from: &[u8]) {
    // SAFETY: the length is that of the shorter one, and what can be written to is nobody else's.
    unsafe { copy_bytes(to.as_mut_ptr(), from.as_ptr(), to.len().min(from.len())) };
}

/// # Safety
/// As for [`memcpy`].
unsafe fn copy_bytes(to: *mut u8, from: *const u8, length: usize) {
    // SAFETY: the caller vouches for both areas; the direction flag is clear on entry (System V ABI).
    unsafe {
        asm!(
            "rep movsb",
            inout("rcx") length => _,
            inout("rdi") to => _,
            inout("rsi") from => _,
            options(nostack, preserves_flags),
        );
    }
}

/// `memcpy(3)`.
///
/// # Safety
/// As for the C function: both areas hold `length` bytes and do not overlap.
#[unsafe(no_mangle)]
unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, length: usize) -> *mut u8 {
    // SAFETY: the same contract.
    unsafe { copy_bytes(to, from, length) };
    to
}

/// `memset(3)`.
///
/// # Safety
/// As for the C function: the area holds `length` bytes.
#[unsafe(no_mangle)]
unsafe extern "C" fn memset(to: *mut u8, byte: i32, length: usize) -> *mut u8 {
    // SAFETY: the caller vouches for the area; the direction flag is clear on entry (System V ABI).
    unsafe {
        asm!(
            "rep stosb",
            inout("rcx") length => _,
            inout("rdi") to => _,
            in("al") byte as u8,
            options(nostack, preserves_flags),
        );
    }
    to
}

/// `memcmp(3)`.
///
/// # Safety
/// As for the C function: both areas hold `length` bytes.
#[unsafe(no_mangle)]
unsafe extern "C" fn memcmp(left: *const u8, right: *const u8, length: usize) -> i32 {
    for index in 0..length {
        // SAFETY: the caller vouches for `length` bytes on both sides. Volatile, so that the compiler does not
        // recognise the loop and replace it by a call of this very function.
        let (a, b) = unsafe {
            (
                left.add(index).read_volatile(),
                right.add(index).read_volatile(),
            )
        };
        if a != b {
            return i32::from(a) - i32::from(b);
        }
    }
    0
}

/// `bcmp(3)`: what equality of slices becomes.
///
/// # Safety
/// As for [`memcmp`].
#[unsafe(no_mangle)]
unsafe extern "C" fn bcmp(left: *const u8, right: *const u8, length: usize) -> i32 {
    // SAFETY: the same contract.
    unsafe { memcmp(left, right, length) }
}
