//! What stands in a released program for the standard library's printers of backtraces.
//!
//! These read the program's own debug information to find the names of functions. A released program has none, since it
//! is stripped, but the readers (of ELF, DWARF and zlib, and of mangled names) were a fortieth of PID 1. `build.rs` has
//! the linker put this function in their place.

use std::fmt;

/// Says that there is nothing to be told. It has the signature of the printers (`fmt` of `Display` and `Debug`) and is
/// compiled by the compiler that they are from, so it is called as they are; what it is called for is not looked at.
// SAFETY: no other function of the program has this name.
#[unsafe(no_mangle)]
fn arje_no_backtrace(_: &(), out: &mut fmt::Formatter<'_>) -> fmt::Result {
    out.write_str("no backtrace: this program has no names of its functions\n")
}
