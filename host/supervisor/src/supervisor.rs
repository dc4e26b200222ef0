//! The supervisor's front: one event in, what follows from it out.

use std::collections::BTreeSet;
use std::sync::Arc;

use arje_card::{Card, Id};

use crate::action::Action;
use crate::ente::Rank;
use crate::event::{Event, EventKind, Millis};
use crate::index::{EnteIx, Index};
use crate::refusal::Refusal;
use crate::shutdown::Shutdown;
use crate::status::{EnteStatus, Usage};
use crate::table::{Retired, Table};

/// The life of all Entes: a value that changes only in [`Supervisor::step`].
#[derive(Default)]
pub struct Supervisor {
    pub(crate) now: Millis,
    pub(crate) table: Table,
    pub(crate) index: Index,
    pub(crate) timers: BTreeSet<(Millis, EnteIx)>,
    pub(crate) work: Work,
    /// Entes with a live incarnation.
    pub(crate) live: usize,
    /// The last number given to an Ente at adoption, and to a stop.
    pub(crate) serial: u64,
    pub(crate) retired: Retired,
    pub(crate) shutdown: Option<Shutdown>,
    /// What the executor was last told to set its timer to.
    pub(crate) timer_sent: Option<Millis>,
    pub(crate) out: Vec<Action>,
}

/// What is still to be looked at before the current step is over. The lists are empty between steps.
#[derive(Default)]
pub(crate) struct Work {
    /// Entes whose [`crate::ente::Facts`] may be outdated.
    pub refresh: BTreeSet<EnteIx>,
    /// Entes that may have to start, to stop or to become ready, in the order in which they may.
    pub check: BTreeSet<(Rank, EnteIx)>,
    /// Stops begun in this round, by ticket.
    pub closing: Vec<(EnteIx, u64)>,
    /// Entes looked at so far.
    pub looks: u64,
}

impl Supervisor {
    /// A supervisor without Entes.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes in one event and returns what is to be done, in order.
    ///
    /// # Errors
    ///
    /// A [`Refusal`] says why the event was not accepted; then nothing has changed. Of the reports,
    /// only [`crate::Report::Capabilities`] can be refused; late and doubled ones are ignored.
    pub fn step(&mut self, event: Event) -> Result<Vec<Action>, Refusal> {
        // Time that goes backwards is no time passed.
        self.now = self.now.max(event.at);
        self.accept(event.kind)?;
        self.settle();
        // An action may have left a deadline that is due at once (a grace time of 0).
        while self.fire_due() {
            self.settle();
        }
        self.finish_shutdown();
        self.announce_timer();
        Ok(std::mem::take(&mut self.out))
    }

    fn accept(&mut self, kind: EventKind) -> Result<(), Refusal> {
        match kind {
            EventKind::Adopt { parent, cards } => self.adopt(parent, cards),
            EventKind::Report {
                id,
                incarnation,
                report,
            } => self.report(id, incarnation, report),
            EventKind::HostCapabilities { adds, removes } => self.host(&adds, &removes),
            EventKind::Command { id, command } => self.command(id, command),
            EventKind::Succeed { id, module } => self.succeed(id, module),
            EventKind::Shutdown { deadline_ms } => {
                self.shut_down(deadline_ms);
                Ok(())
            }
            EventKind::Timer => {
                // The executor's timer is spent, even if it came too early: tell it again.
                self.timer_sent = None;
                Ok(())
            }
        }
    }

    /// The Card of an Ente, with an empty `genesis` (its children are Entes of their own) and its
    /// `lineage` filled in. Shared, so that an executor may keep it beyond the next step.
    #[must_use]
    pub fn card(&self, id: Id) -> Option<&Arc<Card>> {
        Some(&self.table.get(self.table.find(id)?)?.card)
    }

    /// The id of the Ente with this label.
    #[must_use]
    pub fn id_of(&self, label: &str) -> Option<Id> {
        let ente = self.table.get(self.table.find_label(label)?)?;
        Some(ente.card.id)
    }

    /// The children of an Ente, in order of adoption; none for an unknown one.
    #[must_use]
    pub fn children(&self, id: Id) -> Vec<Id> {
        let ente = self.table.find(id).and_then(|ix| self.table.get(ix));
        let children = ente.into_iter().flat_map(|ente| &ente.children);
        let mut children: Vec<_> = children.filter_map(|ix| self.table.get(*ix)).collect();
        children.sort_by_key(|child| child.rank.1);
        children.iter().map(|child| child.card.id).collect()
    }

    /// One Ente as it is now.
    #[must_use]
    pub fn status(&self, id: Id) -> Option<EnteStatus<'_>> {
        self.status_at(self.table.find(id)?)
    }

    /// All Entes as they are now, in order of id.
    pub fn statuses(&self) -> impl Iterator<Item = EnteStatus<'_>> {
        self.table.iter().filter_map(|(ix, _)| self.status_at(ix))
    }

    /// As [`statuses`](Self::statuses), from the one after this id on: a list in pages costs what the
    /// pages hold.
    pub fn statuses_after(&self, id: Option<Id>) -> impl Iterator<Item = EnteStatus<'_>> {
        self.table
            .iter_after(id)
            .filter_map(|(ix, _)| self.status_at(ix))
    }

    fn status_at(&self, ix: EnteIx) -> Option<EnteStatus<'_>> {
        let ente = self.table.get(ix)?;
        let parent = ente.parent.and_then(|parent| self.table.get(parent));
        Some(EnteStatus {
            id: ente.card.id,
            label: &ente.card.label,
            parent: parent.map(|parent| parent.card.id),
            state: ente.state,
            since: ente.since,
            wanted: ente.wanted,
            incarnation: ente.incarnation,
            successor: ente.successor.as_ref().map(|it| it.incarnation),
            former: ente.former.as_deref().copied(),
            starts: ente.starts,
            restarts: ente.restarts,
            started_at: ente.started_at,
            ready_after_ms: ente.ready_after_ms,
            last_exit: ente.last_exit.as_ref(),
            next: ente.timer,
            held_by: match self.is_held(ente) {
                true => self.find_hold(ix),
                false => self.missing_child(ente),
            },
            history: &ente.history,
        })
    }

    /// How much the supervisor keeps.
    #[must_use]
    pub fn usage(&self) -> Usage {
        Usage {
            entes: self.table.len(),
            live: self.live,
            capabilities: self.index.len(),
            timers: self.timers.len(),
            retired: self.retired.len(),
            looks: self.work.looks,
        }
    }

    /// Whether a shutdown has begun.
    #[must_use]
    pub const fn is_shutting_down(&self) -> bool {
        self.shutdown.is_some()
    }
}
