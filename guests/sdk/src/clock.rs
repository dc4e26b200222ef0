//! The time: `arje:ente/clock`.

use crate::host;
use core::time::Duration;

/// Time since an unspecified start (CLOCK_MONOTONIC): never goes back, stands still while the
/// machine is suspended.
#[must_use]
pub fn monotonic() -> Duration {
    Duration::from_nanos(host::monotonic())
}

/// Civil time since 1970-01-01T00:00:00Z (CLOCK_REALTIME). May jump.
#[must_use]
pub fn wall() -> Duration {
    let now = host::wall();
    // Not `Duration::new`, which may panic; the host keeps the nanoseconds below a second.
    Duration::from_secs(now.seconds).saturating_add(Duration::from_nanos(now.nanoseconds.into()))
}
