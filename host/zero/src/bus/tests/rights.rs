//! Who may ask for what, and what it becomes; without sockets.

use super::{NOW, user};
use crate::bus::caller::Caller;
use crate::bus::*;
use arje_bus::{KillEnte, ListEntes, Request, StopEnte, Target, Telemetry, encode};
use arje_card::{Capability, Card, Filesystem, NativePayload, Networking, Payload, Supervision};
use arje_supervisor::{Event as LifeEvent, EventKind, Report, Supervisor};
use nix::sys::signal::Signal;
use std::sync::Arc;

pub fn card(label: &str, change: impl FnOnce(&mut Card)) -> Arc<Card> {
    let payload = Payload::Native(NativePayload {
        exec: "/bin/true".into(),
        ..NativePayload::default()
    });
    let mut id = [0; 16];
    id[..label.len().min(16)].copy_from_slice(&label.as_bytes()[..label.len().min(16)]);
    id[0] &= 0x7f;
    let mut card = Card::new(Id::from_bytes(id), label, payload, Supervision::OneShot);
    change(&mut card);
    Arc::new(card)
}

pub fn with_bus(card: &mut Card) {
    card.permissions.ipc.allow = vec!["wit-v1".into()];
}

pub fn unconfined(card: &mut Card) {
    with_bus(card);
    card.permissions.networking = Networking::Full;
    card.permissions.filesystem = Filesystem::ReadWrite;
    card.permissions.processes = true;
}

pub fn member(card: &Arc<Card>, uid: u32) -> Caller {
    Caller {
        ente: Some(Member {
            card: Arc::clone(card),
            incarnation: 1,
        }),
        ..user(uid)
    }
}

struct Nothing;

impl Running for Nothing {
    fn pid(&self, _: Id) -> Option<u32> {
        None
    }
    fn usage(&self, _: &Card) -> Telemetry {
        Telemetry::default()
    }
}

/// A system in which these Cards live their first lives.
fn system(cards: &[&Arc<Card>]) -> Supervisor {
    let mut supervisor = Supervisor::new();
    let cards: Vec<Card> = cards.iter().map(|card| Card::clone(card)).collect();
    let ids: Vec<Id> = cards.iter().map(|card| card.id).collect();
    let mut step = |kind| supervisor.step(LifeEvent::new(Millis(0), kind)).unwrap();
    step(EventKind::Adopt {
        parent: None,
        cards,
    });
    for id in ids {
        step(EventKind::Report {
            id,
            incarnation: 1,
            report: Report::Started,
        });
    }
    supervisor
}

fn view(supervisor: &Supervisor) -> View<'_> {
    View {
        supervisor,
        running: &Nothing,
        now: NOW,
        owner_uid: 0,
    }
}

/// One of each request, with the capability that it needs.
fn requests() -> Vec<(Request, Option<Capability>)> {
    let target = || Target::of("plain");
    let stop = |now| {
        Request::Stop(StopEnte {
            target: target(),
            now,
        })
    };
    let kill = Request::KillEnte(KillEnte {
        target: target(),
        signal: 15,
    });
    let switch = arje_bus::SwitchRoot {
        new_root: "/new".into(),
        init: None,
    };
    let logs = arje_bus::Logs {
        target: target(),
        lines: 1,
        follow: false,
    };
    let invoke = arje_bus::Invoke {
        capability: Capability::Journal,
        payload: vec![],
        deadline_ms: 0,
    };
    let answer = arje_bus::Answer {
        call: arje_bus::CallId([0; 16]),
        result: Ok(vec![]),
    };
    let weight = || arje_bus::SetWeight {
        target: target(),
        weight: 1,
    };
    let memory = || arje_bus::SetMemory {
        target: target(),
        bytes: 1,
    };
    let freeze = arje_bus::Freeze {
        target: target(),
        frozen: true,
    };
    let run = arje_bus::RunCard { card: "{}".into() };
    let file = || arje_bus::CardFile { name: "web".into() };
    // Only components are replaced.
    let component = || Target::of("component");
    let deploy = arje_bus::Deploy {
        target: component(),
        module: [7; 32],
    };
    let spawn = Some(Capability::Spawn);
    let power = Some(Capability::Power);
    let root = Some(Capability::SwitchRoot);
    vec![
        (Request::WhoAmI, None),
        (Request::ListEntes(ListEntes::default()), None),
        (Request::EnteStatus(target()), None),
        (Request::EnteTelemetry(target()), None),
        (Request::Subscribe(arje_bus::Subscribe::default()), None),
        (Request::Logs(logs), None),
        (Request::Start(target()), spawn.clone()),
        (stop(false), spawn.clone()),
        (stop(true), spawn.clone()),
        (Request::Restart(target()), spawn.clone()),
        (kill, spawn.clone()),
        (Request::PowerOff(true), power.clone()),
        (Request::Reboot(false), power.clone()),
        (Request::Halt(false), power.clone()),
        (Request::Reexec, root.clone()),
        (Request::SwitchRoot(switch), root),
        (Request::SetCpuWeight(weight()), spawn.clone()),
        (Request::SetIoWeight(weight()), spawn.clone()),
        (Request::SetMemoryMax(memory()), spawn.clone()),
        (Request::SetMemoryHigh(memory()), spawn.clone()),
        (Request::Freeze(freeze), spawn.clone()),
        (Request::Suspend(false), power.clone()),
        (Request::Hibernate(false), power),
        (Request::RunCard(run), spawn.clone()),
        (Request::SpawnCardFromDisk(file()), spawn.clone()),
        (Request::StopCardFromDisk(file()), spawn.clone()),
        (Request::Remove(target()), spawn.clone()),
        (Request::Deploy(deploy), spawn.clone()),
        (Request::Rollback(component()), spawn),
        (Request::Invoke(invoke), None),
        (Request::Answer(answer), None),
    ]
}

