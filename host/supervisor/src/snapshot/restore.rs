//! From a snapshot to a supervisor that goes on with it.

use std::collections::BTreeSet;

use arje_card::{Capability, Id};

use super::record::EnteRecord;
use super::{Snapshot, SnapshotError};
use crate::action::{Action, State};
use crate::ente::{Crashes, Provision, Stage, Stop};
use crate::event::Millis;
use crate::index::{EnteIx, Role};
use crate::refusal::Refusal;
use crate::shutdown::Shutdown;
use crate::supervisor::Supervisor;

impl Supervisor {
    /// Goes on from a snapshot that was made when the clock of the events showed what it shows
    /// `now`. The actions tell an executor that knows nothing yet who provides what and when its
    /// timer is due; nothing is started or stopped by that unless a deadline has come.
    ///
    /// Signs of life are due a full `liveness_ms` from now, since nobody was there to take them.
    /// The executor then says of each incarnation that did not live to see this how it ended:
    /// [`crate::Report::Interrupted`] for those whose host is gone.
    ///
    /// # Errors
    ///
    /// What the snapshot says cannot be true. There is no supervisor then.
    pub fn restore(snapshot: Snapshot, now: Millis) -> Result<(Self, Vec<Action>), SnapshotError> {
        let mut supervisor = Self {
            now,
            ..Self::default()
        };
        supervisor.take_up(snapshot)?;
        supervisor.settle();
        while supervisor.fire_due() {
            supervisor.settle();
        }
        supervisor.finish_shutdown();
        supervisor.announce_timer();
        let actions = std::mem::take(&mut supervisor.out);
        Ok((supervisor, actions))
    }

    fn take_up(&mut self, snapshot: Snapshot) -> Result<(), SnapshotError> {
        let now = self.now;
        self.retired
            .refill(snapshot.retired, snapshot.retired_floor);
        self.shutdown = snapshot.shutdown.map(|down| Shutdown {
            kill_at: down.kill_at.map(|at| at.at(now)),
            deadline: down.deadline.at(now),
            complete: down.complete,
        });
        self.host(&snapshot.host, &[])?;
        let mut all = Vec::with_capacity(snapshot.entes.len());
        let mut waits = Vec::new();
        for mut record in snapshot.entes {
            let stop = record.stop.as_mut();
            let waits_for = stop.map(|stop| std::mem::take(&mut stop.waits_for));
            let ix = self.take_up_ente(record)?;
            all.push(ix);
            let waits_for = waits_for.filter(|ids| !ids.is_empty());
            waits.extend(waits_for.map(|ids| (ix, ids)));
        }
        for (ix, ids) in waits {
            self.take_up_waits(ix, &ids)?;
        }
        if let Some(circle) = self.find_cycle(&all) {
            return Err(Refusal::Cycle(circle).into());
        }
        for ix in all {
            self.work.refresh.insert(ix);
            self.check(ix);
            self.go_on_if_free(ix);
        }
        Ok(())
    }

    fn take_up_ente(&mut self, record: EnteRecord) -> Result<EnteIx, SnapshotError> {
        let inconsistent = |what| SnapshotError::Inconsistent {
            label: record.card.label.clone(),
            what,
        };
        record.check().map_err(inconsistent)?;
        let parent = match record.parent {
            None => None,
            Some(id) => Some(self.table.find(id).ok_or(Refusal::UnknownParent(id))?),
        };
        self.check_cards(parent, std::slice::from_ref(&record.card))?;
        let ix = self.link(parent, record.card.clone());
        self.take_up_provisions(ix, &record)?;
        self.take_up_life(ix, record);
        Ok(ix)
    }

    /// What its incarnation offers otherwise than its Card says.
    fn take_up_provisions(&mut self, ix: EnteIx, record: &EnteRecord) -> Result<(), SnapshotError> {
        for capability in &record.added {
            let cap = self.index.enter(capability, Role::Provider, ix);
            let provides = self.table.get_mut(ix).map(|ente| &mut ente.provides);
            let Some(provides) = provides.filter(|all| all.iter().all(|p| p.cap != cap)) else {
                return Err(SnapshotError::Inconsistent {
                    label: record.card.label.clone(),
                    what: "it added what it had",
                });
            };
            provides.push(Provision::new(cap, true));
        }
        let hidden = self.mark(ix, &record.hidden, |p| p.hidden = true);
        let kept = self.mark(ix, &record.kept, |p| p.kept = true);
        let routed = self.mark(ix, &record.routed, |p| p.routed = true);
        if !(hidden && kept && routed) {
            return Err(SnapshotError::Inconsistent {
                label: record.card.label.clone(),
                what: "it offers what it does not provide",
            });
        }
        for capability in &record.kept {
            if let Some(cap) = self.index.find(capability) {
                self.count_kept(cap, true);
            }
        }
        let by = record.card.id;
        let routed = record.routed.iter().cloned();
        let routed = routed.map(|capability| Action::Provided { capability, by });
        self.out.extend(routed);
        Ok(())
    }

