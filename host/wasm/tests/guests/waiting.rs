//! Calls that wait for their provider: how many may, for how long, and what becomes of those that are given up.

use crate::calls::{endpoint, peer, process_provides, told};
use crate::rig::{DEADLINE, Rig};
use arje_bus::{Caller, Origin};
use arje_card::Card;
use arje_wasm::{Ask, Call, End, EventKind, InvokeError};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Instant;

impl Rig {
    /// Keeps a component busy until it is let go: it calls the test, and waits for the answer. It has begun to.
    pub fn hold(&self, card: &Card) -> Held {
        process_provides(self, 5);
        let answer = told(self, card, "invoke 5 500000 hold");
        match self
            .wait(card, |kind| matches!(kind, EventKind::Asks(_)))
            .kind
        {
            EventKind::Asks(ask) => Held { answer, ask },
            kind => panic!("{kind:?}"),
        }
    }
}

/// A component that waits for the test.
pub struct Held {
    answer: thread::JoinHandle<Result<String, InvokeError>>,
    ask: Ask,
}

impl Held {
    pub fn let_go(self) {
        let Ask::Invoke { reply, .. } = self.ask else {
            panic!("it asked something else");
        };
        reply.send(Ok(b"go on".to_vec())).unwrap();
        assert_eq!(self.answer.join().unwrap(), Ok("go on".into()));
    }
}

#[test]
fn a_caller_gives_up_at_its_deadline_and_what_waits_is_not_begun() {
    let rig = Rig::new();
    let (one, two) = (rig.serve(peer("one", 1)), rig.serve(peer("two", 2)));
    let deadline = "error: InvokeError::Deadline";
    // Time enough to begin it, on most machines, and not to end it.
    assert_eq!(rig.tell(&one, "invoke 2 300 spin 2000"), deadline);
    let calls = || rig.has_call(&one, 2, "calls").parse::<u64>().unwrap();
    let mut before = calls();
    assert!((1..=2).contains(&before), "that one, perhaps, and this one");
    // The provider is at something; this one waits in its mailbox and then nobody waits for it any more. That is not
    // seen everywhere at the same time, so it may be begun all the same; but not again and again.
    let end = Instant::now() + DEADLINE;
    loop {
        let held = rig.hold(&two);
        assert_eq!(rig.tell(&one, "invoke 2 1 echo x"), deadline);
        held.let_go();
        let after = calls();
        if after == before + 1 {
            break; // only the one that asked
        }
        assert_eq!(after, before + 2);
        assert!(Instant::now() < end, "it is always begun");
        before = after;
    }
    let left: u64 = rig.tell(&one, "invoke 2 0 left").parse().unwrap();
    assert!((1..=5000).contains(&left), "{left}");
    drop(two);
}

#[test]
fn nobody_waits_longer_than_its_own_time_allows() {
    let rig = Rig::new();
    let mut one = peer("one", 1);
    // A tenth of it is left then, in which it has to end its own call.
    one.limits.call_ms = 5000;
    let (one, two) = (rig.serve(one), rig.serve(peer("two", 2)));
    // It would wait for an hour, and is told in time to go on living.
    let answer = rig.tell(&one, "invoke 2 3600000 spin 30000");
    assert_eq!(answer, "error: InvokeError::Deadline");
    assert_eq!(rig.tell(&one, "whoami"), "component one");
    rig.kill(&two).unwrap();
    assert_eq!(rig.end_of(&two), End::Killed);
}

#[test]
fn a_full_mailbox_refuses() {
    let rig = Rig::new();
    let mut two = peer("two", 2);
    two.limits.mailbox = 1;
    let (one, two) = (rig.serve(peer("one", 1)), rig.serve(two));
    let echo = || {
        let (answer, answered) = mpsc::channel();
        let call = Call {
            caller: Caller::component(Arc::new(peer("three", 3))),
            capability: endpoint(2),
            payload: b"echo me".to_vec(),
            deadline: Instant::now() + DEADLINE,
        };
        let delivery = rig.host.deliver(two.id, call, move |result| {
            answer.send(result).unwrap_or_default(); // only the first is waited for
        });
        (delivery, answered)
    };
    // It is at something; then one waits; then there is no room.
    let held = rig.hold(&two);
    let mut waiting = Vec::new();
    // Who waits longer than the answer takes to come is told.
    let full = (1..1000).any(|within| {
        waiting.push(echo());
        let told = rig.tell(&one, &format!("invoke 2 {within} echo x"));
        told == "error: InvokeError::Overloaded"
    });
    assert!(full, "there is always room");
    held.let_go();
    let (_delivery, first) = waiting.swap_remove(0);
    let first = first.recv_timeout(DEADLINE).unwrap();
    assert_eq!(first, Ok(b"me".to_vec()));
}

#[test]
fn who_gives_up_soon_does_not_fill_the_core_loops_queue() {
    let rig = Rig::new();
    let one = rig.serve(peer("one", 1));
    process_provides(&rig, 5);
    let long = "x".repeat(arje_bus::MAX_PAYLOAD - 100);
    let call = |within| rig.tell(&one, &format!("invoke 5 {within} {long}"));
    for _ in 0..2 {
        assert_eq!(call(10), "error: InvokeError::Deadline");
        // Who waits longer than the answer takes to come is told.
        let full = (1..200).any(|n| call(10 * n) == "error: InvokeError::Overloaded");
        assert!(full, "there is always room");
        // Sixteen are as much as may wait; whatever the core loop takes no longer does.
        for _ in 0..16 {
            rig.wait(&one, |kind| {
                matches!(kind, EventKind::Asks(Ask::Invoke { .. }))
            });
        }
        assert!(rig.host.next_event().is_none());
    }
}

#[test]
fn a_call_that_was_given_up_is_not_begun() {
    let rig = Rig::new();
    let one = rig.serve(peer("one", 1));
    let deliver = |command: &str| {
        let (answer, answered) = mpsc::channel();
        let origin = Origin::Process {
            pid: 7,
            uid: 1000,
            gid: 1000,
        };
        let call = Call {
            caller: Caller { card: None, origin },
            capability: endpoint(1),
            payload: command.into(),
            deadline: Instant::now() + DEADLINE,
        };
        let delivery = rig.host.deliver(one.id, call, move |result| {
            let _ = answer.send(result);
        });
        (delivery, answered)
    };
    let wait = |answered: mpsc::Receiver<_>| answered.recv_timeout(DEADLINE);
    let held = rig.hold(&one);
    let (given_up, never) = deliver("echo never");
    drop(given_up);
    let (_last, counted) = deliver("calls");
    assert!(wait(never).is_err(), "its end is told to nobody");
    held.let_go();
    assert_eq!(wait(counted).unwrap(), Ok(b"1".to_vec()), "this one");
}
