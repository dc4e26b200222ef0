//! The store on disk.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use nix::unistd::geteuid;

use crate::error::{Kind, Mismatch, NotIndexed, StoreError};
use crate::file;
use crate::index::{Index, RECORD_BYTES, Record};
use crate::limits::{MAX_ARTIFACT_BYTES, MAX_MODULE_BYTES, MAX_RECORDS};
use crate::sha256::Sha256;

/// Folder of the modules.
const MODULES: &str = "cas";
/// Folder of the artifacts and their index.
const ARTIFACTS: &str = "aot";
/// The index, in the folder of the artifacts.
const INDEX: &str = "index";
/// The lock of all writers, beside the index. It is no content: an image leaves it out.
const LOCK: &str = "index.lock";

/// Write permission of group and others.
const FOREIGN_WRITE: u32 = 0o022;

/// Modules by their sha256, and the artifacts bound to them, below one folder.
///
/// Reading takes no lock and writes nothing. Writing waits for other writers, so it does not
/// belong on the main loop of PID 1.
#[derive(Debug)]
pub struct Store {
    root: PathBuf,
    /// The index as last read, and what file that was.
    index: Mutex<Option<(Stamp, Arc<Index>)>>,
}

/// Native code that this process may run: bytes whose sha256 a trusted index names.
///
/// Only the store makes one, and only from bytes that it hashed itself, so a loader that takes an
/// `&Artifact` needs no further check.
#[derive(Clone, Debug)]
pub struct Artifact {
    record: Record,
    bytes: Vec<u8>,
}

impl Artifact {
    /// The bytes that were hashed; not a copy that could differ.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The same, taken out.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// What the index says about it.
    #[must_use]
    pub fn record(&self) -> &Record {
        &self.record
    }
}

impl Store {
    /// Uses the store at `root`, which must exist; in the image that is `/ente`.
    ///
    /// # Errors
    ///
    /// [`StoreError::Io`] when `root` is not a folder that can be looked into.
    pub fn open(root: impl Into<PathBuf>) -> Result<Self, StoreError> {
        let root = root.into();
        std::fs::read_dir(&root).map_err(file::failed("open store", &root))?;
        Ok(Self {
            root,
            index: Mutex::new(None),
        })
    }

    /// Like [`open`](Self::open), but makes the folders that are missing.
    ///
    /// # Errors
    ///
    /// [`StoreError::Io`] when they cannot be made.
    pub fn create(root: impl Into<PathBuf>) -> Result<Self, StoreError> {
        let root = root.into();
        file::make_folder(&root.join(MODULES))?;
        file::make_folder(&root.join(ARTIFACTS))?;
        Self::open(root)
    }

    /// The folder that it was opened with.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where the module with that pin is, or would be.
    #[must_use]
    pub fn module_path(&self, pin: Sha256) -> PathBuf {
        self.root.join(MODULES).join(pin.to_string())
    }

    /// Where the artifact with that sha256 is, or would be.
    #[must_use]
    pub fn artifact_path(&self, sha256: Sha256) -> PathBuf {
        self.root.join(ARTIFACTS).join(sha256.to_string())
    }

    /// Where the index is, or would be.
    #[must_use]
    pub fn index_path(&self) -> PathBuf {
        self.root.join(ARTIFACTS).join(INDEX)
    }

    /// Puts a module in and returns its pin. A module that is there already is left alone, a damaged one, too: to
    /// replace it quietly would hide that somebody, or the disk, changed it.
    ///
    /// # Errors
    ///
    /// [`StoreError::Mismatch`] when there is a damaged one, [`StoreError::TooLarge`], or [`StoreError::Io`], after
    /// which nothing half-written is left.
    pub fn put_module(&self, wasm: &[u8]) -> Result<Sha256, StoreError> {
        let pin = Sha256::of(wasm);
        let path = self.module_path(pin);
        check_size(wasm, &path, MAX_MODULE_BYTES)?;
        let _lock = self.lock()?;
        if self.find_module(pin)?.is_none() {
            file::replace(&self.root.join(MODULES), &pin.to_string(), wasm)?;
        }
        Ok(pin)
    }

