//! Calls over real sockets, without a core loop: the tests say what it would.

use super::rights::{card, member};
use super::*;
use arje_bus::{
    Answer, Call, CallError, HandlerError, Invoke, Invoked, MAX_PAYLOAD, limits::MAX_DEADLINE_MS,
};
use arje_card::{Capability, Card};
use limits::{MAX_INVOKES, MAX_OUTBOUND_OWNER};
use std::sync::Arc;

pub const MAILBOX: u32 = 10;

/// A provider with its connection, and a way to call it.
pub struct Served {
    pub rig: Rig,
    pub card: Arc<Card>,
    /// The provider's end and the token of ours.
    pub provider: (UnixStream, u64),
}

impl Served {
    pub fn new() -> Served {
        Served::with_mailbox(MAILBOX)
    }

    fn with_mailbox(mailbox: u32) -> Served {
        let card = card("echo", |card| {
            card.permissions.ipc.allow = vec!["wit-v1".into()];
            card.provides.insert(Capability::Journal);
            card.limits.mailbox = mailbox;
        });
        let mut rig = Rig::new();
        let provider = connect(&mut rig, member(&card, 0));
        rig.bus.announce(provider.1);
        Served {
            rig,
            card,
            provider,
        }
    }

    /// As if this connection had asked for a call.
    pub fn call(&mut self, token: u64, serial: u32, payload: Vec<u8>) -> Result<(), BusError> {
        self.rig.bus.begin_call(token)?;
        self.place(payload, Waiter::Peer { token, serial });
        Ok(())
    }

    /// Sends a call to the provider.
    pub fn place(&mut self, payload: Vec<u8>, waiter: Waiter) {
        let question = Question {
            caller: user(1000).to_providers(),
            capability: Capability::Journal,
            payload,
            deadline: deadline(self.rig.now, 0),
        };
        let to = Destination {
            card: &self.card,
            incarnation: 1,
        };
        self.rig.bus.send_call(&to, question, waiter, self.rig.now);
    }

    pub fn flush(&mut self) {
        self.rig.bus.flush(self.rig.now, &mut self.rig.poller);
    }

    pub fn asked(&mut self) -> Call {
        self.flush();
        match receive(&mut self.provider.0).unwrap() {
            ServerFrame::Call(call) => call,
            other => panic!("{other:?}"),
        }
    }

    fn answer(&mut self, token: u64, call: &Call, result: Result<Vec<u8>, HandlerError>) -> bool {
        let call = call.id;
        let answer = Answer { call, result };
        self.rig.bus.answer(token, answer, self.rig.now).is_ok()
    }
}

/// A connection of this caller that has said hello, and its token.
pub fn connect(rig: &mut Rig, caller: Caller) -> (UnixStream, u64) {
    rig.caller = caller;
    let known: Vec<u64> = rig.bus.connections.keys().copied().collect();
    let stream = rig.greeted();
    let mut tokens = rig.bus.connections.keys().copied();
    let token = tokens.find(|token| !known.contains(token)).unwrap();
    (stream, token)
}