    /// Marks provisions; whether all of them exist.
    fn mark(&mut self, ix: EnteIx, capabilities: &[Capability], set: fn(&mut Provision)) -> bool {
        let caps: Vec<_> = capabilities
            .iter()
            .map(|cap| self.index.find(cap))
            .collect();
        let distinct: BTreeSet<_> = caps.iter().copied().collect();
        let Some(ente) = self.table.get_mut(ix) else {
            return false;
        };
        let marked = ente.provides.iter_mut();
        let marked = marked.filter(|provision| distinct.contains(&Some(provision.cap)));
        let count = marked.map(set).count();
        count == caps.len()
    }

    /// A stop that waits for nobody goes on, so that no snapshot can make one hang.
    fn go_on_if_free(&mut self, ix: EnteIx) {
        let stop = self.table.get(ix).and_then(|ente| ente.stop.as_ref());
        if let Some(stop) = stop.filter(|stop| stop.stage == Stage::Draining && stop.waits_for == 0)
        {
            self.work.closing.push((ix, stop.ticket));
        }
    }

    /// Lets a stop wait for the same ends again.
    fn take_up_waits(&mut self, ix: EnteIx, ids: &[Id]) -> Result<(), SnapshotError> {
        let found = ids.iter().filter_map(|id| self.table.find(*id));
        let lives = |ix: &EnteIx| self.table.get(*ix).is_some_and(|ente| ente.state.is_live());
        let dependents: BTreeSet<EnteIx> = found.filter(lives).collect();
        let stopping = self.table.get(ix);
        let Some((ente, stop)) = stopping.and_then(|ente| Some((ente, ente.stop.as_ref()?))) else {
            return Ok(());
        };
        let all = dependents.len() == ids.len() && !dependents.contains(&ix);
        if !all || stop.stage != Stage::Draining {
            return Err(SnapshotError::Inconsistent {
                label: ente.card.label.clone(),
                what: "it waits for somebody who does not live",
            });
        }
        let ticket = stop.ticket;
        self.wait_for(ix, ticket, &dependents);
        Ok(())
    }

    fn take_up_life(&mut self, ix: EnteIx, record: EnteRecord) {
        let now = self.now;
        self.serial += 1;
        let ticket = self.serial;
        let Some(ente) = self.table.get_mut(ix) else {
            return;
        };
        ente.state = record.state;
        ente.since = record.since.at(now);
        ente.wanted = record.wanted;
        ente.removing = record.removing;
        ente.succeeded = record.succeeded;
        ente.returning = record.returning;
        ente.crashed = record.crashed;
        ente.crashes = Crashes {
            delay: record.crashes.delay,
            begin: record.crashes.begin.at(now),
            count: record.crashes.count,
        };
        ente.incarnation = record.incarnation;
        ente.numbered = record.numbered.max(record.incarnation);
        // What is no hash is none to go back to.
        let former = record.former.and_then(|pin| pin.parse().ok());
        ente.former = former.map(Box::new);
        ente.starts = record.starts;
        ente.restarts = record.restarts;
        ente.started_at = record.started_at.map(|at| at.at(now));
        ente.ready_after_ms = record.ready_after_ms;
        ente.liveness_ms = record.liveness_ms;
        ente.last_exit = record.last_exit.map(|status| status.bounded());
        let history = record.history.into_iter();
        ente.history = history.map(|it| it.at(now)).collect();
        let stop = record.stop.map(|stop| Stop {
            reason: stop.reason,
            stage: stop.stage,
            waits_for: 0,
            ticket,
        });
        ente.stop = stop.map(Box::new);
        match (record.state, record.timer) {
            (State::Ready, Some(_)) => self.arm_liveness(ix),
            (_, timer) => self.set_timer(ix, timer.map(|at| at.at(now))),
        }
    }
}
