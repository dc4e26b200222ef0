//! What an Ente needs: contracts, parents, order, circles of dependents.

use arje_card::{Capability, Contract, Id, InterfaceId, Priority};
use arje_supervisor::{Action, Command, EventKind, ExitStatus, Hold, Prospect, Report, State};

use crate::bench::{Bench, cap, caps, card, container, id, with};

#[test]
fn contracts_decide_who_starts() {
    let any = || Contract::Any(caps("XY"));
    let quorum = || Contract::Quorum {
        of: caps("XYZ"),
        at_least: 2,
    };
    let after = || Contract::After(caps("X"));
    // What a machine offers, and whether a Card with this contract starts.
    for (contract, host, starts) in [
        (any(), "", false),
        (any(), "Z", false),
        (any(), "Y", true),
        (quorum(), "X", false),
        (quorum(), "XZ", true),
        (Contract::Conflicts(caps("X")), "X", false),
        (Contract::Conflicts(caps("X")), "Y", true),
        (after(), "", true),
        (after(), "X", true),
    ] {
        let text = format!("{contract:?} with {host:?}");
        let mut bench = Bench::default();
        let adds = host.chars().map(cap).collect();
        bench.step(EventKind::HostCapabilities {
            adds,
            removes: Vec::new(),
        });
        let cards = vec![with(card("a", "", ""), contract)];
        let actions = bench.step(EventKind::Adopt {
            parent: None,
            cards,
        });
        assert_eq!(bench.brief(&actions) == "+a", starts, "{text}");
        assert_eq!(bench.held("a").is_none(), starts, "{text}");
    }
}

#[test]
fn genesis_starts_in_order_of_needs_and_priority() {
    let mut low = card("low", "", "");
    low.priority = Priority::Low;
    let mut high = card("high", "", "");
    high.priority = Priority::High;
    let seed = vec![
        card("web", "", "D"),
        low,
        with(card("late", "", ""), Contract::After(caps("D"))),
        card("db", "D", "F"),
        card("fs", "F", ""),
        high,
    ];
    let mut bench = Bench::default();
    let cards = vec![container("seed", "", "", seed)];
    let actions = bench.step(EventKind::Adopt {
        parent: None,
        cards,
    });
    assert_eq!(bench.brief(&actions), "+high +fs +low");
    assert_eq!(bench.held("web"), Some(Hold::Requires(cap('D'))));
    assert_eq!(bench.held("late"), Some(Hold::After(cap('D'))));
    assert_eq!(bench.started("fs"), "+db");
    assert_eq!(bench.started("db"), "+web +late");
    bench.all_started();
    assert_eq!(bench.state("seed"), State::Ready);
}

#[test]
fn after_waits_only_for_what_is_on_its_way() {
    // `b` provides X, and waits for something that nobody provides.
    let cards = || {
        vec![
            card("b", "X", "U"),
            with(card("c", "", ""), Contract::After(caps("X"))),
        ]
    };
    let bench = Bench::new(cards());
    assert_eq!(bench.state("c"), State::Starting);
    // The same, but there is somebody on the way who provides it.
    let mut all = cards();
    all.push(card("u", "U", ""));
    let mut bench = Bench::new(all);
    assert_eq!(bench.state("c"), State::Waiting);
    assert_eq!(bench.started("u"), "+b");
    // The first try is over: `c` has waited enough.
    assert_eq!(bench.exit("b", 1), "+c");
}

#[test]
fn after_does_not_wait_for_what_its_provider_took_back() {
    let mut bench = Bench::new(vec![
        card("u", "U", ""),
        card("b", "X", "U"),
        with(card("c", "", ""), Contract::After(caps("X"))),
    ]);
    assert_eq!(bench.state("c"), State::Waiting, "`u` is on its way");
    // `u` is up and says that it does not offer U: `b` cannot start, so nobody waits for it.
    let removed = Report::Capabilities {
        adds: Vec::new(),
        removes: vec![cap('U')],
    };
    let actions = bench.report("u", removed);
    assert_eq!(bench.brief(&actions), "+c");
    assert_eq!(bench.held("b"), Some(Hold::Requires(cap('U'))));
}

