//! What others may know of an Ente, derived in one place, and carried to those whom a change
//! concerns.
//!
//! Nobody looks at all Entes: a change of facts changes counters of the capabilities that the
//! Ente names, and only a counter that leaves or reaches zero sends somebody to look again.

use std::collections::BTreeSet;

use arje_card::{Id, Supervision};

use crate::action::{Action, State};
use crate::ente::{Facts, Provision};
use crate::index::{CapIx, Counts, EnteIx, Role, Slot};
use crate::supervisor::Supervisor;

/// Picks one of the counters of a capability.
type Pick = fn(&mut Counts) -> &mut u32;

const OFFERS: Pick = |counts| &mut counts.offers;
const KEPT: Pick = |counts| &mut counts.kept;
const HOPES: Pick = |counts| &mut counts.hopes;
const COMING: Pick = |counts| &mut counts.coming;
const LIVE_PROVIDERS: Pick = |counts| &mut counts.live_providers;
const LIVE_RIVALS: Pick = |counts| &mut counts.live_rivals;

/// Whom to send where.
#[derive(Clone, Copy)]
struct Look {
    refresh: bool,
    check: bool,
}

const CHECK: Look = Look {
    refresh: false,
    check: true,
};
const REFRESH: Look = Look {
    refresh: true,
    check: false,
};
const BOTH: Look = Look {
    refresh: true,
    check: true,
};

impl Supervisor {
    /// Derives the facts of an Ente anew and tells those whom a change concerns.
    pub(crate) fn refresh(&mut self, ix: EnteIx) {
        self.work.looks += 1;
        let Some(new) = self.derive_facts(ix) else {
            return;
        };
        let Some(ente) = self.table.get_mut(ix) else {
            return;
        };
        let old = std::mem::replace(&mut ente.facts, new);
        self.refresh_provisions(ix);
        if old == new {
            return;
        }
        for provision in self.provided(ix).to_vec() {
            self.recount(provision.cap, provision.seen(old), provision.seen(new));
        }
        if old.present() != new.present() {
            self.recount_rivals(ix, new.present());
        }
        if old.live != new.live {
            match new.live {
                true => self.live += 1,
                false => self.live -= 1,
            }
        }
        self.tell_family(ix, old, new);
    }

    fn derive_facts(&self, ix: EnteIx) -> Option<Facts> {
        let ente = self.table.get(ix)?;
        let (state, container) = (ente.state, ente.is_container());
        let held = matches!(state, State::Waiting | State::Parked);
        let excluded = held && self.conflict_with_live(ente).is_some();
        let offering = state == State::Ready || state == State::Done && ente.succeeded;
        let up = matches!(state, State::Starting | State::Ready);
        let over = matches!(state, State::Declared | State::Failed)
            || state == State::Done && !ente.succeeded;
        let may_come = || self.parent_hoped(ente) && self.needs_hoped(ente) && !excluded;
        let hope_open = ente.wanted && !over && (up || offering || may_come());
        let hope = hope_open && !(container && ente.hopeless_children > 0);
        let missing = ente.wanted
            && ente.brief.supervision != Supervision::Delegate
            && !matches!(state, State::Ready | State::Done)
            && !ente.returning
            && !excluded;
        Some(Facts {
            live: state.is_live(),
            returning: ente.returning,
            offering,
            open: if container { up } else { offering },
            hope,
            hope_open,
            coming: hope && !offering && state != State::Backoff,
            missing,
            hopeless: missing && !hope,
        })
    }

    fn provided(&self, ix: EnteIx) -> &[Provision] {
        self.table.get(ix).map_or(&[], |ente| &ente.provides)
    }

