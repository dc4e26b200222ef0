//! Commands, reports and the machine's own capabilities.

use arje_card::{Capability, Id};

use crate::action::{Action, Cause, State, StopReason};
use crate::adopt::own_conflict;
use crate::ente::{Crashes, Ente, Provision};
use crate::event::{Command, Incarnation, Report};
use crate::index::{EnteIx, Role};
use crate::limits::{MAX_CAPABILITIES, MAX_DYNAMIC};
use crate::refusal::Refusal;
use crate::supervisor::Supervisor;

impl Supervisor {
    pub(crate) fn command(&mut self, id: Id, command: Command) -> Result<(), Refusal> {
        let ix = self.table.find(id).ok_or(Refusal::UnknownEnte(id))?;
        let removing = self.table.get(ix).is_some_and(|ente| ente.removing);
        match command {
            Command::Start | Command::Restart if self.shutdown.is_some() => {
                return Err(Refusal::ShuttingDown);
            }
            Command::Start | Command::Restart if removing => return Err(Refusal::BeingRemoved(id)),
            Command::Start => self.want(ix),
            Command::Restart => self.restart(ix),
            Command::Stop => self.unwant(ix, command),
            Command::Kill => {
                if let Some(ente) = self.table.get_mut(ix) {
                    ente.wanted = false;
                }
                self.kill(ix, StopReason::Command(command));
                self.unwant(ix, command);
            }
            Command::Remove => self.remove(ix),
        }
        Ok(())
    }

    fn want(&mut self, ix: EnteIx) {
        let Some(ente) = self.table.get_mut(ix) else {
            return;
        };
        ente.wanted = true;
        match ente.state {
            State::Declared | State::Done | State::Failed => {
                self.wait_anew(ix, Command::Start);
            }
            // Stopping because it was asked to: it will find itself wanted at its end.
            _ => self.refresh(ix),
        }
    }

    pub(crate) fn restart(&mut self, ix: EnteIx) {
        let Some(ente) = self.table.get_mut(ix) else {
            return;
        };
        ente.wanted = true;
        ente.crashes = Crashes::default();
        let reason = StopReason::Command(Command::Restart);
        match (ente.state, &mut ente.stop) {
            (State::Starting | State::Ready, _) => self.begin_stop(ix, reason),
            (State::Stopping, Some(stop)) => {
                stop.reason = reason;
                self.refresh(ix);
            }
            _ => self.wait_anew(ix, Command::Restart),
        }
    }

    /// From a state in which nothing runs to Waiting, with the past forgiven.
    fn wait_anew(&mut self, ix: EnteIx, command: Command) {
        let Some(ente) = self.table.get_mut(ix) else {
            return;
        };
        ente.crashes = Crashes::default();
        ente.crashed = false;
        ente.succeeded = false;
        // One that waits already has no delay, and perhaps the deadline of its return.
        if ente.state != State::Waiting {
            self.set_timer(ix, None);
            self.set_state(ix, State::Waiting, Cause::Command(command));
        }
    }

    fn unwant(&mut self, ix: EnteIx, command: Command) {
        let Some(ente) = self.table.get_mut(ix) else {
            return;
        };
        ente.wanted = false;
        match ente.state {
            State::Starting | State::Ready => self.begin_stop(ix, StopReason::Command(command)),
            // On its way down already; or nothing to do but to know that it is not wanted.
            State::Stopping | State::Declared => self.refresh(ix),
            _ => {
                ente.succeeded = false;
                self.set_timer(ix, None);
                self.set_state(ix, State::Declared, Cause::Command(command));
            }
        }
    }

    fn remove(&mut self, ix: EnteIx) {
        let mut tree = vec![ix];
        let mut next = 0;
        while let Some(ente) = tree.get(next).and_then(|ix| self.table.get(*ix)) {
            tree.extend(ente.children.iter().copied());
            next += 1;
        }
        for ix in &tree {
            if let Some(ente) = self.table.get_mut(*ix) {
                ente.removing = true;
            }
            self.unwant(*ix, Command::Remove);
        }
        // Children stand behind their parents in the list, and go first.
        for ix in tree.into_iter().rev() {
            self.sweep(ix);
        }
    }

    /// Forgets an Ente that is to be removed when nothing of it is left, and then perhaps its parent.
    pub(crate) fn sweep(&mut self, mut ix: EnteIx) {
        let gone = |ente: &Ente| ente.removing && !ente.state.is_live() && ente.children.is_empty();
        while self.table.get(ix).is_some_and(gone) {
            let Some(ente) = self.unlink(ix) else {
                return;
            };
            let id = ente.card.id;
            self.retired.note(id, ente.numbered.max(ente.incarnation));
            self.out.push(Action::Removed { id });
            let Some(parent) = ente.parent else {
                return;
            };
            ix = parent;
        }
    }

