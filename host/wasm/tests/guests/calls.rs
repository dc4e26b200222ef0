//! Calls from one component to another by capability.

use crate::rig::{Rig, card};
use arje_bus::{CallError, Caller, HandlerError, Origin, Place, Provider};
use arje_card::{Capability, Card, Id, InterfaceId, Priority};
use arje_wasm::{Ask, Call, End, EventKind, InvokeError, StopReason};
use std::sync::Arc;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

pub const COMMAND: &str = "arje:test/calls@1.0.0#echo";

/// The capability that `bus_peer` means by a number.
pub fn endpoint(version: u16) -> Capability {
    let mut uuid = [0; 16];
    uuid[..2].copy_from_slice(&[0x7e, 0x57]);
    Capability::Endpoint {
        interface: InterfaceId(uuid),
        version,
    }
}

/// A `bus_peer` that may call, and provides the endpoint of this number.
pub fn peer(label: &str, number: u16) -> Card {
    let mut card = card("bus_peer", "service");
    card.label = label.into();
    card.permissions.ipc.allow = vec!["wit-v1".into()];
    card.provides = [endpoint(number)].into();
    card
}

impl Rig {
    /// Routes calls to whatever this Card provides to it.
    pub fn provide(&self, card: &Card) {
        for capability in &card.provides {
            let provider = Provider {
                id: card.id,
                priority: card.priority,
                place: Place::Component,
            };
            self.routes.provide(capability.clone(), provider);
        }
    }

    /// Starts a Card, and has it called.
    pub fn serve(&self, card: Card) -> Card {
        self.start_ready(&card);
        self.provide(&card);
        card
    }

    /// Tells a component what to do.
    pub fn tell(&self, card: &Card, command: &str) -> String {
        let answer = self.invoke(card, COMMAND, command.as_bytes()).unwrap();
        String::from_utf8(answer).unwrap()
    }

    /// Has `card` call the provider of `number` with a command.
    pub fn has_call(&self, card: &Card, number: u16, command: &str) -> String {
        self.tell(card, &format!("invoke {number} 50000 {command}"))
    }
}

#[test]
pub fn bus_peer() {
    let rig = Rig::new();
    let (one, two) = (rig.serve(peer("one", 1)), rig.serve(peer("two", 2)));
    assert_eq!(rig.has_call(&one, 2, "echo hello"), "hello");
    assert_eq!(rig.has_call(&one, 2, "who"), "component one for 2");
    assert_eq!(rig.has_call(&two, 1, "who"), "component two for 1");
    assert_eq!(rig.tell(&one, "whoami"), "component one");
    assert_eq!(rig.tell(&two, "calls"), "2");
    // What is not answered, each reason under its own name.
    for (number, command, said) in [
        (9, "echo x", "error: InvokeError::NoProvider"),
        (
            2,
            "forbid",
            "error: InvokeError::Refused(HandlerError::Forbidden(\"not you\"))",
        ),
        (
            2,
            "fail",
            "error: InvokeError::Refused(HandlerError::Failed(\"it broke\"))",
        ),
        (
            2,
            "unsupported",
            "error: InvokeError::Refused(HandlerError::Unsupported)",
        ),
        (2, "big 2000000", "error: too large"),
    ] {
        assert_eq!(rig.has_call(&one, number, command), said);
    }
    let large = format!("echo {}", "x".repeat(arje_bus::MAX_PAYLOAD));
    assert_eq!(rig.has_call(&one, 2, &large), "error: too large");
    let most = format!("echo {}", "x".repeat(arje_bus::MAX_PAYLOAD - 5));
    assert_eq!(rig.has_call(&one, 2, &most), most[5..]);
    assert_eq!(rig.tell(&one, "left"), "no call");
}

#[test]
fn a_component_without_the_grant_does_not_start() {
    let rig = Rig::new();
    let mut card = peer("no grant", 1);
    card.permissions.ipc.allow.clear();
    let End::Refused(why) = rig.run(&card) else {
        panic!("it started");
    };
    assert!(why.contains("\"wit-v1\" in permissions.ipc.allow"), "{why}");
}

