//! Those who go away, altogether or in part, while something is under way.

use super::calls::{MAILBOX, Served, connect, outcome};
use super::*;
use arje_bus::CallError;
use arje_bus::{Place, Provider};
use arje_card::{Capability, Priority};
use std::cell::Cell;
use std::net::Shutdown;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A component that asks, and may have ended.
struct Component(Arc<AtomicBool>);

impl Asking for Component {
    fn tell(self: Box<Self>, outcome: Outcome) {
        assert!(!self.is_gone(), "told {outcome:?}");
    }

    fn is_gone(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

#[test]
fn a_component_that_has_ended_gives_its_places_back() {
    let mut served = Served::new();
    let (ended, lives) = (Arc::new(AtomicBool::new(false)), Arc::default());
    for number in 0..MAILBOX {
        let who = if number == 0 { &lives } else { &ended };
        let waiter = Waiter::Component(Box::new(Component(Arc::clone(who))));
        served.place(vec![], waiter);
    }
    let asker = Id::NIL; // the caller of these has no Card
    served.rig.bus.asker_ended(asker);
    assert_eq!(served.rig.bus.calls.len(), MAILBOX as usize);
    ended.store(true, Ordering::Relaxed);
    served.rig.bus.asker_ended(asker);
    assert_eq!(served.rig.bus.calls.len(), 1, "that of the one that lives");
    let (mut caller, token) = connect(&mut served.rig, user(1000));
    served.call(token, 1, vec![]).unwrap();
    drop(served.provider.0);
    served.rig.turn();
    served.rig.turn();
    assert_eq!(outcome(&mut caller), (1, Err(CallError::ProviderDied)));
}

/// Something under way that says when it is given up.
struct Begun {
    over: bool,
    given_up: Rc<Cell<usize>>,
}

impl UnderWay for Begun {
    fn is_over(&self) -> bool {
        self.over
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        self.given_up.set(self.given_up.get() + 1);
    }
}

#[test]
fn what_is_under_way_for_a_connection_ends_with_it() {
    let mut rig = Rig::new();
    let (stream, token) = connect(&mut rig, user(1000));
    let given_up = Rc::new(Cell::new(0));
    let begun = |over| {
        let given_up = Rc::clone(&given_up);
        Box::new(Begun { over, given_up })
    };
    rig.bus.hold(token, begun(false));
    for _ in 0..1000 {
        rig.bus.hold(token, begun(true));
    }
    assert_eq!(given_up.get(), 999, "what is over is not kept");
    drop(stream);
    rig.turn();
    rig.turn();
    assert!(rig.bus.connections.is_empty());
    assert_eq!(given_up.get(), 1001);
    rig.bus.hold(token, begun(false));
    assert_eq!(given_up.get(), 1002, "nobody is there any more");
}

#[test]
fn who_closes_its_side_gets_what_comes_later() {
    let mut rig = Rig::new();
    let (mut stream, token) = connect(&mut rig, user(0));
    rig.bus.begin_call(token).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    rig.turn();
    rig.bus.flush(rig.now, &mut rig.poller);
    rig.bus.end_call(token);
    rig.bus.reply(token, 5, Response::Ok, rig.now);
    rig.bus.flush(rig.now, &mut rig.poller);
    let (serial, response) = (5, Response::Ok);
    let reply = ServerFrame::Reply(Reply { serial, response });
    assert_eq!(receive::<ServerFrame>(&mut stream), Some(reply));
    assert!(is_closed(&mut stream));
    assert!(rig.bus.connections.is_empty());
}

/// Those to be asked, of two that provide the same.
fn asked(routes: &Routes) -> Vec<Option<Id>> {
    let resolve = |_| Some(routes.resolve(&Capability::Journal)?.id);
    (0..4).map(resolve).collect()
}

#[test]
fn only_who_takes_calls_is_asked() {
    let routes = Arc::new(Routes::new());
    let (one, mute) = (
        card("one", rights::with_bus),
        card("mute", rights::with_bus),
    );
    for card in [&one, &mute] {
        let (id, priority, place) = (card.id, Priority::Normal, Place::Process);
        let provider = Provider {
            id,
            priority,
            place,
        };
        routes.provide(Capability::Journal, provider);
    }
    let mut rig = Rig::new();
    rig.bus.tell_routes(Arc::clone(&routes));
    let nobody = vec![None; 4];
    let always = vec![Some(one.id); 4];
    for way in 0..3 {
        let (stream, token) = connect(&mut rig, member(&one, 0));
        assert_eq!(asked(&routes), nobody, "not announced");
        rig.bus.announce(token);
        assert_eq!(asked(&routes), always);
        match way {
            0 => drop(stream),
            1 => stream.shutdown(Shutdown::Write).unwrap(),
            _ => rig.bus.life_over(one.id),
        }
        rig.turn();
        assert_eq!(asked(&routes), nobody, "gone");
    }
}

#[test]
fn who_says_nothing_more_answers_nothing_more() {
    let mut served = Served::new();
    let (mut caller, token) = connect(&mut served.rig, user(1000));
    served.call(token, 1, vec![]).unwrap();
    served.asked();
    served.provider.0.shutdown(Shutdown::Write).unwrap();
    served.rig.turn();
    served.flush();
    assert_eq!(outcome(&mut caller), (1, Err(CallError::ProviderDied)));
}
