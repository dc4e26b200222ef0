//! Descriptors on their way into the executor.

use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::path::Path;

use ente_spawn::{FIRST_PASSED_FD, PLAN_FD, STATUS_FD};
use nix::fcntl::{FcntlArg, OFlag, SealFlag, fcntl};
use nix::spawn::PosixSpawnFileActions;
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::stat::Mode;

/// A memfd with these bytes that nobody, PID 1 included, can change any more.
pub(crate) fn sealed(bytes: &[u8]) -> std::io::Result<OwnedFd> {
    let fd = memfd_create(
        c"spawn-plan",
        MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING,
    )?;
    let mut file = File::from(fd);
    file.write_all(bytes)?;
    let seals = SealFlag::F_SEAL_SHRINK
        | SealFlag::F_SEAL_GROW
        | SealFlag::F_SEAL_WRITE
        | SealFlag::F_SEAL_SEAL;
    fcntl(&file, FcntlArg::F_ADD_SEALS(seals))?;
    Ok(file.into())
}

/// A copy of a descriptor with a number of at least `lowest`.
pub(crate) fn duplicate_above(fd: BorrowedFd<'_>, lowest: RawFd) -> nix::Result<OwnedFd> {
    let copy = fcntl(fd, FcntlArg::F_DUPFD_CLOEXEC(lowest))?;
    // SAFETY: the call above has just made this descriptor, and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(copy) })
}

/// Opens a device for another process, `mode` being `O_RDONLY`, `O_WRONLY` or `O_RDWR`. PID 1 itself does not wait for
/// it (a serial line may lack its carrier), nor get it as its terminal; the other process reads and writes as usual.
pub(crate) fn open_waiting(path: &Path, mode: OFlag) -> nix::Result<OwnedFd> {
    let flags = mode | OFlag::O_CLOEXEC | OFlag::O_NOCTTY | OFlag::O_NONBLOCK;
    let fd = nix::fcntl::open(path, flags, Mode::empty())?;
    fcntl(&fd, FcntlArg::F_SETFL(mode))?;
    Ok(fd)
}

/// The descriptors of one start, each with the number it gets in the executor.
pub(crate) struct Placement {
    entries: Vec<(OwnedFd, RawFd)>,
    /// First number that is nobody's target.
    free: RawFd,
}

impl Placement {
    /// For 0-2, the plan, the status pipe and `passed` more.
    pub(crate) fn new(passed: u32) -> Placement {
        Placement {
            entries: Vec::with_capacity(FIRST_PASSED_FD as usize + passed as usize),
            free: FIRST_PASSED_FD + passed as RawFd,
        }
    }

    /// Standard input, output and error.
    pub(crate) fn stdio(&mut self, streams: [BorrowedFd<'_>; 3]) -> nix::Result<()> {
        for (target, stream) in (0..).zip(streams) {
            self.put(stream, target)?;
        }
        Ok(())
    }

    /// The sealed plan.
    pub(crate) fn plan(&mut self, plan: &OwnedFd) -> nix::Result<()> {
        self.put(plan.as_fd(), PLAN_FD)
    }

    /// The writing end of the status pipe.
    pub(crate) fn status(&mut self, pipe: &OwnedFd) -> nix::Result<()> {
        self.put(pipe.as_fd(), STATUS_FD)
    }

    /// Those for the program itself, in order.
    pub(crate) fn passed(&mut self, passed: &[BorrowedFd<'_>]) -> nix::Result<()> {
        for (target, fd) in (FIRST_PASSED_FD..).zip(passed) {
            self.put(*fd, target)?;
        }
        Ok(())
    }

    /// A copy above all targets, so that no `dup2` overwrites a descriptor that another one still has to copy.
    fn put(&mut self, fd: BorrowedFd<'_>, target: RawFd) -> nix::Result<()> {
        let copy = duplicate_above(fd, self.free)?;
        self.entries.push((copy, target));
        Ok(())
    }

    /// What `posix_spawn` shall do in the child.
    pub(crate) fn actions(&self) -> nix::Result<PosixSpawnFileActions> {
        let mut actions = PosixSpawnFileActions::init()?;
        for (fd, target) in &self.entries {
            actions.add_dup2(fd.as_raw_fd(), *target)?;
        }
        Ok(actions)
    }
}
