//! One life: readiness, ends, delays, limits, signs of life.

use arje_card::{Payload, Pin, Readiness, RestartOn, StartLimit, Supervision, WasmPayload};
use arje_supervisor::{
    Action, Command, EventKind, ExitStatus, Hold, KilledFor, Millis, ReadyBy, Report, State,
    StopReason,
};

use crate::bench::{Bench, DAEMON, cap, card, container, id};

#[test]
fn the_sign_of_readiness_is_the_one_the_card_names() {
    let wasm = Payload::Wasm(WasmPayload {
        module_sha256: Pin([1; 32]),
        ..WasmPayload::default()
    });
    let native = card("a", "", "").payload;
    let ready = |by| Report::Ready { by };
    let exit = || Report::Exited(ExitStatus::Code(0));
    use Readiness::{Announce, Exit, Notify, Started};
    for (payload, readiness, report, state) in [
        (&native, Started, Report::Started, State::Ready),
        (&native, Started, ready(ReadyBy::Notify), State::Starting),
        (&native, Notify, Report::Started, State::Starting),
        (&native, Notify, ready(ReadyBy::Notify), State::Ready),
        (&native, Notify, ready(ReadyBy::Announce), State::Starting),
        (&native, Announce, ready(ReadyBy::Announce), State::Ready),
        (&native, Announce, ready(ReadyBy::Notify), State::Starting),
        (&native, Exit, Report::Started, State::Starting),
        (&native, Exit, exit(), State::Done),
        (&wasm, Started, Report::Started, State::Starting),
        (&wasm, Started, ready(ReadyBy::Start), State::Ready),
    ] {
        let text = format!("{readiness:?} {report:?}");
        let mut card = card("a", "X", "");
        (card.payload, card.readiness) = (payload.clone(), readiness);
        let mut bench = Bench::new(vec![card]);
        let actions = bench.report("a", report);
        assert_eq!(bench.state("a"), state, "{text}");
        let provided = actions.iter().any(|a| matches!(a, Action::Provided { .. }));
        assert_eq!(
            provided,
            matches!(state, State::Ready | State::Done),
            "{text}"
        );
    }
}

#[test]
fn ends_lead_where_supervision_says() {
    use Supervision::{Delegate, OneShot};
    for (supervision, on, code, state, provides) in [
        (DAEMON, RestartOn::Always, 0, State::Backoff, false),
        (DAEMON, RestartOn::Always, 1, State::Backoff, false),
        (DAEMON, RestartOn::Failure, 0, State::Done, false),
        (DAEMON, RestartOn::Failure, 1, State::Backoff, false),
        (OneShot, RestartOn::Always, 0, State::Done, true),
        (OneShot, RestartOn::Always, 1, State::Failed, false),
        (Delegate, RestartOn::Always, 0, State::Done, false),
        (Delegate, RestartOn::Always, 1, State::Failed, false),
    ] {
        let text = format!("{supervision:?} {on:?} {code}");
        let mut child = card("a", "X", "");
        (child.supervision, child.restart_on) = (supervision, on);
        let mut bench = Bench::new(vec![container("box", "", "", vec![child])]);
        bench.started("a");
        let actions = bench.report("a", Report::Exited(ExitStatus::Code(code)));
        assert_eq!(bench.state("a"), state, "{text}");
        let cards = vec![card("user", "", "X")];
        let started = bench.step(EventKind::Adopt {
            parent: None,
            cards,
        });
        assert_eq!(bench.brief(&started) == "+user", provides, "{text}");
        let told = actions.iter().any(|action| {
            matches!(action, Action::DelegateEnded { parent, .. } if *parent == Some(id("box")))
        });
        assert_eq!(told, supervision == Delegate, "{text}");
    }
}

