//! Starts: of components, of processes, and of components in a process of their own.

use super::{Bodies, News};
use crate::natives::{Extras, Who, start_failed};
use crate::poller::Poller;
use crate::workers;
use arje_card::{Card, Payload};
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
