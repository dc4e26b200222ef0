//! Going down: everything stops, dependents first, within one total deadline.

use arje_card::Id;

use crate::action::{Action, State, StopReason};
use crate::event::Millis;
use crate::index::EnteIx;
use crate::limits::SHUTDOWN_KILL_MS;
use crate::supervisor::Supervisor;

/// A shutdown under way.
#[derive(Clone, Copy)]
pub(crate) struct Shutdown {
    /// When whatever still lives is killed; `None` once that was done.
    pub kill_at: Option<Millis>,
    /// When it is over, whatever still lives.
    pub deadline: Millis,
    /// Whether [`Action::ShutdownComplete`] was sent.
    pub complete: bool,
}

impl Shutdown {
    /// Its next deadline.
    pub fn next(&self) -> Option<Millis> {
        let next = self.kill_at.unwrap_or(self.deadline);
        (!self.complete).then_some(next)
    }
}

impl Supervisor {
    pub(crate) fn shut_down(&mut self, deadline_ms: u64) {
        let kill_ms = deadline_ms - (deadline_ms / 4).min(SHUTDOWN_KILL_MS);
        let (kill_at, deadline) = (self.now.plus(kill_ms), self.now.plus(deadline_ms));
        if let Some(down) = &mut self.shutdown {
            down.deadline = down.deadline.min(deadline);
            down.kill_at = down.kill_at.map(|earlier| earlier.min(kill_at));
            return;
        }
        self.shutdown = Some(Shutdown {
            kill_at: Some(kill_at),
            deadline,
            complete: false,
        });
        let all: Vec<(EnteIx, State)> = self.table.iter().map(|(ix, e)| (ix, e.state)).collect();
        for (ix, state) in all {
            match state {
                State::Starting | State::Ready => self.begin_stop(ix, StopReason::Shutdown),
                // Nothing starts any more, so no delay has to end.
                State::Backoff => self.set_timer(ix, None),
                State::Waiting => self.give_up_return(ix),
                _ => {}
            }
        }
    }

    /// Fires the shutdown's deadlines that have come; returns whether there were any.
    pub(crate) fn fire_shutdown(&mut self) -> bool {
        let now = self.now;
        let Some(down) = &mut self.shutdown else {
            return false;
        };
        if down.kill_at.is_none_or(|at| at > now) {
            return false;
        }
        down.kill_at = None;
        let live: Vec<EnteIx> = self.live_entes().map(|(ix, _)| ix).collect();
        for ix in live {
            self.kill(ix, StopReason::Shutdown);
        }
        true
    }

    fn live_entes(&self) -> impl Iterator<Item = (EnteIx, Id)> {
        let live = self.table.iter().filter(|(_, ente)| ente.facts.live);
        live.map(|(ix, ente)| (ix, ente.card.id))
    }

    /// Says that it is over when nothing lives any more or the time is up.
    pub(crate) fn finish_shutdown(&mut self) {
        let (now, live) = (self.now, self.live);
        let Some(down) = &mut self.shutdown else {
            return;
        };
        if down.complete || live > 0 && down.deadline > now {
            return;
        }
        down.complete = true;
        let left = self.live_entes().map(|(_, id)| id).collect();
        self.out.push(Action::ShutdownComplete { left });
    }
}
