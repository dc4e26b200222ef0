//! From wasmtime's errors to the way an incarnation ended.

use crate::event::End;
use crate::output::printable;
use wasmtime::{Error, Trap};
use wasmtime_wasi::I32Exit;

/// The [`End`] that an error from inside a component stands for.
pub(crate) fn end_of(error: &Error) -> End {
    if let Some(exit) = error.downcast_ref::<I32Exit>() {
        return End::Exited(exit.0);
    }
    let kind = error.downcast_ref::<Trap>().map_or("host-error", kind_of);
    End::Trapped {
        kind,
        message: one_line(error),
    }
}

/// An error and its causes on one line, without the trace.
pub(crate) fn one_line(error: &Error) -> String {
    let mut text = String::new();
    for cause in error.chain() {
        let cause = cause.to_string();
        let first = cause.lines().next().unwrap_or_default();
        if first.starts_with("error while executing at wasm backtrace") {
            continue; // of an artifact without names it says nothing
        }
        if !text.is_empty() {
            text.push_str(": ");
        }
        text.push_str(first.strip_prefix("wasm trap: ").unwrap_or(first));
    }
    told(&text)
}

/// Longest text of a component that becomes part of an exit status.
const MAX_TEXT: usize = 4096;

/// A component's own words, as they may go to a console and into a status.
pub(crate) fn told(text: &str) -> String {
    printable(&text[..text.floor_char_boundary(MAX_TEXT)])
}

/// Every name that [`kind_of`] gives, and the one for failures of host functions.
pub(crate) const KINDS: &[&str] = &[
    "stack-overflow",
    "memory-out-of-bounds",
    "table-out-of-bounds",
    "call-to-null",
    "bad-signature",
    "integer-overflow",
    "division-by-zero",
    "bad-conversion",
    "unreachable",
    "interrupted",
    "allocation-too-large",
    "reentered",
    "other",
    "host-error",
];

/// Stable names of the traps that components run into.
fn kind_of(trap: &Trap) -> &'static str {
    match trap {
        Trap::StackOverflow => "stack-overflow",
        Trap::MemoryOutOfBounds => "memory-out-of-bounds",
        Trap::TableOutOfBounds => "table-out-of-bounds",
        Trap::IndirectCallToNull => "call-to-null",
        Trap::BadSignature => "bad-signature",
        Trap::IntegerOverflow => "integer-overflow",
        Trap::IntegerDivisionByZero => "division-by-zero",
        Trap::BadConversionToInteger => "bad-conversion",
        Trap::UnreachableCodeReached => "unreachable",
        Trap::Interrupt => "interrupted",
        Trap::AllocationTooLarge => "allocation-too-large",
        Trap::CannotEnterComponent => "reentered",
        _ => "other",
    }
}
