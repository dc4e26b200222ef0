//! Lives that ended with the host that they ran in, and their return.
//!
//! When the executor replaces itself (`docs/handover.md`), processes live on and components do not.
//! That is no fault of theirs, so they start again at once. Between their end and their being Ready
//! again they are *returning*: whoever lives and needs them goes on, for [`RETURN_MS`] at most;
//! whoever does not live yet waits until they are really Ready; their rivals stay out; and no call
//! is routed to them.

use crate::action::{Cause, State};
use crate::index::{CapIx, EnteIx};
use crate::limits::RETURN_MS;
use crate::supervisor::Supervisor;

impl Supervisor {
    /// The live incarnation of an Ente ended with its host.
    pub(crate) fn interrupted(&mut self, ix: EnteIx) {
        let Some(ente) = self.table.get(ix) else {
            return;
        };
        if ente.state == State::Stopping {
            // It was on its way down anyway.
            return self.ended(ix, None);
        }
        self.keep_offers(ix);
        if let Some(ente) = self.table.get_mut(ix) {
            ente.returning = true;
        }
        self.set_timer(ix, Some(self.now.plus(RETURN_MS)));
        self.set_state(ix, State::Waiting, Cause::Interrupted);
    }

    /// Lets what an Ente offers, or kept when it was interrupted before, count for those who live.
    /// What its incarnation had changed at run time is forgotten otherwise, as with every end; the
    /// next incarnation has to add it again.
    fn keep_offers(&mut self, ix: EnteIx) {
        let Some(ente) = self.table.get_mut(ix) else {
            return;
        };
        let mut all: Vec<(CapIx, bool, bool)> = Vec::new();
        for provision in &mut ente.provides {
            let newly = provision.offered && !provision.kept;
            provision.kept |= provision.offered;
            all.push((provision.cap, newly, provision.extra));
        }
        for (cap, newly, extra) in all {
            if newly {
                self.count_kept(cap, true);
            }
            self.hide(ix, cap, extra);
        }
        self.forget_extras(ix, |provision| !provision.kept);
    }

    /// The return of an Ente is over, well or not. The caller refreshes it.
    pub(crate) fn end_return(&mut self, ix: EnteIx) {
        let Some(ente) = self.table.get_mut(ix).filter(|ente| ente.returning) else {
            return;
        };
        ente.returning = false;
        // What this incarnation has not added again.
        self.forget_extras(ix, |provision| provision.hidden);
    }

    /// As [`Supervisor::end_return`], before its time.
    pub(crate) fn give_up_return(&mut self, ix: EnteIx) {
        if self.table.get(ix).is_some_and(|ente| ente.returning) {
            self.set_timer(ix, None);
            self.end_return(ix);
            self.refresh(ix);
        }
    }
}
