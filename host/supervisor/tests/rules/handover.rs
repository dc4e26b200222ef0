//! Hand-over: interrupted lives return, dependents are patient, a snapshot is what it says.

use arje_card::{Contract, Payload, Pin, WasmPayload};
use arje_supervisor::{
    Action, Command, EventKind, Millis, Report, Snapshot, SnapshotError, State, Supervisor, limits,
};

use crate::bench::{Bench, cap, caps, card, container, id, with};

fn component(label: &str, provides: &str, requires: &str) -> arje_card::Card {
    let payload = Payload::Wasm(WasmPayload {
        module_sha256: Pin([1; 32]),
        ..WasmPayload::default()
    });
    arje_card::Card {
        payload,
        ..card(label, provides, requires)
    }
}

fn ready(bench: &mut Bench, label: &str) -> String {
    let by = arje_supervisor::ReadyBy::Start;
    let actions = bench.report(label, Report::Ready { by });
    bench.brief(&actions)
}

fn interrupt(bench: &mut Bench, label: &str) -> String {
    let actions = bench.report(label, Report::Interrupted);
    bench.brief(&actions)
}

/// A component `w` that provides X, and a process `n` that needs it; both Ready.
fn pair() -> Bench {
    let mut bench = Bench::new(vec![component("w", "X", ""), card("n", "Y", "X")]);
    assert_eq!(ready(&mut bench, "w"), "+n");
    bench.started("n");
    bench
}

fn status(bench: &Bench, label: &str) -> (State, u64, u64) {
    let status = bench.supervisor.status(id(label)).expect("known");
    (status.state, status.starts, status.restarts)
}

#[test]
fn an_interrupted_life_starts_at_once_and_its_dependents_go_on() {
    let mut bench = pair();
    assert_eq!(interrupt(&mut bench, "w"), "+w");
    assert_eq!(status(&bench, "w"), (State::Starting, 2, 0));
    assert_eq!(bench.state("n"), State::Ready);
    // Whoever comes now waits until it is really there, and no call is routed to it.
    let cards = vec![card("late", "", "X")];
    let adopted = bench.step(EventKind::Adopt {
        parent: None,
        cards,
    });
    assert_eq!(bench.brief(&adopted), "");
    assert_eq!(ready(&mut bench, "w"), "+late");
    assert_eq!(
        bench.at(limits::RETURN_MS + 1),
        "",
        "patience is over and not needed"
    );
    assert_eq!(bench.state("n"), State::Ready);
}

#[test]
fn patience_with_a_returning_provider_ends() {
    let mut bench = pair();
    interrupt(&mut bench, "w");
    assert_eq!(bench.at(limits::RETURN_MS - 1), "");
    assert_eq!(bench.at(limits::RETURN_MS), "-n");
    bench.exit("n", 0);
    assert_eq!(bench.state("n"), State::Parked);
    assert_eq!(ready(&mut bench, "w"), "+n");
}

#[test]
fn a_provider_that_fails_to_return_is_lost_at_once() {
    for (end, then) in [(true, "-n"), (false, "-n")] {
        let mut bench = pair();
        interrupt(&mut bench, "w");
        let brief = match end {
            true => bench.exit("w", 1),
            false => bench.command("w", Command::Stop),
        };
        assert_eq!(brief, then);
    }
}

#[test]
fn interruptions_are_no_crashes() {
    let mut bench = Bench::new(vec![component("w", "X", "")]);
    for _ in 0..20 {
        ready(&mut bench, "w");
        assert_eq!(interrupt(&mut bench, "w"), "+w");
    }
    assert_eq!(status(&bench, "w"), (State::Starting, 21, 0));
}

#[test]
fn a_chain_of_components_returns_in_order_and_containers_stay_ready() {
    let chain = vec![component("v", "V", ""), component("w", "X", "V")];
    let mut bench = Bench::new(vec![container("box", "B", "", chain), card("n", "", "BX")]);
    ready(&mut bench, "v");
    assert_eq!(ready(&mut bench, "w"), "+n");
    bench.started("n");
    assert_eq!(interrupt(&mut bench, "w"), "+w");
    // `w` lives again, and may rely on `v` as `n` may on both.
    assert_eq!(interrupt(&mut bench, "v"), "+v");
    ready(&mut bench, "v");
    ready(&mut bench, "w");
    for label in ["box", "v", "w", "n"] {
        assert_eq!(bench.state(label), State::Ready, "{label}");
    }
}

