//! Calls from one Ente to another.
//!
//! A call goes into the provider's mailbox, and its answer comes back on a channel of its own, so it is answered at
//! most once and to nobody else. Whoever waits is told when the provider ends (the channel closes), when its own
//! patience ends, and before it has waited at all if it would wait for itself ([`waits`]). A caller that gives up closes
//! its end, and a call that nobody waits for any more is not begun.
//!
//! Payloads are bytes (`arje:bus/handler`) or, for a typed service ([`typed`]), values written as bytes ([`values`]).

pub(crate) mod bay;
pub(crate) mod binding;
pub(crate) mod delivery;
pub(crate) mod face;
pub(crate) mod link;
mod mailbox;
mod owner;
mod payloads;
pub(crate) mod peer;
pub(crate) mod shape;
pub(crate) mod typed;
pub(crate) mod typed_call;
pub(crate) mod values;
pub(crate) mod waits;

use crate::event::{Ask, EventKind};
use crate::host::{InvokeError, Shared};
use crate::lane::LaneSignal;
use arje_bus::{CallError, Caller, MAX_PAYLOAD, Place};
use arje_card::{Capability, Card, Entry, Id, Payload};
use bay::Attempt;
pub(crate) use mailbox::{Charge, Mailbox, Messages};
pub(crate) use payloads::Payloads;
use payloads::Sender;
pub use payloads::Share;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::oneshot;
use tokio::time::timeout_at;
use typed_call::TypedCall;

/// A call in a mailbox, and who waits for its answer.
#[derive(Debug)]
pub(crate) struct Invocation {
    pub(crate) work: Work,
    pub(crate) reply: Reply,
    /// What it has of the mailbox.
    pub(crate) charge: Charge,
}

/// Where an answer goes. Dropping it tells the caller that the provider ended.
pub(crate) type Reply = oneshot::Sender<Result<Answer, InvokeError>>;

/// Where an answer comes.
pub(crate) type Answers = oneshot::Receiver<Result<Answer, InvokeError>>;

/// What is wanted of a provider.
#[derive(Debug)]
pub(crate) enum Work {
    /// An exported function `(list<u8>) -> list<u8>`, by its full name. For the host's owner and its tests.
    Function {
        /// Its name.
        name: Box<str>,
        /// The bytes.
        payload: Vec<u8>,
    },
    /// `arje:bus/handler.handle`
    Handle(Call),
    /// A function of a typed service.
    Typed(TypedCall),
}

impl Work {
    /// Bytes that come with it.
    fn bytes(&self) -> usize {
        match self {
            Work::Function { payload, .. } => payload.len(),
            Work::Handle(call) => call.payload.len(),
            Work::Typed(call) => call.params.len(),
        }
    }

    /// On whose account it waits.
    fn sender(&self) -> Sender {
        match self {
            Work::Function { .. } => Sender::Host,
            Work::Handle(call) => Sender::from(&call.caller),
            Work::Typed(call) => Sender::from(&call.caller),
        }
    }
}

/// What a provider answered.
#[derive(Debug)]
pub(crate) enum Answer {
    /// Bytes, to bytes.
    Bytes(Vec<u8>),
    /// The results of a typed function. Those that a worker sent have been [checked](values::check).
    Values(Vec<u8>),
}

/// A call with bytes.
#[derive(Debug)]
pub struct Call {
    /// Who calls, as the host knows it.
    pub caller: Caller,
    /// Under which capability.
    pub capability: Capability,
    /// At most [`MAX_PAYLOAD`] bytes.
    pub payload: Vec<u8>,
    /// When the caller gives up.
    pub deadline: Instant,
}

/// Which component asks.
#[derive(Default)]
pub(crate) struct Asker {
    /// Its Ente and incarnation; none for one whose waiting keeps nobody else waiting.
    pub(crate) waits: Option<(Id, u64)>,
    /// Where it computes; none for one that is no component.
    pub(crate) signal: Option<Arc<LaneSignal>>,
}

impl Asker {
    /// The component of this Card. The waiting of a service may keep others waiting, since it answers one call at a time.
    pub(crate) fn of(card: &Card, incarnation: u64, signal: Option<Arc<LaneSignal>>) -> Asker {
        let waits = match &card.payload {
            Payload::Wasm(payload) if payload.entry == Entry::Service => {
                Some((card.id, incarnation))
            }
            _ => None,
        };
        Asker { waits, signal }
    }
}

impl Shared {
    /// Calls whoever provides the capability.
    pub(crate) async fn invoke(
        self: &Arc<Self>,
        asker: &Asker,
        call: Call,
    ) -> Result<Vec<u8>, CallError> {
        if self.is_worker {
            return self.invoke_elsewhere(Id::NIL, call).await; // PID 1 knows who provides it
        }
        let provider = self
            .resolve(&call.capability)
            .ok_or(CallError::NoProvider)?;
        match provider.place {
            Place::Component => self.invoke_at(asker, provider.id, call).await,
            Place::Process => self.invoke_elsewhere(provider.id, call).await,
        }
    }

