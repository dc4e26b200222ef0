//! The hardware watchdog: a timer of the machine that resets it unless it is petted in time
//! (Documentation/watchdog/watchdog-api.rst in the kernel's tree).
//!
//! It is petted by the core loop, once per turn when that is due, and by nobody else: no thread
//! goes on petting for a core that hangs.

use nix::errno::Errno;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::path::Path;
use std::time::{Duration, Instant};

/// The first watchdog of the machine.
pub const DEVICE: &str = "/dev/watchdog0";

/// The time out unless `ente.watchdog=` says otherwise: a turn of the core loop takes milliseconds,
/// but a machine that swaps, or a hypervisor that looks away, can stretch one a thousandfold, and a
/// reset by mistake is worse than one half a minute late. Nearly all hardware can count so far.
pub const DEFAULT: Duration = Duration::from_secs(60);

/// What `ente.watchdog=` may say, in seconds; 0 is off. Above that, no driver that we know counts;
/// below 3 s, a pet per second would be too few for the least delay.
pub const SECONDS: std::ops::RangeInclusive<u64> = 3..=65_535;

/// Pets per time out: two may be late or lost.
const PETS: u32 = 3;

/// Closing after this byte disarms the device ("magic close").
const DISARM: &[u8] = b"V";

mod ioctl {
    nix::ioctl_read!(keep_alive, b'W', 5, i32);
    nix::ioctl_readwrite!(set_timeout, b'W', 6, i32);
    nix::ioctl_read!(get_timeout, b'W', 7, i32);
}

/// Whether the first watchdog counts down now. Without a word from sysfs: whether there is one.
#[must_use]
pub fn is_active() -> bool {
    match fs::read_to_string("/sys/class/watchdog/watchdog0/state") {
        Ok(state) => state.trim() == "active",
        Err(_) => Path::new(DEVICE).exists(),
    }
}

/// Taken for the time out of a device that does not tell: shorter than that of any hardware in use, so that it is
/// petted in time.
const UNTOLD: Duration = Duration::from_secs(2);

/// An armed watchdog. Dropping it leaves it armed; that is what a failing PID 1 wants.
#[derive(Debug)]
pub struct Watchdog {
    device: File,
    timeout: Duration,
    due: Instant,
}

impl Watchdog {
    /// Opens the device, which arms it, and sets its time out, if one is given. Where the hardware
    /// cannot count so far or so fine, its own time out stays; [`Watchdog::timeout`] tells.
    ///
    /// # Errors
    ///
    /// There is none (`NotFound`), somebody else has it (`ResourceBusy`), or it is something else (`ENOTTY`). Once it is
    /// open, nothing else is an error: it counts, and whoever gave it up would have the machine reset.
    pub fn open(device: &Path, timeout: Option<Duration>, now: Instant) -> io::Result<Watchdog> {
        let device = OpenOptions::new().write(true).open(device)?;
        let set = timeout.and_then(|timeout| {
            let mut seconds = i32::try_from(timeout.as_secs()).ok()?;
            // SAFETY: the request reads and writes one int.
            unsafe { ioctl::set_timeout(device.as_raw_fd(), &raw mut seconds) }.ok()?;
            Some(seconds)
        });
        let own = || {
            let mut seconds = 0;
            // SAFETY: the request writes one int.
            let told = unsafe { ioctl::get_timeout(device.as_raw_fd(), &raw mut seconds) };
            told.map(|_| seconds)
        };
        let timeout = match set.map_or_else(own, Ok) {
            Ok(seconds @ 1..) => Duration::from_secs(u64::from(seconds.unsigned_abs())),
            Err(Errno::ENOTTY) => return Err(Errno::ENOTTY.into()), // no watchdog at all, then
            // EOPNOTSUPP: a driver that does not know its device's time out.
            Ok(_) | Err(_) => UNTOLD,
        };
        let mut watchdog = Watchdog {
            device,
            timeout,
            due: now,
        };
        watchdog.pet(now);
        Ok(watchdog)
    }

    /// The time out that the device really has; two seconds where it does not tell.
    #[must_use]
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// When it has to be petted next.
    #[must_use]
    pub fn due(&self) -> Instant {
        self.due
    }

    /// Pets it if that is due.
    pub fn pet_if_due(&mut self, now: Instant) {
        if now >= self.due {
            self.pet(now);
        }
    }

    /// Pets it.
    pub fn pet(&mut self, now: Instant) {
        let mut none = 0;
        // SAFETY: the request writes at most one int.
        let done = unsafe { ioctl::keep_alive(self.device.as_raw_fd(), &raw mut none) };
        if done.is_err() {
            let _ = self.device.write(b"\0"); // drivers of old know only this
        }
        self.due = now + self.timeout / PETS;
    }

    /// Disarms and closes it.
    ///
    /// # Errors
    ///
    /// The device did not take the word. It may not have obeyed either: a driver loaded with
    /// `nowayout` never stops.
    pub fn disarm(mut self) -> io::Result<()> {
        self.device.write_all(DISARM)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_watchdog_is_an_error() {
        let open = |path: &str| Watchdog::open(Path::new(path), Some(DEFAULT), Instant::now());
        assert_eq!(
            open("/dev/no-such").unwrap_err().kind(),
            io::ErrorKind::NotFound
        );
        assert_eq!(
            open("/dev/null").unwrap_err().raw_os_error(),
            Some(Errno::ENOTTY as i32)
        );
    }
}
