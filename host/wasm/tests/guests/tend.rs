//! What components ask of the supervisor, and what they hear. The core loop's part is played by the test.

use crate::rig::{Rig, card};
use arje_bus::{BusError, EnteState, ErrorCode, Event, Exit, ExitKind, Happening, Target};
use arje_card::{Capability, Card, Id, Pin};
use arje_wasm::{Ask, End, EnteStatus, EventKind, Tended, Wish};
use std::sync::Arc;
use std::thread;

/// More events than wait for a component anywhere.
const MANY: u64 = 1000;

fn tending(guest: &str) -> Card {
    let mut card = card(guest, "service");
    card.holds = [Capability::Spawn].into();
    card.provides.clear();
    card
}

impl Rig {
    /// Waits until the component wants something of the supervisor, and answers.
    fn tended(&self, card: &Card, answer: impl FnOnce(Wish) -> Tended) {
        let asks = |kind: &EventKind| matches!(kind, EventKind::Asks(Ask::Tend { .. }));
        match self.wait(card, asks).kind {
            EventKind::Asks(Ask::Tend { wish, reply }) => reply.send(answer(wish)).unwrap(),
            kind => panic!("{kind:?}"),
        }
    }

    /// Has the component ask by this command; what it was told.
    fn has_ask(&self, card: &Card, command: &str, answer: impl FnOnce(Wish) -> Tended) -> String {
        thread::scope(|scope| {
            let told = scope.spawn(|| self.tell(card, command));
            self.tended(card, answer);
            told.join().unwrap()
        })
    }
}

fn labelled(label: &str) -> Target {
    Target::Label(label.into())
}

fn status() -> EnteStatus {
    EnteStatus {
        id: Id::NIL,
        label: "other".into(),
        state: EnteState::Backoff,
        since_ms: 5,
        wanted: true,
        incarnation: 3,
        restarts: 2,
        pid: Some(7),
        pin: Some(Pin([1; 32])),
        held_by: Some("nothing".into()),
        last_exit: Some(Exit {
            kind: ExitKind::Trap,
            number: 0,
            text: "it broke".into(),
        }),
    }
}

fn ready(incarnation: u64) -> Arc<Event> {
    Arc::new(Event::Ready(Happening {
        at_ms: 0,
        id: Id::NIL,
        label: "other".into(),
        incarnation,
        state: EnteState::Ready,
        cause: String::new(),
        exit: None,
    }))
}

#[test]
pub fn tender() {
    let rig = Rig::new();
    let card = tending("tender");
    rig.start_ready(&card);
    let said = rig.has_ask(&card, "status other", |wish| {
        assert_eq!(wish, Wish::Status(labelled("other")));
        Ok(Some(Box::new(status())))
    });
    assert!(
        said.starts_with("other EnteState::Backoff 3 true"),
        "{said}"
    );
    assert!(said.contains("it broke"), "{said}");
    for (command, wish) in [
        ("start a", Wish::Start(labelled("a"))),
        ("stop b", Wish::Stop(labelled("b"))),
        ("restart c", Wish::Restart(labelled("c"))),
        ("kill 9 d", Wish::Kill(labelled("d"), 9)),
        ("remove e", Wish::Remove(labelled("e"))),
        ("spawn {\"a\": 1}", Wish::Spawn("{\"a\": 1}".into())),
        ("subscribe f", Wish::Subscribe(Some(labelled("f")))),
        ("subscribe", Wish::Subscribe(None)),
        ("unsubscribe", Wish::Unsubscribe),
    ] {
        let answer = |asked| {
            assert_eq!(asked, wish, "{command}");
            Ok(None)
        };
        assert_eq!(rig.has_ask(&card, command, answer), "ok", "{command}");
    }
    for (code, case) in [
        (ErrorCode::UnknownEnte, "UnknownEnte"),
        (ErrorCode::BadRequest, "BadRequest"),
        (ErrorCode::Forbidden, "Forbidden"),
        (ErrorCode::Refused, "Refused"),
        (ErrorCode::Busy, "Refused"),
        (ErrorCode::Unsupported, "Unsupported"),
        (ErrorCode::Failed, "Failed"),
    ] {
        let answer = |_| Err(BusError::new(code, "because"));
        let said = rig.has_ask(&card, "start a", answer);
        assert_eq!(said, format!("SupervisorError::{case}(\"because\")"));
    }
}