    /// Brings what the Ente offers, and what the executor was told about it, in line.
    pub(crate) fn refresh_provisions(&mut self, ix: EnteIx) {
        for n in 0..self.provided(ix).len() {
            let Some(ente) = self.table.get_mut(ix) else {
                return;
            };
            let (offering, draining) = (ente.facts.offering, ente.is_draining());
            let (id, returning) = (ente.brief.id, ente.returning);
            let Some(provision) = ente.provides.get_mut(n) else {
                return;
            };
            let offered = offering && !provision.hidden;
            let kept = provision.kept && returning;
            let routed = offered || provision.routed && draining && !provision.hidden;
            let was = std::mem::replace(
                provision,
                Provision {
                    offered,
                    kept,
                    routed,
                    ..*provision
                },
            );
            if was.kept != kept {
                self.count_kept(was.cap, kept);
            }
            if was.offered != offered {
                self.count_offer(was.cap, offered);
            }
            if was.routed != routed {
                self.announce(was.cap, id, routed);
            }
        }
    }

    fn announce(&mut self, cap: CapIx, by: Id, routed: bool) {
        let Some(slot) = self.index.get(cap) else {
            return;
        };
        let capability = slot.capability.clone();
        self.out.push(match routed {
            true => Action::Provided { capability, by },
            false => Action::Withdrawn { capability, by },
        });
    }

    fn count_offer(&mut self, cap: CapIx, offered: bool) {
        if self.count(cap, OFFERS, offered) {
            self.look_served(cap, |slot| &slot.requirers, CHECK);
            self.look_served(cap, |slot| &slot.rivals, BOTH);
        }
    }

    pub(crate) fn count_kept(&mut self, cap: CapIx, kept: bool) {
        if self.count(cap, KEPT, kept) {
            self.look_served(cap, |slot| &slot.requirers, CHECK);
        }
    }

    /// Brings the counters of one provided capability in line with a change of facts.
    fn recount(&mut self, cap: CapIx, old: Facts, new: Facts) {
        if old.hope != new.hope && self.count(cap, HOPES, new.hope) {
            self.look_served(cap, |slot| &slot.requirers, REFRESH);
        }
        if old.coming != new.coming && self.count(cap, COMING, new.coming) {
            self.look_served(cap, |slot| &slot.followers, CHECK);
        }
        if old.present() != new.present() && self.count(cap, LIVE_PROVIDERS, new.present()) {
            self.look_served(cap, |slot| &slot.rivals, BOTH);
        }
    }

    fn recount_rivals(&mut self, ix: EnteIx, live: bool) {
        let conflicts = self.table.get(ix).map(|ente| ente.needs.conflicts.clone());
        for cap in conflicts.into_iter().flatten() {
            if !self.count(cap, LIVE_RIVALS, live) {
                continue;
            }
            let servers = self.index.servers(cap);
            let concerned: Vec<EnteIx> = servers
                .flat_map(|(_, slot)| &slot.providers)
                .copied()
                .collect();
            self.look(&concerned, BOTH);
        }
    }

    /// Counts one up or down; returns whether the counter left or reached zero.
    fn count(&mut self, cap: CapIx, pick: Pick, up: bool) -> bool {
        let Some(slot) = self.index.get_mut(cap) else {
            return false;
        };
        let counter = pick(&mut slot.counts);
        let was = *counter;
        *counter = match up {
            true => was.saturating_add(1),
            false => was.saturating_sub(1),
        };
        (was == 0) != (*counter == 0)
    }

    /// Sends those to look who name, in some role, a capability that `provided` serves.
    fn look_served(&mut self, provided: CapIx, role: fn(&Slot) -> &BTreeSet<EnteIx>, look: Look) {
        let served = self.index.served(provided);
        let concerned: Vec<EnteIx> = served.flat_map(|(_, slot)| role(slot)).copied().collect();
        self.look(&concerned, look);
    }

    fn look(&mut self, concerned: &[EnteIx], look: Look) {
        for ix in concerned {
            if look.refresh {
                self.work.refresh.insert(*ix);
            }
            if look.check {
                self.check(*ix);
            }
        }
    }

    /// Puts an Ente on the list of those to be looked at in this step.
    pub(crate) fn check(&mut self, ix: EnteIx) {
        if let Some(ente) = self.table.get(ix) {
            self.work.check.insert((ente.rank, ix));
        }
    }

