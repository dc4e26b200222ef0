//! How a system begins: with a seed, or where another image of this program left off
//! (`docs/handover.md`).

use super::Core;
use super::brought::Brought;
use super::coming_up::ComingUp;
use super::handover::monotonic_ns;
use crate::devices::Changes;
use crate::handover::{Inventory, Kept, Parcel, PipeRecord};
use crate::logs::LeftPipe;
use crate::natives::Who;
use arje_card::{Capability, Card, DeviceClass};
use arje_supervisor::{EventKind, Millis, Supervisor};
use std::collections::BTreeSet;
use std::os::fd::{OwnedFd, RawFd};
use std::os::unix::net::UnixListener;
use std::time::{Duration, Instant};

/// How a system begins.
pub enum Beginning {
    /// With a seed.
    Seed(Box<Card>),
    /// Where another image left off; with the seed of another root if it has moved there.
    Left(Box<Left>, Option<Box<Card>>),
}

impl Beginning {
    /// The socket for notifications, if it was left.
    ///
    /// # Errors
    ///
    /// It was named and not left.
    pub fn take_notify(&mut self) -> Result<Option<OwnedFd>, String> {
        let Beginning::Left(left, _) = self else {
            return Ok(None);
        };
        let Left { parcel, kept } = &mut **left;
        let taken = parcel.inventory.notify.map(|number| kept.take(number));
        taken.transpose()
    }

    /// The seed that is to be adopted.
    #[must_use]
    pub fn seed(&self) -> Option<&Card> {
        match self {
            Beginning::Seed(card) => Some(card),
            Beginning::Left(_, card) => card.as_deref(),
        }
    }

    /// The socket of the bus, if it was left.
    ///
    /// # Errors
    ///
    /// It was named and not left.
    pub fn take_bus(&mut self) -> Result<Option<UnixListener>, String> {
        let Beginning::Left(left, _) = self else {
            return Ok(None);
        };
        let Left { parcel, kept } = &mut **left;
        let taken = parcel.inventory.bus.map(|number| kept.take(number));
        Ok(taken.transpose()?.map(UnixListener::from))
    }
}

/// What another image left.
pub struct Left {
    /// The state.
    pub parcel: Parcel,
    /// The descriptors.
    pub kept: Kept,
}

impl Left {
    /// Reads what the old image left under this descriptor. To be called before this image opens
    /// anything.
    ///
    /// # Errors
    ///
    /// It cannot be believed; the text says why.
    pub fn open(number: RawFd) -> Result<Left, String> {
        let parcel = Parcel::open(number)?;
        let kept = Kept::inherit(&parcel.inventory.descriptors)?;
        Ok(Left { parcel, kept })
    }
}

impl Core {
    /// Begins with a seed, or with what another image left.
    ///
    /// # Errors
    ///
    /// The supervisor refuses the seed, for example because of a cycle; or what was left cannot be true.
    pub fn begin(mut self, beginning: Beginning) -> Result<Core, String> {
        match beginning {
            Beginning::Seed(card) => self.adopt(*card).map_err(|refusal| refusal.to_string())?,
            Beginning::Left(left, seed) => {
                self.resume(*left)
                    .map_err(|reason| format!("reexec: {reason}"))?;
                if let Some(card) = seed {
                    self.arrive();
                    self.adopt(*card).map_err(|refusal| refusal.to_string())?;
                }
            }
        }
        Ok(self)
    }