fn is_forbidden(decision: &Decision) -> bool {
    matches!(decision, Decision::Answer(Response::Error(error)) if error.code == ErrorCode::Forbidden)
}

#[test]
fn everybody_reads_and_few_change() {
    // One of them is there twice; what only Entes can ask for has a test of its own.
    let own = 2;
    assert_eq!(requests().len() + own, Request::NUMBERS.len() + 1);
    let plain = card("plain", with_bus);
    let free = card("free", unconfined);
    let boxed = card("boxed", |card| {
        unconfined(card);
        card.soma.namespaces.pid = true;
    });
    let holder = |label: &str, capability: &Capability| {
        card(label, |card| {
            with_bus(card);
            card.holds.insert(capability.clone());
        })
    };
    let holders = [Capability::Spawn, Capability::Power, Capability::SwitchRoot]
        .map(|capability| (holder(&format!("h{capability}"), &capability), capability));
    let component = card("component", |card| {
        card.payload = Payload::Wasm(arje_card::WasmPayload::default());
    });
    let mut all = vec![&plain, &free, &boxed, &component];
    all.extend(holders.iter().map(|(card, _)| card));
    let supervisor = system(&all);
    let view = view(&supervisor);
    for (request, needed) in requests() {
        let allowed = |caller: &Caller| !is_forbidden(&route(caller, &request, &view));
        let reads = needed.is_none();
        // Outside of Entes.
        assert!(allowed(&user(0)), "{request:?}");
        assert_eq!(allowed(&user(1000)), reads, "{request:?}");
        // In an Ente without restrictions it is the user that counts.
        assert!(allowed(&member(&free, 0)), "{request:?}");
        assert_eq!(allowed(&member(&free, 1000)), reads, "{request:?}");
        // In a confined one user 0 is nobody.
        for confined in [&plain, &boxed] {
            assert_eq!(allowed(&member(confined, 0)), reads, "{request:?}");
        }
        // And what the Card holds counts for any user, for its own requests only.
        for (card, capability) in &holders {
            let may = reads || needed.as_ref() == Some(capability);
            for uid in [0, 1000] {
                assert_eq!(allowed(&member(card, uid)), may, "{capability} {request:?}");
            }
        }
    }
}

#[test]
fn an_ente_offers_what_its_card_lists_and_no_more() {
    let lister = card("lister", |card| {
        with_bus(card);
        card.provides.insert(Capability::Journal);
    });
    let spawner = card("spawner", |card| {
        with_bus(card);
        card.holds.insert(Capability::Spawn);
    });
    let supervisor = system(&[&lister, &spawner]);
    let view = view(&supervisor);
    let offers = |caller: &Caller, capability: &Capability| {
        let list = vec![capability.clone()];
        let announce = arje_bus::Announce {
            capabilities: list.clone(),
        };
        let update = arje_bus::UpdateCapabilities {
            adds: list,
            removes: vec![],
        };
        let decisions = [
            route(caller, &Request::Announce(announce), &view),
            route(caller, &Request::UpdateCapabilities(update), &view),
        ];
        assert_eq!(is_forbidden(&decisions[0]), is_forbidden(&decisions[1]));
        !is_forbidden(&decisions[0])
    };
    assert!(offers(&member(&lister, 0), &Capability::Journal));
    assert!(!offers(&member(&lister, 0), &Capability::LegacyLogind));
    // What it provides, and what it may use, are two things.
    assert!(!offers(&member(&lister, 0), &Capability::Spawn));
    assert!(offers(&member(&spawner, 1000), &Capability::LegacyLogind));
    assert!(!offers(&user(0), &Capability::Journal), "is no Ente");
}

#[test]
fn in_dev_mode_the_owner_is_trusted() {
    let supervisor = system(&[]);
    let view = View {
        owner_uid: 1000,
        ..view(&supervisor)
    };
    let decision = |uid| route(&user(uid), &Request::PowerOff(false), &view);
    assert_eq!(decision(1000), Decision::Do(Task::Power(Power::Off)));
    assert_eq!(decision(0), Decision::Do(Task::Power(Power::Off)));
    assert!(is_forbidden(&decision(1001)));
}

