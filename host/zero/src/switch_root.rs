//! Moving the machine to another root, as switch_root(8) does from an initramfs: see `docs/handover.md`.
//!
//! First everything is looked at, when nothing has happened yet ([`Plan::check`]); then, when all Entes
//! have ended, it is done ([`Plan::perform`]).

use crate::handover::Next;
use crate::mounts::{self, Mount};
use crate::seed;
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, OpenHow, ResolveFlag, openat2};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::stat::{Mode, SFlag, fstat, fstatat};
use nix::unistd::{UnlinkatFlags, chdir, chroot, unlinkat};
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// What moves along; the new root needs these folders. `/sys` takes the cgroups with it.
const MOVED: [&str; 4] = ["dev", "proc", "sys", "run"];

/// What was mounted for the old root alone.
const LEFT_BEHIND: &str = "/tmp";

/// Programs to go on with if none is named, in this order.
const INITS: [&str; 2] = ["/sbin/ente-zero", "/sbin/init"];

/// Folders within folders that are deleted; initramfs archives are flat compared to that.
const MAX_DEPTH: usize = 64;

/// A move that was looked at and can be done.
#[derive(Debug)]
pub struct Plan {
    new_root: PathBuf,
    /// The program, as the new root names it.
    init: PathBuf,
    /// It is an `ente-zero` that takes over the state.
    ours: bool,
    /// The old root lives in memory and is worth nothing once it is left.
    delete: bool,
}

/// Why a move was not done.
#[derive(Debug, PartialEq, Eq)]
pub enum Failed {
    /// Everything is as it was.
    Undone(String),
    /// The machine is between two roots.
    Halfway(String),
}

impl Plan {
    /// Looks at a new root and the program to go on with there.
    ///
    /// # Errors
    ///
    /// What is wrong, and with what.
    pub fn check(new_root: &Path, init: Option<&Path>) -> Result<Plan, String> {
        let wrong = |what: &str| format!("switch-root: {}: {what}", new_root.display());
        let io = |error: std::io::Error| wrong(&error.to_string());
        let new_root = fs::canonicalize(new_root).map_err(io)?;
        let known = mounts::read();
        if !is_mount_point(&known, &new_root) {
            return Err(wrong(
                "is not a mount point; mount the new root there first",
            ));
        }
        let (old, new) = (fs::metadata("/").map_err(io)?, fs::metadata(&new_root));
        if old.dev() == new.map_err(io)?.dev() {
            return Err(wrong("is on the same file system as the present root"));
        }
        for name in MOVED {
            let folder = new_root.join(name);
            if !folder.is_dir() && fs::create_dir(&folder).is_err() {
                return Err(wrong(&format!(
                    "has no folder /{name}, and it cannot be made"
                )));
            }
        }
        let root = File::open(&new_root).map_err(io)?;
        let (init, next) = find_init(&root, init).map_err(|what| wrong(&what))?;
        let ours = next == Next::Ours;
        if ours
            && !seed::IN_IMAGE
                .iter()
                .any(|path| is_there(&root, Path::new(path)))
        {
            return Err(wrong("has no seed at /ente/seed.card.json"));
        }
        Ok(Plan {
            new_root,
            init,
            ours,
            delete: is_in_memory(&known),
        })
    }

    /// The program to go on with, as the new root names it.
    #[must_use]
    pub fn init(&self) -> &Path {
        &self.init
    }

    /// Whether the program takes over the state.
    #[must_use]
    pub fn is_ours(&self) -> bool {
        self.ours
    }

    /// Makes the new root the root of this process: moves the file systems of the kernel, then the root
    /// itself, and deletes what the old one held in memory. Nothing must run any more.
    ///
    /// # Errors
    ///
    /// See [`Failed`].
    pub fn perform(&self) -> Result<(), Failed> {
        let old = open_folder("/").map_err(|errno| undone("open the old root", errno))?;
        // Only private mounts can be moved (mount_namespaces(7)).
        let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
        mount(None::<&str>, "/", None::<&str>, private, None::<&str>)
            .map_err(|errno| undone("make mounts private", errno))?;
        self.move_mounts()?;
        self.enter().map_err(|(what, errno)| {
            Failed::Halfway(format!("switch-root: {what}: {}", errno.desc()))
        })?;
        if self.delete {
            // What is left costs memory and nothing else.
            if let Err(errno) = delete_contents(old) {
                tracing::warn!(
                    "switch-root: the old root was not emptied: {}",
                    errno.desc()
                );
            }
        }
        Ok(())
    }

