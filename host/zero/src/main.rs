//! `ente-zero`: PID 1 of an arje system, and, run as anything else, its dev mode.
//!
//! It wires the parts together and contains no logic of its own: the supervisor decides, the core
//! loop carries out, `arje-wasm` and `arje-native` run what the Cards say.

mod args;
mod bodies;
mod bus;
mod cmdline;
mod console;
mod core;
mod crash;
mod dev;
mod devices;
mod disks;
mod down;
mod faults;
mod hardware;
mod lastwords;
#[allow(dead_code, reason = "the rings are read by the bus")]
mod logs;
mod machine;
mod mounts;
mod natives;
#[allow(dead_code, reason = "what was said is read by the bus")]
mod notify;
mod platform;
mod poller;
mod poweroff;
mod rescue;
mod run_dir;
mod seed;
mod services;
mod uevents;
mod watchdog;
mod wiring;

use std::process::ExitCode;

fn main() -> ExitCode {
    let (args, problems) = args::parse(std::env::args_os().skip(1));
    if std::process::id() == 1 {
        machine::main(args, &problems)
    } else {
        dev::main(&args, &problems)
    }
}
