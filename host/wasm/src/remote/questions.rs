//! What a worker asks of PID 1 for its component, and what it is told.
//!
//! Who asks is known here and never said by the worker; what it may ask is looked up in its Card once more. What has to
//! be waited for is waited for beside the conversation, by few enough futures to be counted, which end with it.

use super::Remote;
use crate::calls::binding::{Bindings, Unbound};
use crate::calls::typed::TypedImport;
use crate::calls::values::{Unfit, check, params};
use crate::calls::{Answer as Answered, Asker, Call, Work};
use crate::event::{Ask, EventKind};
use crate::host::{InvokeError, Shared};
use crate::wire::{Malformed, Question, Told, questions_at_once, within};
use arje_bus::{BusError, CallError, Caller, ErrorCode, IPC_NAME, Invoke};
use arje_card::{Capability, Card};
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use tokio::sync::oneshot;
use wasmtime::component::types::Type;

/// What becomes the answer to a question, and its number.
type Answer = Pin<Box<dyn Future<Output = (u64, Told)> + Send>>;

/// The questions of one worker that are under way.
pub(super) struct Questions {
    most: usize,
    /// Where its typed imports lead.
    bindings: Bindings,
    under_way: Vec<Answer>,
}

impl Questions {
    pub(super) fn new(card: &Card) -> Questions {
        Questions {
            most: questions_at_once(card),
            bindings: Bindings::default(),
            under_way: Vec::new(),
        }
    }

    /// Takes a question in.
    pub(super) fn take(
        &mut self,
        remote: &Remote,
        number: u64,
        question: Question,
    ) -> Result<(), Malformed> {
        if self.under_way.len() >= self.most {
            return Err(Malformed("more questions at once than it may ask"));
        }
        may_ask(&remote.card, &question)?;
        let answer: Answer = match question {
            Question::Typed { function, call } => {
                let answer = self.typed(remote, function, call)?;
                Box::pin(async move { (number, answer.await) })
            }
            question => {
                let (host, card) = (Arc::clone(&remote.host), Arc::clone(&remote.card));
                let incarnation = remote.incarnation;
                Box::pin(async move { (number, answer(&host, card, incarnation, question).await) })
            }
        };
        self.under_way.push(answer);
        Ok(())
    }

    /// A call by type: whom it goes to is looked up now, and what comes of it waited for later.
    fn typed(
        &mut self,
        remote: &Remote,
        function: u64,
        call: Invoke,
    ) -> Result<impl Future<Output = Told> + Send + use<>, Malformed> {
        let (import, index) = imported(remote, &call.capability)?;
        let number = usize::try_from(function).unwrap_or(usize::MAX);
        let called = import.function(number);
        let called = called.ok_or(Malformed("a call of a function that it does not import"))?;
        let fits = check_values(&call.payload, &params(&called.ty))?;
        let deadline = within(call.deadline_ms);
        let made = fits.map(|()| {
            let caller = Caller::component(Arc::clone(&remote.card));
            let call = (caller, call.payload, deadline);
            self.bindings
                .call(&remote.host, (import, index, number), call)
        });
        let asker = Asker::of(&remote.card, remote.incarnation, None);
        let host = Arc::clone(&remote.host);
        Ok(async move {
            let (provider, call) = match made {
                Ok(Ok(made)) => made,
                Ok(Err(Unbound::Nobody)) => return Told::Invoked(Err(CallError::NoProvider)),
                Ok(Err(Unbound::Differs(why))) => return Told::Differs(why),
                Err(error) => return Told::Invoked(Err(error.into())),
            };
            let work = Work::Typed(call);
            let answer = host.ask(&asker, provider, work, deadline).await;
            Told::Invoked(answer.and_then(|answer| match answer {
                Answered::Values(values) => Ok(values),
                Answered::Bytes(_) => Err(CallError::ProviderDied), // nobody answers values so
            }))
        })
    }

    /// The next answer, when there is one.
    pub(super) async fn next(&mut self) -> (u64, Told) {
        poll_fn(|cx| {
            let mut all = self.under_way.iter_mut().enumerate();
            let ready = all.find_map(|(place, answer)| match answer.as_mut().poll(cx) {
                Poll::Ready(told) => Some((place, told)),
                Poll::Pending => None,
            });
            match ready {
                Some((place, told)) => {
                    drop(self.under_way.swap_remove(place));
                    Poll::Ready(told)
                }
                None => Poll::Pending,
            }
        })
        .await
    }
}

