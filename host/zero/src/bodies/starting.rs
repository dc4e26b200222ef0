//! Starts: of components at once, of processes as soon as one more of them may be on its way to its
//! exec.
//!
//! Only so many may be on that way at a time (`docs/native.md`). Whoever is to start beyond that waits
//! here for its turn: its start does not fail, and the loop does not stand still for it. Every process on
//! the way ends that by a report on its status pipe or by its death, both of which wake the loop, so
//! somebody who waits is always come back to.

use super::{Bodies, News};
use crate::natives::{Extras, Who};
use crate::poller::Poller;
use crate::workers;
use arje_card::{Card, Id, Payload};
use arje_supervisor::{ExitStatus, Incarnation, Report};
use arje_wasm::StartRequest;
use nix::sys::signal::Signal;
use std::collections::{BTreeMap, HashMap};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;

/// Starts of processes that wait for their turn: at most one for each Ente, as it has one incarnation at
/// a time.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    /// In the order in which they came.
    starts: BTreeMap<u64, (Arc<Card>, Incarnation)>,
    place: HashMap<Id, u64>,
    next: u64,
}

impl Waiting {
    fn is_empty(&self) -> bool {
        self.starts.is_empty()
    }

    fn push(&mut self, card: Arc<Card>, incarnation: Incarnation) {
        // The supervisor waits for the end of an incarnation, so there is no earlier one; if there
        // were, nobody would ask for it any more.
        self.take(card.id);
        self.place.insert(card.id, self.next);
        self.starts.insert(self.next, (card, incarnation));
        self.next += 1; // 2^64 starts are out of reach
    }

    fn pop(&mut self) -> Option<(Arc<Card>, Incarnation)> {
        let (_, start) = self.starts.pop_first()?;
        self.place.remove(&start.0.id);
        Some(start)
    }

    fn take(&mut self, id: Id) -> Option<(Arc<Card>, Incarnation)> {
        self.starts.remove(&self.place.remove(&id)?)
    }

    pub(super) fn has(&self, who: Who) -> bool {
        let place = self.place.get(&who.id);
        let start = place.and_then(|place| self.starts.get(place));
        start.is_some_and(|(_, incarnation)| *incarnation == who.incarnation)
    }
}

impl Bodies {
    /// Starts a Card's payload, a process perhaps only when it is its turn. What can be told at once is
    /// returned.
    pub fn start(
        &mut self,
        card: &Arc<Card>,
        incarnation: Incarnation,
        poller: &mut Poller,
    ) -> Option<News> {
        let in_process = match card.payload {
            Payload::Wasm(_) => workers::has_body(card),
            Payload::Native(_) | Payload::Legacy(_) => true,
            Payload::Virtual => false,
        };
        if in_process && !(self.waiting.is_empty() && self.natives.has_room()) {
            self.waiting.push(Arc::clone(card), incarnation);
            return None;
        }
        self.begin(card, incarnation, poller)
    }

    /// Starts those whose turn it is now; what can be told at once. To be called in every turn of the
    /// loop.
    pub fn start_waiting(&mut self, poller: &mut Poller) -> Vec<News> {
        let mut news = Vec::new();
        while !self.waiting.is_empty() && self.natives.has_room() {
            if let Some((card, incarnation)) = self.waiting.pop() {
                news.extend(self.begin(&card, incarnation, poller));
            }
        }
        news
    }

    /// Ends an incarnation that waits for its turn, as if this signal had ended its process; the end to
    /// tell. `None` if it does not wait.
    pub fn withdraw(&mut self, who: Who, signal: Signal) -> Option<News> {
        if !self.waiting.has(who) {
            return None;
        }
        self.waiting.take(who.id);
        let status = ExitStatus::Signal(signal as i32);
        Some(News::new(who, Report::Exited(status)))
    }

    fn begin(
        &mut self,
        card: &Arc<Card>,
        incarnation: Incarnation,
        poller: &mut Poller,
    ) -> Option<News> {
        let who = Who {
            id: card.id,
            incarnation,
        };
        self.logs.open(card.id);
        let failed = match &card.payload {
            Payload::Wasm(_) if workers::has_body(card) => self.start_worker(card, who, poller),
            Payload::Wasm(_) => self.start_wasm(card, incarnation),
            Payload::Native(_) | Payload::Legacy(_) => {
                self.natives.start(card, incarnation, poller)
            }
            // The supervisor does not start containers; if it did, they would be up at once.
            Payload::Virtual => return Some(News::new(who, Report::Started)),
        };
        failed
            .err()
            .map(|status| News::new(who, Report::Exited(status)))
    }

    fn start_wasm(&mut self, card: &Arc<Card>, incarnation: Incarnation) -> Result<(), ExitStatus> {
        let sockets = self.natives.services().duplicates(card)?;
        self.host()?.start(StartRequest {
            card: Arc::clone(card),
            incarnation,
            sockets,
        });
        Ok(())
    }

    /// Starts a component in a process of its own.
    fn start_worker(
        &mut self,
        card: &Arc<Card>,
        who: Who,
        poller: &mut Poller,
    ) -> Result<(), ExitStatus> {
        self.host()?;
        let sockets = self.natives.services().duplicates(card)?;
        let (ours, theirs) = UnixStream::pair()
            .map_err(|error| super::failed("make the worker's socket")(error.to_string()))?;
        let extras = Extras {
            passed: &[theirs.as_fd()],
            worker: Some(self.workers.program()),
        };
        self.natives
            .start_with(card, who.incarnation, extras, poller)?;
        self.workers.began(who);
        self.host()?.start_remote(
            StartRequest {
                card: Arc::clone(card),
                incarnation: who.incarnation,
                sockets,
            },
            ours,
        );
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arje_card::Supervision;

    fn card(number: u8) -> Arc<Card> {
        let id = Id::from_bytes([number; 16]);
        Arc::new(Card::new(id, "x", Payload::Virtual, Supervision::OneShot))
    }

    #[test]
    fn whoever_came_first_starts_first_and_the_withdrawn_does_not() {
        let mut waiting = Waiting::default();
        for number in [3, 1, 2] {
            waiting.push(card(number), 7);
        }
        let who = |number, incarnation| Who {
            id: Id::from_bytes([number; 16]),
            incarnation,
        };
        assert!(waiting.has(who(1, 7)) && !waiting.has(who(1, 6)));
        assert!(waiting.take(who(1, 7).id).is_some());
        assert!(!waiting.has(who(1, 7)));
        let order: Vec<Id> = std::iter::from_fn(|| waiting.pop())
            .map(|(card, _)| card.id)
            .collect();
        assert_eq!(order, [who(3, 7).id, who(2, 7).id]);
        assert!(waiting.is_empty() && waiting.place.is_empty());
    }

    #[test]
    fn an_ente_waits_once() {
        let mut waiting = Waiting::default();
        waiting.push(card(1), 1);
        waiting.push(card(1), 2);
        assert_eq!(waiting.pop().map(|(_, incarnation)| incarnation), Some(2));
        assert!(waiting.pop().is_none());
    }
}
