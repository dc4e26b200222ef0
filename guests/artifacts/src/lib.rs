//! The guests as the rest of the tree sees them: a name, a path, a hash.
//!
//! The build script of this crate builds every component under `guests/`, with whichever compiler
//! for `wasm32-wasip2` the machine has, and writes them to `target/guests/components/`. Tests and
//! tools ask [`guest`] and never know how. [`foreach_case!`] makes a build fail while a test case
//! has no test.
//!
//! This crate does not load, compile or run anything; see docs/guests.md for how to add a case.

pub mod builder;

use std::path::{Path, PathBuf};

include!(concat!(env!("OUT_DIR"), "/guests.rs"));

/// A component that was built with this crate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Guest {
    /// The case, or the crate, that it was built from.
    pub name: &'static str,
    path: &'static str,
    /// Hash of the file.
    pub sha256: [u8; 32],
    /// Bytes in the file.
    pub size: u64,
}

impl Guest {
    /// Absolute path of the `.wasm` file.
    #[must_use]
    pub fn path(&self) -> &'static Path {
        Path::new(self.path)
    }

    /// The component's bytes.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn bytes(&self) -> std::io::Result<Vec<u8>> {
        std::fs::read(self.path)
    }

    /// The hash as a Card writes it (`module_sha256`): 64 hexadecimal digits.
    #[must_use]
    pub fn pin(&self) -> String {
        builder::manifest::hex(&self.sha256)
    }
}

/// The component with this name.
///
/// # Panics
/// There is none: the name is a typing error in a test.
#[must_use]
#[track_caller]
pub fn guest(name: &str) -> &'static Guest {
    match find(name) {
        Some(guest) => guest,
        #[expect(
            clippy::panic,
            reason = "only tests and tools call this, with literals"
        )]
        None => panic!(
            "no guest {name:?}; there are {:?}",
            GUESTS.iter().map(|g| g.name)
        ),
    }
}

/// The component with this name, if there is one.
#[must_use]
pub fn find(name: &str) -> Option<&'static Guest> {
    let index = GUESTS.binary_search_by(|guest| guest.name.cmp(name)).ok()?;
    GUESTS.get(index)
}

/// The folder with all components and their `manifest.json`.
#[must_use]
pub fn components() -> PathBuf {
    folders().components()
}

/// Where this crate was built.
#[must_use]
pub fn folders() -> builder::Folders {
    builder::Folders {
        guests: GUESTS_FOLDER.into(),
        target: TARGET_FOLDER.into(),
    }
}

/// A component made from somebody else's crate by the `third-party` program of this crate.
///
/// # Errors
/// It was not built; the error names the command.
pub fn third_party(name: &str) -> Result<PathBuf, String> {
    let path = components().join(format!("{name}.wasm"));
    if path.exists() {
        return Ok(path);
    }
    Err(format!(
        "{} does not exist; `cargo run -p arje-guest-artifacts --bin third-party -- {name}` builds it",
        path.display()
    ))
}

/// Overrides where [`ente_compile`] looks.
pub const ENTE_COMPILE: &str = "ARJE_ENTE_COMPILE";

/// The compiler of ahead-of-time artifacts: the environment variable `ARJE_ENTE_COMPILE`, else where
/// `./dev setup` builds it. It has a target folder of its own, because building it with the rest
/// would link Cranelift into PID 1 (cargo unifies features).
///
/// # Errors
/// There is no such file; the error says how to get it.
pub fn ente_compile() -> Result<PathBuf, String> {
    if let Some(path) = std::env::var_os(ENTE_COMPILE) {
        let path = PathBuf::from(path);
        return if path.is_file() {
            Ok(path)
        } else {
            Err(format!(
                "{ENTE_COMPILE} names {}, which is no file",
                path.display()
            ))
        };
    }
    let path =
        Path::new(TARGET_FOLDER).join("compile/x86_64-unknown-linux-gnu/release/ente-compile");
    if path.is_file() {
        return Ok(path);
    }
    Err(format!(
        "{} does not exist; `./dev setup` builds it, or set {ENTE_COMPILE}",
        path.display()
    ))
}
