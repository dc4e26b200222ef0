//! `ente-zero`: PID 1 of an arje system, and, run as anything else, its dev mode.
//!
//! It wires the parts together: the supervisor decides, the core loop carries out, `arje-wasm` and
//! `arje-native` run what the Cards say. Its own is what only an init does: the machine's devices, watchdog,
//! shutdown and rescue, what Entes print, and the server of the bus. Called as `ente-worker` it is the process
//! of one component.

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
mod handover;
mod hardware;
mod lastwords;
mod leaves;
mod logs;
mod machine;
mod mounts;
mod nameless;
mod natives;
mod notify;
mod platform;
mod poller;
mod poweroff;
mod rescue;
mod run_dir;
mod seed;
mod services;
mod sleep;
mod switch_root;
mod threads;
mod uevents;
mod watchdog;
mod wiring;
mod workers;

use std::process::ExitCode;

fn main() -> ExitCode {
    if called_as(ente_worker::NAME) {
        return ente_worker::main();
    }
    let (args, problems) = args::parse(std::env::args_os().skip(1));
    if std::process::id() == 1 {
        machine::main(args, &problems)
    } else {
        dev::main(&args, &problems)
    }
}

/// Whether the program was started by a link of this name: an image has one program for PID 1 and
/// for the processes of components, so that its pages are in memory once (docs/worker.md).
fn called_as(name: &str) -> bool {
    std::env::args_os()
        .next()
        .is_some_and(|path| std::path::Path::new(&path).file_name() == Some(name.as_ref()))
}
