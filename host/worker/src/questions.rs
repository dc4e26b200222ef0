//! What the component asks of PID 1 (`arje:bus/bus`): who waits for which answer.
//!
//! PID 1 takes a bounded number of questions at once. The others wait here for their turn; each is one of an instance
//! that waits for its answer, or has given up and is passed over.

use arje_bus::limits::{MAX_NAMED, MAX_TEXT};
use arje_bus::{Announce, CallError, Invoke, ListEntes, UpdateCapabilities};
use arje_card::{Capability, Card};
use arje_wasm::wire::{Question, Report, Told, can_name, left_ms, questions_at_once};
use arje_wasm::{Ask, Call, EnteInfo, NoAnswer, Tended, Wish};
use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::oneshot::Sender;

/// The questions of this process.
pub(crate) struct Questions {
    most: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Questions sent so far.
    count: u64,
    /// Until PID 1 has answered, whether anybody still waits for that or not.
    under_way: Vec<(u64, Asker)>,
    waiting: VecDeque<Ask>,
}

/// Who waits.
enum Asker {
    Call(Sender<Result<Vec<u8>, CallError>>),
    Typed(Sender<Result<Vec<u8>, NoAnswer>>),
    Registration(Sender<Result<(), String>>),
    Page(Sender<Vec<EnteInfo>>),
    Tender(Sender<Tended>),
    /// It wants to hear of no more events.
    Unsubscriber(Sender<Tended>),
}

impl Questions {
    pub(crate) fn new(card: &Card) -> Questions {
        Questions {
            most: questions_at_once(card),
            state: Mutex::default(),
        }
    }

    /// Takes a question in; what is to be sent now, if it is its turn.
    pub(crate) fn ask(&self, ask: Ask) -> Option<Report> {
        let mut state = self.state();
        state.waiting.retain(|ask| !is_given_up(ask));
        state.waiting.push_back(ask);
        state.next(self.most)
    }

    /// Hands an answer on; what is to be sent next.
    pub(crate) fn told(&self, number: u64, told: Told) -> Option<Report> {
        let mut state = self.state();
        // Whoever asked may have given up. An answer of another kind, which PID 1 does not give, is none.
        let place = state
            .under_way
            .iter()
            .position(|(asked, _)| *asked == number)?;
        let (_, asker) = state.under_way.swap_remove(place);
        match (asker, told) {
            (Asker::Call(reply), Told::Invoked(answer)) => drop(reply.send(answer)),
            (Asker::Typed(reply), Told::Invoked(answer)) => {
                drop(reply.send(answer.map_err(NoAnswer::Call)));
            }
            (Asker::Typed(reply), Told::Differs(why)) => {
                drop(reply.send(Err(NoAnswer::Differs(why))));
            }
            (Asker::Registration(reply), Told::Registered(answer)) => drop(reply.send(answer)),
            (Asker::Page(reply), Told::Page(page)) => drop(reply.send(page)),
            (Asker::Tender(reply) | Asker::Unsubscriber(reply), Told::Tended(tended)) => {
                drop(reply.send(tended));
            }
            _ => {}
        }
        state.next(self.most)
    }