    fn move_mounts(&self) -> Result<(), Failed> {
        let known = mounts::read();
        let mut moved: Vec<(PathBuf, PathBuf)> = Vec::new();
        for name in MOVED {
            let (from, to) = (Path::new("/").join(name), self.new_root.join(name));
            if !is_mount_point(&known, &from) {
                continue;
            }
            let result = match is_mount_point(&known, &to) {
                // The new root has its own already.
                true => umount2(&from, MntFlags::MNT_DETACH),
                false => move_mount(&from, &to),
            };
            if let Err(errno) = result {
                for (from, to) in moved.iter().rev() {
                    let _ = move_mount(to, from); // where it came from, so there is nothing in its way
                }
                return Err(undone(&format!("move /{name}"), errno));
            }
            moved.push((from, to));
        }
        Ok(())
    }

    fn enter(&self) -> Result<(), (&'static str, Errno)> {
        let _ = umount2(LEFT_BEHIND, MntFlags::MNT_DETACH); // perhaps it was not mounted
        chdir(&self.new_root).map_err(|errno| ("enter the new root", errno))?;
        move_mount(Path::new("."), Path::new("/")).map_err(|errno| ("move the new root", errno))?;
        chroot(".").map_err(|errno| ("change the root", errno))?;
        chdir("/").map_err(|errno| ("enter the root", errno))
    }
}

fn undone(what: &str, errno: Errno) -> Failed {
    Failed::Undone(format!("switch-root: {what}: {}", errno.desc()))
}

fn move_mount(from: &Path, to: &Path) -> nix::Result<()> {
    mount(Some(from), to, None::<&str>, MsFlags::MS_MOVE, None::<&str>)
}

fn is_mount_point(known: &[Mount], path: &Path) -> bool {
    known.iter().any(|mount| Path::new(&mount.target) == path)
}

/// Whether the root is the kernel's initramfs.
fn is_in_memory(known: &[Mount]) -> bool {
    let root = known.iter().rev().find(|mount| mount.target == "/");
    root.is_some_and(|root| matches!(root.fstype.as_str(), "rootfs" | "tmpfs" | "ramfs"))
}

/// The program to go on with, and what it is.
fn find_init(root: &File, named: Option<&Path>) -> Result<(PathBuf, Next), String> {
    let path = match named {
        Some(path) if path.is_absolute() => path,
        Some(path) => return Err(format!("init {} is not an absolute path", path.display())),
        None => INITS
            .iter()
            .map(Path::new)
            .find(|path| is_there(root, path))
            .ok_or_else(|| format!("has none of {}; name its init", INITS.join(", ")))?,
    };
    let failed = |error: std::io::Error| format!("init {}: {error}", path.display());
    let mut program = File::from(open_in(root, path).map_err(|errno| failed(errno.into()))?);
    let next = Next::of(&mut program).map_err(failed)?;
    Ok((path.to_owned(), next))
}

fn is_there(root: &File, path: &Path) -> bool {
    open_in(root, path).is_ok()
}

/// Opens a file as a process with this root would find it, whatever links are on the way.
fn open_in(root: &File, path: &Path) -> nix::Result<OwnedFd> {
    let how = OpenHow::new()
        // Whatever it is, opening it must not wait: it may be a FIFO.
        .flags(OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC)
        .resolve(ResolveFlag::RESOLVE_IN_ROOT);
    openat2(root, path, how)
}

fn open_folder(path: &str) -> nix::Result<OwnedFd> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    nix::fcntl::openat(AT_FDCWD, path, flags, Mode::empty())
}

