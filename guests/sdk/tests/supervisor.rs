//! A component that tends others, driven by the fake host.

use arje_sdk::fake::{Asked, Host};
use arje_sdk::rt::Slot;
use arje_sdk::supervisor::{
    self, EnteInfo, EnteState, Event, EventKind, Exit, Happening, SupervisorError, labelled,
};
use arje_sdk::{CardInfo, Events, Service, service};

/// Starts again whatever gives up, and counts what it missed.
struct Nurse {
    missed: u64,
}

impl Service for Nurse {
    fn start(_: &CardInfo) -> Result<Self, String> {
        supervisor::subscribe(None).map_err(|error| format!("{error:?}"))?;
        Ok(Self { missed: 0 })
    }
}

impl Events for Nurse {
    fn on_event(&mut self, event: Event) {
        match event {
            Event::Lagged(count) => self.missed += count,
            Event::Happened(what) if what.kind == EventKind::Failed => {
                // Whoever was removed meanwhile needs no help.
                let _ = supervisor::start(&labelled(&what.label));
            }
            Event::Happened(_) => {}
        }
    }
}

service!(Nurse, events);

fn ente(id: &str, label: &str) -> EnteInfo {
    EnteInfo {
        id: id.into(),
        label: label.into(),
        state: EnteState::Failed,
        incarnation: 3,
        pid: None,
        pin: None,
        provides: Vec::new(),
    }
}

fn failed(label: &str) -> Event {
    Event::Happened(Happening {
        kind: EventKind::Failed,
        id: "01ARZ3NDEKTSV4RRFFQ69G5FAV".into(),
        label: label.into(),
        incarnation: 3,
        state: EnteState::Failed,
        cause: "it crashed too often".into(),
        exit: Some(Exit::Code(1)),
    })
}

#[test]
fn what_is_asked_of_the_supervisor_is_written_down() {
    let host = Host::new();
    host.set_entes(vec![ente("01ARZ3NDEKTSV4RRFFQ69G5FAV", "one")]);
    let slot: Slot<Nurse> = Slot::empty();
    slot.on_event(failed("one")); // not started yet
    slot.start(&host.card("nurse")).unwrap();
    assert_eq!(host.take_asked(), [Asked::Subscribe(None)]);
    slot.on_event(failed("one"));
    slot.on_event(failed("who is gone"));
    slot.on_event(Event::Lagged(4));
    assert_eq!(host.take_asked(), [Asked::Start(labelled("one"))]);
    assert_eq!(slot.with(|nurse| nurse.missed), Some(4));
    assert!(host.take_asked().is_empty());
}

#[test]
fn the_fake_tree_is_what_the_test_says() {
    let host = Host::new();
    host.set_entes(vec![ente("01ARZ3NDEKTSV4RRFFQ69G5FAV", "one")]);
    assert_eq!(supervisor::list().len(), 1);
    let status = supervisor::status(&labelled("one")).unwrap();
    assert_eq!((status.incarnation, status.wanted), (3, true));
    let nobody = labelled("two");
    for answer in [
        supervisor::status(&nobody).map(drop),
        supervisor::stop(&nobody),
        supervisor::restart(&nobody),
        supervisor::kill(&nobody, 9),
        supervisor::remove(&nobody),
        supervisor::subscribe(Some(&nobody)),
    ] {
        assert!(matches!(answer, Err(SupervisorError::UnknownEnte(_))));
    }
    supervisor::spawn("{}").unwrap();
    supervisor::kill(&labelled("one"), 15).unwrap();
    supervisor::unsubscribe();
    assert_eq!(
        host.take_asked(),
        [
            Asked::Spawn("{}".into()),
            Asked::Kill(labelled("one"), 15),
            Asked::Unsubscribe,
        ]
    );
}
