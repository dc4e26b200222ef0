//! Asks for the memory of a step before the step.

use std::hint::black_box;

use crate::index::EnteIx;
use crate::supervisor::Supervisor;

impl Supervisor {
    /// Reads a little of everything that a step about this Ente is going to read. With many Entes none of it is
    /// in the processor's caches. A step comes upon one place after another, with a decision between each two, and
    /// waits for memory each time; what is read here depends on no decision, so the processor waits for
    /// most of it at once.
    pub(crate) fn fetch(&self, ix: EnteIx) {
        let Some(ente) = self.table.get(ix) else {
            return;
        };
        ente.fetch();
        if let Some(cap) = ente.needs.requires.first() {
            self.index.fetch(*cap);
        }
        if let Some(provision) = ente.provides.first() {
            self.index.fetch(provision.cap);
        }
        // Those that are about to be overwritten, when it is full.
        let (first, third) = (ente.history.front(), ente.history.get(2));
        black_box((first.map(|it| it.to), third.map(|it| it.to)));
    }
}
