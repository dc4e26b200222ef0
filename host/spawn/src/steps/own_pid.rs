//! Environment variables that hold the program's own process id (`LISTEN_PID`, `WATCHDOG_PID`).
//!
//! A program compares them with `getpid(2)`, so the number is the one in the program's own pid namespace, which
//! nobody knows before the last moment.

use core::ffi::CStr;

use ente_spawn::Strings;

use crate::{mem, sys};

/// Longest `=`, process id (`i32`) and terminating NUL.
const NUMBER_BYTES: usize = 1 + 10 + 1;

/// Points the entries that are a name alone at new ones, `NAME=` and this process's id.
pub(super) fn fill(slots: &mut [*const i8], envp: Strings<'_>) -> Result<(), i32> {
    let names = envp.iter().filter(is_name);
    let length = names.map(|name| name.count_bytes() + NUMBER_BYTES).sum();
    if length == 0 {
        return Ok(());
    }
    let mut room = sys::memory(length)?;
    let pid = sys::process::own_id();
    for (slot, name) in slots
        .iter_mut()
        .zip(envp.iter())
        .filter(|(_, entry)| is_name(entry))
    {
        let name = name.to_bytes();
        let (entry, rest) = room
            .split_at_mut_checked(name.len() + NUMBER_BYTES)
            .ok_or(sys::EBADMSG)?;
        room = rest;
        *slot = entry.as_ptr().cast();
        let (start, number) = entry.split_at_mut_checked(name.len()).ok_or(sys::EBADMSG)?;
        mem::copy(start, name);
        write_assignment(number, pid);
    }
    Ok(())
}

fn is_name(entry: &&CStr) -> bool {
    !entry.to_bytes().contains(&b'=')
}

/// `=` and the number into [`NUMBER_BYTES`] zeroed bytes, so that a NUL follows.
fn write_assignment(bytes: &mut [u8], number: u32) {
    let digits = number.checked_ilog10().unwrap_or(0) as usize + 1;
    let mut rest = number;
    if let Some((sign, places)) = bytes.split_first_mut() {
        *sign = b'=';
        for place in places.iter_mut().take(digits).rev() {
            *place = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
    }
}
