//! What can be wrong with a store. Each error names the file, what was expected, what was found,
//! and the remedy; the caller adds the label of the Card it was about.

use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::index::Damaged;
use crate::sha256::Sha256;

/// The kind of file that a hash was compared for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A `.wasm` file in `cas/`.
    Module,
    /// An ahead-of-time artifact in `aot/`.
    Artifact,
}

impl Kind {
    /// How to replace a damaged file of this kind.
    fn remedy(self) -> &'static str {
        match self {
            Self::Module => {
                "remove it and put the original module into the store again, or rebuild the image"
            }
            Self::Artifact => {
                "remove the index, so that what is pinned is compiled again, or rebuild the image"
            }
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Module => "module",
            Self::Artifact => "artifact",
        })
    }
}

/// An operation on the store that failed.
#[derive(Debug)]
pub enum StoreError {
    /// The file system refused.
    Io {
        /// What was being done.
        action: &'static str,
        /// To which file.
        path: PathBuf,
        /// What it answered.
        source: io::Error,
    },
    /// The file is not what a store consists of: a symbolic link, a device, a pipe.
    NotAFile {
        /// The file.
        path: PathBuf,
    },
    /// The file is larger than its kind may be.
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The most it may have, in bytes.
        limit: u64,
    },
    /// No module with that pin is in the store.
    NoModule {
        /// The pin.
        module: Sha256,
        /// Where it would be.
        path: PathBuf,
    },
    /// The bytes are not those that the name or the index promises.
    Mismatch(Box<Mismatch>),
    /// The index has no artifact of this module for this engine.
    NotIndexed(Box<NotIndexed>),
    /// The index names an artifact whose file is gone.
    NoArtifact {
        /// The module it was compiled from.
        module: Sha256,
        /// Where it would be.
        path: PathBuf,
    },
    /// The index could have been written by somebody who must not decide what native code runs.
    UntrustedIndex {
        /// The index.
        path: PathBuf,
        /// Its owner.
        owner: u32,
        /// Its permission bits.
        mode: u32,
        /// The user that this process runs as.
        user: u32,
    },
    /// The index is full.
    IndexFull {
        /// The most records it may have.
        limit: usize,
    },
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io {
                action,
                path,
                source,
            } => write!(f, "{action} {}: {source}", path.display()),
            Self::NotAFile { path } => write!(
                f,
                "{} is not a regular file; remove it and rebuild the store",
                path.display()
            ),
            Self::TooLarge { path, limit } => write!(
                f,
                "{} is larger than {limit} bytes, the most that is read",
                path.display()
            ),
            Self::NoModule { module, path } => write!(
                f,
                "module {module} is not in the store: {} does not exist; \
                 put it there, or correct module_sha256",
                path.display()
            ),
            Self::Mismatch(mismatch) => mismatch.fmt(f),
            Self::NotIndexed(missing) => missing.fmt(f),
            Self::NoArtifact { module, path } => write!(
                f,
                "the artifact of module {module} is in the index, but {} does not exist; {}",
                path.display(),
                Kind::Artifact.remedy()
            ),
            Self::UntrustedIndex {
                path,
                owner,
                mode,
                user,
            } => write!(
                f,
                "{} is not trusted: owner {owner}, mode {mode:04o}; expected owner 0 or {user} \
                 and no write permission for group or others; \
                 check who changed it, then chown and chmod 0644",
                path.display()
            ),
            Self::IndexFull { limit } => write!(
                f,
                "the index already has {limit} records, the most it may have; \
                 start a new store with the modules that are in use"
            ),
        }
    }
}

impl std::error::Error for StoreError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}

/// A file that is not what its name or the index promises.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mismatch {
    /// Which kind of file.
    pub kind: Kind,
    /// The file.
    pub path: PathBuf,
    /// The promised hash.
    pub expected: Sha256,
    /// How many bytes there should have been, where that is known.
    pub expected_bytes: Option<u64>,
    /// The hash of what was read.
    pub found: Sha256,
    /// How many bytes were read.
    pub found_bytes: u64,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        write!(
            f,
            "{} {path} refused: expected sha256 {}",
            self.kind, self.expected
        )?;
        if let Some(bytes) = self.expected_bytes {
            write!(f, " ({bytes} bytes)")?;
        }
        write!(
            f,
            ", found sha256 {} ({} bytes)",
            self.found, self.found_bytes
        )?;
        write!(f, "; {}", self.kind.remedy())
    }
}

/// A module without an artifact for the engine that wants to load it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotIndexed {
    /// The module.
    pub module: Sha256,
    /// The engine that wants to load it.
    pub engine: Sha256,
    /// The engines it was compiled for.
    pub others: Vec<Sha256>,
    /// The index.
    pub index: PathBuf,
    /// Its damaged records, one of which may be the one that is missing.
    pub damaged: Vec<Damaged>,
}

impl fmt::Display for NotIndexed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let index = self.index.display();
        write!(
            f,
            "no artifact of module {} for engine {} in {index}",
            self.module, self.engine
        )?;
        for engine in &self.others {
            write!(f, "; there is one for engine {engine}")?;
        }
        for record in &self.damaged {
            write!(f, "; {record}")?;
        }
        f.write_str(if self.damaged.is_empty() {
            "; have it compiled (in dev mode --components DIR names a folder with the module), or rebuild the image"
        } else {
            "; remove the index, so that what is pinned is compiled again, or rebuild the image"
        })
    }
}
