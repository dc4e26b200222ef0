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
    // Not `as_nanos`: dividing 128 bits costs a kilobyte.
    let below_a_second = u64::from(after.subsec_nanos().div_ceil(1_000_000));
    let millis = after
        .as_secs()
        .saturating_mul(1000)
        .saturating_add(below_a_second);
    host::set_timer(millis, token)
}

/// Forgets a timer; false when none is set with this token.
pub fn cancel(token: u64) -> bool {
    host::cancel_timer(token)
}
