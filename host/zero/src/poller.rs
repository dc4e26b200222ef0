//! What the core loop waits for: signals, the supervisor's next deadline, Wasm events, execs.

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

/// Descriptors reported at once; more are reported by the next call.
const BATCH: usize = 64;

const SIGNALS: u64 = 0;
const TIMER: u64 = 1;
const WAKE: u64 = 2;
/// Tokens from here on belong to the callers of [`Poller::watch`].
const FIRST_FREE: u64 = 16;

/// Signals that the core loop takes. All are blocked, so that they wait to be read.
const TAKEN: &[Signal] = &[
    Signal::SIGCHLD,
    Signal::SIGTERM,
    Signal::SIGINT,
    Signal::SIGHUP,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
    Signal::SIGPWR,
];

/// Something is ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ready {
    /// Signals wait in [`Poller::next_signal`].
    Signals,
    /// The deadline set with [`Poller::set_deadline`] has come.
    Deadline,
    /// [`Wake::wake`] was called.
    Woken,
    /// A watched descriptor, by its token.
    Watched(u64),
}

/// What to wait for on a watched descriptor; its hang-up is always told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interest {
    /// Bytes to read.
    pub read: bool,
    /// Room to write.
    pub write: bool,
}

impl Interest {
    /// Nothing but the hang-up.
    pub const NONE: Interest = Interest {
        read: false,
        write: false,
    };
    /// Bytes to read.
    pub const READ: Interest = Interest {
        read: true,
        write: false,
    };
}

/// The core loop's epoll(7).
pub struct Poller {
    epoll: Epoll,
    signals: SignalFd,
    timer: TimerFd,
    wake: Arc<EventFd>,
    next_token: u64,
}

/// Wakes the core loop from any thread, without blocking.
#[derive(Clone)]
pub struct Wake(Arc<EventFd>);

impl Wake {
    /// Makes [`Poller::wait`] return [`Ready::Woken`].
    pub fn wake(&self) {
        // Full only after 2^64 - 2 calls without a read, and then it is awake anyway.
        let _ = self.0.write(1);
    }
}

impl Poller {
    /// Blocks the signals that it takes, in this thread and those it starts later.
    ///
    /// # Errors
    ///
    /// A descriptor cannot be made.
    pub fn new() -> io::Result<Poller> {
        let mut set = SigSet::empty();
        for signal in TAKEN {
            set.add(*signal);
        }
        set.thread_block()?;
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        let signals = SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
        let timer = TimerFd::new(
            ClockId::CLOCK_MONOTONIC,
            TimerFlags::TFD_CLOEXEC | TimerFlags::TFD_NONBLOCK,
        )?;
        let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
        let wake = Arc::new(EventFd::from_value_and_flags(0, flags)?);
        let readable = |token| EpollEvent::new(EpollFlags::EPOLLIN, token);
        epoll.add(&signals, readable(SIGNALS))?;
        epoll.add(timer.as_fd(), readable(TIMER))?;
        epoll.add(&*wake, readable(WAKE))?;
        Ok(Poller {
            epoll,
            signals,
            timer,
            wake,
            next_token: FIRST_FREE,
        })
    }

    /// Takes one more signal. Comes before the first thread, as the signal is blocked by it.
    ///
    /// # Errors
    ///
    /// The kernel refuses, which only a defect can make it do.
    pub fn take_also(&mut self, signal: Signal) -> io::Result<()> {
        let mut mask: SigSet = TAKEN.iter().copied().collect();
        mask.add(signal);
        mask.thread_block()?;
        self.signals.set_mask(&mask)?;
        Ok(())
    }

    /// A handle that wakes the loop.
    #[must_use]
    pub fn wake_handle(&self) -> Wake {
        Wake(Arc::clone(&self.wake))
    }

    /// Watches a descriptor for input or hang-up; returns its token.
    ///
    /// # Errors
    ///
    /// epoll_ctl(2) fails.
    pub fn watch(&mut self, fd: impl AsFd) -> io::Result<u64> {
        self.add(fd, EpollFlags::EPOLLIN)
    }

    /// Watches a file of the kernel's that polls as urgent when it has changed, such as `cgroup.events`;
    /// returns its token.
    ///
    /// # Errors
    ///
    /// epoll_ctl(2) fails.
    pub fn watch_urgent(&mut self, fd: impl AsFd) -> io::Result<u64> {
        self.add(fd, EpollFlags::EPOLLPRI)
    }

    fn add(&mut self, fd: impl AsFd, what: EpollFlags) -> io::Result<u64> {
        let token = self.next_token;
        self.next_token += 1; // 2^64 starts are out of reach
        self.epoll.add(fd, EpollEvent::new(what, token))?;
        Ok(token)
    }

    /// Changes what a watched descriptor is watched for.
    ///
    /// # Errors
    ///
    /// epoll_ctl(2) fails.
    pub fn set_interest(&self, fd: impl AsFd, token: u64, interest: Interest) -> io::Result<()> {
        let mut flags = EpollFlags::empty();
        flags.set(EpollFlags::EPOLLIN, interest.read);
        flags.set(EpollFlags::EPOLLOUT, interest.write);
        self.epoll.modify(fd, &mut EpollEvent::new(flags, token))?;
        Ok(())
    }

    /// Stops watching a descriptor.
    pub fn forget(&self, fd: impl AsFd) {
        let _ = self.epoll.delete(fd); // closing it has the same effect
    }

    /// Sets the one deadline, from now; `None` for no deadline.
    ///
    /// # Errors
    ///
    /// timerfd_settime(2) fails.
    pub fn set_deadline(&self, after: Option<Duration>) -> io::Result<()> {
        match after {
            None => self.timer.unset()?,
            Some(after) => {
                // Zero would disarm it.
                let after = TimeSpec::from(after.max(Duration::from_nanos(1)));
                self.timer
                    .set(Expiration::OneShot(after), TimerSetTimeFlags::empty())?;
            }
        }
        Ok(())
    }

    /// Waits until something is ready, or for so many milliseconds at most. An interrupted wait returns nothing.
    ///
    /// # Errors
    ///
    /// epoll_wait(2) fails, which only a defect can make it do.
    pub fn wait(&self, at_most: Option<u8>) -> io::Result<Vec<Ready>> {
        let mut events = [EpollEvent::empty(); BATCH];
        let at_most = at_most.map_or(EpollTimeout::NONE, EpollTimeout::from);
        let count = match self.epoll.wait(&mut events, at_most) {
            Err(nix::errno::Errno::EINTR) => 0,
            result => result?,
        };
        Ok(events[..count]
            .iter()
            .map(|event| self.ready(event.data()))
            .collect())
    }

    fn ready(&self, token: u64) -> Ready {
        match token {
            SIGNALS => Ready::Signals,
            TIMER => {
                // Non-blocking here: the descriptor is readable, so this only clears it.
                let _ = self.timer.wait();
                Ready::Deadline
            }
            WAKE => {
                let _ = self.wake.read();
                Ready::Woken
            }
            token => Ready::Watched(token),
        }
    }

    /// Takes one waiting signal.
    #[must_use]
    pub fn next_signal(&self) -> Option<Signal> {
        let info = self.signals.read_signal().ok().flatten()?;
        Signal::try_from(info.ssi_signo.cast_signed()).ok()
    }
}