#[test]
fn a_lost_need_parks_dependents_first_and_they_return_in_order() {
    let cards = || vec![card("a", "X", ""), card("b", "Y", "X"), card("c", "", "Y")];
    // A crash: the provider is gone, the others go one after the other.
    let mut bench = Bench::new(cards());
    bench.all_started();
    assert_eq!(bench.exit("a", 1), "-c");
    assert_eq!(bench.state("b"), State::Stopping);
    assert_eq!(bench.exit("c", 0), "-b");
    assert_eq!(bench.exit("b", 0), "");
    assert_eq!(
        (bench.state("b"), bench.state("c")),
        (State::Parked, State::Parked)
    );
    assert_eq!(bench.at(100), "+a");
    assert_eq!(bench.started("a"), "+b");
    assert_eq!(bench.started("b"), "+c");
    // A command: the provider goes last.
    let mut bench = Bench::new(cards());
    bench.all_started();
    assert_eq!(bench.command("a", Command::Restart), "-c");
    assert_eq!(bench.exit("c", 0), "-b");
    assert_eq!(bench.exit("b", 0), "-a");
    assert_eq!(bench.exit("a", 0), "+a");
    // Kill does not wait.
    bench.all_started();
    assert_eq!(bench.command("a", Command::Kill), "!a -c");
}

#[test]
fn nobody_stops_while_another_provider_serves() {
    let mut bench = Bench::new(vec![
        card("a", "X", ""),
        card("b", "X", ""),
        card("c", "", "X"),
    ]);
    bench.all_started();
    assert_eq!(bench.exit("a", 1), "");
    assert_eq!(bench.command("b", Command::Stop), "-c");
    assert_eq!(bench.exit("c", 0), "-b");
}

#[test]
fn routes_last_until_dependents_have_ended() {
    let mut bench = Bench::new(vec![card("a", "X", ""), card("b", "", "X")]);
    bench.all_started();
    let withdrawn = |actions: &[Action]| {
        let mut found = actions.iter();
        found.position(|action| matches!(action, Action::Withdrawn { .. }))
    };
    let command = EventKind::Command {
        id: id("a"),
        command: Command::Stop,
    };
    assert_eq!(withdrawn(&bench.step(command)), None);
    let actions = bench.report("b", Report::Exited(ExitStatus::Code(0)));
    let told = actions
        .iter()
        .position(|action| matches!(action, Action::Stop { .. }));
    assert!(withdrawn(&actions).is_some() && withdrawn(&actions) < told);
}

#[test]
fn conflicts_exclude_both_ways_and_who_lives_stays() {
    let cards = || {
        vec![
            with(card("a", "", ""), Contract::Conflicts(caps("X"))),
            card("b", "X", ""),
        ]
    };
    let mut bench = Bench::new(cards());
    assert_eq!(
        (bench.state("a"), bench.state("b")),
        (State::Starting, State::Waiting)
    );
    assert_eq!(bench.held("b"), Some(Hold::Conflict(cap('X'))));
    // A crash lets the rival in, and it stays.
    assert_eq!(bench.exit("a", 1), "+b");
    assert_eq!(bench.at(100), "");
    assert_eq!(bench.command("b", Command::Stop), "-b");
    assert_eq!(bench.exit("b", 0), "+a");
    // What the machine offers cannot wait: who excludes it stops.
    let adds = vec![cap('X')];
    let actions = bench.step(EventKind::HostCapabilities {
        adds,
        removes: Vec::new(),
    });
    assert_eq!(bench.brief(&actions), "-a");
}

#[test]
fn a_container_tells_of_a_failed_child_before_one_that_waits() {
    let mut broken = card("broken", "", "");
    broken.supervision = arje_card::Supervision::OneShot;
    let children = vec![card("waits", "", "N"), broken];
    let mut bench = Bench::new(vec![container("box", "", "", children)]);
    let held = |bench: &Bench| bench.held("box").unwrap().to_string();
    let text = |label, said| format!("its child {} is {said}, and 1 more not ready", id(label));
    assert_eq!(held(&bench), text("waits", "waiting"));
    bench.exit("broken", 1);
    assert_eq!(held(&bench), text("broken", "failed"));
}