#[test]
fn what_makes_no_sense_does_not_reach_the_core() {
    let rig = Rig::new();
    let card = tending("tender");
    rig.start_ready(&card);
    for (command, part) in [
        ("status-of-id 01", "\\\"01\\\" is no id"),
        (&format!("stop {}", "x".repeat(5000)), "labels have at most"),
        (
            &format!("spawn {}", "x".repeat(arje_wasm::MAX_CARD + 1)),
            &format!("at most {} can be brought", arje_wasm::MAX_CARD),
        ),
    ] {
        let said = rig.tell(&card, command);
        assert!(said.starts_with("SupervisorError::BadRequest"), "{said}");
        assert!(said.contains(part), "{said}");
    }
}

#[test]
fn events_are_heard_in_order_and_the_missing_are_counted() {
    let rig = Rig::new();
    let mut card = tending("tender");
    card.label = "who listens".into();
    rig.start(&card);
    rig.tended(&card, |wish| {
        assert_eq!(wish, Wish::Subscribe(None));
        // It hears of this one after its start.
        rig.host.tell(card.id, 1, &ready(100)).unwrap();
        Ok(None)
    });
    rig.wait(&card, |kind| matches!(kind, EventKind::Ready));
    rig.lines
        .wait_for(&card, "heard ready of other, incarnation 100");
    // Far more than wait for one component on all the way to it.
    rig.has_ask(&card, "start a", |_| {
        for number in 0..MANY {
            rig.host.tell(card.id, 1, &ready(number)).unwrap();
        }
        Ok(None)
    });
    rig.lines.wait_for(&card, "missed");
    rig.host.tell(card.id, 1, &ready(MANY)).unwrap();
    rig.lines.wait_for(&card, &format!("incarnation {MANY}"));
    let mut next = 0;
    for line in rig.lines.of(&card).iter().skip(1) {
        match line.strip_prefix("missed ") {
            Some(count) => next += count.parse::<u64>().unwrap(),
            None => {
                assert_eq!(*line, format!("heard ready of other, incarnation {next}"));
                next += 1;
            }
        }
    }
    assert_eq!(next, MANY + 1, "{:?}", rig.lines.of(&card));
}

#[test]
fn events_that_wait_can_be_forgotten() {
    let rig = Rig::new();
    let card = tending("tender");
    rig.start_ready(&card);
    rig.has_ask(&card, "unsubscribe", |_| {
        rig.host.tell(card.id, 1, &ready(1)).unwrap();
        rig.host.forget_events(card.id, 1);
        Ok(None)
    });
    rig.host.tell(card.id, 1, &ready(2)).unwrap();
    rig.lines.wait_for(&card, "incarnation 2");
    assert_eq!(rig.lines.of(&card).len(), 1);
    assert!(rig.host.tell(card.id, 2, &ready(3)).is_err());
}

#[test]
pub fn tender_deaf() {
    let rig = Rig::new();
    let End::Failed(why) = rig.run(&tending("tender_deaf")) else {
        panic!("it started");
    };
    assert!(
        why.contains("does not export arje:ente/supervisor-handler"),
        "{why}"
    );
}

#[test]
fn who_does_not_hold_spawn_does_not_start() {
    let rig = Rig::new();
    let mut card = tending("tender");
    card.holds.clear();
    let End::Refused(why) = rig.run(&card) else {
        panic!("it started");
    };
    assert!(why.contains("\"Spawn\" in holds"), "{why}");
}
