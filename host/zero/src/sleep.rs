//! Suspending the machine. The kernel does it inside of a write(2), which returns when the machine has woken up
//! again; so it is another thread that writes.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

/// Where the kernel takes the word (sysfs-power in its documentation).
const STATE: &str = "/sys/power/state";

/// Whether a thread is at it: one request is enough, and the kernel takes no second one.
static BUSY: AtomicBool = AtomicBool::new(false);

/// How the machine is to sleep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sleep {
    /// With its memory powered.
    Suspend,
    /// With its memory on disk.
    Hibernate,
}

impl Sleep {
    /// The word for people.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Sleep::Suspend => "suspend",
            Sleep::Hibernate => "hibernate",
        }
    }

    /// The kernel's word.
    const fn word(self) -> &'static str {
        match self {
            Sleep::Suspend => "mem",
            Sleep::Hibernate => "disk",
        }
    }

    /// Begins. Whatever the kernel says later is logged.
    ///
    /// # Errors
    ///
    /// The machine cannot, or is at it.
    pub fn begin(self) -> Result<(), String> {
        let states = fs::read_to_string(STATE)
            .map_err(|error| format!("this machine cannot {}: {STATE}: {error}", self.name()))?;
        self.check(&states)?;
        if BUSY.swap(true, Ordering::Acquire) {
            return Err("the machine is being suspended already".to_owned());
        }
        let sleeper = thread::Builder::new().name("sleep".to_owned());
        let begun = sleeper.spawn(move || {
            if let Err(error) = fs::write(STATE, self.word()) {
                tracing::error!("{}: {STATE}: {error}", self.name());
            }
            BUSY.store(false, Ordering::Release);
        });
        begun.map(drop).map_err(|error| {
            BUSY.store(false, Ordering::Release);
            format!("no thread for it: {error}")
        })
    }

    /// Whether the kernel knows the word on this machine.
    fn check(self, states: &str) -> Result<(), String> {
        match states
            .split_ascii_whitespace()
            .any(|state| state == self.word())
        {
            true => Ok(()),
            false => Err(format!(
                "this machine cannot {}: {STATE} has only {:?}",
                self.name(),
                states.trim()
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_machine_cannot_is_said() {
        assert_eq!(Sleep::Suspend.check("freeze mem\n"), Ok(()));
        assert_eq!(Sleep::Hibernate.check("freeze mem disk\n"), Ok(()));
        let why = Sleep::Hibernate.check("freeze mem\n").unwrap_err();
        assert!(
            why.contains("hibernate") && why.contains("\"freeze mem\""),
            "{why}"
        );
        assert!(Sleep::Suspend.check("").is_err());
    }
}