#[test]
fn containers_open_hold_and_close() {
    let children = vec![card("c", "", ""), card("d", "", "")];
    let mut bench = Bench::new(vec![
        container("box", "X", "N", children),
        card("user", "", "X"),
    ]);
    assert_eq!(bench.held("c"), Some(Hold::Parent(id("box"))));
    let adds = vec![cap('N')];
    let actions = bench.step(EventKind::HostCapabilities {
        adds,
        removes: Vec::new(),
    });
    assert_eq!(bench.brief(&actions), "+c +d");
    let missing = |label, state, more| {
        let id = id(label);
        Some(Hold::Child { id, state, more })
    };
    assert_eq!(bench.held("box"), missing("c", State::Starting, 1));
    bench.started("c");
    assert_eq!(bench.state("box"), State::Starting);
    assert_eq!(bench.held("box"), missing("d", State::Starting, 0));
    assert_eq!(bench.started("d"), "+user");
    assert_eq!(bench.held("box"), None);
    bench.all_started();
    // One child that has to go takes along who needs the container, and goes after it.
    assert_eq!(bench.command("c", Command::Restart), "-user");
    assert_eq!(bench.exit("user", 0), "-c");
    assert_eq!(bench.exit("c", 0), "+c");
    assert_eq!(bench.started("c"), "+user");
    // A child that is not wanted is not missed.
    assert_eq!(bench.command("c", Command::Stop), "-c");
    bench.exit("c", 0);
    assert_eq!(bench.state("box"), State::Ready);
    // The container loses its need: all of it goes, and comes back.
    bench.all_started();
    let removes = vec![cap('N')];
    let actions = bench.step(EventKind::HostCapabilities {
        adds: Vec::new(),
        removes,
    });
    assert_eq!(bench.brief(&actions), "-user");
    assert_eq!(bench.exit("user", 0), "-d");
    assert_eq!(bench.exit("d", 0), "");
    assert_eq!(
        (bench.state("box"), bench.state("d")),
        (State::Parked, State::Parked)
    );
    let adds = vec![cap('N')];
    let actions = bench.step(EventKind::HostCapabilities {
        adds,
        removes: Vec::new(),
    });
    assert_eq!(bench.brief(&actions), "+d");
}

#[test]
fn children_of_a_process_live_within_its_readiness() {
    let mut parent = card("p", "", "");
    parent.genesis = vec![card("c", "", "")];
    let mut bench = Bench::new(vec![parent]);
    assert_eq!(bench.state("c"), State::Waiting);
    assert_eq!(bench.started("p"), "+c");
    bench.all_started();
    assert_eq!(bench.command("p", Command::Stop), "-c");
    assert_eq!(bench.exit("c", 0), "-p");
    assert_eq!(bench.exit("p", 0), "");
    assert_eq!(
        (bench.state("p"), bench.state("c")),
        (State::Declared, State::Parked)
    );
    assert_eq!(
        bench.supervisor.card(id("c")).and_then(|card| card.lineage),
        Some(id("p"))
    );
}

#[test]
fn capabilities_change_at_run_time() {
    let mut bench = Bench::new(vec![
        card("a", "X", ""),
        card("b", "", "Y"),
        card("c", "", "X"),
    ]);
    bench.all_started();
    let change = |adds: &str, removes: &str| Report::Capabilities {
        adds: adds.chars().map(cap).collect(),
        removes: removes.chars().map(cap).collect(),
    };
    let actions = bench.report("a", change("Y", ""));
    assert_eq!(bench.brief(&actions), "+b");
    let actions = bench.report("a", change("", "X"));
    assert_eq!(bench.brief(&actions), "-c");
    bench.exit("c", 0);
    let actions = bench.report("a", change("X", ""));
    assert_eq!(bench.brief(&actions), "+c");
    // What was added at run time is forgotten with the incarnation.
    bench.all_started();
    assert_eq!(bench.exit("a", 1), "-b -c");
    bench.exit("b", 0);
    bench.exit("c", 0);
    bench.at(100);
    assert_eq!(bench.started("a"), "+c");
    assert_eq!(bench.held("b"), Some(Hold::Requires(cap('Y'))));
}

#[test]
fn wit_versions_match_by_compatibility() {
    let wit = |version: &str| Capability::Wit(format!("t:t/t@{version}").parse().expect("a name"));
    for (provided, required, starts) in [
        ("1.2.0", "1.0.0", true),
        ("1.0.0", "1.2.0", false),
        ("2.0.0", "1.0.0", false),
        ("0.2.3", "0.2.0", true),
    ] {
        let (mut a, mut b) = (card("a", "", ""), card("b", "", ""));
        a.provides.insert(wit(provided));
        b.requires.insert(wit(required));
        let mut bench = Bench::new(vec![a, b]);
        assert_eq!(
            bench.started("a") == "+b",
            starts,
            "{provided} for {required}"
        );
    }
}

