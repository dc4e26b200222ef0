//! Files of the store: read whole and once, written whole or not at all.

use std::fs::{self, DirBuilder, File, Metadata, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::OFlag;

use crate::error::StoreError;

/// What a file that is being written is called. One name per folder is enough: writers hold the
/// store's lock, so a file with this name was left behind by one that died.
const UNFINISHED: &str = ".unfinished";

/// Turns an I/O error into a [`StoreError`].
pub(crate) fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StoreError {
    move |source| StoreError::Io {
        action,
        path: path.to_owned(),
        source,
    }
}

/// A file that is open for reading, and what it was when it was opened.
#[derive(Debug)]
pub(crate) struct Opened {
    file: File,
    pub(crate) metadata: Metadata,
}

/// Opens a regular file for reading; `None` when there is none.
pub(crate) fn open(path: &Path) -> Result<Option<Opened>, StoreError> {
    // O_NONBLOCK: opening a pipe that somebody put here must not wait for its other end.
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    let opened = OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits())
        .open(path);
    let file = match opened {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        // What O_NOFOLLOW makes of a symbolic link.
        Err(error) if error.raw_os_error() == Some(Errno::ELOOP as i32) => {
            return Err(StoreError::NotAFile {
                path: path.to_owned(),
            });
        }
        Err(error) => return Err(failed("open", path)(error)),
    };
    let metadata = file.metadata().map_err(failed("stat", path))?;
    if !metadata.is_file() {
        return Err(StoreError::NotAFile {
            path: path.to_owned(),
        });
    }
    Ok(Some(Opened { file, metadata }))
}

/// Reads all of an open file, unless it is larger than `limit` bytes.
pub(crate) fn read_all(open: &Opened, path: &Path, limit: u64) -> Result<Vec<u8>, StoreError> {
    let size = open.metadata.len();
    if size > limit {
        return Err(StoreError::TooLarge {
            path: path.to_owned(),
            limit,
        });
    }
    let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or(0));
    // The file may change while it is read; what counts is what was read, so the end as it was when
    // it was opened is not looked beyond.
    (&open.file)
        .take(size)
        .read_to_end(&mut bytes)
        .map_err(failed("read", path))?;
    Ok(bytes)
}

/// What is at `path`, a symbolic link not followed; `None` when nothing is.
pub(crate) fn look(path: &Path) -> Result<Option<Metadata>, StoreError> {
    match fs::symlink_metadata(path) {
        Ok(metadata) => Ok(Some(metadata)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed("stat", path)(error)),
    }
}

/// Makes a folder and what is missing above it.
pub(crate) fn make_folder(path: &Path) -> Result<(), StoreError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o755)
        .create(path)
        .map_err(failed("make folder", path))
}

/// Puts a file into its place in one step: after a crash there is the old file or the new one.
/// The caller holds the store's lock.
pub(crate) fn replace(folder: &Path, name: &str, bytes: &[u8]) -> Result<(), StoreError> {
    let unfinished = folder.join(UNFINISHED);
    let target = folder.join(name);
    let result = write_new(&unfinished, bytes)
        .map_err(failed("write", &target))
        .and_then(|()| fs::rename(&unfinished, &target).map_err(failed("rename to", &target)));
    if let Err(error) = result {
        // On a full disk the half-written file would keep what space is left.
        let _ = fs::remove_file(&unfinished);
        return Err(error);
    }
    // The name is on disk only when the folder is.
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(failed("sync folder", folder))
}

fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o644)
        .open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Takes the store's lock and holds it until the returned file is dropped. Waits for other
/// writers, in this process and in others.
pub(crate) fn lock(path: &Path) -> Result<File, StoreError> {
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(OFlag::O_NOFOLLOW.bits())
        .open(path)
        .map_err(failed("open", path))?;
    file.lock().map_err(failed("lock", path))?;
    Ok(file)
}
