//! Content store by sha256, and the ahead-of-time artifacts bound to it.
//!
//! An artifact is native code. It is loaded only when a trusted index binds the three: the sha256
//! of the `.wasm` file, which is what a Card pins; the fingerprint of the engine; and the sha256
//! of the artifact. What is checked is what is used: a file is read once, the bytes that were read
//! are hashed, and those bytes are handed out. `docs/store.md` has the layout byte by byte.
//!
//! What this crate does not do: it knows no Cards, links no wasmtime, and never looks into a
//! module or an artifact. [`compiler`] runs `ente-compile` as a child.

#![forbid(unsafe_code)]

pub mod compiler;
mod ensure;
mod error;
mod file;
mod index;
mod limits;
mod sha256;
mod store;

pub use ensure::EnsureError;
pub use error::{Kind, Mismatch, NotIndexed, StoreError};
pub use index::{Damage, Damaged, Index, RECORD_BYTES, Record};
pub use limits::{MAX_ARTIFACT_BYTES, MAX_MODULE_BYTES, MAX_RECORDS};
pub use sha256::{ParseSha256Error, Sha256};
pub use store::{Artifact, Store};
