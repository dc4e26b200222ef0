//! What the macros expand to. Not an interface for people.

#[cfg(any(target_family = "wasm", test))]
mod allocator;
mod slot;

#[cfg(target_family = "wasm")]
pub use allocator::{Allocator, cabi_realloc};
pub use slot::Slot;
pub use wit_bindgen::rt as wit_bindgen_rt;

pub use alloc::{
    format,
    string::{String, ToString},
    vec::Vec,
};
#[cfg(not(target_family = "wasm"))]
pub use std::thread_local;

use crate::Level;
use core::fmt::Arguments;

// Without `std` nobody links the C library, which on this target has `memcmp` and its siblings; the
// compiler emits calls of them. Only these come from it: an archive gives what is undefined.
#[cfg(target_family = "wasm")]
#[link(name = "c")]
unsafe extern "C" {}

/// Logs a message whose text may need formatting. A literal does not, and then the formatting
/// machinery (several kB) stays out of the component; therefore it must be inlined.
#[inline(always)]
pub fn log(level: Level, message: Arguments<'_>, fields: &[(String, String)]) {
    match message.as_str() {
        Some(literal) => crate::log(level, literal, fields),
        None => crate::log(level, &format(message), fields),
    }
}

/// What a call of the service gave.
///
/// # Panics
/// There is no service.
pub fn started<R>(result: Option<R>) -> R {
    match result {
        Some(result) => result,
        #[expect(
            clippy::panic,
            reason = "the host calls nothing before `start` and after `stop`"
        )]
        None => panic!("the service has not started"),
    }
}

#[inline(never)]
fn format(message: Arguments<'_>) -> String {
    alloc::fmt::format(message)
}

/// Logs where a panic happened. The message only if it is a literal, since formatting it would
/// link the formatting machinery into every component.
#[cfg(target_family = "wasm")]
pub fn log_panic(panic: &core::panic::PanicInfo<'_>) {
    let message = panic.message().as_str().unwrap_or("panicked");
    let fields = panic.location().map(|at| {
        [
            (String::from("file"), String::from(at.file())),
            (String::from("line"), at.line().to_string()),
        ]
    });
    crate::log(
        Level::Error,
        message,
        fields.as_ref().map_or(&[], |f| f.as_slice()),
    );
}
