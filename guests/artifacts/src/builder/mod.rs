//! How guests are built. Used by the build script, by the programs `third-party` and `arje-component` and by the
//! reproducibility test; users of the crate see only what was built.
//!
//! - [`toolchain`] finds a compiler for `wasm32-wasip2`;
//! - [`wasi_libc`] fetches the C library where the compiler does not bring one;
//! - [`nested`] runs cargo inside cargo without handing down the outer one's settings;
//! - [`normalise`] removes from a component what does not run;
//! - [`manifest`] writes the components folder;
//! - [`third_party`] builds programs that nobody here wrote;
//! - [`component`] builds a component whose folder is elsewhere.
//!
//! Everything is written below the `target` folder. docs/guests.md has the whole story.

pub mod component;
pub mod manifest;
pub mod nested;
pub mod normalise;
pub mod third_party;
pub mod toolchain;
pub mod wasi_libc;

use std::path::{Path, PathBuf};

/// What went wrong, in one sentence that says what to do.
pub type Result<T> = std::result::Result<T, String>;

/// The target all components are built for.
pub const TARGET: &str = "wasm32-wasip2";

/// Folders a build reads and writes.
#[derive(Debug, Clone)]
pub struct Folders {
    /// The workspace of the components, `guests/` in the tree.
    pub guests: PathBuf,
    /// The outer cargo's target folder.
    pub target: PathBuf,
}

impl Folders {
    /// Everything this crate writes.
    #[must_use]
    pub fn own(&self) -> PathBuf {
        self.target.join("guests")
    }

    /// Where finished components are.
    #[must_use]
    pub fn components(&self) -> PathBuf {
        self.own().join("components")
    }

    /// The root of the whole tree.
    #[must_use]
    pub fn tree(&self) -> &Path {
        self.guests.parent().unwrap_or(&self.guests)
    }
}

/// Turns an I/O error into a sentence with the path in it.
pub fn at<T>(path: &Path, result: std::io::Result<T>) -> Result<T> {
    result.map_err(|e| format!("{}: {e}", path.display()))
}
