//! Signals, and the children that one of them stands for.

use super::{Core, Mode};
use crate::crash::Crash;
use crate::down::Outcome;
use arje_native::Reaper;
use nix::sys::signal::Signal;

impl Core {
    pub(super) fn on_signal(&mut self, signal: Signal) {
        match signal {
            Signal::SIGCHLD => self.reap(),
            Signal::SIGHUP => {} // reload of rules: there are none in this version
            Signal::SIGQUIT => self.machine.crash.into_iter().for_each(Crash::perform),
            Signal::SIGINT if self.down.is_some() => self.hurry(),
            _ if self.mode != Mode::Machine => self.leave(Outcome::Leave),
            _ => {
                if let Some(outcome) = Outcome::of_signal(signal) {
                    self.leave(outcome);
                }
            }
        }
    }

    pub(super) fn reap(&mut self) {
        let mut turn = Reaper::turn();
        for reaped in turn.by_ref() {
            self.pending
                .extend(self.bodies.reaped(reaped, &mut self.poller));
        }
        // One SIGCHLD may stand for many children; the others of this turn come first.
        self.reap_again = turn.more();
        if self.reap_again {
            self.poller.wake_handle().wake();
        }
    }
}
