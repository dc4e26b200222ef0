//! Descriptors that survive execve(2): exactly those that the next image is told of.

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use std::collections::BTreeMap;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

/// Descriptors of the old image that the next one is to find under the same numbers.
#[derive(Default)]
pub struct Keep<'fd>(Vec<BorrowedFd<'fd>>);

impl<'fd> Keep<'fd> {
    /// Adds one; returns the number under which the next image finds it.
    pub fn add(&mut self, fd: &'fd impl AsFd) -> RawFd {
        self.add_borrowed(fd.as_fd())
    }

    /// The same for one that is borrowed already.
    pub fn add_borrowed(&mut self, fd: BorrowedFd<'fd>) -> RawFd {
        self.0.push(fd);
        fd.as_raw_fd()
    }

    /// The numbers of all.
    #[must_use]
    pub fn numbers(&self) -> Vec<RawFd> {
        self.0.iter().map(AsRawFd::as_raw_fd).collect()
    }

    /// Lets them survive execve(2) for as long as the value lives: should that fail, no child may
    /// inherit them.
    ///
    /// # Errors
    ///
    /// fcntl(2) refuses; then none survives.
    pub fn open(self) -> nix::Result<Opened<'fd>> {
        let opened = Opened(self.0);
        for fd in &opened.0 {
            set_flags(fd, FdFlag::empty())?;
        }
        Ok(opened)
    }
}

/// Descriptors that survive execve(2) at the moment.
pub struct Opened<'fd>(Vec<BorrowedFd<'fd>>);

impl Drop for Opened<'_> {
    fn drop(&mut self) {
        for fd in &self.0 {
            let _ = set_flags(fd, FdFlag::FD_CLOEXEC); // fails only for a number that is not open
        }
    }
}

fn set_flags(fd: impl AsFd, flags: FdFlag) -> nix::Result<()> {
    fcntl(fd, FcntlArg::F_SETFD(flags)).map(drop)
}

/// Descriptors that the old image left. What nobody takes is closed with the value.
#[derive(Debug, Default)]
pub struct Kept(BTreeMap<RawFd, OwnedFd>);

impl Kept {
    /// Takes over descriptors under these numbers. To be called before this image opens any.
    ///
    /// # Errors
    ///
    /// A number cannot be that of a descriptor that was left.
    pub fn inherit(numbers: &[RawFd]) -> Result<Kept, String> {
        let mut kept = BTreeMap::new();
        for number in numbers {
            if kept.insert(*number, inherit(*number)?).is_some() {
                return Err(format!("descriptor {number} is named twice"));
            }
        }
        Ok(Kept(kept))
    }

    /// Takes one out.
    ///
    /// # Errors
    ///
    /// It was not left, or somebody has taken it.
    pub fn take(&mut self, number: RawFd) -> Result<OwnedFd, String> {
        self.0
            .remove(&number)
            .ok_or_else(|| format!("descriptor {number} was not left, or is named twice"))
    }
}

/// Takes over one inherited descriptor. What this program opens itself is close-on-exec, and 0 to 2 are
/// everybody's, so neither can be meant.
pub fn inherit(number: RawFd) -> Result<OwnedFd, String> {
    let wrong = |why: &str| Err(format!("descriptor {number} {why}"));
    if number <= 2 {
        return wrong("is a standard stream");
    }
    // SAFETY: fcntl(2) with F_GETFD takes any number and only answers.
    match unsafe { libc::fcntl(number, libc::F_GETFD) } {
        -1 => return wrong("is not open"),
        flags if flags & libc::FD_CLOEXEC != 0 => return wrong("was not inherited"),
        _ => {}
    }
    // SAFETY: it is open, it was inherited (this program's own are close-on-exec), and it is marked
    // close-on-exec now, so that it can be taken over once only.
    let fd = unsafe { OwnedFd::from_raw_fd(number) };
    match set_flags(&fd, FdFlag::FD_CLOEXEC) {
        Ok(()) => Ok(fd),
        Err(errno) => wrong(errno.desc()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, pipe};

    fn is_open_across_exec(fd: impl AsFd) -> bool {
        fcntl(fd, FcntlArg::F_GETFD).unwrap() & libc::FD_CLOEXEC == 0
    }

    #[test]
    fn descriptors_survive_only_while_asked_to() {
        let (reader, writer) = pipe().unwrap();
        let mut keep = Keep::default();
        keep.add(&reader);
        let opened = keep.open().unwrap();
        assert!(is_open_across_exec(&reader) && !is_open_across_exec(&writer));
        drop(opened);
        assert!(!is_open_across_exec(&reader));
    }

    #[test]
    fn what_was_left_is_taken_once_and_the_rest_is_closed() {
        let (mut reader, writer) = pipe().unwrap();
        let spare = writer.try_clone().unwrap();
        let mut keep = Keep::default();
        let numbers = [keep.add(&writer), keep.add(&spare)];
        // Open across exec from here on, as the next image would find them.
        std::mem::forget(keep.open().unwrap());
        // The next image has no other handle on them.
        std::mem::forget((writer, spare));
        let mut kept = Kept::inherit(&numbers).unwrap();
        let taken = kept.take(numbers[0]).unwrap();
        assert!(!is_open_across_exec(&taken));
        assert!(kept.take(numbers[0]).is_err());
        drop((kept, taken));
        assert_eq!(reader.read(&mut [0]).unwrap(), 0, "all writers are closed");
    }

    #[test]
    fn other_numbers_are_refused() {
        let (reader, _writer) = pipe().unwrap();
        let own = reader.as_raw_fd();
        for (number, why) in [
            (1, "is a standard stream"),
            (-1, "is a standard stream"),
            (1 << 20, "is not open"),
            (own, "was not inherited"),
        ] {
            let error = Kept::inherit(&[number]).unwrap_err();
            assert_eq!(error, format!("descriptor {number} {why}"));
        }
    }
}
