//! What a worker asks of PID 1 for its component, and what it is told.
//!
//! Who asks is known here and never said by the worker; what it may ask is looked up in its Card once more. What has to
//! be waited for is waited for beside the conversation, by few enough futures to be counted, which end with it.

use super::Remote;
use crate::calls::{Asker, Call};
use crate::event::{Ask, EventKind};
use crate::host::Shared;
use crate::wire::{Malformed, Question, Told, questions_at_once, within};
use arje_bus::{BusError, Caller, ErrorCode, IPC_NAME, Invoke};
use arje_card::{Capability, Card};
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use tokio::sync::oneshot;

/// What becomes the answer to a question, and its number.
type Answer = Pin<Box<dyn Future<Output = (u64, Told)> + Send>>;

/// The questions of one worker that are under way.
pub(super) struct Questions {
    most: usize,
    under_way: Vec<Answer>,
}

impl Questions {
    pub(super) fn new(card: &Card) -> Questions {
        let may_ask = card.permissions.ipc.allows(IPC_NAME) || may_tend(card);
        let most = match may_ask {
            true => questions_at_once(card),
            false => 0,
        };
        Questions {
            most,
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
        if self.most == 0 {
            return Err(Malformed("a question that its Card does not allow"));
        }
        if self.under_way.len() >= self.most {
            return Err(Malformed("more questions at once than it may ask"));
        }
        check(&remote.card, &question)?;
        let (host, card) = (Arc::clone(&remote.host), Arc::clone(&remote.card));
        let incarnation = remote.incarnation;
        let answer = async move { (number, answer(&host, card, incarnation, question).await) };
        self.under_way.push(Box::pin(answer));
        Ok(())
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

/// Whether it is granted `arje:ente/supervisor`.
fn may_tend(card: &Card) -> bool {
    card.holds.contains(&Capability::Spawn)
}

/// Whether its Card allows the question, and lists what it announces. An honest worker has looked.
fn check(card: &Card, question: &Question) -> Result<(), Malformed> {
    let granted = match question {
        Question::Tend(_) => may_tend(card),
        Question::List(_) => true, // in both interfaces
        _ => card.permissions.ipc.allows(IPC_NAME),
    };
    if !granted {
        return Err(Malformed("a question that its Card does not allow"));
    }
    let listed = |list: &[Capability]| list.iter().all(|one| card.provides.contains(one));
    let all = match question {
        Question::Announce(announce) => listed(&announce.capabilities),
        Question::Update(update) => listed(&update.adds) && listed(&update.removes),
        Question::Invoke(_) | Question::List(_) | Question::Tend(_) => true,
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
) -> Result<Vec<u8>, arje_bus::CallError> {
    let asker = Asker::of(&card, incarnation, None);
    let call = Call {
        caller: Caller::component(card),
        capability: invoke.capability,
        payload: invoke.payload,
        deadline: within(invoke.deadline_ms),
    };
    host.invoke(&asker, call).await
}
