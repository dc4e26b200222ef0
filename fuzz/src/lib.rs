//! Bytes from strangers, for everything that reads them: `docs/fuzzing.md`.
//!
//! A target is a plain function that takes any bytes and panics when what they did is wrong. [`targets::ALL`] names
//! them. Each is driven in two ways: by [`drive`], a bounded run over its corpus and seeded changes of that, the same each
//! time; and by libFuzzer, guided by what of the code an input reaches, where cargo-fuzz builds `fuzz_targets`.

// The files of ente-zero below have tests of their own, which run there.
#![cfg(not(test))]

pub mod drive;
mod memory;
pub mod mutate;
pub mod shrink;
pub mod targets;

// The server of the bus is a part of the program `ente-zero`, which is no library; these are its files, as they are.
#[path = "../../host/zero/src/bus/mod.rs"]
#[allow(dead_code, unused_imports, reason = "not all of PID 1 is here")]
mod bus;
#[path = "../../host/zero/src/console.rs"]
#[allow(dead_code, reason = "not all of PID 1 is here")]
mod console;
#[path = "../../host/zero/src/logs/mod.rs"]
#[allow(dead_code, unused_imports, reason = "not all of PID 1 is here")]
mod logs;
#[path = "../../host/zero/src/poller.rs"]
#[allow(dead_code, reason = "not all of PID 1 is here")]
mod poller;
#[path = "../../host/zero/src/seed.rs"]
#[allow(dead_code, reason = "not all of PID 1 is here")]
mod seed;
#[path = "../../host/zero/src/sleep.rs"]
#[allow(dead_code, reason = "not all of PID 1 is here")]
mod sleep;
#[path = "../../host/zero/src/threads.rs"]
#[allow(dead_code, reason = "not all of PID 1 is here")]
mod threads;

pub use memory::{Counting, live, peak, within};

#[cfg(feature = "libfuzzer")]
pub use libfuzzer_sys;

/// Every byte that a target allocates is counted.
#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The program for libFuzzer of the target that it is named after.
#[cfg(feature = "libfuzzer")]
#[macro_export]
macro_rules! fuzz {
    () => {
        static TARGET: ::std::sync::LazyLock<&$crate::targets::Target> =
            ::std::sync::LazyLock::new(|| {
                $crate::targets::named(env!("CARGO_BIN_NAME"))
                    .expect("a program for a target that there is")
            });
        $crate::libfuzzer_sys::fuzz_target!(|input: &[u8]| (TARGET.check)(input));
    };
}
