//! Waiting: for signals, for the end of a burst of changes, and for what has a deadline.

use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;

use super::{Session, Trouble};

impl Session<'_> {
    /// Waits for something to happen, and takes it in.
    pub(super) fn wait(&mut self) -> Result<(), Trouble> {
        let timeout = self.timeout();
        let mut watched = [
            PollFd::new(self.signals.as_fd(), PollFlags::POLLIN),
            PollFd::new(self.watch.as_fd(), PollFlags::POLLIN),
        ];
        match poll(&mut watched, timeout) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(format!("poll: {error}").into()),
        }
        self.take_signals_in()?;
        let now = Instant::now();
        self.watch.take_in(now)?;
        if self.watch.burst_ended(now) {
            self.changed()?;
        }
        if let Some(job) = &mut self.job {
            job.group.overdue(now);
        }
        Ok(())
    }

    fn timeout(&mut self) -> PollTimeout {
        let now = Instant::now();
        let job = self.job.as_mut().and_then(|job| job.group.overdue(now));
        // Nothing is asked while a job is under way, whose end is told.
        let system = self.system.as_ref().filter(|_| self.job.is_none());
        let system = system.and_then(|system| system.ask_again);
        let due = self.watch.due().into_iter().chain(job).chain(system).min();
        due.map_or(PollTimeout::NONE, |due| {
            // A millisecond more, since poll rounds down and would spin through the last one.
            let left = due.saturating_duration_since(now) + Duration::from_millis(1);
            PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX)
        })
    }

    fn take_signals_in(&mut self) -> Result<(), Trouble> {
        loop {
            let signal = match self.signals.read_signal() {
                Ok(None) => return Ok(()),
                Ok(Some(signal)) => signal,
                Err(Errno::EINTR) => continue,
                Err(error) => return Err(format!("signalfd: {error}").into()),
            };
            if signal.ssi_signo == Signal::SIGCHLD as u32 {
                self.children_ended()?;
            } else {
                self.interrupted()?;
            }
        }
    }

    /// One SIGCHLD may stand for several.
    fn children_ended(&mut self) -> Result<(), Trouble> {
        if let Some(job) = &mut self.job
            && let Some(status) = job.group.ended()?
        {
            self.job_ended(status)?;
        }
        if let Some(system) = &mut self.system
            && let Some(status) = system.group.ended()?
        {
            self.system_ended(status)?;
        }
        Ok(())
    }
}
