//! What the core loop has to do with the machine itself: devices that come and go, and the hardware
//! watchdog.

use crate::devices::{Changes, Devices};
use crate::poller::Poller;
use crate::uevents::{Received, Uevents};
use crate::watchdog::{self, Watchdog};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The machine, as the core loop sees it.
pub struct Hardware {
    devices: Devices,
    events: Option<(Uevents, u64)>,
    /// How long the watchdog may go without a pet; `None` when it is not wanted.
    wanted: Option<Duration>,
    watchdog: Option<Watchdog>,
}

impl Hardware {
    /// Begins to listen, then looks what is there, so that nothing is missed between. The watchdog
    /// is armed, if `watchdog` says how long it is to wait and there is one.
    #[must_use]
    pub fn new(poller: &mut Poller, watchdog: Option<Duration>) -> Hardware {
        let events = Uevents::listen().and_then(|events| {
            let token = poller.watch(&events)?;
            Ok((events, token))
        });
        let mut hardware = Hardware {
            devices: Devices::new(PathBuf::from("/sys")),
            events: events
                .map_err(|error| {
                    tracing::warn!("devices that come later will not be seen: {error}")
                })
                .ok(),
            wanted: watchdog,
            watchdog: None,
        };
        hardware.arm_watchdog();
        hardware
    }

    /// Whether this token of the poller is that of the device events.
    #[must_use]
    pub fn owns(&self, token: u64) -> bool {
        self.events.as_ref().is_some_and(|(_, own)| *own == token)
    }

    /// Takes the events that wait.
    pub fn receive(&mut self) {
        let mut watchdog_came = false;
        if let Some((events, _)) = &self.events {
            events.receive(|received| match received {
                Received::Event(event) => {
                    tracing::debug!(
                        "device {} {}: {}",
                        event.action,
                        event.subsystem,
                        event.path
                    );
                    watchdog_came |= event.subsystem == "watchdog" && event.action == "add";
                    self.devices.note(&event);
                }
                Received::Overrun => {
                    tracing::warn!("too many device events at once; looking at all devices again");
                    watchdog_came = true; // perhaps
                    self.devices.note_overrun();
                }
            });
        }
        if watchdog_came {
            self.arm_watchdog();
        }
    }

    /// What has come and gone since the last time.
    pub fn changes(&mut self) -> Changes {
        self.devices.look()
    }

    /// When the watchdog has to be petted next.
    #[must_use]
    pub fn due(&self) -> Option<Instant> {
        Some(self.watchdog.as_ref()?.due())
    }

    /// Pets the watchdog, if it is time.
    pub fn pet_if_due(&mut self, now: Instant) {
        if let Some(watchdog) = &mut self.watchdog {
            watchdog.pet_if_due(now);
        }
    }

    /// Hands over the watchdog, armed.
    pub fn into_watchdog(self) -> Option<Watchdog> {
        self.watchdog
    }

    fn arm_watchdog(&mut self) {
        let Some(wanted) = self.wanted.filter(|_| self.watchdog.is_none()) else {
            return;
        };
        match Watchdog::open(Path::new(watchdog::DEVICE), Some(wanted), Instant::now()) {
            Ok(watchdog) => {
                let timeout = watchdog.timeout();
                if timeout != wanted {
                    tracing::warn!(
                        "ente.watchdog: the device cannot count {} s, its own time out stays",
                        wanted.as_secs()
                    );
                }
                tracing::info!("the hardware watchdog is armed, {} s", timeout.as_secs());
                self.watchdog = Some(watchdog);
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {} // most machines have none
            Err(error) => tracing::warn!("{}: {error}", watchdog::DEVICE),
        }
    }
}
