//! From a supervisor to its snapshot.

use std::collections::BTreeMap;

use arje_card::{Capability, Id};

use super::record::{CrashesRecord, EnteRecord, Offset, StopRecord, TransitionRecord};
use super::{FORMAT, ShutdownRecord, Snapshot, VERSION};
use crate::ente::{Ente, Provision};
use crate::event::Millis;
use crate::supervisor::Supervisor;

impl Supervisor {
    /// What this supervisor knows at `now`, for another one to go on with. Changes nothing.
    #[must_use]
    pub fn snapshot(&self, now: Millis) -> Snapshot {
        // As in a step: time that goes backwards is no time passed.
        let moment = self.now.max(now);
        let mut entes: Vec<&Ente> = self.table.iter().map(|(_, ente)| ente).collect();
        entes.sort_by_key(|ente| ente.rank.1);
        let mut waits = self.waits();
        let host = self.index.slots().filter(|slot| slot.host);
        Snapshot {
            format: FORMAT.to_owned(),
            version: VERSION,
            entes: entes
                .into_iter()
                .map(|ente| self.record(ente, moment, &mut waits))
                .collect(),
            host: host.map(|slot| slot.capability.clone()).collect(),
            retired: self.retired.iter().collect(),
            retired_floor: self.retired.floor(),
            shutdown: self.shutdown.map(|down| ShutdownRecord {
                kill_at: down.kill_at.map(|at| Offset::of(at, moment)),
                deadline: Offset::of(down.deadline, moment),
                complete: down.complete,
            }),
        }
    }

    /// For each stop under way, by its ticket, whose ends it waits for.
    fn waits(&self) -> BTreeMap<u64, Vec<Id>> {
        let mut waits: BTreeMap<u64, Vec<Id>> = BTreeMap::new();
        for (_, ente) in self.table.iter() {
            for (_, ticket) in &ente.frees {
                waits.entry(*ticket).or_default().push(ente.card.id);
            }
        }
        waits
    }

    fn record(
        &self,
        ente: &Ente,
        moment: Millis,
        waits: &mut BTreeMap<u64, Vec<Id>>,
    ) -> EnteRecord {
        let offset = |at| Offset::of(at, moment);
        let parent = ente.parent.and_then(|parent| self.table.get(parent));
        EnteRecord {
            card: ente.card.as_ref().clone(),
            parent: parent.map(|parent| parent.card.id),
            state: ente.state,
            since: offset(ente.since),
            wanted: ente.wanted,
            removing: ente.removing,
            succeeded: ente.succeeded,
            returning: ente.returning,
            stop: ente.stop.as_ref().map(|stop| StopRecord {
                reason: stop.reason.clone(),
                stage: stop.stage,
                waits_for: match ente.is_draining() {
                    true => waits.remove(&stop.ticket).unwrap_or_default(),
                    false => Vec::new(),
                },
            }),
            timer: ente.timer.map(offset),
            added: self.named(ente, |provision| provision.extra),
            hidden: self.named(ente, |provision| provision.hidden),
            kept: self.named(ente, |provision| provision.kept),
            routed: match ente.is_draining() {
                true => self.named(ente, |provision| provision.routed),
                // Follows from its state.
                false => Vec::new(),
            },
            crashed: ente.crashed,
            crashes: CrashesRecord {
                delay: ente.crashes.delay,
                begin: offset(ente.crashes.begin),
                count: ente.crashes.count,
            },
            incarnation: ente.incarnation,
            numbered: ente.numbered,
            former: ente.former.as_ref().map(ToString::to_string),
            starts: ente.starts,
            restarts: ente.restarts,
            started_at: ente.started_at.map(offset),
            ready_after_ms: ente.ready_after_ms,
            liveness_ms: ente.liveness_ms,
            last_exit: ente.last_exit.clone(),
            history: {
                let history = ente.history.iter();
                history.map(|it| TransitionRecord::of(it, moment)).collect()
            },
        }
    }

    fn named(&self, ente: &Ente, which: fn(&Provision) -> bool) -> Vec<Capability> {
        let provisions = ente.provides.iter().filter(|provision| which(provision));
        let slots = provisions.filter_map(|provision| self.index.get(provision.cap));
        slots.map(|slot| slot.capability.clone()).collect()
    }
}