    /// Reads the module with that pin and checks that it is the one.
    ///
    /// # Errors
    ///
    /// [`StoreError::NoModule`], [`StoreError::Mismatch`], [`StoreError::TooLarge`],
    /// [`StoreError::NotAFile`] or [`StoreError::Io`].
    pub fn get_module(&self, pin: Sha256) -> Result<Vec<u8>, StoreError> {
        self.find_module(pin)?.ok_or_else(|| StoreError::NoModule {
            module: pin,
            path: self.module_path(pin),
        })
    }

    /// Like [`get_module`](Self::get_module), with `None` for a module that is not there.
    fn find_module(&self, pin: Sha256) -> Result<Option<Vec<u8>>, StoreError> {
        let path = self.module_path(pin);
        let Some(open) = file::open(&path)? else {
            return Ok(None);
        };
        let bytes = file::read_all(&open, &path, MAX_MODULE_BYTES)?;
        check(Kind::Module, path, pin, None, &bytes)?;
        Ok(Some(bytes))
    }

    /// The index as it is now; an empty one when the store has none. It is read again only when
    /// the file has changed.
    ///
    /// # Errors
    ///
    /// [`StoreError::UntrustedIndex`] when somebody but root and this user could have written it,
    /// [`StoreError::TooLarge`], [`StoreError::NotAFile`] or [`StoreError::Io`]. Damaged records
    /// are no error: see [`Index::damaged`].
    pub fn index(&self) -> Result<Arc<Index>, StoreError> {
        let path = self.index_path();
        let mut cache = self.index.lock().unwrap_or_else(PoisonError::into_inner);
        // One look instead of opening it: the stamp covers owner and mode too, so what is cached was
        // found trustworthy as it is now.
        if let Some((cached, index)) = &*cache
            && file::look(&path)?.is_some_and(|now| Stamp::of(&now) == *cached)
        {
            return Ok(Arc::clone(index));
        }
        let Some(open) = file::open(&path)? else {
            return Ok(Arc::default());
        };
        check_trust(&open.metadata, &path)?;
        let stamp = Stamp::of(&open.metadata);
        let bytes = file::read_all(&open, &path, (MAX_RECORDS * RECORD_BYTES) as u64)?;
        let index = Arc::new(Index::parse(&bytes));
        *cache = Some((stamp, Arc::clone(&index)));
        Ok(index)
    }

    /// The artifact of the module `pin` for `engine`, read once and checked.
    ///
    /// The `.wasm` file is checked too when it is in the store: a pin that the store contradicts
    /// is not run, even where its artifact is intact.
    ///
    /// # Errors
    ///
    /// [`StoreError::Mismatch`] with the hash expected and the hash found,
    /// [`StoreError::NotIndexed`], [`StoreError::NoArtifact`], and those of [`index`](Self::index).
    pub fn artifact(&self, pin: Sha256, engine: Sha256) -> Result<Artifact, StoreError> {
        self.find_module(pin)?;
        let index = self.index()?;
        let record = *index
            .get(pin, engine)
            .ok_or_else(|| self.not_indexed(pin, engine, &index))?;
        self.read_artifact(record)
    }

    /// What is wrong with the artifacts of the module `pin`, whichever engine they are for: each that the index
    /// names is read and checked. The module itself is not looked at.
    ///
    /// # Errors
    ///
    /// Those of [`index`](Self::index): then nothing could be checked.
    pub fn check_artifacts(&self, pin: Sha256) -> Result<Vec<StoreError>, StoreError> {
        let index = self.index()?;
        let records = index
            .engines(pin)
            .filter_map(|engine| index.get(pin, engine));
        Ok(records
            .filter_map(|record| self.read_artifact(*record).err())
            .collect())
    }

