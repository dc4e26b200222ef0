//! Native Entes as processes: starting, what became of the exec, signals, reaping.
//!
//! Everything here is for PID 1's core thread, so nothing waits for long: [`Launcher::start`] returns when the executor
//! (`ente-spawn`, which runs beside PID 1) has made the child; whether the program itself could be executed is read later
//! from [`Started::status`]. Who is started when, and what follows an exit, is the supervisor's business.
//!
//! What a Card may do, and what surrounds it, is enforced by the executor, from a plan made here (`confine`). What the
//! running kernel cannot enforce is refused before anything is started: see [`enforceable`]. The plan format and
//! the order of its steps are written down in `docs/native.md`, what each permission means in `docs/confinement.md`.

mod capture;
pub mod cgroup;
mod confine;
mod console;
mod descriptors;
mod enforce;
mod environment;
mod launch;
mod listen;
mod notify;
mod outcome;
mod reap;
mod request;
mod secrets;
mod server;
mod signal;

pub use capture::OutputPipes;
pub use console::{ConsoleError, ConsoleName, active_console, console_of};
pub use descriptors::{make_room_for_descriptors, raise_descriptor_limit};
pub use enforce::{enforceable, enforceable_somewhere};
pub use environment::DEFAULT_PATH;
pub use launch::{Launcher, Output, Process, Program, StartCause, StartError, Started};
pub use listen::{LISTEN_PID, ListenError, ListenSockets};
pub use notify::{Notification, NotifySocket, Received, Watchdog};
pub use outcome::{ExecFailure, ExecOutcome, read_death, read_exec_outcome};
pub use reap::{ExitStatus, REAP_BATCH, Reaped, Reaper};
pub use request::StartRequest;
pub use signal::{pidfd_open, send_signal, signal_group};

pub use ente_spawn::{Confinement, Resource, Rlimit, StepKind};
