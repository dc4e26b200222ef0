//! Replacing a file as a whole.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// Mode of a file that was not there before; the umask takes its part of it.
const NEW_FILE: u32 = 0o644;

/// Puts `bytes` in the place of the file at `path`: whoever reads it sees the old content or the new
/// one, also after a crash. The mode is kept, and a symbolic link stays: its target is replaced.
///
/// # Errors
/// What the system says. Then the file is as it was, and no other is left behind.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let target = real_path(path)?;
    let (folder, temporary) = beside(&target)?;
    let result = write_new(&temporary, &target, bytes).and_then(|()| {
        fs::rename(&temporary, &target)?;
        // The rename itself is on disk only when the folder is.
        File::open(&folder)?.sync_all()
    });
    if result.is_err() {
        // After a successful rename it is gone anyway; that it cannot be removed adds nothing.
        let _ = fs::remove_file(&temporary);
    }
    result
}

/// The file that is meant, with links followed; a file that is not there yet is its own path.
fn real_path(path: &Path) -> io::Result<PathBuf> {
    match fs::canonicalize(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(path.to_owned()),
        other => other,
    }
}

/// The folder of a file, and a name in it that nobody else uses: it carries the process id.
fn beside(target: &Path) -> io::Result<(PathBuf, PathBuf)> {
    let name = target
        .file_name()
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "this path names no file"))?;
    let folder = match target.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    };
    let mut temporary = OsString::from(".");
    temporary.push(name);
    temporary.push(format!(".{}.tmp", std::process::id()));
    let temporary = folder.join(temporary);
    Ok((folder, temporary))
}

fn write_new(temporary: &Path, target: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(NEW_FILE)
        .open(temporary)?;
    if let Ok(metadata) = fs::metadata(target) {
        file.set_permissions(Permissions::from_mode(
            metadata.permissions().mode() & 0o7777,
        ))?;
    }
    file.write_all(bytes)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<OsString> {
        let entries = fs::read_dir(folder).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    }

    #[test]
    fn mode_and_link_are_kept_and_nothing_is_left_behind() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("seed"), folder.path().join("link"));
        replace(&file, b"one").unwrap();
        fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
        std::os::unix::fs::symlink("seed", &link).unwrap();
        replace(&link, b"two").unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"two");
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        let mode = fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o600);
        assert_eq!(names(folder.path()), ["link", "seed"]);
    }

    #[test]
    fn a_failure_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let taken = folder.path().join("folder");
        fs::create_dir(&taken).unwrap();
        fs::write(taken.join("inside"), "x").unwrap();
        assert!(replace(&taken, b"text").is_err());
        assert!(replace(&folder.path().join("no/such"), b"text").is_err());
        assert!(replace(Path::new("/"), b"text").is_err());
        assert_eq!(names(folder.path()), ["folder"]);
    }
}
