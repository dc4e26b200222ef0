//! An artifact on its way into a worker process: a memfd that nobody can change any more.

use arje_card::Pin;
use arje_store::MAX_ARTIFACT_BYTES;
use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::sync::{Mutex, PoisonError};

/// Seals without which the bytes could change after they were verified (memfd_create(2)).
const SEALS: SealFlag = SealFlag::F_SEAL_SHRINK
    .union(SealFlag::F_SEAL_GROW)
    .union(SealFlag::F_SEAL_WRITE);

/// Copies verified bytes into a sealed memfd.
///
/// # Errors
///
/// What memfd_create(2), write(2) and fcntl(2) say.
pub(crate) fn seal(bytes: &[u8]) -> io::Result<OwnedFd> {
    let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
    let mut file = File::from(memfd_create(c"artifact", flags)?);
    file.write_all(bytes)?;
    fcntl(&file, FcntlArg::F_ADD_SEALS(SEALS | SealFlag::F_SEAL_SEAL))?;
    Ok(file.into())
}

/// The one module that a worker process may run.
#[derive(Debug)]
pub struct SealedModule {
    pin: Pin,
    bytes: u64,
    /// Until it is read: the memfd is memory, which a loaded module needs no more.
    file: Mutex<Option<File>>,
}

impl SealedModule {
    /// Takes over what PID 1 has sealed.
    ///
    /// # Safety
    ///
    /// An artifact is native code. The caller vouches that the bytes are an artifact which a
    /// [`Store`](arje_store::Store) verified for this pin and for this program's engine.
    ///
    /// # Errors
    ///
    /// `PermissionDenied` for a file that somebody could still change, `InvalidData` for one that is
    /// longer than any artifact, else what the kernel says.
    pub unsafe fn new(pin: Pin, fd: OwnedFd) -> io::Result<SealedModule> {
        let file = File::from(fd);
        // EINVAL: something that cannot be sealed at all, such as an ordinary file.
        let seals = fcntl(&file, FcntlArg::F_GET_SEALS).unwrap_or(0);
        if !SealFlag::from_bits_retain(seals).contains(SEALS) {
            return Err(io::Error::new(
                io::ErrorKind::PermissionDenied,
                "the artifact is not sealed",
            ));
        }
        let bytes = file.metadata()?.len();
        if bytes > MAX_ARTIFACT_BYTES {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("the artifact has {bytes} bytes; at most {MAX_ARTIFACT_BYTES} are allowed"),
            ));
        }
        let file = Mutex::new(Some(file));
        Ok(SealedModule { pin, bytes, file })
    }

    pub(crate) fn pin(&self) -> Pin {
        self.pin
    }

    /// The bytes, once.
    pub(crate) fn read(&self) -> io::Result<Vec<u8>> {
        // Taken or not: a panic cannot leave it half-taken.
        let file = self
            .file
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let file = file.ok_or_else(|| io::Error::other("the artifact was loaded before"))?;
        let mut bytes = vec![0; self.bytes as usize];
        file.read_exact_at(&mut bytes, 0)?;
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn module(fd: OwnedFd) -> io::Result<SealedModule> {
        // SAFETY: nothing loads it.
        unsafe { SealedModule::new(Pin([1; 32]), fd) }
    }

    #[test]
    fn what_is_sealed_is_read_and_cannot_be_changed() {
        let fd = seal(b"code").unwrap();
        let mut copy = File::from(fd.try_clone().unwrap());
        assert!(copy.write_all(b"x").is_err());
        assert!(copy.set_len(1).is_err());
        let module = module(fd).unwrap();
        assert_eq!(module.read().unwrap(), b"code");
        assert!(module.read().is_err(), "it is closed by now");
    }

    #[test]
    fn what_could_change_is_refused() {
        let open = memfd_create(c"x", MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING);
        let plain = File::open("/proc/self/exe").unwrap();
        for fd in [open.unwrap(), plain.into()] {
            let error = module(fd).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
        }
    }
}