    /// Calls the component of this Ente.
    async fn invoke_at(
        &self,
        asker: &Asker,
        provider: Id,
        call: Call,
    ) -> Result<Vec<u8>, CallError> {
        check_size(call.payload.len())?;
        let deadline = call.deadline;
        let answer = self
            .ask(asker, provider, Work::Handle(call), deadline)
            .await?;
        bytes_of(answer)
    }

    /// Puts a call with bytes into a mailbox.
    pub(crate) fn post_call(&self, provider: Id, call: Call) -> Result<Answers, CallError> {
        check_size(call.payload.len())?;
        Ok(self.post(provider, Work::Handle(call))?)
    }

    /// Waits for bytes.
    pub(crate) async fn bytes_of(
        &self,
        answer: Answers,
        deadline: Instant,
    ) -> Result<Vec<u8>, CallError> {
        bytes_of(within(deadline, answer).await?)
    }

    /// Makes a call, on the spot if its provider is idle, and waits for its answer.
    pub(crate) async fn ask(
        &self,
        asker: &Asker,
        provider: Id,
        work: Work,
        deadline: Instant,
    ) -> Result<Answer, CallError> {
        let waiting = asker.waits.map(|who| {
            self.waits
                .enter(who, provider, |ente| self.living_incarnation(ente))
        });
        let _waiting = waiting.transpose()?;
        if let Some(signal) = &asker.signal
            && signal.has_had_its_turn(&self.ticker)
        {
            // Calls made on the spot do not give way by themselves.
            tokio::task::yield_now().await;
        }
        // A slow lane's thread may not run for long: whoever else wants the provider would wait for it.
        let attempt = match &asker.signal {
            Some(signal) if signal.is_fast() => self.attempt(provider, work),
            _ => Attempt::Busy(work),
        };
        match attempt {
            Attempt::Answered(answer) => Ok(answer?),
            Attempt::Underway(answer) => within(deadline, answer).await,
            Attempt::Busy(work) => within(deadline, self.post(provider, work)?).await,
        }
    }

    /// Puts a call into a mailbox.
    pub(crate) fn post(&self, provider: Id, work: Work) -> Result<Answers, InvokeError> {
        let mailbox = self.mailbox(provider).ok_or(InvokeError::NotRunning)?;
        mailbox.put(work)
    }

    /// Calls whom the core loop reaches: a native provider on its connection, or in a worker process everybody.
    async fn invoke_elsewhere(&self, provider: Id, call: Call) -> Result<Vec<u8>, CallError> {
        check_size(call.payload.len())?;
        let share = self
            .payloads
            .charge(Sender::from(&call.caller), call.payload.len())
            .ok_or(CallError::Overloaded)?;
        let (deadline, caller) = (call.deadline, call.caller.card.clone());
        let (reply, answer) = oneshot::channel();
        let ask = Ask::Invoke {
            provider,
            call,
            reply,
            share,
        };
        let id = caller.map_or(Id::NIL, |card| card.id);
        self.send(id, 0, EventKind::Asks(ask));
        match timeout_at(deadline.into(), answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(CallError::ProviderDied),
            Err(_) => Err(CallError::Deadline),
        }
    }
}

async fn within(deadline: Instant, answer: Answers) -> Result<Answer, CallError> {
    match timeout_at(deadline.into(), answer).await {
        Ok(Ok(answer)) => Ok(answer?),
        Ok(Err(_)) => Err(CallError::ProviderDied),
        Err(_) => Err(CallError::Deadline),
    }
}

fn bytes_of(answer: Answer) -> Result<Vec<u8>, CallError> {
    match answer {
        Answer::Bytes(bytes) => check_size(bytes.len()).map(|()| bytes),
        Answer::Values(_) => Err(CallError::ProviderDied), // nobody answers bytes so
    }
}

fn check_size(bytes: usize) -> Result<(), CallError> {
    match bytes <= MAX_PAYLOAD {
        true => Ok(()),
        false => Err(CallError::TooLarge(MAX_PAYLOAD as u32)),
    }
}

impl From<InvokeError> for CallError {
    fn from(error: InvokeError) -> CallError {
        match error {
            InvokeError::NotRunning => CallError::NoProvider,
            InvokeError::MailboxFull => CallError::Overloaded,
            InvokeError::NoSuchFunction(_) => {
                CallError::Refused(arje_bus::HandlerError::Unsupported)
            }
            InvokeError::ProviderDied => CallError::ProviderDied,
            InvokeError::TooLarge => CallError::TooLarge(MAX_PAYLOAD as u32),
            InvokeError::Refused(error) => CallError::Refused(error),
        }
    }
}