    /// Whether that was the wish to hear of no more events: from the answer on, those that came before are not told.
    pub(crate) fn unsubscribes(&self, number: u64) -> bool {
        let ends = |(asked, asker): &(u64, Asker)| {
            *asked == number && matches!(asker, Asker::Unsubscriber(_))
        };
        self.state().under_way.iter().any(ends)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A question is in one of the lists or in neither; a panic costs its asker the answer at most.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The next question to be sent, if there is room for it.
    fn next(&mut self, most: usize) -> Option<Report> {
        while self.under_way.len() < most {
            let ask = self.waiting.pop_front()?;
            if is_given_up(&ask) {
                continue;
            }
            if let Some((question, asker)) = question(ask) {
                self.count += 1;
                self.under_way.push((self.count, asker));
                return Some(Report::Asks {
                    number: self.count,
                    question,
                });
            }
        }
        None
    }
}

fn is_given_up(ask: &Ask) -> bool {
    match ask {
        Ask::Invoke { reply, .. } => reply.is_closed(),
        Ask::Typed { reply, .. } => reply.is_closed(),
        Ask::Announce { reply, .. } | Ask::Update { reply, .. } => reply.is_closed(),
        Ask::List { reply, .. } => reply.is_closed(),
        Ask::Tend { reply, .. } => reply.is_closed(),
    }
}

/// What PID 1 is asked; nothing where that can be answered here.
fn question(ask: Ask) -> Option<(Question, Asker)> {
    Some(match ask {
        Ask::Invoke { call, reply, .. } => {
            if !can_name(&call.capability) {
                let _ = reply.send(Err(CallError::NoProvider)); // it may have given up
                return None;
            }
            (Question::Invoke(invoke(call)), Asker::Call(reply))
        }
        Ask::Typed {
            function,
            call,
            reply,
        } => {
            if !can_name(&call.capability) {
                let _ = reply.send(Err(NoAnswer::Call(CallError::NoProvider))); // as above
                return None;
            }
            let call = invoke(call);
            (Question::Typed { function, call }, Asker::Typed(reply))
        }
        Ask::Announce {
            capabilities,
            reply,
        } => match sendable(&[&capabilities]) {
            Ok(()) => {
                let announce = Announce { capabilities };
                (Question::Announce(announce), Asker::Registration(reply))
            }
            Err(why) => return refuse(reply, why),
        },
        Ask::Update {
            adds,
            removes,
            reply,
        } => match sendable(&[&adds, &removes]) {
            Ok(()) => {
                let update = UpdateCapabilities { adds, removes };
                (Question::Update(update), Asker::Registration(reply))
            }
            Err(why) => return refuse(reply, why),
        },
        Ask::Tend { wish, reply } => {
            let asker = match wish {
                Wish::Unsubscribe => Asker::Unsubscriber,
                _ => Asker::Tender,
            };
            (Question::Tend(wish), asker(reply))
        }
        Ask::List { after, reply } => (Question::List(ListEntes { after }), Asker::Page(reply)),
    })
}

/// The call as it is sent; PID 1 knows who calls.
fn invoke(call: Call) -> Invoke {
    Invoke {
        capability: call.capability,
        payload: call.payload,
        deadline_ms: left_ms(call.deadline),
    }
}

fn refuse(reply: Sender<Result<(), String>>, why: String) -> Option<(Question, Asker)> {
    let _ = reply.send(Err(why)); // it may have given up
    None
}

/// Whether lists of capabilities can be sent.
fn sendable(lists: &[&Vec<Capability>]) -> Result<(), String> {
    for list in lists {
        if list.len() > MAX_NAMED {
            let count = list.len();
            return Err(format!(
                "{count} capabilities at once; one call names at most {MAX_NAMED}"
            ));
        }
        if !list.iter().all(can_name) {
            return Err(format!(
                "a component with a body can name services of at most {MAX_TEXT} bytes; shorten the name"
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use arje_card::{Id, InterfaceId, Payload, Supervision};
    use tokio::sync::oneshot::{self, Receiver};

    fn questions() -> Questions {
        let card = Card::new(Id::NIL, "x", Payload::Virtual, Supervision::OneShot);
        let questions = Questions::new(&card);
        assert_eq!(questions.most, 1);
        questions
    }

    fn announce(capability: Capability) -> (Ask, Receiver<Result<(), String>>) {
        let (reply, answer) = oneshot::channel();
        let capabilities = vec![capability];
        let ask = Ask::Announce {
            capabilities,
            reply,
        };
        (ask, answer)
    }

    fn number(report: Option<Report>) -> Option<u64> {
        match report? {
            Report::Asks { number, .. } => Some(number),
            report => panic!("{report:?}"),
        }
    }

    #[test]
    fn who_asks_too_much_waits_and_who_gave_up_is_passed_over() {
        let questions = questions();
        let told = |number| questions.told(number, Told::Registered(Ok(())));
        let (ask, mut first) = announce(Capability::Power);
        assert_eq!(number(questions.ask(ask)), Some(1));
        let (ask, second) = announce(Capability::Power);
        assert_eq!(number(questions.ask(ask)), None, "it waits");
        let (ask, mut third) = announce(Capability::Power);
        assert_eq!(number(questions.ask(ask)), None, "so does this one");
        drop(second);
        assert_eq!(number(told(1)), Some(2), "the third");
        assert_eq!(first.try_recv(), Ok(Ok(())));
        assert!(third.try_recv().is_err());
        assert_eq!(number(told(7)), None, "nobody asked that");
        assert_eq!(number(told(2)), None);
        assert_eq!(third.try_recv(), Ok(Ok(())));
    }

    #[test]
    fn who_gave_up_keeps_its_place_until_pid_1_has_answered() {
        let questions = questions();
        let (ask, first) = announce(Capability::Power);
        assert_eq!(number(questions.ask(ask)), Some(1));
        drop(first);
        let (ask, mut second) = announce(Capability::Power);
        assert_eq!(number(questions.ask(ask)), None);
        assert_eq!(number(questions.told(1, Told::Registered(Ok(())))), Some(2));
        // An answer to something else is none.
        assert_eq!(number(questions.told(2, Told::Page(vec![]))), None);
        assert!(second.try_recv().is_err());
    }

    #[test]
    fn what_cannot_be_sent_is_answered_here() {
        let questions = questions();
        let long = format!("a:b/{}@1.0.0", "c".repeat(MAX_TEXT));
        let (ask, mut answer) = announce(Capability::Wit(long.parse().unwrap()));
        assert_eq!(number(questions.ask(ask)), None);
        let why = answer.try_recv().unwrap().unwrap_err();
        assert!(why.contains("512 bytes"), "{why}");
        let (reply, mut answer) = oneshot::channel();
        let endpoint = Capability::Endpoint {
            interface: InterfaceId([1; 16]),
            version: 1,
        };
        let update = Ask::Update {
            adds: vec![],
            removes: vec![endpoint; MAX_NAMED + 1],
            reply,
        };
        assert_eq!(number(questions.ask(update)), None);
        let why = answer.try_recv().unwrap().unwrap_err();
        assert!(why.contains("257 capabilities"), "{why}");
        // None of them is under way.
        let (ask, _answer) = announce(Capability::Power);
        assert_eq!(number(questions.ask(ask)), Some(1));
    }
}
