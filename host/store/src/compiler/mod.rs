//! Runs `ente-compile`: a module in, the bytes of an artifact out, or an error that says why not.
//!
//! The child gets three descriptors: the module in a sealed memory file, an empty memory file for
//! the artifact, and a pipe for one line of text. It is started with `posix_spawn`, so that even a
//! large parent starts it without copying its page tables. Everything it may do beyond that it
//! forbids itself, before it reads (see the crate `ente-compile`); the caller adds a deadline.
//!
//! A parent that reaps every child (PID 1) must leave this one alone: its exit status is collected
//! here.

mod child;
mod error;
pub mod protocol;

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::limits::MAX_MODULE_BYTES;
use crate::sha256::Sha256;
use child::Ended;
pub use error::CompileError;
use protocol::{
    Cpu, Exit, FLAG_CPU, FLAG_CPU_SECONDS, FLAG_ENGINE, FLAG_FINGERPRINT, FLAG_MEMORY_BYTES, Limits,
};

/// How long a compilation may take by the clock on the wall: more than its processor time, since
/// the machine may be busy.
pub const DEFAULT_DEADLINE: Duration = Duration::from_secs(300);

/// The longest deadline. A day is for ever here, and can be added to any clock.
const MAX_DEADLINE: Duration = Duration::from_secs(24 * 60 * 60);

/// The most that `--fingerprint` may print; it prints 65 bytes.
const MAX_FINGERPRINT_BYTES: u64 = 1024;

/// The compiler program and what it may use.
#[derive(Clone, Debug)]
pub struct Compiler {
    program: PathBuf,
    cpu: Cpu,
    limits: Limits,
    deadline: Duration,
}

impl Compiler {
    /// The `ente-compile` at that path, with the default limits, for the baseline processor.
    pub fn new(program: impl Into<PathBuf>) -> Self {
        Self {
            program: program.into(),
            cpu: Cpu::default(),
            limits: Limits::DEFAULT,
            deadline: DEFAULT_DEADLINE,
        }
    }

    /// Compiles for that processor.
    #[must_use]
    pub fn cpu(self, cpu: Cpu) -> Self {
        Self { cpu, ..self }
    }

    /// Allows one compilation that much memory and processor time.
    #[must_use]
    pub fn limits(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    /// Kills a compilation that takes longer; at most a day.
    #[must_use]
    pub fn deadline(self, deadline: Duration) -> Self {
        Self {
            deadline: deadline.min(MAX_DEADLINE),
            ..self
        }
    }

    /// The program's path.
    #[must_use]
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// Asks the program for the fingerprint of the engine it compiles for. A program that links
    /// the engine itself knows it without asking.
    ///
    /// # Errors
    ///
    /// [`CompileError`], also when the answer is no fingerprint.
    pub fn fingerprint(&self) -> Result<Sha256, CompileError> {
        let output = self.run(&[FLAG_FINGERPRINT], &[], MAX_FINGERPRINT_BYTES)?;
        let text = String::from_utf8_lossy(&output);
        text.trim()
            .parse()
            .map_err(|_| CompileError::NoFingerprint(text.trim().to_owned()))
    }

    /// Compiles a binary component for `engine`. The same module gives the same bytes.
    ///
    /// What comes back is not yet trusted by anybody: [`Store::put_artifact`](crate::Store::put_artifact)
    /// makes it so.
    ///
    /// # Errors
    ///
    /// [`CompileError`]: one variant for each way in which a module, a limit or the machine can
    /// stand in the way.
    pub fn compile(&self, wasm: &[u8], engine: Sha256) -> Result<Vec<u8>, CompileError> {
        if wasm.len() as u64 > MAX_MODULE_BYTES {
            return Err(CompileError::TooLarge(format!(
                "the module has {} bytes, more than the {MAX_MODULE_BYTES} that are compiled",
                wasm.len()
            )));
        }
        let arguments = [
            FLAG_CPU,
            self.cpu.name(),
            FLAG_ENGINE,
            &engine.to_string(),
            FLAG_MEMORY_BYTES,
            &self.limits.memory_bytes.to_string(),
            FLAG_CPU_SECONDS,
            &self.limits.cpu_seconds.to_string(),
        ];
        let artifact = self.run(&arguments, wasm, crate::MAX_ARTIFACT_BYTES)?;
        if artifact.is_empty() {
            return Err(CompileError::Empty);
        }
        Ok(artifact)
    }

    /// Runs the program and returns what it wrote, if it ended with [`Exit::Done`].
    fn run(&self, arguments: &[&str], input: &[u8], most: u64) -> Result<Vec<u8>, CompileError> {
        let output = child::run(&self.program, arguments, input, self.deadline)?;
        let Ended { status, message } = output.ended;
        match (status.code().and_then(Exit::from_code), status.code()) {
            (Some(Exit::Done), _) => child::read_output(&output.file, most),
            (Some(exit), _) => Err(CompileError::exit(exit, message)),
            (None, Some(code)) => Err(CompileError::UnknownExit { code, message }),
            (None, None) => Err(CompileError::signal(status, message, &self.limits)),
        }
    }
}
