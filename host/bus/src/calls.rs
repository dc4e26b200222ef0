//! [`Calls`]: which calls wait for which process's answer. Pure: it knows no sockets and no clock.

use std::collections::HashMap;

use arje_card::{Capability, Id};

use crate::call::CallError;
use crate::calling::CallId;
use crate::limits::MAX_CALLS;

/// A call that a provider was sent and has not answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pending<W> {
    /// Who is to answer.
    pub provider: Id,
    /// The connection on which it was sent to: the only one on which it can be answered.
    pub connection: u64,
    /// Under which capability it was asked.
    pub capability: Capability,
    /// The connection on which it was asked; none for a component.
    pub caller: Option<u64>,
    /// When the caller gives up, in milliseconds on the clock of whoever calls [`Calls::expire`].
    pub deadline: u64,
    /// Whoever waits for the answer.
    pub waiter: W,
}

/// The calls that wait. Each ends exactly once: it is answered, its deadline passes, its provider ends or takes the
/// capability back, its connection closes, or its caller goes away.
///
/// One table, and whoever looks for several goes through all of it: some hundred at most, unless many providers are
/// stuck, and [`MAX_CALLS`] take a tenth of a millisecond.
#[derive(Debug)]
pub struct Calls<W> {
    pending: HashMap<CallId, Pending<W>>,
    /// How many each provider has.
    counts: HashMap<Id, usize>,
    /// No deadline comes before this one.
    earliest: Option<u64>,
}

impl<W> Default for Calls<W> {
    fn default() -> Self {
        Self {
            pending: HashMap::new(),
            counts: HashMap::new(),
            earliest: None,
        }
    }
}

impl<W> Calls<W> {
    /// How many wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.pending.len()
    }

    /// Whether none waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }

    /// Whether a provider that may have `mailbox` calls waiting has room for one more.
    ///
    /// # Errors
    /// [`CallError::Overloaded`].
    pub fn room(&self, provider: Id, mailbox: usize) -> Result<(), CallError> {
        let waiting = self.counts.get(&provider).copied().unwrap_or_default();
        if waiting < mailbox && self.pending.len() < MAX_CALLS {
            Ok(())
        } else {
            Err(CallError::Overloaded)
        }
    }

    /// Takes in a call that is about to be sent. A caller has looked for [`room`](Self::room) before, and made the id
    /// of random bytes.
    pub fn insert(&mut self, id: CallId, call: Pending<W>) {
        let deadline = call.deadline;
        self.earliest = Some(self.earliest.map_or(deadline, |at| at.min(deadline)));
        *self.counts.entry(call.provider).or_default() += 1;
        self.pending.insert(id, call);
    }

    /// An answer came on this connection. Whoever waits for it, if this call was sent there and still waits.
    pub fn answer(&mut self, id: CallId, connection: u64) -> Option<W> {
        let call = self.pending.get(&id)?;
        (call.connection == connection).then_some(())?;
        self.take(id)
    }

    /// When [`expire`](Self::expire) is to be called: at the earliest deadline, or before, where whoever had it is
    /// answered already.
    #[must_use]
    pub const fn next_deadline(&self) -> Option<u64> {
        self.earliest
    }

    /// Ends the calls whose deadlines have passed.
    pub fn expire(&mut self, now: u64) -> Vec<W> {
        if self.earliest.is_none_or(|at| at > now) {
            return Vec::new();
        }
        let ended = self.end(|call| call.deadline <= now);
        self.earliest = self.pending.values().map(|call| call.deadline).min();
        ended
    }

    /// A connection is closed: ends the calls that were sent there, and forgets those that were asked there. The
    /// waiters of the former.
    pub fn disconnected(&mut self, connection: u64) -> Vec<W> {
        drop(self.end(|call| call.caller == Some(connection)));
        self.unanswerable(connection)
    }

    /// Nothing more comes from a connection, which may still take answers: ends the calls that were sent there.
    pub fn unanswerable(&mut self, connection: u64) -> Vec<W> {
        self.end(|call| call.connection == connection)
    }

    /// A provider no longer serves this capability: ends the calls that it was sent under it, or under an older
    /// version that it stood in for.
    pub fn withdraw(&mut self, provider: Id, capability: &Capability) -> Vec<W> {
        self.end(|call| call.provider == provider && capability.satisfies(&call.capability))
    }

    /// A provider's life is over: ends all calls that it was sent.
    pub fn ended(&mut self, provider: Id) -> Vec<W> {
        self.end(|call| call.provider == provider)
    }

    /// Forgets the calls that these waiters no longer wait for.
    pub fn forget(&mut self, is_gone: impl Fn(&W) -> bool) {
        drop(self.end(|call| is_gone(&call.waiter)));
    }

    fn end(&mut self, which: impl Fn(&Pending<W>) -> bool) -> Vec<W> {
        let ids = self.pending.iter().filter(|(_, call)| which(call));
        let ids: Vec<CallId> = ids.map(|(id, _)| *id).collect();
        ids.into_iter().filter_map(|id| self.take(id)).collect()
    }

    fn take(&mut self, id: CallId) -> Option<W> {
        let call = self.pending.remove(&id)?;
        if let Some(count) = self.counts.get_mut(&call.provider) {
            *count -= 1;
            if *count == 0 {
                self.counts.remove(&call.provider);
            }
        }
        if self.pending.is_empty() {
            self.earliest = None;
        }
        Some(call.waiter)
    }
}

#[cfg(test)]
mod tests;
