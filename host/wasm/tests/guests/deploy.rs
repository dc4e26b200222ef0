//! Another module in an Ente's place while it is called.

use crate::calls::{endpoint, told};
use crate::rig::{Rig, card, pin_of, wasm};
use arje_card::{Card, Pin};
use arje_guest_artifacts::guest;
use arje_wasm::{Ask, End, EventKind, StartRequest, StopReason};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

/// The counter, which provides the endpoint 1.
fn counter() -> Card {
    let mut card = card("counter", "service");
    card.provides = [endpoint(1)].into();
    card
}

/// The same component under another hash: with a custom section that nobody reads.
fn version(name: &str, number: u8) -> Pin {
    let mut bytes = std::fs::read(guest(name).path()).unwrap();
    bytes.extend([0, 3, 1, b'v', number]); // section 0, three bytes: a name of one byte, and one more
    pin_of(&bytes)
}

impl Rig {
    /// Starts a module beside a running one.
    fn deploy(&self, card: &Card, module: Pin, incarnation: u64) -> Card {
        let mut next = card.clone();
        wasm(&mut next).module_sha256 = module;
        let request = StartRequest {
            card: Arc::new(next.clone()),
            incarnation,
            sockets: Vec::new(),
        };
        self.host.start_beside(request).unwrap();
        next
    }

    /// Waits for what comes of it, and for the end of the one that was replaced. That is told last: an end of the one
    /// that is would be a crash.
    fn deployed(&self, card: &Card, incarnation: u64) {
        let told =
            |kind: &EventKind| matches!(kind, EventKind::TookOver { .. } | EventKind::Ended { .. });
        let first = self.wait(card, told);
        assert!(
            matches!(first.kind, EventKind::TookOver { .. }),
            "{first:?}"
        );
        assert_eq!(first.incarnation, incarnation);
        let last = self.wait(card, told);
        assert_ne!(last.incarnation, incarnation);
        match last.kind {
            EventKind::Ended { end, .. } => assert_eq!(end, End::Exited(0), "the old one"),
            kind => panic!("{kind:?}"),
        }
    }

    /// Waits for the end of a successor that did not come to it.
    fn failed(&self, card: &Card, incarnation: u64) -> End {
        let event = self.wait(card, |kind| {
            matches!(kind, EventKind::TookOver { .. } | EventKind::Ended { .. })
        });
        assert_eq!(event.incarnation, incarnation);
        match event.kind {
            EventKind::Ended { end, .. } => end,
            kind => panic!("{kind:?}"),
        }
    }
}

#[test]
fn no_call_is_lost_and_none_counted_twice() {
    let rig = Rig::new();
    let counter = rig.serve(counter());
    let callers: Vec<Card> = (2..6)
        .map(|n| rig.serve(crate::calls::peer("caller", n)))
        .collect();
    let versions: Vec<Pin> = (0..20).map(|n| version("counter", n)).collect();
    let observer = rig.serve(crate::calls::peer("observer", 9));
    let count = || {
        rig.has_call(&observer, 1, "how many")
            .parse::<u64>()
            .unwrap()
    };
    let over = AtomicBool::new(false);
    // They call until the last deployment is through: each one finds calls under way.
    let calls = |caller: &Card| {
        let mut made = 0;
        while !over.load(Ordering::Acquire) {
            let last = rig.tell(caller, "many 1000 1 0 add 1");
            assert!(last.parse::<u64>().is_ok(), "{last}");
            made += 1000;
        }
        made
    };
    let made: u64 = thread::scope(|scope| {
        let over = Over(&over);
        let calling: Vec<_> = callers
            .iter()
            .map(|caller| scope.spawn(|| calls(caller)))
            .collect();
        let mut running = counter.clone();
        for (n, version) in (0..).zip(versions) {
            while count() < n * 4500 {
                thread::yield_now();
            }
            running = rig.deploy(&running, version, n + 2);
            rig.deployed(&running, n + 2);
        }
        while count() < 100_000 {
            thread::yield_now();
        }
        drop(over);
        calling.into_iter().map(|one| one.join().unwrap()).sum()
    });
    assert_eq!(count(), made);
}

/// It is over when this is dropped, also where a test fails.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

#[test]
fn typed_calls_that_wait_are_answered_by_the_successor() {
    let rig = Rig::new();
    let mut running = rig.serve(crate::typed::provider());
    let versions: Vec<Pin> = (0..10).map(|n| version("typed_provider", n)).collect();
    let clients: Vec<Card> = (0..4).map(|_| crate::typed::client()).collect();
    clients.iter().for_each(|client| rig.start_ready(client));
    // The provider is held by one, so that the others wait in its mailbox.
    crate::calls::process_provides(&rig, 5);
    for (n, version) in (2..).zip(versions) {
        let held = told(&rig, &clients[0], "back 5");
        let asked = rig.wait(&running, |kind| matches!(kind, EventKind::Asks(_)));
        let EventKind::Asks(Ask::Invoke { reply, .. }) = asked.kind else {
            panic!("it asked something else");
        };
        let waiting: Vec<_> = clients[1..]
            .iter()
            .map(|client| told(&rig, client, "text-many 200 still there"))
            .collect();
        running = rig.deploy(&running, version, n);
        reply.send(Ok(Vec::new())).unwrap();
        rig.deployed(&running, n);
        assert_eq!(held.join().unwrap(), Ok("Ok([])".into()));
        for answer in waiting {
            assert_eq!(answer.join().unwrap(), Ok("still there".into()));
        }
    }
}

