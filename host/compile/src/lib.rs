//! Compiles components ahead of time, in a sandbox.
//!
//! This is the only crate that links Cranelift. The program reads a binary component from standard
//! input and writes the artifact to standard output; in between it can do nothing else
//! ([`sandbox`]), because the module may be hostile and a compiler is a large target. The words
//! of its command line and its exit statuses are [`arje_store::compiler::protocol`].
//!
//! The parts are a library so that the tests can apply the same sandbox to a probe.

mod args;
mod compile;
pub mod sandbox;

pub use args::{Args, Task, USAGE, UsageError, parse};
pub use compile::{Failure, compile, engine};