#[test]
fn who_would_wait_for_itself_is_told_at_once() {
    let rig = Rig::new();
    let (one, two) = (rig.serve(peer("one", 1)), rig.serve(peer("two", 2)));
    let three = rig.serve(peer("three", 3));
    let deadlock = "error: InvokeError::Deadlock";
    assert_eq!(rig.has_call(&one, 1, "echo x"), deadlock, "itself");
    assert_eq!(rig.has_call(&one, 2, "invoke 1 0 echo x"), deadlock);
    let round = "invoke 3 0 invoke 1 0 echo x";
    assert_eq!(rig.has_call(&one, 2, round), deadlock, "through another");
    // A chain is none.
    assert_eq!(rig.has_call(&one, 2, "invoke 3 0 echo x"), "x");
    assert_eq!(
        rig.has_call(&three, 2, "invoke 1 0 who"),
        "component two for 1"
    );
    drop(two);
}

#[test]
fn a_provider_that_dies_is_told_of() {
    let rig = Rig::new();
    let (one, two) = (rig.serve(peer("one", 1)), rig.serve(peer("two", 2)));
    let died = "error: InvokeError::ProviderDied";
    assert_eq!(rig.has_call(&one, 2, "trap"), died);
    assert!(matches!(rig.end_of(&two), End::Trapped { .. }));
    // Routed still, and not there any more.
    let nobody = "error: InvokeError::NoProvider";
    assert_eq!(rig.has_call(&one, 2, "echo x"), nobody);
}

#[test]
fn a_component_that_answers_nothing_is_no_handler() {
    let rig = Rig::new();
    let mut two = card("service_ok", "service");
    two.provides = [endpoint(2)].into();
    let (one, _two) = (rig.serve(peer("one", 1)), rig.serve(two));
    assert_eq!(
        rig.has_call(&one, 2, "echo x"),
        "error: InvokeError::Refused(HandlerError::Unsupported)"
    );
}

#[test]
fn a_process_is_answered_and_known_for_what_it_is() {
    let rig = Rig::new();
    let one = rig.serve(peer("one", 1));
    let call = |command: &str, within| {
        let (answer, answered) = mpsc::channel();
        let call = Call {
            caller: Caller {
                card: None,
                origin: Origin::Process {
                    pid: 7,
                    uid: 1000,
                    gid: 1000,
                },
            },
            capability: endpoint(1),
            payload: command.into(),
            deadline: Instant::now() + within,
        };
        let _delivery = rig
            .host
            .deliver(one.id, call, move |result| answer.send(result).unwrap());
        answered.recv_timeout(crate::rig::DEADLINE).unwrap()
    };
    let long = Duration::from_secs(60);
    assert_eq!(
        call("who", long),
        Ok(b"process of user 1000 nobody for 1".to_vec())
    );
    let forbidden = HandlerError::Forbidden("not you".into());
    assert_eq!(call("forbid", long), Err(CallError::Refused(forbidden)));
    assert_eq!(
        call("spin 30000", Duration::from_millis(1)),
        Err(CallError::Deadline)
    );
    rig.kill(&one).unwrap();
    rig.end_of(&one);
    assert_eq!(call("who", long), Err(CallError::NoProvider));
}

#[test]
fn what_only_the_core_loop_can_do_is_asked_of_it() {
    let rig = Rig::new();
    let one = rig.serve(peer("one", 1));
    let told = |command| told(&rig, &one, command);
    let asked = || match rig
        .wait(&one, |kind| matches!(kind, EventKind::Asks(_)))
        .kind
    {
        EventKind::Asks(ask) => ask,
        kind => panic!("{kind:?}"),
    };
    let answer = told("take-back 1");
    let Ask::Update {
        adds,
        removes,
        reply,
    } = asked()
    else {
        panic!("something else");
    };
    assert_eq!((adds, removes), (vec![], vec![endpoint(1)]));
    reply.send(Ok(())).unwrap();
    assert_eq!(answer.join().unwrap().unwrap(), "ok");
    // What the Card does not list is not even asked for.
    for command in ["announce 2", "offer 2", "take-back 2"] {
        let answer = told(command).join().unwrap().unwrap();
        assert!(answer.starts_with("RegisterError::NotInCard"), "{answer}");
    }
    let answer = told("announce 1");
    let Ask::Announce { reply, .. } = asked() else {
        panic!("something else");
    };
    reply.send(Err("it is being stopped".into())).unwrap();
    assert_eq!(
        answer.join().unwrap().unwrap(),
        "RegisterError::NotNow(\"it is being stopped\")"
    );
    // A native provider is the core loop's to reach, with the same reasons.
    let native = process_provides(&rig, 5);
    let answer = told("invoke 5 0 hello");
    let Ask::Invoke {
        provider,
        call,
        reply,
        ..
    } = asked()
    else {
        panic!("something else");
    };
    assert_eq!((provider, call.payload), (native, b"hello".to_vec()));
    assert_eq!(call.caller.card.unwrap().id, one.id);
    reply.send(Ok(b"from far".to_vec())).unwrap();
    assert_eq!(answer.join().unwrap().unwrap(), "from far");
    let answer = told("invoke 5 0 hello");
    drop(asked());
    assert_eq!(
        answer.join().unwrap().unwrap(),
        "error: InvokeError::ProviderDied"
    );
    let answer = told("invoke 5 3000 hello");
    let unanswered = asked();
    assert_eq!(
        answer.join().unwrap().unwrap(),
        "error: InvokeError::Deadline"
    );
    drop(unanswered);
    // When it has ended it waits for nothing any more, and that is to be seen.
    let answer = told("invoke 5 0 hello");
    let Ask::Invoke { reply, .. } = asked() else {
        panic!("something else");
    };
    assert!(!reply.is_closed());
    rig.kill(&one).unwrap();
    rig.end_of(&one);
    assert!(reply.is_closed());
    drop(answer.join().unwrap());
}

