//! That something has changed in folders, as inotify(7) tells it. What has changed is not taken from there: editors
//! rename, queues overflow, and a file that was written need not be another one ([`crate::dev::sources`]).

use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};

/// A burst is over when nothing more comes for so long: editors write a file in several steps.
const QUIET: Duration = Duration::from_millis(50);

/// A burst that goes on is looked at after so long, or a file that is written all the time would hide the others.
const LONGEST: Duration = Duration::from_secs(1);

/// Folders being watched, and the burst of changes that is under way.
#[derive(Debug)]
pub struct Watch {
    inotify: Inotify,
    burst: Option<Burst>,
}

#[derive(Clone, Copy, Debug)]
struct Burst {
    began: Instant,
    last: Instant,
}

impl Burst {
    fn ends(self) -> Instant {
        (self.last + QUIET).min(self.began + LONGEST)
    }
}

impl Watch {
    /// Watches nothing yet.
    ///
    /// # Errors
    /// The user has too many of these (`fs.inotify.max_user_instances`).
    pub fn new() -> Result<Self, String> {
        let flags = InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC;
        let inotify = Inotify::init(flags).map_err(|error| {
            format!(
                "inotify: {error}; a user may have fs.inotify.max_user_instances of them (sysctl)"
            )
        })?;
        Ok(Self {
            inotify,
            burst: None,
        })
    }

    /// Watches what is directly in a folder, from now on. Once more does no harm; one that is gone has nothing to tell.
    ///
    /// # Errors
    /// The kernel watches no more folders for this user, or not this one.
    pub fn folder(&self, folder: &Path) -> Result<(), String> {
        let what = AddWatchFlags::IN_CLOSE_WRITE
            | AddWatchFlags::IN_CREATE
            | AddWatchFlags::IN_DELETE
            | AddWatchFlags::IN_MOVE
            | AddWatchFlags::IN_ONLYDIR;
        match self.inotify.add_watch(folder, what) {
            Ok(_) | Err(Errno::ENOENT | Errno::ENOTDIR) => Ok(()),
            Err(Errno::ENOSPC) => Err(format!(
                "{}: too many folders are watched; raise fs.inotify.max_user_watches (sysctl)",
                folder.display()
            )),
            Err(error) => Err(format!("{}: cannot be watched: {error}", folder.display())),
        }
    }

    /// Takes in what the kernel has to tell.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn take_in(&mut self, now: Instant) -> Result<(), String> {
        loop {
            match self.inotify.read_events() {
                Ok(_) => {
                    let began = self.burst.map_or(now, |burst| burst.began);
                    self.burst = Some(Burst { began, last: now });
                }
                Err(Errno::EAGAIN) => return Ok(()),
                Err(Errno::EINTR) => {}
                Err(error) => return Err(format!("inotify: {error}")),
            }
        }
    }

    /// Whether a burst of changes has ended; each is told once.
    pub fn burst_ended(&mut self, now: Instant) -> bool {
        self.burst.take_if(|burst| now >= burst.ends()).is_some()
    }

    /// When to ask that, if there is anything to wait for.
    #[must_use]
    pub fn due(&self) -> Option<Instant> {
        self.burst.map(Burst::ends)
    }
}

impl AsFd for Watch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inotify.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_burst_ends_when_nothing_more_comes_or_it_lasts_too_long() {
        let folder = tempfile::tempdir().unwrap();
        let mut watch = Watch::new().unwrap();
        watch.folder(folder.path()).unwrap();
        watch.folder(&folder.path().join("nowhere")).unwrap();
        let mut now = Instant::now();
        watch.take_in(now).unwrap();
        assert_eq!(watch.due(), None);
        let began = now;
        while now < began + LONGEST {
            fs::write(folder.path().join("a"), "x").unwrap();
            watch.take_in(now).unwrap();
            assert!(!watch.burst_ended(now));
            assert!(watch.due().unwrap() <= now + QUIET);
            now += QUIET / 2;
        }
        assert!(watch.burst_ended(now));
        assert!(!watch.burst_ended(now), "told once");
        fs::rename(folder.path().join("a"), folder.path().join("b")).unwrap();
        watch.take_in(now).unwrap();
        assert!(!watch.burst_ended(now) && watch.burst_ended(now + QUIET));
    }
}
