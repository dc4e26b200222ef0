//! `ente-compile`: a component on standard input, its ahead-of-time artifact on standard output.
//!
//! The order matters: the command line and the engine first, which need the whole kernel; then the
//! sandbox; only then the first byte of the module.

use std::fmt::Display;
use std::io::{self, Write};
use std::process::ExitCode;

use arje_store::compiler::protocol::Exit;
use ente_compile::{Args, Task, USAGE, compile, engine, parse, sandbox};
use wasmtime::Engine;

fn main() -> ExitCode {
    std::panic::set_hook(Box::new(|panic| {
        // Replaces std's hook, which would look for debug information in files.
        say(&format_args!("internal error: {panic}"));
    }));
    let exit = std::panic::catch_unwind(run).unwrap_or(Exit::Internal);
    ExitCode::from(exit as u8)
}

/// Everything but the panic boundary.
fn run() -> Exit {
    let args = match parse(std::env::args().skip(1)) {
        Ok(args) => args,
        Err(error) => {
            say(&error);
            let _ = io::stderr().write_all(USAGE.as_bytes());
            return Exit::Usage;
        }
    };
    if args.task == Task::Help {
        return write(USAGE.as_bytes());
    }
    let engine = match engine(args.cpu) {
        Ok(engine) => engine,
        Err(error) => {
            say(&format_args!("{error:#}"));
            return Exit::Internal;
        }
    };
    let fingerprint = arje_store::Sha256::from(arje_engine::fingerprint(&engine)).to_string();
    match (args.task, &args.engine) {
        (Task::Fingerprint, _) => write(format!("{fingerprint}\n").as_bytes()),
        (_, Some(other)) if *other != fingerprint => {
            say(&format_args!(
                "the caller's engine is {other}, this compiler's is {fingerprint}; \
                 use the ente-compile built along with the host"
            ));
            Exit::OtherEngine
        }
        _ => sandboxed(&args, &engine),
    }
}

/// Closes the door behind itself and compiles.
fn sandboxed(args: &Args, engine: &Engine) -> Exit {
    if let Err(error) = sandbox::enter(&args.limits) {
        say(&error);
        return Exit::Sandbox;
    }
    match compile(engine, io::stdin().lock()) {
        Ok(artifact) => write(&artifact),
        Err(failure) => {
            say(&failure);
            failure.exit()
        }
    }
}

/// Writes to standard output.
fn write(bytes: &[u8]) -> Exit {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Ok(()) => Exit::Done,
        Err(error) => {
            say(&format_args!("writing standard output: {error}"));
            Exit::Io
        }
    }
}

/// One line on standard error. That it cannot be written changes nothing: the exit status remains.
fn say(message: &dyn Display) {
    let line = format!("ente-compile: {message}\n");
    let _ = io::stderr().write_all(line.as_bytes());
}