#[test]
fn who_is_called_and_answers_no_calls_says_so_at_once() {
    let rig = Rig::new();
    let mut http = card("web", "http");
    http.provides = [endpoint(1)].into();
    let http = rig.serve(http);
    let caller = rig.serve(crate::calls::peer("caller", 2));
    let told = rig.has_call(&caller, 1, "anything");
    assert_eq!(told, "error: InvokeError::NoProvider");
    drop(http);
}

#[test]
pub fn counter_bad() {
    let rig = Rig::new();
    let mut counter = counter();
    // Each answer about its health has a third of this.
    counter.liveness_ms = Some(1500);
    counter.limits.call_ms = 3000;
    let counter = rig.serve(counter);
    let caller = rig.serve(crate::calls::peer("caller", 2));
    assert_eq!(rig.has_call(&caller, 1, "add 5"), "5");
    let bad = version("counter_bad", 0);
    for (incarnation, expected) in [
        (101, "trapped (unreachable)"),
        (102, "failed: `start` returned an error: not today"),
        (103, "unhealthy: I am ill"),
        (104, "incompatible: handoff.restore: what is this?"),
        (105, "incompatible: handoff.restore: trapped (unreachable)"),
        (
            106,
            "incompatible: `handoff.restore` did not return within 3000 ms",
        ),
    ] {
        rig.deploy(&counter, bad, incarnation);
        let end = rig.failed(&counter, incarnation).to_string();
        assert!(end.starts_with(expected), "{incarnation}: {end}");
        assert_eq!(
            rig.has_call(&caller, 1, "add 1"),
            (incarnation - 95).to_string()
        );
    }
    // One that is sound in all that is asked takes over, whatever it answers.
    let next = rig.deploy(&counter, bad, 107);
    rig.deployed(&next, 107);
    assert_eq!(rig.has_call(&caller, 1, "add 1"), "bad");
    // And one that cannot save ends, which the next one is told.
    rig.deploy(&next, version("counter", 1), 108);
    let ends = [(); 2].map(|()| rig.wait(&next, |kind| matches!(kind, EventKind::Ended { .. })));
    let end = |incarnation| {
        let event = ends.iter().find(|event| event.incarnation == incarnation);
        match &event.unwrap().kind {
            EventKind::Ended { end, .. } => end.to_string(),
            kind => panic!("{kind:?}"),
        }
    };
    assert!(end(107).starts_with("trapped"), "{}", end(107));
    assert!(end(108).contains("has ended"), "{}", end(108));
}

#[test]
fn what_answers_to_less_cannot_take_the_place() {
    let rig = Rig::new();
    let counter = rig.serve(counter());
    rig.deploy(
        &counter,
        pin_of(&std::fs::read(guest("hello").path()).unwrap()),
        2,
    );
    let end = rig.failed(&counter, 2).to_string();
    assert!(end.contains("does not export arje:bus/handler"), "{end}");
    rig.deploy(&counter, Pin([7; 32]), 3);
    let end = rig.failed(&counter, 3).to_string();
    assert!(
        end.starts_with("refused: payload.Wasm.module_sha256"),
        "{end}"
    );
    // Typed services: what those who call were linked with has to stay.
    let provider = rig.serve(crate::typed::provider());
    rig.deploy(&provider, version("counter", 9), 2);
    let end = rig.failed(&provider, 2).to_string();
    assert!(
        end.contains("does not export test:shapes/shapes@1.2.0"),
        "{end}"
    );
    let client = crate::typed::client();
    rig.start_ready(&client);
    assert_eq!(rig.tell(&client, "text still there"), "still there");
    let next = rig.deploy(&provider, version("typed_provider", 1), 3);
    rig.deployed(&next, 3);
    assert_eq!(rig.tell(&client, "text and again"), "and again");
}

#[test]
fn whenever_the_old_one_is_killed_every_life_has_one_end() {
    let rig = Rig::new();
    let caller = rig.serve(crate::calls::peer("caller", 2));
    let versions: Vec<Pin> = (0..30).map(|n| version("counter", n)).collect();
    let busy = told(&rig, &caller, "many 4000000000 1 0 add 1");
    for (round, version) in (0..).zip(versions) {
        let counter = rig.serve(counter());
        rig.deploy(&counter, version, 2);
        for _ in 0..20 * round {
            thread::yield_now();
        }
        // At whatever moment: before it is asked for its place, meanwhile, or when it has left it.
        let _ = rig.host.kill(counter.id, 1);
        let _ = rig.host.stop(counter.id, 2, StopReason::Requested);
        let mut ended = Vec::new();
        while ended.len() < 2 {
            let event = rig.wait(&counter, |kind| matches!(kind, EventKind::Ended { .. }));
            ended.push(event.incarnation);
            if event.incarnation == 1 {
                // It took over a moment ago, or it never will.
                let _ = rig.host.kill(counter.id, 2);
            }
        }
        ended.sort_unstable();
        assert_eq!(ended, [1, 2]);
        rig.routes.withdraw(&endpoint(1), counter.id);
    }
    rig.kill(&caller).unwrap();
    rig.end_of(&caller);
    let _ = busy.join().unwrap();
}