    /// Tells parent and children what concerns them.
    fn tell_family(&mut self, ix: EnteIx, old: Facts, new: Facts) {
        let Some(ente) = self.table.get(ix) else {
            return;
        };
        let (id, parent) = (ente.brief.id, ente.parent);
        let container = ente.is_container();
        let hope_changed = match container {
            true => old.hope_open != new.hope_open,
            false => old.hope != new.hope,
        };
        let open_changed = old.open != new.open || old.returning != new.returning;
        if open_changed || hope_changed {
            let children: Vec<EnteIx> = ente.children.iter().copied().collect();
            let look = Look {
                refresh: hope_changed,
                check: open_changed,
            };
            self.look(&children, look);
        }
        let Some(parent_ix) = parent else {
            return;
        };
        let Some(parent) = self.table.get_mut(parent_ix) else {
            return;
        };
        if old.missing != new.missing {
            shift(&mut parent.missing_children, new.missing);
            if new.missing {
                parent.missing_child = Some(id);
            }
            self.check(parent_ix);
        }
        if old.hopeless != new.hopeless
            && let Some(parent) = self.table.get_mut(parent_ix)
        {
            shift(&mut parent.hopeless_children, new.hopeless);
            self.work.refresh.insert(parent_ix);
        }
    }

    /// The machine begins or ceases to offer a capability.
    pub(crate) fn host_changed(&mut self, cap: CapIx) {
        self.look_served(cap, |slot| &slot.requirers, BOTH);
        self.look_served(cap, |slot| &slot.rivals, BOTH);
    }

    /// Adds a provision to an Ente that may already be live. The index knows it already.
    pub(crate) fn add_provision(&mut self, ix: EnteIx, provision: Provision) {
        let Some(ente) = self.table.get_mut(ix) else {
            return;
        };
        ente.provides.push(provision);
        let facts = provision.seen(ente.facts);
        self.recount(provision.cap, Facts::default(), facts);
        self.refresh_provisions(ix);
    }

    /// The running incarnation takes one of its provisions back, or offers it again.
    pub(crate) fn hide(&mut self, ix: EnteIx, cap: CapIx, hidden: bool) {
        let Some(ente) = self.table.get_mut(ix) else {
            return;
        };
        let facts = ente.facts;
        let Some(provision) = ente.provides.iter_mut().find(|p| p.cap == cap) else {
            return;
        };
        let before = provision.seen(facts);
        provision.hidden = hidden;
        let after = provision.seen(facts);
        self.recount(cap, before, after);
    }

    /// Takes away the provisions that the ended incarnation had added, and its hiding of others.
    pub(crate) fn forget_dynamic(&mut self, ix: EnteIx) {
        self.forget_extras(ix, |_| true);
        let hidden = self.provided(ix).iter().filter(|p| p.hidden);
        let hidden: Vec<CapIx> = hidden.map(|p| p.cap).collect();
        for cap in hidden {
            self.hide(ix, cap, false);
        }
    }

    /// Takes away provisions that an incarnation had added.
    pub(crate) fn forget_extras(&mut self, ix: EnteIx, which: fn(&Provision) -> bool) {
        let Some(ente) = self.table.get_mut(ix) else {
            return;
        };
        let (facts, id) = (ente.facts, ente.brief.id);
        let extras = ente.provides.extract_if(.., |p| p.extra && which(p));
        let extras: Vec<Provision> = extras.collect();
        for extra in extras {
            if extra.offered {
                self.count_offer(extra.cap, false);
            }
            if extra.kept {
                self.count_kept(extra.cap, false);
            }
            if extra.routed {
                self.announce(extra.cap, id, false);
            }
            self.recount(extra.cap, extra.seen(facts), Facts::default());
            self.index.leave(extra.cap, Role::Provider, ix);
        }
    }
}

fn shift(counter: &mut u32, up: bool) {
    *counter = match up {
        true => counter.saturating_add(1),
        false => counter.saturating_sub(1),
    };
}