#[test]
fn long_chains_need_no_stack() {
    let name = |n: u16| Capability::Endpoint {
        interface: InterfaceId([0; 16]),
        version: n,
    };
    let chain = 10_000;
    let cards = (0..chain).map(|n| {
        let mut card = card("", "", "");
        card.id = Id::from_parts(u64::from(n) + 1, [1; 10]);
        card.label = format!("e{n}");
        card.provides.insert(name(n + 1));
        if n > 0 {
            card.requires.insert(name(n));
        }
        card
    });
    let cards = cards.collect();
    let mut bench = Bench::default();
    bench.step(EventKind::Adopt {
        parent: None,
        cards,
    });
    for n in 0..chain {
        let id = Id::from_parts(u64::from(n) + 1, [1; 10]);
        let actions = bench.step(EventKind::Report {
            id,
            incarnation: 1,
            report: Report::Started,
        });
        let starts = actions
            .iter()
            .filter(|a| matches!(a, Action::Start { .. }))
            .count();
        assert_eq!(starts, usize::from(n + 1 < chain));
    }
    let first = Id::from_parts(1, [1; 10]);
    let exited = Report::Exited(ExitStatus::Code(1));
    let actions = bench.step(EventKind::Report {
        id: first,
        incarnation: 1,
        report: exited,
    });
    let stops = actions
        .iter()
        .filter(|a| matches!(a, Action::Stop { .. }))
        .count();
    assert_eq!(stops, 1, "the last of the chain goes first");
}

#[test]
fn work_does_not_grow_with_the_number_of_entes() {
    // How many Entes are looked at when one of `count` crashes, starts again and is ready.
    let looks = |count: u64| {
        let others = (0..count).map(|n| {
            let mut other = card("", "O", "F");
            other.id = Id::from_parts(n + 100, [1; 10]);
            other.label = format!("other-{n}");
            other
        });
        let mut children: Vec<_> = others.collect();
        children.push(card("f", "F", ""));
        children.push(card("a", "X", ""));
        children.push(card("b", "", "X"));
        let mut bench = Bench::new(vec![container("seed", "", "", children)]);
        for label in ["f", "a", "b"] {
            bench.started(label);
        }
        let before = bench.supervisor.usage().looks;
        assert_eq!(bench.exit("a", 1), "-b");
        assert_eq!(bench.exit("b", 1), "");
        assert_eq!(bench.at(100), "+a");
        assert_eq!(bench.started("a"), "+b");
        bench.supervisor.usage().looks - before
    };
    let few = looks(10);
    for count in [1_000, 10_000, 60_000] {
        assert_eq!(looks(count), few, "with {count} Entes");
    }
}

#[test]
fn who_waits_for_what_nobody_brings_is_stuck() {
    let mut once = card("once", "O", "");
    once.supervision = arje_card::Supervision::OneShot;
    let disk = Capability::Device {
        class: arje_card::DeviceClass::Block,
    };
    let mut bench = Bench::new(vec![
        once,
        card("user", "U", "O"),
        card("its", "", "U"),
        card("nobody", "", "N"),
        with(card("disk", "", ""), Contract::Any([disk].into())),
        card("rival", "X", ""),
        with(card("other", "", ""), Contract::Conflicts(caps("X"))),
    ]);
    let prospect = |bench: &Bench, label: &str| bench.supervisor.prospect(id(label)).unwrap();
    let stuck = |names_device| Prospect::Stuck { names_device };
    for (label, expected) in [
        ("once", Prospect::Moving),
        ("user", Prospect::Moving),
        ("its", Prospect::Moving),
        ("nobody", stuck(false)),
        ("disk", stuck(true)),
        ("rival", Prospect::Moving),
        ("other", Prospect::Excluded),
    ] {
        assert_eq!(prospect(&bench, label), expected, "{label}");
    }
    bench.started("rival");
    bench.exit("once", 1);
    for (label, expected) in [
        ("once", Prospect::Settled),
        ("user", stuck(false)),
        ("its", stuck(false)),
        ("rival", Prospect::Settled),
        ("other", Prospect::Excluded),
    ] {
        assert_eq!(prospect(&bench, label), expected, "{label}");
    }
    // Who is started again brings all of them up, and who is stopped is not waited for.
    bench.command("once", Command::Start);
    assert_eq!(prospect(&bench, "its"), Prospect::Moving);
    bench.command("nobody", Command::Stop);
    assert_eq!(prospect(&bench, "nobody"), Prospect::Settled);
}
