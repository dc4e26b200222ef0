//! ente-zero as PID 1 in QEMU, and with somebody else's program.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test may panic; helpers outside of test functions, too"
)]

mod boot;
mod bus;
mod cgroups;
mod chaos;
mod confinement;
mod console;
mod devices;
mod hostile;
mod idle;
mod machine;
mod power;
mod programs;
mod reexec;
mod rescue;
mod services;
mod switch_root;
mod third_party;
mod uevents;
mod watchdog;
mod workers;
