//! Starts: of components, of processes, and of components in a process of their own.

use super::{Bodies, News};
use crate::natives::{Extras, Who, start_failed};
use crate::poller::Poller;
use crate::workers;
use arje_card::{Card, Entry, Payload};
use arje_supervisor::{ExitStatus, Incarnation, Report};
use arje_wasm::StartRequest;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;

impl Bodies {
    /// Starts a Card's payload. What can be told at once is returned.
    pub fn start(
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

    /// Whether another module can take the place of this Ente's while it runs.
    ///
    /// # Errors
    ///
    /// Why not, and what to do.
    pub fn can_be_replaced(card: &Card) -> Result<(), String> {
        let label = &card.label;
        match &card.payload {
            Payload::Wasm(_) if workers::has_body(card) => Err(format!(
                "Ente `{label}` has a body (`soma`), in which no second component runs beside it; change its Card and \
                 `ente restart` it"
            )),
            Payload::Wasm(payload) => match payload.entry {
                Entry::Service | Entry::Http => Ok(()),
                _ => Err(format!(
                    "Ente `{label}` runs once to its end (its entry is `{}`), so there is nothing to replace; change its \
                     Card and `ente restart` it",
                    payload.entry
                )),
            },
            _ => Err(format!(
                "Ente `{label}` runs no component, and only those are deployed"
            )),
        }
    }

    /// Starts a component beside the one that runs, to take its place. What can be told at once is returned.
    pub fn start_beside(&mut self, card: &Arc<Card>, incarnation: Incarnation) -> Option<News> {
        let who = Who {
            id: card.id,
            incarnation,
        };
        let start = |bodies: &mut Bodies| {
            let sockets = bodies.natives.services().duplicates(card)?;
            let request = StartRequest {
                card: Arc::clone(card),
                incarnation,
                sockets,
            };
            bodies
                .host()?
                .start_beside(request)
                .map_err(|_| start_failed("start beside it", "it does not run any more"))
        };
        let failed = start(self).err()?;
        Some(News::new(who, Report::Exited(failed)))
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
        let (ours, theirs) =
            UnixStream::pair().map_err(|error| start_failed("make the worker's socket", error))?;
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
