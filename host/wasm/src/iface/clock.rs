//! `arje:ente/clock`: the time, without resources.

use crate::ctx::Ctx;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use wasmtime::Result;
use wasmtime::component::{ComponentType, Linker, Lower};

/// The interface's name.
pub(crate) const NAME: &str = "arje:ente/clock@1.0.0";

#[derive(ComponentType, Lower, Clone, Copy, Debug)]
#[component(record)]
struct WallTime {
    seconds: u64,
    nanoseconds: u32,
}

pub(crate) fn add_to_linker(linker: &mut Linker<Ctx>) -> Result<()> {
    let mut clock = linker.instance(NAME)?;
    clock.func_wrap("monotonic", |_, (): ()| Ok((monotonic(),)))?;
    clock.func_wrap("wall", |_, (): ()| Ok((wall(),)))
}

/// CLOCK_MONOTONIC in nanoseconds; `Instant` is that clock but keeps its value to itself.
fn monotonic() -> u64 {
    let mut now = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `now` is a valid timespec for the kernel to write to. The call cannot fail:
    // CLOCK_MONOTONIC exists on every Linux (clock_gettime(2)).
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut now) };
    (now.tv_sec as u64) * 1_000_000_000 + now.tv_nsec as u64
}

fn wall() -> WallTime {
    // A clock before 1970 is a clock that was never set: report the epoch itself.
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or(Duration::ZERO);
    WallTime {
        seconds: now.as_secs(),
        nanoseconds: now.subsec_nanos(),
    }
}
