//! Commands, adoption, removal, shutdown, and what is refused.

use arje_card::{Card, Contract};
use arje_supervisor::{Action, Command, CycleLink, EventKind, Refusal, State};

use crate::bench::{Bench, cap, caps, card, container, id, with};

#[test]
fn ids_that_return_go_on_counting() {
    let mut bench = Bench::new(vec![card("a", "", "")]);
    bench.command("a", Command::Remove);
    assert_eq!(bench.exit("a", 0), "~a");
    bench.step(EventKind::Adopt {
        parent: None,
        cards: vec![card("a", "", "")],
    });
    let status = bench.supervisor.status(id("a")).expect("known");
    assert_eq!((status.incarnation, status.starts), (2, 1));
}

#[test]
fn removing_a_tree_goes_from_the_leaves() {
    let inner = container("in", "", "", vec![card("c", "X", "")]);
    let mut bench = Bench::new(vec![
        container("box", "", "", vec![inner]),
        card("user", "", "X"),
    ]);
    bench.all_started();
    assert_eq!(bench.command("box", Command::Remove), "-user");
    let start = EventKind::Command {
        id: id("c"),
        command: Command::Start,
    };
    assert_eq!(bench.try_step(start), Err(Refusal::BeingRemoved(id("c"))));
    assert_eq!(bench.exit("user", 0), "-c");
    assert_eq!(bench.exit("c", 0), "~c ~in ~box");
    assert_eq!(bench.state("user"), State::Parked);
    assert_eq!(bench.supervisor.usage().entes, 1);
}

#[test]
fn shutdown_is_ordered_and_bounded() {
    let cards = vec![
        card("a", "X", ""),
        card("b", "", "X"),
        with(card("c", "", ""), Contract::After(caps("X"))),
    ];
    let mut bench = Bench::new(cards);
    bench.all_started();
    let actions = bench.step(EventKind::Shutdown { deadline_ms: 8000 });
    assert_eq!(bench.brief(&actions), "-b -c");
    let start = EventKind::Command {
        id: id("a"),
        command: Command::Start,
    };
    assert_eq!(bench.try_step(start), Err(Refusal::ShuttingDown));
    assert_eq!(bench.exit("b", 0), "");
    assert_eq!(bench.exit("c", 0), "-a");
    // `a` ignores everything.
    assert_eq!(bench.at(6999), "");
    assert_eq!(bench.at(7000), "!a");
    bench.now = 8000;
    let actions = bench.step(EventKind::Timer);
    let left = vec![id("a")];
    assert!(
        actions.contains(&Action::ShutdownComplete { left }),
        "{actions:?}"
    );
}

#[test]
fn circles_are_refused_whole() {
    let through_box = vec![container("box", "X", "", vec![card("c", "", "X")])];
    let alternatives = vec![
        with(card("a", "X", ""), Contract::Any(caps("YZ"))),
        card("b", "Y", "X"),
        card("z", "Z", ""),
    ];
    let ordering = vec![with(card("a", "X", ""), Contract::After(caps("X")))];
    let mut parent = card("p", "", "X");
    parent.genesis = vec![card("c", "X", "")];
    for (cards, labels) in [
        (vec![card("a", "X", "Y"), card("b", "Y", "X")], "ab"),
        (through_box, "cbox"),
        (alternatives, "ab"),
        (ordering, "a"),
        (vec![parent], "cp"),
    ] {
        let text = format!(
            "{:?}",
            cards.iter().map(|card| &card.label).collect::<Vec<_>>()
        );
        let mut bench = Bench::new(vec![card("other", "O", "")]);
        let before = bench.supervisor.usage();
        let result = bench.try_step(EventKind::Adopt {
            parent: None,
            cards,
        });
        let Err(Refusal::Cycle(links)) = result else {
            panic!("{text}: {result:?}");
        };
        let mut found: Vec<&str> = links.iter().map(|link: &CycleLink| &*link.label).collect();
        found.sort_unstable();
        let found: String = found.concat();
        let mut expected: Vec<char> = labels.chars().collect();
        let mut found: Vec<char> = found.chars().collect();
        expected.sort_unstable();
        found.sort_unstable();
        assert_eq!(found, expected, "{text}");
        assert_eq!(bench.supervisor.usage(), before, "{text}");
    }
}

#[test]
fn names_are_unique_and_refusals_say_what_to_do() {
    let relabelled = Card {
        label: "b".into(),
        ..card("a", "", "")
    };
    let same_label = Card {
        label: "a".into(),
        ..card("b", "", "")
    };
    let clash = with(card("b", "X", ""), Contract::Conflicts(caps("X")));
    for (refused, text) in [
        (
            relabelled,
            format!("Card `b`: its id {} is already that of `a`", id("a")),
        ),
        (
            same_label,
            format!(
                "Card {}: its label `a` is already that of {}",
                id("b"),
                id("a")
            ),
        ),
        (
            clash,
            format!("Card `b`: provides {}, which its own", cap('X')),
        ),
    ] {
        let mut bench = Bench::new(vec![card("a", "", "")]);
        let cards = vec![card("z", "", ""), refused];
        let adopt = EventKind::Adopt {
            parent: None,
            cards,
        };
        let refusal = bench.try_step(adopt).unwrap_err().to_string();
        assert!(refusal.starts_with(&text), "{refusal}");
        assert_eq!(bench.supervisor.usage().entes, 1);
    }
    let mut bench = Bench::default();
    let command = EventKind::Command {
        id: id("a"),
        command: Command::Stop,
    };
    assert_eq!(bench.try_step(command), Err(Refusal::UnknownEnte(id("a"))));
    let cards = vec![card("a", "X", "Y"), card("b", "Y", "X")];
    let refusal = bench
        .try_step(EventKind::Adopt {
            parent: None,
            cards,
        })
        .unwrap_err();
    let text = refusal.to_string();
    assert!(
        text.contains("`a` needs") && text.contains("`b` needs"),
        "{text}"
    );
}

#[test]
fn stop_and_start_cross_each_other() {
    let mut bench = Bench::new(vec![card("a", "", "")]);
    bench.all_started();
    assert_eq!(bench.command("a", Command::Stop), "-a");
    // Wanted again before it has ended.
    assert_eq!(bench.command("a", Command::Start), "");
    assert_eq!(bench.exit("a", 0), "+a");
    // And the other way round.
    assert_eq!(bench.command("a", Command::Restart), "-a");
    assert_eq!(bench.command("a", Command::Stop), "");
    assert_eq!(bench.exit("a", 0), "");
    assert_eq!(bench.state("a"), State::Declared);
    // In Backoff.
    bench.command("a", Command::Start);
    bench.exit("a", 1);
    bench.command("a", Command::Stop);
    assert_eq!(bench.at(1_000_000), "");
}