    /// Goes on where another image left off. What cannot be true has led to nothing.
    fn resume(&mut self, left: Left) -> Result<(), String> {
        let Left { parcel, mut kept } = left;
        let Parcel {
            inventory,
            supervisor,
        } = parcel;
        self.generation = inventory.generation;
        self.began = began(&inventory)?;
        self.leave_at = inventory.leave_at_ms.map(Millis);
        self.coming_up = ComingUp::those(inventory.coming_up.iter().copied());
        let restored = Supervisor::restore(supervisor, Millis(inventory.clock_ms));
        let (supervisor, actions) = restored.map_err(|error| error.to_string())?;
        self.supervisor = supervisor;
        let is_known = |id| self.supervisor.card(id).is_some();
        self.brought = Brought::restored(inventory.brought, is_known)?;
        let lives: BTreeSet<Who> = self.lives().collect();
        self.bodies
            .take_over(inventory.natives, &mut kept, &lives, &mut self.poller)?;
        self.take_over_cgroups(&lives);
        for record in &inventory.listening {
            // An Ente that was removed has no sockets.
            let card = self.supervisor.card(record.id).cloned();
            let card = card.ok_or("sockets of an unknown Ente were left")?;
            self.bodies.take_over_sockets(&card, record, &mut kept)?;
        }
        for pipe in inventory.pipes {
            self.take_over_pipe(pipe, &mut kept)?;
        }
        for action in actions {
            self.carry_out(action);
        }
        self.look_at_devices_anew();
        self.interrupt_the_gone();
        // Whoever ended in between has left a SIGCHLD, or one that stands for several.
        self.reap_again = true;
        self.poller.wake_handle().wake();
        self.console.line(format!(
            "reexec: image {} took over after {} ms",
            self.generation,
            self.now().since(Millis(inventory.clock_ms))
        ));
        self.feed(EventKind::Timer);
        Ok(())
    }

    /// The machine has a root that is not an initramfs.
    fn arrive(&mut self) {
        self.feed(EventKind::HostCapabilities {
            adds: vec![Capability::FilesystemRoot],
            removes: Vec::new(),
        });
    }

    /// Those of the processes that go on; those of Entes that have none are not needed any more.
    fn take_over_cgroups(&mut self, lives: &BTreeSet<Who>) {
        for who in lives {
            if let Some(card) = self.supervisor.card(who.id) {
                self.bodies.take_over_cgroup(card, *who);
            }
        }
        self.bodies.sweep_cgroups();
    }

    /// Devices may have come and gone while nobody listened.
    fn look_at_devices_anew(&mut self) {
        let Changes { adds, .. } = self.machine.hardware.changes();
        let all = DeviceClass::ALL.map(|class| Capability::Device { class });
        let removes = all.into_iter().filter(|class| !adds.contains(class));
        let removes = removes.collect();
        self.feed(EventKind::HostCapabilities { adds, removes });
    }

    fn take_over_pipe(&self, pipe: PipeRecord, kept: &mut Kept) -> Result<(), String> {
        let fd = kept.take(pipe.fd)?;
        // Whoever printed may have been removed since.
        if let Some(card) = self.supervisor.card(pipe.id) {
            let pipe = LeftPipe {
                id: pipe.id,
                incarnation: pipe.incarnation,
                is_stderr: pipe.is_stderr,
                fd,
                partial: pipe.partial,
                cut: pipe.cut,
            };
            self.bodies.take_over_output(card, pipe);
        }
        Ok(())
    }
}

/// The beginning of the clock of the events, which goes on as if nothing had happened.
fn began(inventory: &Inventory) -> Result<Instant, String> {
    let between = monotonic_ns()?.checked_sub(inventory.monotonic_ns);
    let age = between.and_then(|between| {
        Duration::from_millis(inventory.clock_ms).checked_add(Duration::from_nanos(between))
    });
    age.and_then(|age| Instant::now().checked_sub(age))
        .ok_or_else(|| "the state is of another boot, or its clock is wrong".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_goes_on() {
        let mut inventory = Inventory::new(1);
        inventory.clock_ms = 5_000;
        inventory.monotonic_ns = monotonic_ns().unwrap();
        let began = began(&inventory).unwrap();
        assert!(began.elapsed() >= Duration::from_millis(5_000));
        inventory.monotonic_ns = u64::MAX;
        assert!(super::began(&inventory).is_err());
    }
}
