//! Calls to processes: sent on the connection on which the provider announced itself, answered on the same one.
//!
//! Which calls wait is `arje_bus::Calls`' business; here they meet the connections. Nothing waits for anybody: a call
//! that cannot be sent at once, because its provider does not read, has its outcome at once.

use super::caller::Caller;
use super::connection::{Connection, Stage};
use super::limits::MAX_INVOKES;
use super::{Bus, Response};
use arje_bus::{
    Answer, Asked, BusError, Call, CallError, CallFrom, CallId, DEFAULT_DEADLINE, ErrorCode,
    Invoked, Origin, Pending,
    limits::{MAX_DEADLINE_MS, MAX_FRAME},
};
use arje_card::{Capability, Card, Id};
use arje_supervisor::{Incarnation, Millis};

/// What a call came to.
pub type Outcome = Result<Vec<u8>, CallError>;

/// Who waits for the outcome of a call.
pub enum Waiter {
    /// A request on a connection.
    Peer {
        /// The connection.
        token: u64,
        /// The request.
        serial: u32,
    },
    /// A component.
    Component(Box<dyn Asking>),
}

/// A call under way elsewhere, given up when this is dropped.
pub trait UnderWay {
    /// Whether it has come to its end already.
    fn is_over(&self) -> bool;
}

/// A component that asks.
pub trait Asking: Send {
    /// Takes the outcome.
    fn tell(self: Box<Self>, outcome: Outcome);
    /// Whether it does not wait any more: it has ended.
    fn is_gone(&self) -> bool;
}

/// Where a call is to go.
pub struct Destination<'a> {
    /// The provider's Card.
    pub card: &'a Card,
    /// The life in which it provides.
    pub incarnation: Incarnation,
}

/// What is asked.
pub struct Question {
    /// Who asks.
    pub caller: arje_bus::Caller,
    /// Under which capability.
    pub capability: Capability,
    /// With which bytes.
    pub payload: Vec<u8>,
    /// When the caller gives up.
    pub deadline: Millis,
}

impl Caller {
    /// As providers see it.
    #[must_use]
    pub fn to_providers(&self) -> arje_bus::Caller {
        arje_bus::Caller {
            card: self.ente.as_ref().map(|member| member.card.clone()),
            origin: Origin::Process {
                pid: self.pid,
                uid: self.uid,
                gid: self.gid,
            },
        }
    }
}

/// When a caller gives up that allows this many milliseconds.
#[must_use]
pub fn deadline(now: Millis, deadline_ms: u64) -> Millis {
    now.plus(match deadline_ms {
        0 => DEFAULT_DEADLINE.as_millis() as u64,
        some => some.min(MAX_DEADLINE_MS),
    })
}

impl Bus {
    /// From now on calls to the Ente behind this connection go there.
    pub fn announce(&mut self, token: u64) {
        let member = |connection: &Connection| Some(connection.caller.ente.as_ref()?.card.id);
        if let Some(id) = self.connections.get(&token).and_then(member) {
            self.announced.insert(id, token);
            self.routes.reach(id, true);
        }
    }

    /// Calls go no longer to the connection on which this Ente announced itself.
    fn unannounce(&mut self, id: Id) {
        if self.announced.remove(&id).is_some() {
            self.routes.reach(id, false);
        }
    }

    /// A peer sends nothing more: it answers none of the calls that it was sent, and is to be sent no others.
    pub(super) fn said_all(&mut self, token: u64) {
        self.orphaned.extend(self.calls.unanswerable(token));
        if let Some(id) = self.announced_on(token) {
            self.unannounce(id);
        }
    }

    /// The Ente that takes its calls on this connection.
    fn announced_on(&self, token: u64) -> Option<Id> {
        let member = self.connections.get(&token)?.caller.ente.as_ref()?;
        let id = member.card.id;
        (self.announced.get(&id) == Some(&token)).then_some(id)
    }

    /// Counts one more call whose outcome this connection waits for.
    ///
    /// # Errors
    ///
    /// It waits for as many as it may.
    pub fn begin_call(&mut self, token: u64) -> Result<(), BusError> {
        let Some(connection) = self.connections.get_mut(&token) else {
            return Ok(());
        };
        if connection.awaited >= MAX_INVOKES {
            let message =
                format!("{MAX_INVOKES} calls of this connection are under way, which is the most");
            return Err(BusError::new(ErrorCode::Busy, message));
        }
        connection.awaited += 1;
        Ok(())
    }

    /// The outcome that was to come later has come.
    pub fn end_call(&mut self, token: u64) {
        if let Some(connection) = self.connections.get_mut(&token) {
            connection.awaited = connection.awaited.saturating_sub(1);
            self.touched.insert(token);
        }
    }

    /// Something under way for this connection, which ends when it is dropped: with the connection at the latest.
    pub fn hold(&mut self, token: u64, under_way: Box<dyn UnderWay>) {
        if let Some(connection) = self.connections.get_mut(&token) {
            // As many are left as calls may be under way.
            connection.under_way.retain(|one| !one.is_over());
            connection.under_way.push(under_way);
        }
    }

    /// A component of this Ente has ended, or one that was to take its place: forgets what it asked.
    pub fn asker_ended(&mut self, id: Id) {
        self.calls.forget(id, |waiter| match waiter {
            Waiter::Component(asking) => asking.is_gone(),
            Waiter::Peer { .. } => false,
        });
    }

