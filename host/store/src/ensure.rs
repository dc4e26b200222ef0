//! Compiles what has no artifact yet.

use std::fmt;

use crate::compiler::{CompileError, Compiler};
use crate::error::StoreError;
use crate::sha256::Sha256;
use crate::store::{Artifact, Store};

/// Why a module has no artifact in the end.
#[derive(Debug)]
pub enum EnsureError {
    /// The store says no.
    Store(StoreError),
    /// The compiler says no.
    Compile {
        /// The module.
        module: Sha256,
        /// Its reason.
        source: CompileError,
    },
}

impl fmt::Display for EnsureError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Store(error) => error.fmt(f),
            Self::Compile { module, source } => write!(f, "module {module}: {source}"),
        }
    }
}

impl std::error::Error for EnsureError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Store(error) => Some(error),
            Self::Compile { source, .. } => Some(source),
        }
    }
}

impl From<StoreError> for EnsureError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl Store {
    /// The artifact of the module `pin` for `engine`, compiled now if the index has none.
    ///
    /// Only a record that was never there leads to a compilation. A module or an artifact that is damaged is
    /// refused as [`artifact`](Self::artifact) refuses it, and so is whatever has no record in an index with
    /// damaged ones, of which one may be its own: to replace it quietly would hide that somebody, or the
    /// disk, changed it.
    ///
    /// # Errors
    ///
    /// [`EnsureError`].
    pub fn ensure(
        &self,
        pin: Sha256,
        engine: Sha256,
        compiler: &Compiler,
    ) -> Result<Artifact, EnsureError> {
        match self.artifact(pin, engine) {
            Err(StoreError::NotIndexed(missing)) if missing.damaged.is_empty() => {}
            other => return Ok(other?),
        }
        let wasm = self.get_module(pin)?;
        let bytes = compiler
            .compile(&wasm, engine)
            .map_err(|source| EnsureError::Compile {
                module: pin,
                source,
            })?;
        Ok(self.put_artifact(pin, engine, bytes)?)
    }
}
