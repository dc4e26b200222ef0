//! Hot deployment: how one incarnation takes another one's place without a call being lost.
//!
//! The successor starts beside the one that answers, and shows that it is well. Then it asks for the *estate*: the calls
//! that wait, and the state, if both know `arje:state/handoff`. From then on the old one answers nothing; its mailbox
//! stays the same, so that whoever calls notices only that it takes a moment longer. The successor takes the state in,
//! becomes the one that is found, and answers. If it fails before that, the estate goes back and the old one goes on with
//! the next call.

use crate::calls::{Messages, typed};
use crate::event::End;
use crate::loader::Loaded;
use arje_card::{Capability, Card};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// What an incarnation leaves to its successor. Dropped without being accepted, it goes back.
pub(crate) struct Estate {
    messages: Option<Messages>,
    state: Option<Vec<u8>>,
    verdict: Option<oneshot::Sender<Verdict>>,
    since: Instant,
}

/// What became of an estate.
pub(crate) enum Verdict {
    /// The successor answers from now on.
    Accepted,
    /// It does not; here are the calls that wait.
    Returned(Messages),
}

/// Who wants an estate.
pub(crate) struct Heir {
    /// Whether it knows what to do with a state.
    pub(crate) takes_state: bool,
    /// Where the estate goes.
    pub(crate) to: oneshot::Sender<Estate>,
}

impl Estate {
    /// The estate of an incarnation that answers nothing since then, and where it learns what became of it.
    pub(crate) fn new(
        messages: Messages,
        state: Option<Vec<u8>>,
        since: Instant,
    ) -> (Estate, oneshot::Receiver<Verdict>) {
        let (verdict, heard) = oneshot::channel();
        let estate = Estate {
            messages: Some(messages),
            state,
            verdict: Some(verdict),
            since,
        };
        (estate, heard)
    }

    /// The state, once.
    pub(crate) fn take_state(&mut self) -> Option<Vec<u8>> {
        self.state.take()
    }

    /// Accepts it: the calls that wait. `tell` hears for how long nobody has answered, before the old one learns of it and
    /// ends: were its end told first, it would be that of the one that answers, a crash.
    pub(crate) fn accept(mut self, tell: impl FnOnce(Duration)) -> Option<Messages> {
        let messages = self.messages.take()?;
        tell(self.since.elapsed());
        if let Some(verdict) = self.verdict.take() {
            let _ = verdict.send(Verdict::Accepted); // the old one may have been killed
        }
        Some(messages)
    }
}

impl Drop for Estate {
    fn drop(&mut self) {
        if let (Some(messages), Some(verdict)) = (self.messages.take(), self.verdict.take()) {
            let _ = verdict.send(Verdict::Returned(messages)); // the old one may have been killed
        }
    }
}

/// Whether a component can stand in for another one: it answers to whatever that one answers to, with the same types.
///
/// # Errors
///
/// What it lacks.
pub(crate) fn can_replace(card: &Card, old: &Loaded, new: &Loaded) -> Result<(), End> {
    for capability in &card.provides {
        if let Capability::Wit(interface) = capability {
            typed::same_exports(&interface.to_string(), old, new).map_err(End::Incompatible)?;
        } else if old.exports.handle.is_some() && new.exports.handle.is_none() {
            return Err(End::Incompatible(format!(
                "the component does not export arje:bus/handler, with which the one that it is to replace answers to \
                 {capability}; build it with"
            )));
        }
    }
    Ok(())
}