    /// Sends a call to a process. Its outcome comes by [`settle`](Self::settle), perhaps at once.
    pub fn send_call(
        &mut self,
        to: &Destination<'_>,
        question: Question,
        waiter: Waiter,
        now: Millis,
    ) {
        if let Err((error, waiter)) = self.try_call(to, question, waiter, now) {
            self.settle(waiter, Err(error), now);
        }
    }

    fn try_call(
        &mut self,
        to: &Destination<'_>,
        question: Question,
        waiter: Waiter,
        now: Millis,
    ) -> Result<(), (CallError, Waiter)> {
        let id = to.card.id;
        let found = self.announced.get(&id).copied();
        let connection = found.and_then(|token| Some((token, self.connections.get_mut(&token)?)));
        let Some((token, connection)) = connection.filter(|(_, connection)| {
            let member = connection.caller.ente.as_ref();
            connection.can_be_asked() && member.map(|one| one.incarnation) == Some(to.incarnation)
        }) else {
            return Err((CallError::NoProvider, waiter));
        };
        let mailbox = to.card.limits.mailbox as usize;
        let room = self.calls.room(id, mailbox);
        let size = question.payload.len();
        let by = question.caller.card.as_ref().map(|card| card.id);
        // Then there is still room for what answers its own requests.
        let (owner, more) = (connection.caller.owner(), size + MAX_FRAME);
        let fits = self
            .quotas
            .has_room_outbound(owner, connection.waiting(), more);
        let (Ok(()), true, Some(call)) = (room, fits, new_id()) else {
            return Err((CallError::Overloaded, waiter));
        };
        let frame = Call {
            id: call,
            caller: CallFrom::from(&question.caller),
            capability: question.capability.clone(),
            payload: question.payload,
            left_ms: question.deadline.since(now),
        };
        connection.push_call(frame, now);
        self.calls.insert(
            call,
            Pending {
                provider: id,
                connection: token,
                capability: question.capability,
                caller: match waiter {
                    Waiter::Peer { token, .. } => Asked::On(token),
                    Waiter::Component(_) => Asked::By(by.unwrap_or(Id::NIL)),
                },
                deadline: question.deadline.0,
                waiter,
            },
        );
        self.pushed(token);
        Ok(())
    }

    /// Tells whoever waits for it the outcome of a call.
    pub fn settle(&mut self, waiter: Waiter, result: Outcome, now: Millis) {
        match waiter {
            Waiter::Peer { token, serial } => {
                self.end_call(token);
                let response = Response::Invoked(Invoked { result });
                self.reply(token, serial, response, now);
            }
            Waiter::Component(asking) => asking.tell(result),
        }
    }

    /// An answer came on this connection.
    ///
    /// # Errors
    ///
    /// No such call waits for an answer on this connection. The same words for every reason: whoever guesses learns
    /// nothing.
    pub fn answer(&mut self, token: u64, answer: Answer, now: Millis) -> Result<(), BusError> {
        let Some(waiter) = self.calls.answer(answer.call, token) else {
            return Err(BusError::new(
                ErrorCode::Refused,
                "no such call waits for an answer on this connection: it was answered, its deadline has passed, \
                 its caller has gone, or it was sent elsewhere",
            ));
        };
        self.settle(waiter, answer.bounded(), now);
        Ok(())
    }

    /// An Ente no longer provides this.
    pub fn withdrawn(&mut self, id: Id, capability: &Capability) {
        self.orphaned.extend(self.calls.withdraw(id, capability));
    }

    /// The life of an Ente is over: whatever it left unanswered stays so.
    pub fn life_over(&mut self, id: Id) {
        self.unannounce(id);
        self.orphaned.extend(self.calls.ended(id));
    }

    /// A connection is no more: neither are the calls that were sent there, and nobody waits for those asked there.
    pub(super) fn calls_of_dropped(&mut self, token: u64, connection: &Connection) {
        let member = connection.caller.ente.as_ref();
        let id = member.map(|member| member.card.id);
        if let Some(id) = id.filter(|id| self.announced.get(id) == Some(&token)) {
            self.unannounce(id);
        }
        self.orphaned.extend(self.calls.disconnected(token));
    }

    /// Tells those whose provider is no more.
    pub(super) fn settle_orphaned(&mut self, now: Millis) {
        for waiter in std::mem::take(&mut self.orphaned) {
            self.settle(waiter, Err(CallError::ProviderDied), now);
        }
    }

    /// Ends calls whose time is over.
    pub(super) fn expire_calls(&mut self, now: Millis) {
        for waiter in self.calls.expire(now.0) {
            self.settle(waiter, Err(CallError::Deadline), now);
        }
    }
}

impl Connection {
    /// Whether a call could be sent here and answered.
    fn can_be_asked(&self) -> bool {
        self.stage == Stage::Open && !self.eof
    }
}

/// 16 bytes that nobody guesses.
fn new_id() -> Option<CallId> {
    let mut bytes = [0; 16];
    // Never waits, also before the kernel has gathered randomness early at boot (random(4)); an id that somebody
    // guessed then would still have to come on the right connection.
    // SAFETY: the buffer is ours, and as long as it says.
    let count =
        unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), bytes.len(), libc::GRND_INSECURE) };
    (count == 16).then_some(CallId(bytes))
}
