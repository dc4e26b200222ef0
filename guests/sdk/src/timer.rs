//! One-shot timers that come back as [`Timers::on_timer`](crate::Timers): `arje:ente/timer`.

use crate::host;
use core::time::Duration;

pub use crate::bindings::host::arje::ente::timer::TimerError;

/// Calls `on_timer(token)` once, not earlier than `after` from now (rounded up to whole
/// milliseconds). A token that is set already is moved.
///
/// # Errors
/// [`TimerError::TooMany`] with the cap, or [`TimerError::NoHandler`] when the component was
/// exported without `timers`.
pub fn set(after: Duration, token: u64) -> Result<(), TimerError> {
    let millis = after.as_nanos().div_ceil(1_000_000);
    host::set_timer(u64::try_from(millis).unwrap_or(u64::MAX), token)
}

/// Forgets a timer; false when none is set with this token.
pub fn cancel(token: u64) -> bool {
    host::cancel_timer(token)
}
