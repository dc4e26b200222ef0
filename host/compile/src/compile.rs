//! From the bytes of a component to the bytes of its artifact.

use std::fmt;
use std::io::{self, Read};

use arje_store::compiler::protocol::{Cpu, Exit};
use arje_store::{MAX_ARTIFACT_BYTES, MAX_MODULE_BYTES};
use wasmtime::Engine;

/// Why there is no artifact.
#[derive(Debug)]
pub enum Failure {
    /// The module could not be read.
    Read(io::Error),
    /// The module is larger than the store takes.
    ModuleTooLarge,
    /// wasmtime refuses the module.
    Refused(wasmtime::Error),
    /// The artifact is larger than the store takes; its size in bytes.
    ArtifactTooLarge(u64),
}

impl Failure {
    /// The exit status that stands for it.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            Self::Read(_) => Exit::Io,
            Self::ModuleTooLarge | Self::ArtifactTooLarge(_) => Exit::TooLarge,
            Self::Refused(_) => Exit::Refused,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read(error) => write!(f, "reading the module: {error}"),
            Self::ModuleTooLarge => write!(
                f,
                "the module is larger than {MAX_MODULE_BYTES} bytes, the most that is compiled"
            ),
            // The alternate form has the causes in it, on one line.
            Self::Refused(error) => write!(f, "{error:#}"),
            Self::ArtifactTooLarge(bytes) => write!(
                f,
                "the artifact has {bytes} bytes, more than the {MAX_ARTIFACT_BYTES} that are kept"
            ),
        }
    }
}

impl std::error::Error for Failure {}

/// The engine that compiles.
///
/// # Errors
///
/// wasmtime's own, when the settings contradict the features it was built with.
pub fn engine(cpu: Cpu) -> wasmtime::Result<Engine> {
    let cpu = match cpu {
        Cpu::Baseline => arje_engine::Cpu::Baseline,
        Cpu::Native => arje_engine::Cpu::Native,
    };
    Engine::new(&arje_engine::compiler_config(cpu)?)
}

/// Reads one binary component and compiles it. The same module gives the same bytes.
///
/// # Errors
///
/// [`Failure`], when the input cannot be read, is no valid component, or is too large.
pub fn compile(engine: &Engine, input: impl Read) -> Result<Vec<u8>, Failure> {
    let mut wasm = Vec::new();
    input
        .take(MAX_MODULE_BYTES + 1)
        .read_to_end(&mut wasm)
        .map_err(Failure::Read)?;
    if wasm.len() as u64 > MAX_MODULE_BYTES {
        return Err(Failure::ModuleTooLarge);
    }
    let artifact = engine
        .precompile_component(&wasm)
        .map_err(Failure::Refused)?;
    if artifact.len() as u64 > MAX_ARTIFACT_BYTES {
        return Err(Failure::ArtifactTooLarge(artifact.len() as u64));
    }
    Ok(artifact)
}
