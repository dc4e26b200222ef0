//! Calls from one Ente to another.
//!
//! A call goes into the provider's mailbox, and its answer comes back on a channel of its own, so it is answered at
//! most once and to nobody else. Whoever waits is told when the provider ends (the channel closes), when its own
//! patience ends, and before it has waited at all if it would wait for itself ([`waits`]). A caller that gives up closes
//! its end, and a call that nobody waits for any more is not begun.
//!
//! Payloads are bytes (`arje:bus/handler`) or, for a typed service, the values themselves ([`typed`]).

pub(crate) mod peer;
pub(crate) mod shape;
pub(crate) mod typed;
pub(crate) mod waits;

use crate::event::{Ask, EventKind};
use crate::host::{InvokeError, Shared};
use arje_bus::{CallError, Caller, MAX_PAYLOAD, Place, Provider};
use arje_card::{Capability, Id};
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout_at;
use typed::TypedCall;
use waits::Waiting;
use wasmtime::component::Val;

/// Where calls of one Ente wait; its capacity is the Card's `limits.mailbox`. Boxed, because tokio
/// allocates 32 slots at once for every mailbox, idle or not.
pub(crate) type Mailbox = mpsc::Sender<Box<Invocation>>;

/// A call in a mailbox, and who waits for its answer.
#[derive(Debug)]
pub(crate) struct Invocation {
    pub(crate) work: Work,
    pub(crate) reply: Reply,
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

/// What a provider answered.
#[derive(Debug)]
pub(crate) enum Answer {
    /// Bytes, to bytes.
    Bytes(Vec<u8>),
    /// The results of a typed function.
    Values(Vec<Val>),
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

/// Which component waits: its Ente and incarnation. None for a caller whose waiting keeps nobody else waiting.
pub(crate) type Waiter = Option<(Id, u64)>;

impl Shared {
    /// Calls whoever provides the capability.
    pub(crate) async fn invoke(
        self: &Arc<Self>,
        waiter: Waiter,
        call: Call,
    ) -> Result<Vec<u8>, CallError> {
        let provider = self
            .routes
            .resolve(&call.capability)
            .ok_or(CallError::NoProvider)?;
        match provider.place {
            Place::Component => self.invoke_at(waiter, provider.id, call).await,
            Place::Process => self.invoke_process(provider, call).await,
        }
    }

    /// Calls the component of this Ente.
    async fn invoke_at(
        &self,
        waiter: Waiter,
        provider: Id,
        call: Call,
    ) -> Result<Vec<u8>, CallError> {
        let _waiting = self.waiting(waiter, provider)?;
        let deadline = call.deadline;
        let answer = self.post_call(provider, call)?;
        self.bytes_of(answer, deadline).await
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
        match within(deadline, answer).await? {
            Answer::Bytes(bytes) => check_size(bytes.len()).map(|()| bytes),
            Answer::Values(_) => Err(CallError::ProviderDied), // nobody answers bytes so
        }
    }

    /// Puts a call into a mailbox and waits for its answer.
    pub(crate) async fn ask(
        &self,
        waiter: Waiter,
        provider: Id,
        work: Work,
        deadline: Instant,
    ) -> Result<Answer, CallError> {
        let _waiting = self.waiting(waiter, provider)?;
        within(deadline, self.post(provider, work)?).await
    }

    fn waiting(&self, waiter: Waiter, provider: Id) -> Result<Option<Waiting<'_>>, CallError> {
        waiter
            .map(|waiter| self.waits.enter(waiter, provider))
            .transpose()
    }

    /// Puts a call into a mailbox.
    pub(crate) fn post(&self, provider: Id, work: Work) -> Result<Answers, InvokeError> {
        let mailbox = self.mailbox(provider).ok_or(InvokeError::NotRunning)?;
        let (reply, answer) = oneshot::channel();
        let invocation = Box::new(Invocation { work, reply });
        match mailbox.try_send(invocation) {
            Ok(()) => Ok(answer),
            Err(TrySendError::Full(_)) => Err(InvokeError::MailboxFull),
            Err(TrySendError::Closed(_)) => Err(InvokeError::NotRunning),
        }
    }

    /// Calls a native provider: the core loop has its connection.
    async fn invoke_process(&self, provider: Provider, call: Call) -> Result<Vec<u8>, CallError> {
        check_size(call.payload.len())?;
        let (deadline, caller) = (call.deadline, call.caller.card.clone());
        let (reply, answer) = oneshot::channel();
        let ask = Ask::Invoke {
            provider: provider.id,
            call,
            reply,
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
            InvokeError::TooLarge => CallError::TooLarge(crate::wire::MAX_PAYLOAD as u32),
            InvokeError::Refused(error) => CallError::Refused(error),
        }
    }
}