/// Routes calls to a capability to a process. Its Ente.
pub fn process_provides(rig: &Rig, number: u16) -> Id {
    let provider = Provider {
        id: Id::from_parts(99, [9; 10]),
        priority: Priority::Normal,
        place: Place::Process,
    };
    rig.routes.provide(endpoint(number), provider);
    rig.routes.reach(provider.id, true);
    provider.id
}

#[test]
fn many_callers_are_all_answered_once() {
    let rig = Rig::new();
    let provider = rig.serve(peer("provider", 1));
    let callers: Vec<Card> = (2..8).map(|n| rig.serve(peer("caller", n))).collect();
    let told: Vec<_> = callers
        .iter()
        .map(|caller| told(&rig, caller, "many 3000 1 0 echo x"))
        .collect();
    for answer in told {
        assert_eq!(answer.join().unwrap(), Ok("x".into()));
    }
    assert_eq!(
        rig.has_call(&callers[0], 1, "calls"),
        "18001",
        "and this one"
    );
    drop(provider);
}

/// Has a component told what to do, on a thread of its own.
pub fn told(
    rig: &Rig,
    card: &Card,
    command: &'static str,
) -> thread::JoinHandle<Result<String, InvokeError>> {
    let (host, id) = (Arc::clone(&rig.host), card.id);
    thread::spawn(move || {
        let call = host.invoke(id, COMMAND, command.into());
        let answer = host.workers().block_on(call)?;
        Ok(String::from_utf8(answer).unwrap())
    })
}

#[test]
fn whatever_happens_to_the_provider_every_call_ends() {
    let rig = Rig::new();
    let provider = rig.serve(peer("provider", 1));
    let callers: Vec<Card> = (2..5).map(|n| rig.serve(peer("caller", n))).collect();
    for round in 0..30_u64 {
        let told: Vec<_> = callers
            .iter()
            .map(|caller| told(&rig, caller, "many 500 1 0 echo x"))
            .collect();
        // Killed at another moment each time: between calls, in one, or when all are through.
        let until = Instant::now() + Duration::from_micros(100 * round);
        while Instant::now() < until {
            thread::yield_now();
        }
        rig.kill(&provider).unwrap();
        assert_eq!(rig.end_of(&provider), End::Killed);
        for answer in told {
            let answer = answer.join().unwrap().unwrap();
            let expected = [
                "x",
                "error: InvokeError::ProviderDied",
                "error: InvokeError::NoProvider",
            ];
            assert!(expected.contains(&answer.as_str()), "{answer}");
        }
        rig.start_ready(&provider);
    }
}

#[test]
fn a_call_made_on_the_spot_leaves_timers_and_stops_to_their_time() {
    let rig = Rig::new();
    let (one, two) = (rig.serve(peer("one", 1)), rig.serve(peer("two", 2)));
    // Called all the time, it still hears that it is to stop.
    let busy = told(&rig, &one, "many 4000000000 2 0 echo x");
    let end = Instant::now() + crate::rig::DEADLINE;
    while rig.tell(&two, "calls") == "0" {
        assert!(Instant::now() < end, "nobody calls");
    }
    rig.stop(&two, StopReason::Requested).unwrap();
    assert_eq!(rig.end_of(&two), End::Exited(0));
    rig.kill(&one).unwrap();
    assert_eq!(rig.end_of(&one), End::Killed);
    assert_eq!(busy.join().unwrap(), Err(InvokeError::ProviderDied));
}
