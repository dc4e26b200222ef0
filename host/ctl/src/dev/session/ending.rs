//! Ending, in order: first what is under way, then the system, which stops its Entes.

use nix::sys::signal::Signal;

use super::{Session, Trouble};

impl Session<'_> {
    /// Somebody wants it to end; more than once, sooner.
    pub(super) fn interrupted(&mut self) -> Result<(), Trouble> {
        self.interrupts += 1;
        match self.interrupts {
            1 => self.screen.good("ending")?,
            2 => {
                // Ente-zero takes this for Ctrl-Alt-Del during a shutdown: it hurries.
                self.signal_system(Signal::SIGINT);
            }
            _ => self.signal_system(Signal::SIGKILL),
        }
        Ok(())
    }

    fn signal_system(&self, signal: Signal) {
        if let Some(system) = &self.system {
            system.group.signal(signal);
        }
    }

    pub(super) fn end_in_order(&mut self) {
        if let Some(job) = &mut self.job {
            job.group.end();
        } else if let Some(system) = &mut self.system {
            system.leave();
        }
    }

    /// Whether it was asked to end and has.
    pub(super) fn is_over(&self) -> bool {
        self.interrupts > 0 && self.job.is_none() && self.system.is_none()
    }

    /// Ends what is left when it cannot go on. The system has a deadline of its own for its Entes.
    pub(super) fn end_now(&mut self) {
        if let Some(mut job) = self.job.take() {
            job.group.end();
            job.group.wait();
        }
        if let Some(mut system) = self.system.take() {
            system.leave();
            system.group.wait();
        }
    }
}
