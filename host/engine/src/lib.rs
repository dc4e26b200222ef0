//! The wasmtime configuration that host and compiler share.
//!
//! An ahead-of-time artifact records the settings it was compiled under, and wasmtime refuses to
//! load it into an engine that differs in one of them. So there is one function, [`config`], that
//! builds the `Config`: PID 1, `ente-worker` and every test call it as it is, and `ente-compile`
//! adds only what concerns code generation (`compiler_config`, behind the feature `compiler`).
//! [`fingerprint`] names the result: two engines with the same fingerprint load each other's
//! artifacts.
//!
//! What this crate does not do: it holds no linker, no store, no limits of a single Ente, and it
//! neither reads nor compiles modules.

mod config;
mod fingerprint;
mod stacks;

pub use config::{ASYNC_STACK_BYTES, WASM_STACK_BYTES, config, engine};
#[cfg(feature = "compiler")]
pub use config::{Cpu, TARGET, compiler_config};
pub use fingerprint::fingerprint;