#[test]
fn what_outlives_its_ente_has_no_authority_of_it() {
    let free = card("free", unconfined);
    let mut supervisor = system(&[&free]);
    let caller = member(&free, 0);
    let whoami = |supervisor: &Supervisor| route(&caller, &Request::WhoAmI, &view(supervisor));
    assert!(!is_forbidden(&whoami(&supervisor)));
    let end = EventKind::Report {
        id: free.id,
        incarnation: 1,
        report: Report::Exited(arje_supervisor::ExitStatus::Code(0)),
    };
    supervisor.step(LifeEvent::new(NOW, end)).unwrap();
    assert!(is_forbidden(&whoami(&supervisor)));
    // Another life is not the one in which it connected.
    let command = arje_supervisor::Command::Restart;
    let again = EventKind::Command {
        id: free.id,
        command,
    };
    supervisor.step(LifeEvent::new(NOW, again)).unwrap();
    assert!(supervisor.status(free.id).unwrap().state.is_live());
    assert!(is_forbidden(&whoami(&supervisor)));
}

#[test]
fn requests_become_tasks() {
    let plain = card("plain", with_bus);
    let supervisor = system(&[&plain]);
    let view = view(&supervisor);
    let decide = |request: &Request| route(&user(0), request, &view);
    let id = plain.id;
    let tasks: Vec<Decision> = requests()
        .iter()
        .skip(6)
        .take(8)
        .map(|(request, _)| decide(request))
        .collect();
    let command = |command| Decision::Do(Task::Command(id, command));
    use arje_supervisor::Command as C;
    assert_eq!(
        tasks,
        [
            command(C::Start),
            command(C::Stop),
            command(C::Kill),
            command(C::Restart),
            Decision::Do(Task::Signal(id, Signal::SIGTERM)),
            Decision::Do(Task::Power(Power::Off)),
            Decision::Do(Task::Power(Power::Reboot)),
            Decision::Do(Task::Power(Power::Halt)),
        ]
    );
    let code = |request: &Request| match decide(request) {
        Decision::Answer(Response::Error(error)) => error.code,
        other => panic!("{other:?}"),
    };
    assert_eq!(
        code(&Request::Start(Target::of("nobody"))),
        ErrorCode::UnknownEnte
    );
    assert_eq!(
        code(&Request::Start(Target::Label("x".repeat(257)))),
        ErrorCode::BadRequest
    );
    let target = Target::of("plain");
    let kill = Request::KillEnte(KillEnte { target, signal: 77 });
    assert_eq!(code(&kill), ErrorCode::BadRequest);
}

#[test]
fn a_long_list_comes_in_pages() {
    let cards: Vec<Arc<Card>> = (0..1000)
        .map(|number| {
            card(&format!("e{number:03}"), |card| {
                let name = format!("acme:{}/i@1.0.0", "p".repeat(number % 50 + 1));
                card.provides.insert(Capability::Wit(name.parse().unwrap()));
            })
        })
        .collect();
    let supervisor = system(&cards.iter().collect::<Vec<_>>());
    let view = view(&supervisor);
    let mut labels = Vec::new();
    let mut after = None;
    loop {
        let page = view.page(after);
        let bytes = encode(&page).unwrap().len();
        assert!(bytes < arje_bus::limits::MAX_PAGE_BYTES + 1024, "{bytes}");
        labels.extend(page.entes.iter().map(|ente| ente.label.clone()));
        after = page.entes.last().map(|ente| ente.id);
        if !page.more {
            break;
        }
    }
    let expected: Vec<String> = cards.iter().map(|card| card.label.clone()).collect();
    assert_eq!(labels, expected);
}

#[test]
fn code_is_replaced_only_where_it_may_no_more_than_who_asks() {
    let component = |label: &str, change: fn(&mut Card)| {
        card(label, |card| {
            card.payload = Payload::Wasm(arje_card::WasmPayload::default());
            change(card);
        })
    };
    let modest = component("modest", |_| {});
    let powerful = component("powerful", |card| {
        card.holds.insert(Capability::Power);
    });
    let spawner = card("spawner", |card| {
        with_bus(card);
        card.holds.insert(Capability::Spawn);
    });
    let supervisor = system(&[&modest, &powerful, &spawner]);
    let view = view(&supervisor);
    let may = |label: &str| {
        let deploy = arje_bus::Deploy {
            target: Target::of(label),
            module: [7; 32],
        };
        let requests = [
            Request::Deploy(deploy),
            Request::Rollback(Target::of(label)),
        ];
        let caller = member(&spawner, 0);
        let both = requests.map(|request| !is_forbidden(&route(&caller, &request, &view)));
        assert_eq!(both[0], both[1]);
        both[0]
    };
    assert!(may("modest"));
    assert!(!may("powerful"), "its code could power off");
}