#[test]
fn delays_double_and_reset() {
    let mut card = card("a", "", "");
    card.start_limit = StartLimit {
        burst: 100,
        interval_ms: 1,
    };
    let mut bench = Bench::new(vec![card]);
    // Milliseconds that each life lasts, and from its start to the next one; 800 is `max`.
    let lives = [
        (0, 100),
        (0, 200),
        (399, 400),
        (0, 800),
        (0, 800),
        (799, 800),
        (800, 800),
        (0, 200),
        (450, 450),
        (0, 800),
    ];
    for (life, apart) in lives {
        let started = bench.now;
        bench.now += life;
        let after = bench.exit("a", 1);
        if life >= apart {
            assert_eq!(after, "+a", "it has waited already: {life}");
            continue;
        }
        let status = bench.supervisor.status(id("a")).expect("known");
        assert_eq!(status.next, Some(Millis(started + apart)), "{life}");
        assert_eq!(bench.at(started + apart - 1), "");
        assert_eq!(bench.at(started + apart), "+a");
    }
    let status = bench.supervisor.status(id("a")).expect("known");
    assert_eq!(status.restarts, lives.len() as u64);
}

#[test]
fn a_crash_loop_ends_in_failed_until_somebody_asks() {
    let mut bench = Bench::new(vec![card("a", "", "")]);
    for delay in [100, 200, 400, 800] {
        bench.exit("a", 1);
        let next = bench.now + delay;
        assert_eq!(bench.at(next), "+a");
    }
    bench.exit("a", 1);
    assert_eq!(bench.state("a"), State::Failed);
    assert_eq!(bench.at(1_000_000), "");
    assert_eq!(bench.command("a", Command::Start), "+a");
    bench.exit("a", 1);
    assert_eq!(bench.at(1_000_100), "+a");
}

#[test]
fn stops_for_others_are_no_crashes() {
    let mut bench = Bench::new(vec![card("a", "X", "")]);
    bench.step(EventKind::Adopt {
        parent: None,
        cards: vec![card("b", "", "X")],
    });
    for _ in 0..20 {
        bench.all_started();
        bench.command("a", Command::Restart);
        bench.exit("b", 1);
        bench.exit("a", 1);
    }
    bench.all_started();
    assert_eq!(bench.state("b"), State::Ready);
    assert_eq!(bench.supervisor.status(id("b")).expect("known").restarts, 0);
}

#[test]
fn grace_then_kill() {
    let mut card = card("a", "", "");
    card.stop_timeout_ms = 50;
    let mut bench = Bench::new(vec![card]);
    assert_eq!(bench.command("a", Command::Stop), "-a");
    assert_eq!(bench.at(49), "");
    assert_eq!(bench.at(50), "!a");
    assert_eq!(bench.at(1000), "");
    assert_eq!(bench.exit("a", 0), "");
    assert_eq!(bench.state("a"), State::Declared);
}

#[test]
fn no_sign_of_life_is_a_crash() {
    let mut card = card("a", "", "");
    card.liveness_ms = Some(500);
    let mut bench = Bench::new(vec![card]);
    assert_eq!(bench.at(10_000), "", "not before it is Ready");
    bench.started("a");
    bench.now += 400;
    bench.report("a", Report::Alive);
    assert_eq!(bench.at(10_899), "");
    assert_eq!(bench.at(10_900), "!a");
    let actions = bench.report("a", Report::Exited(ExitStatus::Signal(9)));
    let again = "again, and its delay is over long since";
    assert_eq!(bench.brief(&actions), "+a", "{again}");
    let status = bench.supervisor.status(id("a")).expect("known");
    // Whose kill it was is said, and not only that it was one.
    let silence = ExitStatus::Killed(KilledFor::Silence);
    assert_eq!(status.last_exit, Some(&silence));
    let before = status.history.iter().rev().nth(1).map(|change| change.to);
    assert_eq!(before, Some(State::Backoff));
}