/// Deletes what is in a folder and on its file system, without following links or entering mounts.
fn delete_contents(folder: OwnedFd) -> nix::Result<()> {
    let device = fstat(&folder)?.st_dev;
    delete_below(folder, device, MAX_DEPTH)
}

fn delete_below(folder: OwnedFd, device: libc::dev_t, depth: usize) -> nix::Result<()> {
    // By its descriptor, since the path that it had is no more.
    let listing = fs::read_dir(format!("/proc/self/fd/{}", folder.as_raw_fd()));
    let entries = listing.map_err(|error| errno(&error))?;
    let names = entries.map(|entry| entry.map(|entry| entry.file_name()));
    let names: Result<Vec<OsString>, std::io::Error> = names.collect();
    let names = names.map_err(|error| errno(&error))?;
    let mut result = Ok(());
    for name in names {
        // The others go all the same.
        result = result.and(delete_one(&folder, &name, device, depth));
    }
    result
}

fn errno(error: &std::io::Error) -> Errno {
    error.raw_os_error().map_or(Errno::EIO, Errno::from_raw)
}

fn delete_one(
    folder: &OwnedFd,
    name: &OsStr,
    device: libc::dev_t,
    depth: usize,
) -> nix::Result<()> {
    let found = fstatat(folder.as_fd(), name, AtFlags::AT_SYMLINK_NOFOLLOW)?;
    if found.st_dev != device {
        return Ok(()); // a mount, and not ours to empty
    }
    let is_folder = SFlag::from_bits_truncate(found.st_mode) & SFlag::S_IFMT == SFlag::S_IFDIR;
    if !is_folder {
        return unlinkat(folder, name, UnlinkatFlags::NoRemoveDir);
    }
    let deeper = depth.checked_sub(1).ok_or(Errno::ELOOP)?;
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let inner = nix::fcntl::openat(folder, name, flags, Mode::empty())?;
    delete_below(inner, device, deeper)?;
    unlinkat(folder, name, UnlinkatFlags::RemoveDir)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn what_cannot_become_the_root_is_refused_with_the_reason() {
        let folder = tempfile::tempdir().unwrap();
        let check = |path: &Path| Plan::check(path, None).unwrap_err();
        assert!(check(&folder.path().join("none")).contains("No such file"));
        assert!(check(folder.path()).contains("is not a mount point"));
        assert!(check(Path::new("/")).contains("is on the same file system"));
        assert!(
            check(Path::new("/proc")).contains("/dev"),
            "{}",
            check(Path::new("/proc"))
        );
    }

    #[test]
    fn an_init_is_found_as_the_new_root_names_it() {
        let folder = tempfile::tempdir().unwrap();
        let sbin = folder.path().join("sbin");
        fs::create_dir(&sbin).unwrap();
        let root = File::open(folder.path()).unwrap();
        assert!(
            find_init(&root, None)
                .unwrap_err()
                .contains("name its init")
        );
        // Links of the new root point within it, not to this machine's files.
        symlink("/lib/the-init", sbin.join("init")).unwrap();
        assert!(find_init(&root, None).is_err());
        fs::create_dir(folder.path().join("lib")).unwrap();
        fs::copy("/bin/sh", folder.path().join("lib/the-init")).unwrap();
        let found = find_init(&root, None).unwrap();
        assert_eq!(found, ("/sbin/init".into(), Next::Foreign));
        assert!(find_init(&root, Some(Path::new("sbin/init"))).is_err());
    }

    #[test]
    fn deleting_stays_in_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let (inside, outside) = (folder.path().join("in"), folder.path().join("out"));
        fs::create_dir_all(inside.join("a/b/c")).unwrap();
        fs::create_dir(&outside).unwrap();
        for file in ["in/x", "in/a/y", "in/a/b/c/z", "out/keep"] {
            fs::write(folder.path().join(file), "").unwrap();
        }
        symlink(&outside, inside.join("a/link")).unwrap();
        delete_contents(open_folder(inside.to_str().unwrap()).unwrap()).unwrap();
        assert_eq!(fs::read_dir(&inside).unwrap().count(), 0);
        assert!(outside.join("keep").exists());
    }
}
