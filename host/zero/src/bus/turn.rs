//! Requests, each connection in turn, and at most so much in one turn of the core loop: everybody else waits meanwhile.

use super::connection::Stage;
use super::limits::{CARD_BATCH, REQUEST_BATCH};
use super::{Bus, Incoming, hello};
use crate::poller::Poller;
use arje_bus::{Request, RequestFrame};
use arje_supervisor::Millis;

/// What was taken in one turn of the core loop.
#[derive(Debug, Default)]
pub struct Turn {
    requests: usize,
    /// Bytes of Cards.
    cards: usize,
}

impl Turn {
    fn is_over(&self) -> bool {
        self.requests >= REQUEST_BATCH || self.cards >= CARD_BATCH
    }

    fn took(&mut self, incoming: &Incoming) {
        self.requests += 1;
        self.cards += match incoming.frame.as_ref().map(|frame| &frame.request) {
            Ok(Request::RunCard(run)) => run.card.len(),
            // How long the file is, is not known yet.
            Ok(Request::SpawnCardFromDisk(_) | Request::StopCardFromDisk(_)) => CARD_BATCH,
            _ => 0,
        };
    }
}

impl Bus {
    /// A turn of the core loop begins.
    pub fn begin_turn(&mut self) {
        self.turn = Turn::default();
    }

    /// The next request, each connection in turn, unless enough was done in this turn of the core loop. Hellos are
    /// answered here.
    pub fn next_request(&mut self, now: Millis, poller: &mut Poller) -> Option<Incoming> {
        while !self.turn.is_over()
            && let Some(token) = self.runnable.pop_front()
        {
            let Some(connection) = self.connections.get_mut(&token) else {
                continue;
            };
            self.touched.insert(token);
            let Ok(body) = connection.next_body() else {
                self.drop_connection(token, poller);
                continue;
            };
            let Some(body) = body else {
                continue;
            };
            let incoming = match connection.stage {
                Stage::Hello => {
                    let answer = hello(connection, &body);
                    connection.push(&answer, now);
                    None
                }
                _ => Some(Incoming {
                    token,
                    caller: connection.caller.clone(),
                    frame: RequestFrame::decode(&body),
                }),
            };
            self.after_read(token, poller);
            if let Some(incoming) = incoming {
                self.turn.took(&incoming);
                return Some(incoming);
            }
        }
        None
    }

    /// Whether the next turn should begin at once.
    #[must_use]
    pub fn has_more(&self) -> bool {
        !self.runnable.is_empty() || !self.touched.is_empty() || !self.orphaned.is_empty()
    }
}
