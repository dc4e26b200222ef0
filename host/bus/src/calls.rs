//! [`Calls`]: which calls wait for which process's answer. Pure: it knows no sockets and no clock.

use std::collections::{BTreeSet, HashMap};

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
    /// Where it was asked.
    pub caller: Asked,
    /// When the caller gives up, in milliseconds on the clock of whoever calls [`Calls::expire`].
    pub deadline: u64,
    /// Whoever waits for the answer.
    pub waiter: W,
}

/// Where a call was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Asked {
    /// On this connection.
    On(u64),
    /// By the component of this Ente, which has none.
    By(Id),
}

/// By what a call is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    /// Who is to answer.
    Provider(Id),
    /// Where the answer is to come.
    Connection(u64),
    /// Where it was asked.
    Caller(Asked),
    /// When its caller gives up. The last: whatever comes after a time is due later.
    Deadline(u64),
}

/// The smallest and the largest id.
const FIRST: CallId = CallId([0; 16]);
const LAST: CallId = CallId([u8::MAX; 16]);

/// The calls that wait. Each ends exactly once: it is answered, its deadline passes, its provider ends or takes the
/// capability back, its connection closes, or its caller goes away. What that costs follows from how many calls it
/// concerns, and not from how many there are.
#[derive(Debug)]
pub struct Calls<W> {
    pending: HashMap<CallId, Pending<W>>,
    /// How many each provider has.
    counts: HashMap<Id, usize>,
    /// Each call under each of its keys.
    index: BTreeSet<(Key, CallId)>,
}

impl<W> Pending<W> {
    fn keys(&self) -> [Key; 4] {
        [
            Key::Provider(self.provider),
            Key::Connection(self.connection),
            Key::Caller(self.caller),
            Key::Deadline(self.deadline),
        ]
    }
}

impl<W> Default for Calls<W> {
    fn default() -> Self {
        Self {
            pending: HashMap::new(),
            counts: HashMap::new(),
            index: BTreeSet::new(),
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
        self.index.extend(call.keys().map(|key| (key, id)));
        *self.counts.entry(call.provider).or_default() += 1;
        self.pending.insert(id, call);
    }

    /// An answer came on this connection. Whoever waits for it, if this call was sent there and still waits.
    pub fn answer(&mut self, id: CallId, connection: u64) -> Option<W> {
        let call = self.pending.get(&id)?;
        (call.connection == connection).then_some(())?;
        self.take(id)
    }

    /// When [`expire`](Self::expire) is to be called.
    #[must_use]
    pub fn next_deadline(&self) -> Option<u64> {
        let first = (Key::Deadline(0), FIRST);
        match self.index.range(first..).next() {
            Some((Key::Deadline(at), _)) => Some(*at),
            _ => None,
        }
    }

    /// Ends the calls whose deadlines have passed.
    pub fn expire(&mut self, now: u64) -> Vec<W> {
        self.end(Key::Deadline(0), Key::Deadline(now), |_| true)
    }

    /// A connection is closed: ends the calls that were sent there, and forgets those that were asked there. The
    /// waiters of the former.
    pub fn disconnected(&mut self, connection: u64) -> Vec<W> {
        let asked = Key::Caller(Asked::On(connection));
        drop(self.end(asked, asked, |_| true));
        self.unanswerable(connection)
    }

    /// Nothing more comes from a connection, which may still take answers: ends the calls that were sent there.
    pub fn unanswerable(&mut self, connection: u64) -> Vec<W> {
        let sent = Key::Connection(connection);
        self.end(sent, sent, |_| true)
    }

    /// A provider no longer serves this capability: ends the calls that it was sent under it, or under an older
    /// version that it stood in for.
    pub fn withdraw(&mut self, provider: Id, capability: &Capability) -> Vec<W> {
        let its = Key::Provider(provider);
        self.end(its, its, |call| capability.satisfies(&call.capability))
    }

    /// A provider's life is over: ends all calls that it was sent.
    pub fn ended(&mut self, provider: Id) -> Vec<W> {
        let its = Key::Provider(provider);
        self.end(its, its, |_| true)
    }

    /// Forgets the calls of this Ente's component whose waiters no longer wait for them.
    pub fn forget(&mut self, ente: Id, is_gone: impl Fn(&W) -> bool) {
        let its = Key::Caller(Asked::By(ente));
        drop(self.end(its, its, |call| is_gone(&call.waiter)));
    }

    /// Ends those of the calls from one key to another for which this holds.
    fn end(&mut self, from: Key, to: Key, which: impl Fn(&Pending<W>) -> bool) -> Vec<W> {
        let found = self.index.range((from, FIRST)..=(to, LAST));
        let ids: Vec<CallId> = found
            .filter(|(_, id)| self.pending.get(id).is_some_and(&which))
            .map(|(_, id)| *id)
            .collect();
        ids.into_iter().filter_map(|id| self.take(id)).collect()
    }

    fn take(&mut self, id: CallId) -> Option<W> {
        let call = self.pending.remove(&id)?;
        for key in call.keys() {
            self.index.remove(&(key, id));
        }
        if let Some(count) = self.counts.get_mut(&call.provider) {
            *count -= 1;
            if *count == 0 {
                self.counts.remove(&call.provider);
            }
        }
        Some(call.waiter)
    }
}

#[cfg(test)]
mod tests;