#[test]
fn what_it_added_keeps_it_from_starting_no_longer_than_its_return() {
    let mut rival = with(card("r", "", ""), Contract::Conflicts(caps("Z")));
    rival.stop_timeout_ms = 10 * limits::RETURN_MS;
    let mut bench = Bench::new(vec![component("w", "X", ""), rival]);
    ready(&mut bench, "w");
    bench.started("r");
    let add = Report::Capabilities {
        adds: vec![cap('Z')],
        removes: Vec::new(),
    };
    let actions = bench.report("w", add);
    assert_eq!(bench.brief(&actions), "-r");
    // The rival still lives, and Z is kept for those who rely on it.
    assert_eq!(interrupt(&mut bench, "w"), "");
    assert_eq!(bench.at(limits::RETURN_MS), "+w");
    assert_eq!(bench.state("r"), State::Stopping);
}

#[test]
fn an_interrupted_stop_is_over() {
    let mut bench = pair();
    assert_eq!(bench.command("w", Command::Stop), "-n");
    assert_eq!(interrupt(&mut bench, "w"), "");
    assert_eq!(bench.state("w"), State::Declared);
}

#[test]
fn a_snapshot_moves_to_another_clock() {
    let mut bench = pair();
    bench.now = 40;
    bench.exit("n", 1);
    let snapshot = bench.supervisor.snapshot(Millis(60));
    let text = snapshot.to_json().expect("small");
    let snapshot = Snapshot::from_json(&text).expect("just written");
    let (supervisor, actions) = Supervisor::restore(snapshot, Millis(50)).expect("consistent");
    // 100 ms from its start, 60 of them over.
    let timer = Action::SetTimer {
        at: Some(Millis(90)),
    };
    assert_eq!(actions.last(), Some(&timer));
    let mut bench = Bench {
        supervisor,
        now: 50,
    };
    assert_eq!(bench.at(89), "");
    assert_eq!(bench.at(90), "+n");
    assert_eq!(status(&bench, "n"), (State::Starting, 2, 1));
    // The memory of crashes came along: the delay has doubled.
    bench.exit("n", 1);
    let next = bench.supervisor.status(id("n")).expect("known").next;
    assert_eq!(next, Some(Millis(290)));
}

#[test]
fn foreign_torn_and_inconsistent_snapshots_are_refused_with_a_reason() {
    let bench = pair();
    let text = bench
        .supervisor
        .snapshot(Millis(0))
        .to_json()
        .expect("small");
    let text = String::from_utf8(text).expect("JSON");
    let refused = |text: &str| {
        Snapshot::from_json(text.as_bytes())
            .and_then(|snapshot| Supervisor::restore(snapshot, Millis(0)))
            .err()
            .expect("refused")
    };
    for length in [0, 1, text.len() / 2, text.len() - 1] {
        let error = refused(&text[..length]);
        assert!(matches!(error, SnapshotError::Unreadable(_)), "{error}");
    }
    for (from, to, why) in [
        ("arje-supervisor-snapshot", "elf", "its format is \"elf\""),
        (
            "\"version\":2",
            "\"version\":3",
            "a snapshot of version 3; this program reads version 2",
        ),
        (
            "\"wanted\":true",
            "\"wanted\":false",
            "Ente `w`: it is up and not wanted",
        ),
        (
            "\"state\":\"Ready\"",
            "\"state\":\"Stopping\"",
            "it stops, or does not, against its state",
        ),
        (
            "\"label\":\"w\"",
            "\"label\":\"n\"",
            "its label `n` is already that of",
        ),
        (
            "\"hidden\":[]",
            "\"hidden\":[\"Power\"]",
            "it offers what it does not provide",
        ),
        (
            "\"parent\":null",
            "\"parent\":\"01ARZ3NDEKTSV4RRFFQ69G5FAV\"",
            "is not known",
        ),
        ("\"succeeded\"", "\"suceeded\"", "unknown field"),
    ] {
        assert!(text.contains(from), "{from} in {text}");
        let error = refused(&text.replacen(from, to, 1)).to_string();
        assert!(error.contains(why), "{to}: {error}");
    }
}

#[test]
fn what_forgets_its_entes_goes_on_counting() {
    let mut bench = pair();
    bench.exit("n", 1);
    bench.at(100);
    let mut snapshot = bench.supervisor.snapshot(Millis(100));
    snapshot.forget_entes();
    let (supervisor, actions) = Supervisor::restore(snapshot, Millis(100)).expect("consistent");
    assert_eq!((supervisor.usage().entes, actions), (0, Vec::new()));
    let mut bench = Bench {
        supervisor,
        now: 100,
    };
    let cards = vec![card("n", "", "")];
    bench.step(EventKind::Adopt {
        parent: None,
        cards,
    });
    let status = bench.supervisor.status(id("n")).expect("known");
    assert_eq!((status.incarnation, status.starts), (3, 1));
}