    fn read_artifact(&self, record: Record) -> Result<Artifact, StoreError> {
        let path = self.artifact_path(record.artifact);
        let Some(open) = file::open(&path)? else {
            let module = record.module;
            return Err(StoreError::NoArtifact { module, path });
        };
        let bytes = file::read_all(&open, &path, MAX_ARTIFACT_BYTES)?;
        let expected = (record.artifact, Some(record.bytes));
        check(Kind::Artifact, path, expected.0, expected.1, &bytes)?;
        Ok(Artifact { record, bytes })
    }

    /// Puts in what the compiler made of `module` for `engine`, and binds it in the index. The
    /// caller vouches for the bytes: from here on they may be run.
    ///
    /// # Errors
    ///
    /// [`StoreError::TooLarge`], [`StoreError::IndexFull`], [`StoreError::UntrustedIndex`], or
    /// [`StoreError::Io`], after which nothing half-written is left and the index is whole.
    pub fn put_artifact(
        &self,
        module: Sha256,
        engine: Sha256,
        bytes: Vec<u8>,
    ) -> Result<Artifact, StoreError> {
        let record = Record {
            module,
            artifact: Sha256::of(&bytes),
            engine,
            bytes: bytes.len() as u64,
        };
        check_size(
            &bytes,
            &self.artifact_path(record.artifact),
            MAX_ARTIFACT_BYTES,
        )?;
        let _lock = self.lock()?;
        let mut index = Index::clone(&*self.index()?);
        for damaged in index.damaged() {
            tracing::warn!(index = %self.index_path().display(), %damaged, "dropped from the index");
        }
        index.insert(record);
        if index.len() > MAX_RECORDS {
            return Err(StoreError::IndexFull { limit: MAX_RECORDS });
        }
        let folder = self.root.join(ARTIFACTS);
        // The artifact first: the index never names what is not there.
        file::replace(&folder, &record.artifact.to_string(), &bytes)?;
        file::replace(&folder, INDEX, &index.encode())?;
        Ok(Artifact { record, bytes })
    }

    /// Takes the lock of all writers.
    fn lock(&self) -> Result<std::fs::File, StoreError> {
        file::make_folder(&self.root.join(MODULES))?;
        let folder = self.root.join(ARTIFACTS);
        file::make_folder(&folder)?;
        file::lock(&folder.join(LOCK))
    }

    fn not_indexed(&self, module: Sha256, engine: Sha256, index: &Index) -> StoreError {
        StoreError::NotIndexed(Box::new(NotIndexed {
            module,
            engine,
            others: index.engines(module).collect(),
            index: self.index_path(),
            damaged: index.damaged().to_vec(),
        }))
    }
}

/// Tells one state of the index file from the next. Every writer makes a new file, and whoever
/// writes into the old one, or changes whose it is, changes its ctime.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    owner: u32,
    mode: u32,
    size: u64,
    ctime: (i64, i64),
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            owner: metadata.uid(),
            mode: metadata.mode(),
            size: metadata.len(),
            ctime: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

/// Refuses an index that somebody else could have written.
fn check_trust(metadata: &Metadata, path: &Path) -> Result<(), StoreError> {
    let user = geteuid().as_raw();
    let (owner, mode) = (metadata.uid(), metadata.mode() & 0o7777);
    if (owner == 0 || owner == user) && mode & FOREIGN_WRITE == 0 {
        return Ok(());
    }
    Err(StoreError::UntrustedIndex {
        path: path.to_owned(),
        owner,
        mode,
        user,
    })
}

fn check_size(bytes: &[u8], path: &Path, limit: u64) -> Result<(), StoreError> {
    if bytes.len() as u64 <= limit {
        return Ok(());
    }
    Err(StoreError::TooLarge {
        path: path.to_owned(),
        limit,
    })
}

fn check(
    kind: Kind,
    path: PathBuf,
    expected: Sha256,
    expected_bytes: Option<u64>,
    bytes: &[u8],
) -> Result<(), StoreError> {
    let found = Sha256::of(bytes);
    if found == expected {
        return Ok(());
    }
    Err(StoreError::Mismatch(Box::new(Mismatch {
        kind,
        path,
        expected,
        expected_bytes,
        found,
        found_bytes: bytes.len() as u64,
    })))
}