pub fn outcome(stream: &mut UnixStream) -> (u32, Result<Vec<u8>, CallError>) {
    match receive(stream).unwrap() {
        ServerFrame::Reply(Reply {
            serial,
            response: Response::Invoked(Invoked { result }),
        }) => (serial, result),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_call_is_answered_once_and_only_where_it_was_sent() {
    let mut served = Served::new();
    let (mut caller, token) = connect(&mut served.rig, user(1000));
    let (_other, elsewhere) = connect(&mut served.rig, member(&served.card.clone(), 0));
    served.call(token, 7, vec![1, 2]).unwrap();
    let call = served.asked();
    assert_eq!(call.payload, [1, 2]);
    assert_eq!(call.left_ms, 5000);
    assert!(
        !served.answer(elsewhere, &call, Ok(vec![0])),
        "same Ente, other connection"
    );
    let guessed = Call {
        id: arje_bus::CallId([0; 16]),
        ..call.clone()
    };
    let provider = served.provider.1;
    assert!(!served.answer(provider, &guessed, Ok(vec![0])));
    assert!(served.answer(provider, &call, Ok(vec![3])));
    assert!(!served.answer(provider, &call, Ok(vec![4])));
    served.flush();
    assert_eq!(outcome(&mut caller), (7, Ok(vec![3])));
    assert!(served.rig.bus.calls.is_empty());
    assert_eq!(served.rig.bus.next_deadline(), None);
}

#[test]
fn calls_come_in_the_order_in_which_they_were_asked_and_answers_may_overtake() {
    let mut served = Served::new();
    let (mut caller, token) = connect(&mut served.rig, user(1000));
    for serial in 0..5 {
        served.call(token, serial, vec![serial as u8]).unwrap();
    }
    let calls: Vec<Call> = (0..5).map(|_| served.asked()).collect();
    let order: Vec<u8> = calls.iter().map(|call| call.payload[0]).collect();
    assert_eq!(order, [0, 1, 2, 3, 4]);
    let provider = served.provider.1;
    for call in calls.iter().rev() {
        assert!(served.answer(provider, call, Ok(call.payload.clone())));
    }
    served.flush();
    let serials: Vec<u32> = (0..5).map(|_| outcome(&mut caller).0).collect();
    assert_eq!(serials, [4, 3, 2, 1, 0]);
}

#[test]
fn whatever_happens_to_the_provider_the_caller_is_told() {
    for (error, happen) in [
        (CallError::ProviderDied, 0),
        (CallError::ProviderDied, 1),
        (CallError::ProviderDied, 2),
        (CallError::Deadline, 3),
    ] {
        let mut served = Served::new();
        let (mut caller, token) = connect(&mut served.rig, user(1000));
        served.call(token, 9, vec![]).unwrap();
        let call = served.asked();
        let id = served.card.id;
        match happen {
            0 => served.rig.bus.life_over(id),
            1 => served.rig.bus.withdrawn(id, &Capability::Journal),
            2 => {
                served
                    .provider
                    .0
                    .shutdown(std::net::Shutdown::Both)
                    .unwrap();
                served.rig.turn();
            }
            _ => {
                assert_eq!(served.rig.bus.next_deadline(), Some(NOW.plus(5000)));
                served.rig.pass(Duration::from_secs(5));
            }
        }
        served.flush();
        assert_eq!(outcome(&mut caller), (9, Err(error)), "{happen}");
        assert!(
            !served.answer(served.provider.1, &call, Ok(vec![])),
            "{happen}"
        );
        // A provider that is only late can be called again; one that is gone cannot.
        served.call(token, 10, vec![]).unwrap();
        served.flush();
        match happen {
            1 | 3 => assert!(served.rig.bus.calls.len() == 1),
            _ => assert_eq!(outcome(&mut caller), (10, Err(CallError::NoProvider))),
        }
    }
}

#[test]
fn a_caller_that_goes_away_is_forgotten() {
    let mut served = Served::new();
    let (caller, token) = connect(&mut served.rig, user(1000));
    served.call(token, 9, vec![]).unwrap();
    let call = served.asked();
    drop(caller);
    served.rig.turn(); // the end of what it sends
    served.rig.turn(); // and that nobody reads any more
    assert!(served.rig.bus.calls.is_empty());
    assert!(!served.answer(served.provider.1, &call, Ok(vec![])));
}

#[test]
fn who_closes_its_side_still_gets_its_answers() {
    let mut rig = Rig::new();
    let mut stream = rig.connect();
    send(&mut stream, &Hello::new());
    send(&mut stream, &who_am_i(1));
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    for _ in 0..4 {
        rig.turn();
    }
    let _: HelloAnswer = receive(&mut stream).unwrap();
    assert!(receive::<ServerFrame>(&mut stream).is_some());
    assert!(is_closed(&mut stream));
    assert!(rig.bus.connections.is_empty());
}

#[test]
fn who_closes_its_side_still_gets_the_outcome_of_its_calls() {
    let mut served = Served::new();
    let (mut caller, token) = connect(&mut served.rig, user(1000));
    served.call(token, 9, vec![]).unwrap();
    caller.shutdown(std::net::Shutdown::Write).unwrap();
    let call = served.asked();
    served.rig.turn();
    assert!(served.answer(served.provider.1, &call, Ok(vec![5])));
    served.flush();
    assert_eq!(outcome(&mut caller), (9, Ok(vec![5])));
    assert!(is_closed(&mut caller));
}

#[test]
fn another_life_is_not_the_one_that_announced() {
    let mut served = Served::new();
    let (mut caller, token) = connect(&mut served.rig, user(1000));
    served.rig.bus.begin_call(token).unwrap();
    let question = Question {
        caller: user(1000).to_providers(),
        capability: Capability::Journal,
        payload: vec![],
        deadline: deadline(NOW, u64::MAX),
    };
    assert_eq!(question.deadline, NOW.plus(MAX_DEADLINE_MS));
    let to = Destination {
        card: &served.card,
        incarnation: 2,
    };
    let waiter = Waiter::Peer { token, serial: 1 };
    served.rig.bus.send_call(&to, question, waiter, NOW);
    served.flush();
    assert_eq!(outcome(&mut caller), (1, Err(CallError::NoProvider)));
}

#[test]
fn a_full_mailbox_and_a_provider_that_does_not_read_are_overload() {
    let mut served = Served::new();
    let (mut caller, token) = connect(&mut served.rig, user(1000));
    for serial in 0..MAILBOX {
        served.call(token, serial, vec![]).unwrap();
    }
    served.call(token, 99, vec![]).unwrap();
    served.flush();
    assert_eq!(outcome(&mut caller), (99, Err(CallError::Overloaded)));

    // Payloads fill its owner's account before its mailbox is full, and then cost nothing more.
    let most = MAX_INVOKES as u32;
    let mut served = Served::with_mailbox(most);
    let (mut caller, token) = connect(&mut served.rig, user(1000));
    for serial in 0..most {
        served.call(token, serial, vec![0; MAX_PAYLOAD]).unwrap();
        served.flush();
    }
    assert_eq!(outcome(&mut caller).1, Err(CallError::Overloaded));
    let waiting = served.rig.bus.connections[&served.provider.1].waiting();
    assert!(waiting > MAX_OUTBOUND_OWNER - 3 * MAX_FRAME, "{waiting}");
    assert!(waiting <= MAX_OUTBOUND + MAX_OUTBOUND_OWNER, "{waiting}");
    served.rig.pass(limits::READ_TIME);
    served.flush();
    assert!(!served.rig.bus.connections.contains_key(&served.provider.1));
    assert!(served.rig.bus.calls.is_empty());
}

#[test]
fn a_provider_is_heard_while_calls_wait_for_it_to_read_them() {
    let mut served = Served::new();
    let (mut caller, token) = connect(&mut served.rig, user(1000));
    served.call(token, 1, vec![]).unwrap();
    let first = served.asked();
    for serial in 2..5 {
        served.call(token, serial, vec![0; MAX_PAYLOAD]).unwrap();
    }
    served.flush();
    // It writes its answer, of any size, before it reads on.
    let provider = &served.rig.bus.connections[&served.provider.1];
    assert!(provider.waiting() > 2 * MAX_PAYLOAD);
    assert!(provider.wanted_interest().read);
    assert!(served.answer(served.provider.1, &first, Ok(vec![7])));
    served.flush();
    assert_eq!(outcome(&mut caller), (1, Ok(vec![7])));
}

#[test]
fn a_connection_has_so_many_calls_under_way() {
    let mut served = Served::new();
    let (_caller, token) = connect(&mut served.rig, user(1000));
    for _ in 0..MAX_INVOKES {
        served.rig.bus.begin_call(token).unwrap();
    }
    let error = served.rig.bus.begin_call(token).unwrap_err();
    assert_eq!(error.code, ErrorCode::Busy);
    let waiter = Waiter::Peer { token, serial: 0 };
    served.rig.bus.settle(waiter, Ok(vec![]), NOW);
    served.rig.bus.begin_call(token).unwrap();
}

#[test]
fn a_caller_that_does_not_read_its_answers_is_closed() {
    let mut served = Served::new();
    let (mut caller, token) = connect(&mut served.rig, user(1000));
    let mut answered = 0;
    while served.rig.bus.connections.contains_key(&token) {
        served.call(token, 0, vec![]).unwrap();
        let call = served.asked();
        served.answer(served.provider.1, &call, Ok(vec![0; MAX_PAYLOAD]));
        served.flush();
        answered += 1;
        assert!(answered <= MAX_OUTBOUND_OWNER / MAX_PAYLOAD + 3);
    }
    assert!(answered >= MAX_OUTBOUND_OWNER / MAX_PAYLOAD);
    caller.set_nonblocking(false).unwrap();
    assert!(is_closed(&mut caller));
    // Its owner has given everything back.
    let mut again = connect(&mut served.rig, user(1000));
    served.call(again.1, 1, vec![]).unwrap();
    let call = served.asked();
    served.answer(served.provider.1, &call, Ok(vec![1]));
    served.flush();
    assert_eq!(outcome(&mut again.0), (1, Ok(vec![1])));
}

/// The requests themselves reach whoever decides them.
#[test]
fn a_call_of_the_largest_payload_comes_through() {
    let mut rig = Rig::new();
    let (mut stream, token) = connect(&mut rig, user(0));
    stream.set_nonblocking(true).unwrap();
    let invoke = Invoke {
        capability: Capability::Journal,
        payload: vec![7; MAX_PAYLOAD],
        deadline_ms: 0,
    };
    let request = Request::Invoke(invoke.clone());
    let frame = encode(&RequestFrame { serial: 1, request }).unwrap();
    let mut rest = &frame[..];
    let found = loop {
        if let Ok(count) = stream.write(rest) {
            rest = &rest[count..];
        }
        rig.bus
            .ready(token, rig.now, &mut rig.poller, |_| unreachable!());
        if let Some(incoming) = rig.bus.next_request(rig.now, &mut rig.poller) {
            break incoming.frame.unwrap().request;
        }
    };
    assert_eq!(found, Request::Invoke(invoke));
}
