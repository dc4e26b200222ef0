//! A shutdown while Entes stop: how the total deadline is shared, what hurries it, and what is
//! said meanwhile. What comes after the Entes is in `poweroff.rs`.

use nix::sys::signal::Signal;
use std::fmt::Display;
use std::time::{Duration, Instant};

/// How long a shutdown may take unless `ente.shutdown=` says otherwise: long enough for a service
/// that writes its state, short enough that nobody pulls the plug.
pub const DEFAULT: Duration = Duration::from_secs(30);

/// What `ente.shutdown=` may say, in seconds. Less than 3 could not end anything in order.
pub const SECONDS: std::ops::RangeInclusive<u64> = 3..=3600;

/// What is kept for what comes after the Entes (disks); a third of the total when that is less.
const FOR_DISKS: Duration = Duration::from_secs(10);

/// What Entes still get after somebody at the keyboard hurried the shutdown.
const HURRIED: Duration = Duration::from_secs(1);

/// Ctrl-Alt-Del sooner than this after the shutdown began is the same press: a held key repeats.
const SAME_PRESS: Duration = Duration::from_secs(1);

/// How often is said what the machine waits for, beginning so long after the shutdown did. A
/// shutdown as it should be is over before.
const NOTICE: Duration = Duration::from_secs(5);

/// Names in one such line.
const MAX_NAMED: usize = 8;

/// What to do when all has stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Reboot (SIGTERM, SIGINT: Ctrl-Alt-Del).
    Reboot,
    /// Power off (SIGUSR2, SIGPWR).
    PowerOff,
    /// Halt (SIGUSR1).
    Halt,
    /// Dev mode: the time is over, or there is nothing left to do.
    Leave,
}

impl Outcome {
    /// What this signal to PID 1 asks for.
    #[must_use]
    pub fn of_signal(signal: Signal) -> Option<Outcome> {
        match signal {
            Signal::SIGTERM | Signal::SIGINT => Some(Outcome::Reboot),
            Signal::SIGUSR2 | Signal::SIGPWR => Some(Outcome::PowerOff),
            Signal::SIGUSR1 => Some(Outcome::Halt),
            _ => None,
        }
    }
}

impl Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Outcome::Reboot => "reboot",
            Outcome::PowerOff => "power off",
            Outcome::Halt => "halt",
            Outcome::Leave => "leave",
        })
    }
}

/// A shutdown under way.
#[derive(Debug)]
pub struct Down {
    /// How the machine is to end.
    pub outcome: Outcome,
    /// When it does, whatever happens.
    pub deadline: Instant,
    /// When to say what it waits for.
    pub notice: Notice,
    began: Instant,
    for_disks: Duration,
    hurried: bool,
}

impl Down {
    /// Begins now.
    #[must_use]
    pub fn new(outcome: Outcome, total: Duration, now: Instant) -> Down {
        Down {
            outcome,
            deadline: now + total,
            notice: Notice::new(now),
            began: now,
            for_disks: FOR_DISKS.min(total / 3),
            hurried: false,
        }
    }

    /// How long Entes have from `now` on.
    #[must_use]
    pub fn for_entes(&self, now: Instant) -> Duration {
        self.deadline
            .saturating_duration_since(now)
            .saturating_sub(self.for_disks)
    }

    /// Ctrl-Alt-Del while it goes down: brings the deadline nearer, once. The disks keep what they
    /// had. Returns how long Entes have from `now` on, if this was news.
    pub fn hurry(&mut self, now: Instant) -> Option<Duration> {
        if self.hurried || now.saturating_duration_since(self.began) < SAME_PRESS {
            return None;
        }
        self.hurried = true;
        self.deadline = self.deadline.min(now + HURRIED + self.for_disks);
        Some(self.for_entes(now))
    }
}

/// When to say again what is waited for.
#[derive(Debug)]
pub struct Notice(Instant);

impl Notice {
    /// The first one is due in a while.
    #[must_use]
    pub fn new(now: Instant) -> Notice {
        Notice(now + NOTICE)
    }

    /// When it is due.
    #[must_use]
    pub fn due(&self) -> Instant {
        self.0
    }

    /// Whether it is due, and then it is due again later.
    pub fn is_due(&mut self, now: Instant) -> bool {
        let due = now >= self.0;
        if due {
            self.0 = now + NOTICE;
        }
        due
    }
}

/// The line that says what the machine waits for.
#[must_use]
pub fn waits_for(what: &(impl Display + ?Sized), left: Duration) -> String {
    format!("shutdown: waiting for {what}; {} s left", left.as_secs())
}

/// Some of these names, and how many more there are.
#[must_use]
pub fn some_of<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<&str> = names.collect();
    let shown = names.get(..MAX_NAMED).unwrap_or(&names).join(", ");
    match names.len().saturating_sub(MAX_NAMED) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: Duration = Duration::from_secs(1);

    #[test]
    fn disks_keep_their_share_of_the_deadline() {
        let now = Instant::now();
        let down = Down::new(Outcome::PowerOff, DEFAULT, now);
        assert_eq!(down.for_entes(now), 20 * S);
        assert_eq!(down.for_entes(now + 25 * S), Duration::ZERO);
        let short = Down::new(Outcome::PowerOff, 3 * S, now);
        assert_eq!(short.for_entes(now), 2 * S);
    }

    #[test]
    fn only_a_second_press_hurries_and_only_once() {
        let now = Instant::now();
        let mut down = Down::new(Outcome::Reboot, DEFAULT, now);
        assert_eq!(down.hurry(now + S / 2), None, "a held key");
        assert_eq!(down.hurry(now + 2 * S), Some(S));
        assert_eq!(down.deadline, now + 13 * S);
        assert_eq!(down.hurry(now + 4 * S), None);
        let mut late = Down::new(Outcome::Reboot, DEFAULT, now);
        assert_eq!(late.hurry(now + 29 * S), Some(Duration::ZERO));
        assert_eq!(late.deadline, now + 30 * S, "never later");
    }

    #[test]
    fn long_lists_are_cut() {
        assert_eq!(some_of(["a", "b"].into_iter()), "a, b");
        let names = ["x"; 10];
        assert_eq!(
            some_of(names.into_iter()),
            "x, x, x, x, x, x, x, x and 2 more"
        );
    }

    #[test]
    fn notices_come_again_and_again() {
        let now = Instant::now();
        let mut notice = Notice::new(now);
        assert!(!notice.is_due(now));
        assert!(notice.is_due(now + NOTICE));
        assert!(!notice.is_due(now + NOTICE));
        assert_eq!(notice.due(), now + 2 * NOTICE);
    }
}