/// The import of this name, if its component has one and its Card requires it.
fn imported<'r>(
    remote: &'r Remote,
    capability: &Capability,
) -> Result<(&'r Arc<TypedImport>, usize), Malformed> {
    let imports = remote.control.face().map_or(&[][..], |face| face.imports());
    let mut imports = imports.iter().zip(0..);
    let named = imports.find(|(import, _)| import.capability() == capability);
    named.ok_or(Malformed("a call of an interface that it does not import"))
}

/// Whether bytes that a worker sent are values of these types. An honest worker sends no others; they may still be more
/// than is taken.
pub(super) fn check_values(
    bytes: &[u8],
    types: &[Type],
) -> Result<Result<(), InvokeError>, Malformed> {
    match check(bytes, types) {
        Ok(()) => Ok(Ok(())),
        Err(Unfit::Malformed) => Err(Malformed("values that are not of the function's type")),
        Err(Unfit::TooLarge) => Ok(Err(InvokeError::TooLarge)),
    }
}

/// Whether it is granted `arje:ente/supervisor`.
fn may_tend(card: &Card) -> bool {
    card.holds.contains(&Capability::Spawn)
}

/// Whether its Card allows the question, and lists what it announces. An honest worker has looked.
fn may_ask(card: &Card, question: &Question) -> Result<(), Malformed> {
    let granted = match question {
        Question::Tend(_) => may_tend(card),
        Question::List(_) => may_tend(card) || card.permissions.ipc.allows(IPC_NAME), // in both interfaces
        Question::Typed { .. } => true, // its imports say what
        _ => card.permissions.ipc.allows(IPC_NAME),
    };
    if !granted {
        return Err(Malformed("a question that its Card does not allow"));
    }
    let listed = |list: &[Capability]| list.iter().all(|one| card.provides.contains(one));
    let all = match question {
        Question::Announce(announce) => listed(&announce.capabilities),
        Question::Update(update) => listed(&update.adds) && listed(&update.removes),
        Question::Invoke(_) | Question::List(_) | Question::Tend(_) | Question::Typed { .. } => {
            true
        }
    };
    match all {
        true => Ok(()),
        false => Err(Malformed("a capability that its Card does not provide")),
    }
}

async fn answer(host: &Arc<Shared>, card: Arc<Card>, incarnation: u64, question: Question) -> Told {
    let id = card.id;
    let ask = |ask| host.send(id, incarnation, EventKind::Asks(ask));
    let (reply, answer) = oneshot::channel();
    ask(match question {
        Question::Invoke(invoke) => {
            return Told::Invoked(call(host, card, incarnation, invoke).await);
        }
        Question::Typed { .. } => return Told::Invoked(Err(CallError::NoProvider)), // taken before
        Question::List(list) => {
            let (reply, page) = oneshot::channel();
            let after = list.after;
            ask(Ask::List { after, reply });
            return Told::Page(page.await.unwrap_or_default());
        }
        Question::Tend(wish) => {
            let (reply, answer) = oneshot::channel();
            ask(Ask::Tend { wish, reply });
            let nobody = |_| Err(BusError::new(ErrorCode::Failed, "nobody answers"));
            return Told::Tended(answer.await.unwrap_or_else(nobody));
        }
        Question::Announce(announce) => Ask::Announce {
            capabilities: announce.capabilities,
            reply,
        },
        Question::Update(update) => Ask::Update {
            adds: update.adds,
            removes: update.removes,
            reply,
        },
    });
    let nobody = |_| Err("nobody answers".to_owned());
    Told::Registered(answer.await.unwrap_or_else(nobody))
}

async fn call(
    host: &Arc<Shared>,
    card: Arc<Card>,
    incarnation: u64,
    invoke: Invoke,
) -> Result<Vec<u8>, CallError> {
    let asker = Asker::of(&card, incarnation, None);
    let call = Call {
        caller: Caller::component(card),
        capability: invoke.capability,
        payload: invoke.payload,
        deadline: within(invoke.deadline_ms),
    };
    host.invoke(&asker, call).await
}
