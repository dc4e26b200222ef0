//! What an image is made of: the inputs, already taken apart. [`crate::cli`] makes this from a command
//! line; tests make it directly.

use std::path::{Path, PathBuf};

use arje_store::compiler::protocol::Cpu;

use crate::compress::Compression;
use crate::error::Error;

/// Everything that decides about the bytes of an image.
#[derive(Debug, Clone)]
pub struct Options {
    /// The Seed Card, JSON or TOML.
    pub seed: PathBuf,
    /// A folder of session fragments (`session-NAME.card.json`).
    pub fragments: Option<PathBuf>,
    /// Folders of `NAME.wasm` files.
    pub components: Vec<PathBuf>,
    /// Whether a component that differs from its pin is an error.
    pub locked: bool,
    /// Folders with `ente-zero`, `ente-spawn`, `ente` and `ente-compile`.
    pub helpers: Vec<PathBuf>,
    /// Whether `ente-compile` goes into the image.
    pub with_compiler: bool,
    /// The processor that artifacts may rely on.
    pub cpu: Cpu,
    /// Whether `/init` is a shell script that exports [`Options::environment`]; else a link to
    /// `ente-zero`.
    pub wrapper: bool,
    /// Variables that the wrapper exports.
    pub environment: Vec<(String, String)>,
    /// The busybox program; `None` looks where distributions put it.
    pub busybox: Option<PathBuf>,
    /// Programs: path in the image, and file on this machine.
    pub programs: Vec<Program>,
    /// Kernel modules by name.
    pub modules: Vec<String>,
    /// The folder with the kernel's modules; `None` is `/lib/modules/RELEASE`.
    pub modules_dir: Option<PathBuf>,
    /// The kernel's release; `None` is the last part of `modules_dir`, else this machine's.
    pub kernel_release: Option<String>,
    /// How the image is compressed.
    pub compression: Compression,
    /// Modification time of everything in the image, seconds since 1970.
    pub mtime: u32,
}

impl Options {
    /// The defaults for a seed: no components, no folders of helpers, baseline artifacts, zstd, time 0.
    #[must_use]
    pub fn new(seed: impl Into<PathBuf>) -> Self {
        Self {
            seed: seed.into(),
            fragments: None,
            components: Vec::new(),
            locked: false,
            helpers: Vec::new(),
            with_compiler: false,
            cpu: Cpu::Baseline,
            wrapper: true,
            environment: Vec::new(),
            busybox: None,
            programs: Vec::new(),
            modules: Vec::new(),
            modules_dir: None,
            kernel_release: None,
            compression: Compression::Zstd,
            mtime: 0,
        }
    }
}

/// A program of this machine and its place in the image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// Its path in the image.
    pub dest: String,
    /// The file.
    pub source: PathBuf,
}

impl Program {
    /// A program that keeps its path. A bare name is looked up in `search` (a `PATH`).
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no such file; [`Error::BadPath`] when its path is not UTF-8.
    pub fn at_its_path(name: &str, search: &str) -> Result<Self, Error> {
        let candidates: Vec<PathBuf> = if name.contains('/') {
            vec![PathBuf::from(name)]
        } else {
            let folders = search.split(':').filter(|folder| folder.starts_with('/'));
            folders.map(|folder| Path::new(folder).join(name)).collect()
        };
        let Some(found) = candidates.iter().find(|path| path.is_file()) else {
            return Err(Error::NotFound {
                what: format!("program {name}"),
                searched: candidates,
                remedy: "install it, or drop it from --extra-bins".to_owned(),
            });
        };
        let path = std::path::absolute(found).map_err(Error::io("make absolute", found))?;
        let dest = path.to_str().ok_or_else(|| Error::BadPath {
            path: path.display().to_string(),
            reason: "it is not UTF-8",
        })?;
        Ok(Self {
            dest: dest.to_owned(),
            source: path.clone(),
        })
    }
}

impl std::str::FromStr for Program {
    type Err = Error;

    /// Reads `DEST=SRC`.
    fn from_str(text: &str) -> Result<Self, Error> {
        match text.split_once('=') {
            Some((dest, source)) if dest.starts_with('/') && !source.is_empty() => Ok(Self {
                dest: dest.to_owned(),
                source: PathBuf::from(source),
            }),
            _ => Err(Error::Option {
                name: "--bin",
                reason: format!("{text:?} is not DEST=SRC with an absolute DEST"),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_from_the_command_line() {
        let program: Program = "/usr/bin/tool=./tool".parse().unwrap();
        assert_eq!(program.dest, "/usr/bin/tool");
        for text in ["", "tool", "tool=x", "/tool", "/tool="] {
            assert!(text.parse::<Program>().is_err(), "{text:?}");
        }
        assert_eq!(
            Program::at_its_path("sh", "relative:/no:/bin")
                .unwrap()
                .dest,
            "/bin/sh"
        );
        assert_eq!(Program::at_its_path("/bin/sh", "").unwrap().dest, "/bin/sh");
        assert!(Program::at_its_path("no-such-program", "/bin").is_err());
    }
}