    /// Takes in a report, unless it is about something that is no more.
    pub(crate) fn report(
        &mut self,
        id: Id,
        incarnation: Incarnation,
        report: Report,
    ) -> Result<(), Refusal> {
        let Some(ix) = self.table.find(id) else {
            return Ok(());
        };
        self.fetch(ix);
        let Some(ente) = self.table.get(ix) else {
            return Ok(());
        };
        if ente.incarnation != incarnation && self.successor_reported(ix, incarnation, &report) {
            return Ok(());
        }
        let Some(ente) = self.table.get(ix) else {
            return Ok(());
        };
        if !ente.state.is_live() || ente.incarnation != incarnation || ente.is_container() {
            return Ok(());
        }
        let state = ente.state;
        match report {
            Report::Exited(status) => self.ended(ix, Some(status.bounded())),
            Report::Interrupted => self.interrupted(ix),
            Report::Alive if state == State::Ready => self.arm_liveness(ix),
            Report::NotAlive if state != State::Stopping => self.kill(ix, StopReason::NotAlive),
            Report::Liveness { ms } => self.change_liveness(ix, ms),
            Report::MoreTime { ms } => self.give_time(ix, ms),
            Report::Capabilities { adds, removes } if state != State::Stopping => {
                return self.change_provisions(ix, &adds, &removes);
            }
            Report::Started | Report::Ready { .. }
                if state == State::Starting && ente.is_sign(&report) =>
            {
                self.become_ready(ix);
            }
            // True, but it changes nothing.
            Report::Alive
            | Report::NotAlive
            | Report::Capabilities { .. }
            | Report::Started
            | Report::TookOver
            | Report::Ready { .. } => {}
        }
        Ok(())
    }

    /// A live Ente offers less or more than before.
    fn change_provisions(
        &mut self,
        ix: EnteIx,
        adds: &[Capability],
        removes: &[Capability],
    ) -> Result<(), Refusal> {
        let Some(ente) = self.table.get(ix) else {
            return Ok(());
        };
        let provides = |cap: &Capability| {
            let cap = self.index.find(cap);
            ente.provides.iter().any(|p| Some(p.cap) == cap)
        };
        let new: Vec<&Capability> = adds.iter().filter(|cap| !provides(cap)).collect();
        if let Some(capability) = own_conflict(&ente.card, new.iter().copied()) {
            let label = ente.card.label.clone();
            return Err(Refusal::OwnConflict { label, capability });
        }
        let extras = ente.provides.iter().filter(|p| p.extra).count();
        if extras + new.len() > MAX_DYNAMIC {
            return Err(Refusal::TooManyDynamic(ente.card.id));
        }
        if self.index.len() + new.len() > MAX_CAPABILITIES {
            return Err(Refusal::TooManyCapabilities);
        }
        let extras = self.enter_extras(ix, &new)?;
        for (caps, hidden) in [(removes, true), (adds, false)] {
            for cap in caps {
                if let Some(cap) = self.index.find(cap) {
                    self.hide(ix, cap, hidden);
                }
            }
        }
        for extra in extras {
            self.add_provision(ix, extra);
        }
        self.refresh_provisions(ix);
        Ok(())
    }

    /// Enters new provisions in the index, unless they would close a circle of needs.
    fn enter_extras(&mut self, ix: EnteIx, new: &[&Capability]) -> Result<Vec<Provision>, Refusal> {
        let mut extras: Vec<Provision> = Vec::new();
        for cap in new {
            let cap = self.index.enter(cap, Role::Provider, ix);
            if !extras.iter().any(|known| known.cap == cap) {
                extras.push(Provision::new(cap, true));
            }
        }
        let circle = match extras.is_empty() {
            true => None,
            false => self.find_cycle(&[ix]),
        };
        let Some(circle) = circle else {
            return Ok(extras);
        };
        for extra in extras {
            self.index.leave(extra.cap, Role::Provider, ix);
        }
        Err(Refusal::Cycle(circle))
    }

    /// The machine offers less or more than before.
    pub(crate) fn host(
        &mut self,
        adds: &[Capability],
        removes: &[Capability],
    ) -> Result<(), Refusal> {
        let known = |cap: &&Capability| self.index.find(cap).is_some();
        let new = adds.iter().filter(|cap| !known(cap)).count();
        if self.index.len() + new > MAX_CAPABILITIES {
            return Err(Refusal::TooManyCapabilities);
        }
        for (caps, offered) in [(removes, false), (adds, true)] {
            for cap in caps {
                if let Some(cap) = self.index.set_host(cap, offered) {
                    self.host_changed(cap);
                    self.index.release(cap);
                }
            }
        }
        Ok(())
    }
}
