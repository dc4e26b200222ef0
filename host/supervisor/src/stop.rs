//! Stopping, dependents first.
//!
//! A stop begins by taking back the Ente's offer, so that all who cannot do without it begin to
//! stop as well. When all of them are known, each stop notes whose ends it waits for. Those waits
//! follow the graph of needs backwards, which has no circles (`cycle.rs`), so the last in line can
//! always go first.

use std::collections::BTreeSet;

use crate::action::{Action, Cause, State, StopReason};
use crate::ente::{Ente, Stage, Stop};
use crate::index::{CapIx, EnteIx, Index};
use crate::supervisor::Supervisor;

impl Supervisor {
    /// Begins to stop an Ente that is Starting or Ready.
    pub(crate) fn begin_stop(&mut self, ix: EnteIx, reason: StopReason) {
        if let Some(ticket) = self.enter_stopping(ix, reason, Stage::Draining) {
            self.work.closing.push((ix, ticket));
        }
    }

    fn enter_stopping(&mut self, ix: EnteIx, reason: StopReason, stage: Stage) -> Option<u64> {
        self.serial += 1;
        let ticket = self.serial;
        let ente = self.table.get_mut(ix)?;
        ente.stop = Some(Box::new(Stop {
            reason: reason.clone(),
            stage,
            waits_for: 0,
            ticket,
        }));
        self.set_timer(ix, None);
        self.set_state(ix, State::Stopping, Cause::Stop(reason));
        Some(ticket)
    }

    /// All who must stop in this round are known: now each stop learns whom it waits for, and those
    /// that wait for nobody go on.
    pub(crate) fn close_round(&mut self) {
        for (ix, ticket) in std::mem::take(&mut self.work.closing) {
            self.go_on(ix, ticket);
        }
    }

    /// Makes a stop wait for the ends of `dependents`.
    pub(crate) fn wait_for(&mut self, ix: EnteIx, ticket: u64, dependents: &BTreeSet<EnteIx>) {
        if let Some(stop) = self.stop_at(ix, ticket) {
            // At most MAX_ENTES, so this never cuts.
            stop.waits_for = dependents.len() as u32;
        }
        for dependent in dependents {
            if let Some(dependent) = self.table.get_mut(*dependent) {
                dependent.frees.push((ix, ticket));
            }
        }
    }

    fn stop_at(&mut self, ix: EnteIx, ticket: u64) -> Option<&mut Stop> {
        let stop = self.table.get_mut(ix)?.stop.as_deref_mut()?;
        (stop.ticket == ticket && stop.stage == Stage::Draining).then_some(stop)
    }

    /// The live Entes that must end before this one is told to stop: its children; those whose needs
    /// are not met without it, or without a container whose readiness hangs on it; and those that
    /// come `After` it and stop as well.
    fn live_dependents(&self, ix: EnteIx) -> BTreeSet<EnteIx> {
        let mut found = BTreeSet::new();
        let Some(ente) = self.table.get(ix) else {
            return found;
        };
        found.extend(ente.children.iter().copied());
        let mut next = Some(ente);
        while let Some(node) = next {
            for provision in &node.provides {
                self.collect_dependents(provision.cap, &mut found);
            }
            let parent = node.parent.and_then(|ix| self.table.get(ix));
            next = parent.filter(|parent| parent.is_container() && !parent.facts.offering);
        }
        found.retain(|other| {
            let live = self.table.get(*other).is_some_and(|ente| ente.facts.live);
            live && *other != ix
        });
        found
    }

    fn collect_dependents(&self, provided: CapIx, found: &mut BTreeSet<EnteIx>) {
        for (cap, slot) in self.index.served(provided) {
            // As long as another provider serves it, nobody loses anything here.
            if !self.index.sustained(cap) {
                let lost = slot.requirers.iter().filter(|ix| {
                    let ente = self.table.get(**ix);
                    ente.is_some_and(|ente| self.unmet_contract(ente, Index::sustained).is_some())
                });
                found.extend(lost.copied());
            }
            let stopping = slot.followers.iter().filter(|ix| {
                let ente = self.table.get(**ix);
                ente.is_some_and(|ente| ente.state == State::Stopping)
            });
            found.extend(stopping.copied());
        }
    }

    /// One of those that a stop waited for has ended.
    pub(crate) fn release(&mut self, ix: EnteIx, ticket: u64) {
        if let Some(stop) = self.stop_at(ix, ticket) {
            stop.waits_for = stop.waits_for.saturating_sub(1);
            self.go_on(ix, ticket);
        }
    }

    /// Tells an Ente to stop when nobody is left that must end before it.
    fn go_on(&mut self, ix: EnteIx, ticket: u64) {
        let waits = self.stop_at(ix, ticket).map(|stop| stop.waits_for);
        if waits != Some(0) {
            return;
        }
        // Looked up anew each time: another provider, on whom a dependent could still rely when this
        // stop began, may have gone since.
        let dependents = self.live_dependents(ix);
        if !dependents.is_empty() {
            return self.wait_for(ix, ticket, &dependents);
        }
        let Some(stop) = self.stop_at(ix, ticket) else {
            return;
        };
        stop.stage = Stage::Asked;
        let reason = stop.reason.clone();
        let Some(ente) = self.table.get(ix) else {
            return;
        };
        if ente.is_container() {
            return self.ended(ix, None);
        }
        let (id, incarnation) = (ente.brief.id, ente.incarnation);
        let grace = ente.card.stop_timeout_ms;
        // Withdrawn first: no new call shall reach it once it was told.
        self.refresh_provisions(ix);
        self.out.push(Action::Stop {
            id,
            incarnation,
            reason,
        });
        self.set_timer(ix, Some(self.now.plus(grace)));
    }

    /// One that was told to stop needs more time.
    pub(crate) fn give_time(&mut self, ix: EnteIx, ms: u64) {
        let asked = |ente: &Ente| ente.stop.as_ref().is_some_and(|s| s.stage == Stage::Asked);
        let timer = match self.table.get(ix) {
            Some(ente) if asked(ente) => ente.timer,
            _ => return,
        };
        self.set_timer(ix, timer.max(Some(self.now.plus(ms))));
    }

    /// Ends a live Ente at once, without order and grace.
    pub(crate) fn kill(&mut self, ix: EnteIx, reason: StopReason) {
        let Some(ente) = self.table.get(ix) else {
            return;
        };
        match ente.state {
            State::Starting | State::Ready => {
                self.enter_stopping(ix, reason, Stage::Draining);
                self.kill_stopping(ix);
            }
            State::Stopping => self.kill_stopping(ix),
            _ => {}
        }
    }

    /// Kills an Ente that is Stopping, once.
    pub(crate) fn kill_stopping(&mut self, ix: EnteIx) {
        let Some(ente) = self.table.get_mut(ix) else {
            return;
        };
        let (id, incarnation) = (ente.brief.id, ente.incarnation);
        let container = ente.is_container();
        let Some(stop) = ente
            .stop
            .as_mut()
            .filter(|stop| stop.stage != Stage::Killed)
        else {
            return;
        };
        stop.stage = Stage::Killed;
        self.set_timer(ix, None);
        if container {
            return self.ended(ix, None);
        }
        self.refresh_provisions(ix);
        self.out.push(Action::Kill { id, incarnation });
    }
}
