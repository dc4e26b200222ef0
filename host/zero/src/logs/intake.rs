//! What happens to a line once it has been read: it is counted against the budgets of its Ente, kept in
//! the ring, and shown.

use super::line::RawLine;
use super::talker::Talker;
use super::{Shared, Source};
use crate::console::Console;
use arje_card::Id;
use arje_wasm::Line;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Whose line it is.
#[derive(Clone, Copy)]
pub(super) struct Origin {
    pub(super) id: Id,
    pub(super) incarnation: u64,
    pub(super) source: Source,
}

/// What happens to a line.
pub(super) struct Intake {
    shared: Arc<Shared>,
    console: Console,
    /// Entes that print.
    pub(super) talkers: HashMap<Id, Talker>,
    /// Entes of which something is left to be said at the end of their window.
    owing: BTreeSet<Id>,
    /// There is something new in the rings.
    stored: bool,
}

impl Intake {
    pub(super) fn new(shared: Arc<Shared>, console: Console) -> Intake {
        Intake {
            shared,
            console,
            talkers: HashMap::new(),
            owing: BTreeSet::new(),
            stored: false,
        }
    }

    /// Whether something is left to be said at the end of a window.
    pub(super) fn owes(&self) -> bool {
        !self.owing.is_empty()
    }

    /// Somebody prints for the first time.
    pub(super) fn greet(&mut self, id: Id, label: Arc<str>) {
        let quota = self.console.quota();
        let talkers = self.talkers.entry(id);
        talkers.or_insert_with(|| Talker::new(label, quota));
    }

    /// Forgets an Ente; the pipes that it had.
    pub(super) fn forget(&mut self, id: Id) -> Vec<u64> {
        self.owing.remove(&id);
        let talker = self.talkers.remove(&id);
        talker.map_or_else(Vec::new, |talker| talker.pipes)
    }

    /// Lines are about to come.
    pub(super) fn begin(&mut self) {
        self.stored = true;
    }

    pub(super) fn take_stored(&mut self) -> bool {
        std::mem::take(&mut self.stored) && self.shared.followers.load(Ordering::Acquire) > 0
    }

    /// A line of a component. On the machine it is handled like one of a process, and the room that it
    /// held is free again as soon as it is in the ring: a console that is slow or stopped must not keep
    /// a component waiting until its call has used up its time. A developer's console shows everything,
    /// so the component waits for it.
    pub(super) fn component(&mut self, line: Line) {
        self.begin();
        let origin = Origin {
            id: line.ente,
            incarnation: line.incarnation,
            source: Source::Component(line.level),
        };
        if self.console.shows_everything() {
            self.store(origin, &line.text);
            self.console.component(line);
        } else if self.shared.rings().by_ente.contains_key(&line.ente) {
            self.greet(line.ente, Arc::clone(&line.label));
            let length = line.text.len() as u64 + 1;
            self.take(origin, length, || line.text.clone());
        } else {
            // It ended and is forgotten; nobody would ever forget it a second time.
        }
    }

    /// One line of a process.
    pub(super) fn line(&mut self, origin: Origin, line: RawLine<'_>) {
        self.take(origin, line.length(), || line.text());
    }

    /// One line of so many bytes. The time is looked up for each: it takes some 20 ns.
    fn take(&mut self, origin: Origin, length: u64, text: impl FnOnce() -> String) {
        let now = Instant::now();
        self.settle_one(origin.id, now);
        let Some(talker) = self.talkers.get_mut(&origin.id) else {
            return;
        };
        talker.incarnation = origin.incarnation;
        if !talker.keeps(length) {
            talker.unshown += 1;
            self.owing.insert(origin.id);
            return;
        }
        let text = text();
        self.store(origin, &text);
        self.show(origin, text);
    }

    fn store(&self, origin: Origin, text: &str) {
        if let Some(ring) = self.shared.rings().by_ente.get_mut(&origin.id) {
            ring.line(now_us(), origin.incarnation, origin.source, text);
        }
    }

    /// Hands a line to the console, if its Ente has room there; else it is counted.
    fn show(&mut self, origin: Origin, text: String) {
        let Some(talker) = self.talkers.get_mut(&origin.id) else {
            return;
        };
        if self.console.wants(origin.source)
            && talker.shows(text.len() as u64, self.console.window())
        {
            match talker.quota.take(text.len()) {
                Some(slot) => self.console.ente(&talker.label, origin.source, text, slot),
                None => talker.unshown += 1,
            }
        }
        if talker.owes() {
            self.owing.insert(origin.id);
        }
    }

    /// Says what was lost in windows that are over.
    pub(super) fn settle(&mut self, now: Instant) {
        let owing: Vec<Id> = self.owing.iter().copied().collect();
        for id in owing {
            self.settle_one(id, now);
        }
    }

    fn settle_one(&mut self, id: Id, now: Instant) {
        let Some(talker) = self.talkers.get_mut(&id) else {
            return;
        };
        if !talker.turn(now) || !talker.owes() {
            return;
        }
        let lost = std::mem::take(&mut talker.lost);
        if lost.lines > 0
            && let Some(ring) = self.shared.rings().by_ente.get_mut(&id)
        {
            ring.lost(now_us(), talker.incarnation, lost);
            self.stored = true;
        }
        if talker.unshown > 0 {
            let text = format!(
                "{} lines are not shown here; `ente logs` has the last ones",
                talker.unshown
            );
            if let Some(slot) = talker.quota.take(text.len()) {
                self.console.ente(&talker.label, Source::Stderr, text, slot);
                talker.unshown = 0;
            }
        }
        if !talker.owes() {
            self.owing.remove(&id);
        }
    }
}

/// Microseconds since 1970.
fn now_us() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap_or(Duration::ZERO).as_micros() as u64
}
