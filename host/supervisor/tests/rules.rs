//! One rule of `docs/supervision.md` per test, told as short scripts: what happens, and what is done
//! about it.

#![expect(
    clippy::expect_used,
    reason = "a test's helpers fail like the test itself"
)]

use arje_card::{
    Capability, Card, Contract, Id, InterfaceId, NativePayload, Payload, Pin, Priority, Readiness,
    RestartOn, StartLimit, Supervision, WasmPayload,
};
use arje_supervisor::{
    Action, Command, CycleLink, Event, EventKind, ExitStatus, Hold, Millis, ReadyBy, Refusal,
    Report, State, StopReason, Supervisor,
};

const DAEMON: Supervision = Supervision::Restart {
    initial: 100,
    max: 800,
};

fn id(label: &str) -> Id {
    let mut random = [0; 10];
    for (to, from) in random.iter_mut().zip(label.bytes()) {
        *to = from;
    }
    Id::from_parts(1, random)
}

/// A capability named by a letter or digit.
fn cap(name: char) -> Capability {
    Capability::Endpoint {
        interface: InterfaceId([name as u8; 16]),
        version: 1,
    }
}

fn caps(names: &str) -> std::collections::BTreeSet<Capability> {
    names.chars().map(cap).collect()
}

/// A native daemon that provides and requires capabilities named by letters.
fn card(label: &str, provides: &str, requires: &str) -> Card {
    let exec = "/bin/true".to_owned();
    let payload = Payload::Native(NativePayload {
        exec,
        ..NativePayload::default()
    });
    let mut card = Card::new(id(label), label, payload, DAEMON);
    (card.provides, card.requires) = (caps(provides), caps(requires));
    card
}

fn with(mut card: Card, contract: Contract) -> Card {
    card.contracts.push(contract);
    card
}

fn container(label: &str, provides: &str, requires: &str, children: Vec<Card>) -> Card {
    Card {
        payload: Payload::Virtual,
        genesis: children,
        ..card(label, provides, requires)
    }
}

/// A supervisor, and a clock to move by hand.
#[derive(Default)]
struct Bench {
    supervisor: Supervisor,
    now: u64,
}

impl Bench {
    fn new(cards: Vec<Card>) -> Self {
        let mut bench = Self::default();
        bench.step(EventKind::Adopt {
            parent: None,
            cards,
        });
        bench
    }

    fn step(&mut self, kind: EventKind) -> Vec<Action> {
        self.try_step(kind).expect("accepted")
    }

    fn try_step(&mut self, kind: EventKind) -> Result<Vec<Action>, Refusal> {
        self.supervisor.step(Event::new(Millis(self.now), kind))
    }

    fn report(&mut self, label: &str, report: Report) -> Vec<Action> {
        let incarnation = self
            .supervisor
            .status(id(label))
            .expect("known")
            .incarnation;
        self.step(EventKind::Report {
            id: id(label),
            incarnation,
            report,
        })
    }

    /// Reports and returns what the executor is told, in short.
    fn started(&mut self, label: &str) -> String {
        let actions = self.report(label, Report::Started);
        self.brief(&actions)
    }

    fn exit(&mut self, label: &str, code: i32) -> String {
        let actions = self.report(label, Report::Exited(ExitStatus::Code(code)));
        self.brief(&actions)
    }

    fn command(&mut self, label: &str, command: Command) -> String {
        let actions = self.step(EventKind::Command {
            id: id(label),
            command,
        });
        self.brief(&actions)
    }

    fn at(&mut self, now: u64) -> String {
        self.now = now;
        let actions = self.step(EventKind::Timer);
        self.brief(&actions)
    }

    /// `+a` start, `-a` stop, `!a` kill, `~a` removed.
    fn brief(&self, actions: &[Action]) -> String {
        let words = actions.iter().filter_map(|action| match action {
            Action::Start { id, .. } => Some(('+', id)),
            Action::Stop { id, .. } => Some(('-', id)),
            Action::Kill { id, .. } => Some(('!', id)),
            Action::Removed { id } => Some(('~', id)),
            _ => None,
        });
        let words = words.map(|(sign, id)| {
            let bytes = id.to_bytes();
            let name = bytes[6..].iter().take_while(|byte| **byte != 0);
            let name: String = name.map(|byte| *byte as char).collect();
            format!("{sign}{name}")
        });
        words.collect::<Vec<_>>().join(" ")
    }

    fn state(&self, label: &str) -> State {
        self.supervisor.status(id(label)).expect("known").state
    }

    fn held(&self, label: &str) -> Option<Hold> {
        self.supervisor.status(id(label)).expect("known").held_by
    }

    /// Brings everybody who starts to Ready.
    fn all_started(&mut self) {
        loop {
            let mut all = self.supervisor.statuses();
            let next = all.find(|s| {
                let card = self.supervisor.card(s.id).expect("known");
                s.state == State::Starting && card.payload != Payload::Virtual
            });
            let Some(label) = next.map(|status| status.label.to_owned()) else {
                return;
            };
            drop(all);
            self.started(&label);
        }
    }
}

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
    bench.started("c");
    assert_eq!(bench.state("box"), State::Starting);
    assert_eq!(bench.started("d"), "+user");
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
    let mut delays = Vec::new();
    // Milliseconds that each life lasts; 800 is `max`.
    for life in [0, 0, 0, 0, 0, 799, 800, 0] {
        bench.now += life;
        bench.exit("a", 1);
        let status = bench.supervisor.status(id("a")).expect("known");
        let next = status.next.expect("a delay");
        delays.push(next.0 - bench.now);
        assert_eq!(bench.at(next.0 - 1), "");
        assert_eq!(bench.at(next.0), "+a");
    }
    assert_eq!(delays, [100, 200, 400, 800, 800, 800, 100, 200]);
    assert_eq!(bench.supervisor.status(id("a")).expect("known").restarts, 8);
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
    bench.exit("a", 9);
    assert_eq!(bench.state("a"), State::Backoff);
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
    for (card, start) in [
        (relabelled, "Card `b`: its id"),
        (same_label, "Card 0000000001C80000000000000"),
        (clash, "Card `b`: provides Endpoint:"),
    ] {
        let mut bench = Bench::new(vec![self::card("a", "", "")]);
        let cards = vec![self::card("z", "", ""), card];
        let refusal = bench
            .try_step(EventKind::Adopt {
                parent: None,
                cards,
            })
            .unwrap_err();
        let text = refusal.to_string();
        assert!(
            text.starts_with(start) || start.starts_with("Card 0"),
            "{text}"
        );
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

#[test]
fn time_that_goes_backwards_is_no_time() {
    let mut bench = Bench::new(vec![card("a", "", "")]);
    bench.now = 5000;
    bench.exit("a", 1);
    bench.now = 10;
    assert_eq!(bench.at(10), "");
    assert_eq!(bench.at(5100), "+a");
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

#[test]
fn long_chains_need_no_stack() {
    let name = |n: u16| Capability::Endpoint {
        interface: InterfaceId([0; 16]),
        version: n,
    };
    let chain = 20_000;
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
