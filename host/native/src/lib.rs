//! Native Entes as processes: starting, what became of the exec, signals, reaping.
//!
//! Everything here is for PID 1's core thread, so nothing waits: [`Launcher::start`] returns when the kernel has
//! loaded the executor (`ente-spawn`); whether the program itself could be executed is read later from
//! [`Started::status`]. Who is started when, and what follows an exit, is the supervisor's business.
//!
//! This version runs native Cards unconfined and refuses, before anything is started, every Card that asks for
//! less than that: see [`enforceable`]. The plan format, the order of its steps and what is enforced are written
//! down in `docs/native.md`.

mod capture;
mod clone;
mod console;
mod descriptors;
mod enforce;
mod environment;
mod launch;
mod outcome;
mod reap;
mod request;
mod signal;

pub use capture::OutputPipes;
pub use console::{ConsoleError, ConsoleName, active_console, console_of};
pub use enforce::enforceable;
pub use environment::DEFAULT_PATH;
pub use launch::{Launcher, Output, Process, Program, StartCause, StartError, Started};
pub use outcome::{ExecFailure, ExecOutcome, read_exec_outcome};
pub use reap::{ExitStatus, REAP_BATCH, Reaped, Reaper};
pub use request::StartRequest;
pub use signal::{send_signal, signal_group};

pub use ente_spawn::{Resource, Rlimit, StepKind};