#[test]
fn an_incarnation_can_change_how_often_it_says_that_it_lives() {
    let mut watched = card("a", "", "");
    watched.liveness_ms = Some(500);
    let mut bench = Bench::new(vec![watched, card("b", "", "")]);
    bench.report("a", Report::Liveness { ms: 2_000 });
    bench.started("a");
    assert_eq!(bench.at(bench.now + 1_999), "", "its own rhythm counts");
    bench.report("a", Report::Liveness { ms: 100 });
    assert_eq!(
        bench.at(bench.now + 100),
        "!a",
        "from the moment it is said"
    );
    bench.exit("a", 9);
    bench.started("a");
    assert_eq!(bench.at(bench.now + 499), "");
    assert_eq!(
        bench.at(bench.now + 1),
        "!a",
        "the next incarnation has its Card's"
    );

    bench.started("b");
    bench.report("b", Report::Liveness { ms: 100 });
    assert_eq!(
        bench.at(bench.now + 10_000),
        "",
        "a Card that wants none gets none"
    );
}

#[test]
fn who_says_that_it_cannot_go_on_is_treated_as_if_it_gave_no_sign_of_life() {
    let mut bench = Bench::new(vec![card("a", "", "")]);
    bench.started("a");
    let actions = bench.report("a", Report::NotAlive);
    assert_eq!(bench.brief(&actions), "!a");
    bench.exit("a", 9);
    let status = bench.supervisor.status(id("a")).expect("known");
    assert_eq!(status.state, State::Backoff);
}

#[test]
fn who_was_told_to_stop_can_ask_for_more_time_than_its_card_gives() {
    let mut slow = card("a", "", "");
    slow.stop_timeout_ms = 1_000;
    let mut bench = Bench::new(vec![slow]);
    bench.started("a");
    bench.report("a", Report::MoreTime { ms: 60_000 });
    bench.command("a", Command::Stop);
    let told = bench.now;
    assert_eq!(bench.at(told + 900), "");
    bench.report("a", Report::MoreTime { ms: 5_000 });
    bench.report("a", Report::MoreTime { ms: 1 });
    assert_eq!(bench.at(told + 5_899), "");
    assert_eq!(bench.at(told + 5_900), "!a");
}

#[test]
fn late_and_doubled_reports_change_nothing() {
    let mut bench = Bench::new(vec![card("a", "", "")]);
    bench.exit("a", 1);
    bench.at(100);
    for (label, incarnation) in [("a", 0), ("a", 1), ("a", 3), ("nobody", 1)] {
        for report in [
            Report::Started,
            Report::Exited(ExitStatus::Code(0)),
            Report::Alive,
        ] {
            let kind = EventKind::Report {
                id: id(label),
                incarnation,
                report,
            };
            assert_eq!(bench.step(kind), []);
        }
    }
    assert_eq!(bench.state("a"), State::Starting);
}

#[test]
fn time_that_goes_backwards_is_no_time() {
    let mut bench = Bench::new(vec![card("a", "", "")]);
    bench.now = 5000;
    assert_eq!(bench.exit("a", 1), "+a");
    bench.exit("a", 1);
    bench.now = 10;
    assert_eq!(bench.at(10), "");
    assert_eq!(bench.at(5199), "");
    assert_eq!(bench.at(5200), "+a");
}

#[test]
fn stop_reasons_say_why() {
    let mut bench = Bench::new(vec![card("a", "X", ""), card("b", "", "X")]);
    bench.all_started();
    let actions = bench.report("a", Report::Exited(ExitStatus::Signal(11)));
    let reason = actions.iter().find_map(|action| match action {
        Action::Stop { reason, .. } => Some(reason.clone()),
        _ => None,
    });
    assert_eq!(reason, Some(StopReason::Lost(Hold::Requires(cap('X')))));
    let status = bench.supervisor.status(id("a")).expect("known");
    assert_eq!(status.last_exit, Some(&ExitStatus::Signal(11)));
    assert_eq!(
        status.history.back().map(|last| last.to),
        Some(State::Backoff)
    );
}
