//! A service with everything, driven by the fake host: what the real one does to a component.

use arje_sdk::fake::{Host, MAX_TIMERS};
use arje_sdk::rt::Slot;
use arje_sdk::timer::TimerError;
use arje_sdk::{
    CardInfo, Health, Level, Service, StopReason, Timers, clock, info, service, timer, warn,
};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

/// Sets a timer per second of its label, and logs each.
struct Case {
    due: Vec<u64>,
}

impl Service for Case {
    fn start(card: &CardInfo) -> Result<Self, String> {
        let count: u64 = card.label.parse().map_err(|_| "not a number".to_owned())?;
        for token in (1..=count).rev() {
            timer::set(SECOND * token as u32, token).map_err(|e| e.to_string())?;
        }
        info!("started {}", card.label; incarnation = card.incarnation, id = card.id);
        Ok(Self { due: Vec::new() })
    }

    fn stop(self, reason: StopReason) {
        warn!("stopped"; reason = format!("{reason:?}"), due = self.due.len());
    }
}

impl Timers for Case {
    fn on_timer(&mut self, token: u64) {
        assert_eq!(clock::monotonic(), SECOND * token as u32);
        self.due.push(token);
    }
}

impl Health for Case {
    fn health(&mut self) -> Result<(), String> {
        if self.due.is_empty() {
            Err("nothing is due".to_owned())
        } else {
            Ok(())
        }
    }
}

service!(Case, timers, health);

#[test]
fn timers_come_due_in_order_and_once() {
    let host = Host::new();
    let mut case = Case::start(&host.card("3")).unwrap();
    assert_eq!(host.timers(), [1, 2, 3]);
    host.advance(&mut case, SECOND * 2);
    assert_eq!(case.due, [1, 2]);
    assert_eq!(host.timers(), [3]);
    host.advance(&mut case, SECOND * 10);
    assert_eq!(case.due, [1, 2, 3]);
    assert_eq!(clock::monotonic(), SECOND * 12);
}

#[test]
fn a_timer_is_moved_cancelled_and_refused() {
    let host = Host::new();
    let mut case = Case::start(&host.card("2")).unwrap();
    timer::set(SECOND, 2).unwrap();
    assert!(timer::cancel(1));
    assert!(!timer::cancel(1));
    assert_eq!(host.timers(), [2]);
    for token in 100..100 + u64::from(MAX_TIMERS) - 1 {
        timer::set(SECOND * 60, token).unwrap();
    }
    assert_eq!(timer::set(SECOND, 1), Err(TimerError::TooMany(MAX_TIMERS)));
    timer::set(SECOND * 2, 2).unwrap();
    host.advance(&mut case, SECOND * 2);
    assert_eq!(case.due, [2]);
}

#[test]
fn a_timer_is_never_early() {
    let host = Host::new();
    let mut case = Case::start(&host.card("0")).unwrap();
    timer::set(Duration::from_nanos(1), 7).unwrap();
    timer::set(Duration::MAX, 8).unwrap();
    struct Early;
    impl Service for Early {
        fn start(_: &CardInfo) -> Result<Self, String> {
            Ok(Self)
        }
    }
    impl Timers for Early {
        fn on_timer(&mut self, _: u64) {
            assert_eq!(clock::monotonic(), Duration::from_millis(1));
        }
    }
    host.advance(&mut Early, SECOND);
    assert_eq!(host.timers(), [8]);
    host.advance(&mut case, SECOND);
    assert!(case.due.is_empty());
}

#[test]
fn lines_have_level_text_and_fields() {
    let host = Host::new();
    let case = Case::start(&host.card("0")).unwrap();
    case.stop(StopReason::Shutdown);
    let lines = host.lines();
    assert_eq!(host.messages(), ["started 0", "stopped"]);
    assert_eq!(lines[0].level, Level::Info);
    assert_eq!(lines[0].fields[0], ("incarnation".into(), "1".into()));
    assert_eq!(lines[1].level, Level::Warn);
    assert_eq!(
        lines[1].fields[0],
        ("reason".into(), "StopReason::Shutdown".into())
    );
}

#[test]
fn civil_time_is_set_apart_from_monotonic_time() {
    let host = Host::new();
    host.set_wall(Duration::new(1_700_000_000, 5));
    assert_eq!(clock::wall(), Duration::new(1_700_000_000, 5));
    assert_eq!(clock::monotonic(), Duration::ZERO);
}

/// What a component's exports do, before, between and after.
#[test]
fn a_slot_holds_the_service_from_start_to_stop() {
    let host = Host::new();
    let slot: Slot<Case> = Slot::empty();
    assert_eq!(slot.health(), Err("not started".to_owned()));
    slot.on_timer(1);
    slot.stop(StopReason::Requested);
    assert!(host.messages().is_empty());

    assert_eq!(slot.start(&host.card("x")), Err("not a number".to_owned()));
    assert_eq!(slot.health(), Err("not started".to_owned()));

    slot.start(&host.card("0")).unwrap();
    assert_eq!(slot.health(), Err("nothing is due".to_owned()));
    slot.on_timer(0);
    assert_eq!(slot.health(), Ok(()));
    slot.stop(StopReason::Requested);
    slot.stop(StopReason::Requested);
    assert_eq!(host.messages(), ["started 0", "stopped"]);
    assert_eq!(slot.health(), Err("not started".to_owned()));
}
