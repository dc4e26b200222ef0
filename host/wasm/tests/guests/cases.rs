//! One test per guest, under its name; those of commands are in `commands.rs`. Shared by the tests of components in this process and of
//! components in a worker process: a component cannot tell where it runs.

use crate::calls::*;
use crate::commands::*;
use crate::deploy::*;
use crate::rig::{self, Rig, card};
use crate::tend::*;
use crate::typed::*;
use arje_wasm::{End, EventKind, InvokeError, StopReason};
use std::thread;

macro_rules! a_test_for_each {
    ($($case:ident)*) => { $(const _: fn() = $case;)* };
}
arje_guest_artifacts::foreach_case!(a_test_for_each);

const ECHO: &str = "arje:test/calls@1.0.0#echo";

pub fn trap(end: &End) -> &'static str {
    match end {
        End::Trapped { kind, .. } => kind,
        end => panic!("not a trap: {end:?}"),
    }
}

pub fn refusal(end: End) -> String {
    match end {
        End::Refused(message) => message,
        end => panic!("not refused: {end:?}"),
    }
}

// --- services ---------------------------------------------------------------------------------

#[test]
fn service_ok() {
    let (rig, card) = (Rig::new(), card("service_ok", "service"));
    rig.start_ready(&card);
    rig.stop(&card, StopReason::Requested).unwrap();
    assert_eq!(rig.end_of(&card), End::Exited(0));
    let lines = rig.lines.of(&card);
    assert!(
        lines[0].contains("service_ok") && lines[0].contains("incarnation=\"1\""),
        "{lines:?}"
    );
    assert!(lines[1].contains("requested"), "{lines:?}");
    assert!(
        rig.stop(&card, StopReason::Requested).is_err(),
        "it is over"
    );
}

#[test]
fn service_start_err() {
    let end = Rig::new().run(&card("service_start_err", "service"));
    assert_eq!(
        end,
        End::Failed("`start` returned an error: no such thing".into())
    );
}

#[test]
fn service_start_traps() {
    let end = Rig::new().run(&card("service_start_traps", "service"));
    assert_eq!(trap(&end), "unreachable");
}

#[test]
fn service_stop_hangs() {
    let (rig, mut card) = (Rig::new(), card("service_stop_hangs", "service"));
    card.stop_timeout_ms = 50;
    rig.start_ready(&card);
    rig.stop(&card, StopReason::Shutdown).unwrap();
    let stop = End::Deadline {
        call: "stop",
        after_ms: 50,
    };
    assert_eq!(rig.end_of(&card), stop);
}

#[test]
fn service_health() {
    let (rig, mut card) = (Rig::new(), card("service_health", "service"));
    card.liveness_ms = Some(3000);
    rig.start_ready(&card);
    for _ in 0..2 {
        rig.wait(&card, |kind| matches!(kind, EventKind::Alive));
    }
    assert_eq!(rig.end_of(&card), End::Unhealthy("ill".into()));
    let mut without = self::card("service_ok", "service");
    without.liveness_ms = Some(20);
    assert!(refusal(rig.run(&without)).contains("arje:ente/health"));
}

#[test]
fn service_timer() {
    let (rig, card) = (Rig::new(), card("service_timer", "service"));
    rig.start_ready(&card);
    let sevens = |lines: &[String]| lines.iter().filter(|line| line.contains("\"7\"")).count();
    while sevens(&rig.lines.of(&card)) < 3 {
        // Any further line wakes this; the last one is the third.
        rig.lines.wait_for(&card, "\"7\"");
        thread::yield_now();
    }
    rig.stop(&card, StopReason::Requested).unwrap();
    assert_eq!(rig.end_of(&card), End::Exited(0));
    let lines = rig.lines.of(&card);
    assert_eq!(sevens(&lines), 3, "{lines:?}");
    assert!(lines.iter().any(|line| line.contains("\"9\"")), "{lines:?}");
    assert!(
        !lines.iter().any(|line| line.contains("\"8\"")),
        "{lines:?}"
    );
}

#[test]
fn service_timer_flood() {
    let (rig, card) = (Rig::new(), card("service_timer_flood", "service"));
    rig.start_ready(&card);
}

#[test]
fn service_timer_storm() {
    // More storms than workers; a neighbour starts and is served between them.
    let rig = Rig::new();
    let storms: Vec<_> = (0..8)
        .map(|_| card("service_timer_storm", "service"))
        .collect();
    storms.iter().for_each(|card| rig.start_ready(card));
    let calls = card("service_counts_calls", "service");
    rig.start_ready(&calls);
    for n in 0..200_u32 {
        let payload = n.to_le_bytes();
        assert_eq!(rig.invoke(&calls, ECHO, &payload), Ok(payload.to_vec()));
    }
    for card in &storms {
        rig.stop(card, StopReason::Requested).unwrap();
        assert_eq!(rig.end_of(card), End::Exited(0));
    }
}

#[test]
fn service_counts_calls() {
    let (rig, card) = (Rig::new(), card("service_counts_calls", "service"));
    rig.start_ready(&card);
    for size in [0, 64, 64 * 1024] {
        let payload = vec![7; size];
        assert_eq!(rig.invoke(&card, ECHO, &payload), Ok(payload));
    }
    let missing = rig.invoke(&card, "arje:test/calls@1.0.0#shout", &[]);
    assert!(
        matches!(missing, Err(InvokeError::NoSuchFunction(_))),
        "{missing:?}"
    );
    rig.kill(&card).unwrap();
    assert_eq!(rig.end_of(&card), End::Killed);
    assert_eq!(rig.invoke(&card, ECHO, &[]), Err(InvokeError::NotRunning));
}

// --- other entries ----------------------------------------------------------------------------

#[test]
fn export_plain() {
    let (rig, ticking) = (Rig::new(), card("export_plain", "tick"));
    assert_eq!(rig.run(&ticking), End::Exited(0));
    assert!(rig.lines.of(&ticking).concat().contains("tick"));
    let message = refusal(rig.run(&card("export_plain", "tock")));
    assert!(message.contains("\"tock\"") && message.contains("exports no such function"));
    let message = refusal(rig.run(&card("export_plain", "service")));
    assert!(
        message.contains("does not export arje:ente/service"),
        "{message}"
    );
}

// --- imports ----------------------------------------------------------------------------------

#[test]
fn import_unknown() {
    let message = refusal(Rig::new().run(&card("import_unknown", "run")));
    assert!(message.contains("acme:unknown/thing@1.0.0"), "{message}");
}

#[test]
fn two_imports_surplus() {
    let message = refusal(Rig::new().run(&card("two_imports_surplus", "service")));
    for import in [
        "wasi:sockets/instance-network",
        "wasi:sockets/ip-name-lookup",
    ] {
        assert!(message.contains(import), "{message}");
    }
    assert!(message.contains("permissions.networking"), "{message}");
}

// --- hostile ----------------------------------------------------------------------------------

#[test]
fn loop_forever_in_start() {
    let (rig, mut card) = (Rig::new(), card("loop_forever_in_start", "service"));
    card.limits.call_ms = 1000;
    let start = End::Deadline {
        call: "start",
        after_ms: 1000,
    };
    assert_eq!(rig.run(&card), start);
}

#[test]
fn loop_forever_in_run() {
    // Many more loops than workers, and a neighbour that is still served.
    let (rig, calls) = (Rig::new(), card("service_counts_calls", "service"));
    let loops: Vec<_> = (0..16)
        .map(|_| card("loop_forever_in_run", "run"))
        .collect();
    loops.iter().for_each(|card| rig.start(card));
    rig.start_ready(&calls);
    for n in 0..1000_u32 {
        let payload = n.to_le_bytes();
        assert_eq!(rig.invoke(&calls, ECHO, &payload), Ok(payload.to_vec()));
    }
    for card in &loops {
        rig.kill(card).unwrap();
    }
    for _ in &loops {
        let event = rig.host.wait_event(rig::DEADLINE).unwrap();
        assert!(
            matches!(
                event.kind,
                EventKind::Ended {
                    end: End::Killed | End::Lost,
                    ..
                } | EventKind::Started { .. }
            ),
            "{event:?}"
        );
    }
}

#[test]
fn grow_memory() {
    let (rig, mut card) = (Rig::new(), card("grow_memory", "service"));
    card.limits.memory_bytes = 4 << 20;
    let End::Failed(message) = rig.run(&card) else {
        panic!("it was not refused")
    };
    let pages: u64 = message
        .trim_start_matches("`start` returned an error: refused after ")
        .trim_end_matches(" pages")
        .parse()
        .unwrap();
    assert!(pages * 65536 <= 4 << 20, "{message}");
}

#[test]
fn grow_two_memories() {
    let (rig, mut card) = (Rig::new(), card("grow_two_memories", "run"));
    card.limits.memory_bytes = 4 << 20;
    let peak = peak(&rig, &card);
    assert!(peak <= 4 << 20 && peak > 3 << 20, "{peak}");
}

#[test]
fn grow_tables() {
    let (rig, mut card) = (Rig::new(), card("grow_tables", "run"));
    card.limits.tables = 10_000;
    let peak = peak(&rig, &card);
    assert!(peak <= 10_000 * 16 && peak > 8_000 * 16, "{peak}");
}

/// Runs the Card; the most that its memories and tables had together, in bytes.
fn peak(rig: &Rig, card: &arje_card::Card) -> u64 {
    rig.start(card);
    match rig
        .wait(card, |kind| matches!(kind, EventKind::Ended { .. }))
        .kind
    {
        EventKind::Ended { memory_peak, .. } => memory_peak,
        kind => panic!("{kind:?}"),
    }
}

#[test]
fn deep_recursion() {
    let end = Rig::new().run(&card("deep_recursion", "service"));
    assert_eq!(trap(&end), "stack-overflow");
}

#[test]
fn service_traps_in_call() {
    let (rig, card) = (Rig::new(), card("service_traps_in_call", "service"));
    rig.start_ready(&card);
    assert_eq!(
        rig.invoke(&card, ECHO, b"x"),
        Err(InvokeError::ProviderDied)
    );
    assert_eq!(trap(&rig.end_of(&card)), "unreachable");
    assert_eq!(rig.lines.of(&card), ["last words"]);
}

#[test]
fn trap_in_start_function() {
    let rig = Rig::new();
    assert_eq!(
        trap(&rig.run(&card("trap_in_start_function", "run"))),
        "unreachable"
    );
    assert_eq!(
        rig.run(&card("run_ok", "run")),
        End::Exited(0),
        "the host goes on"
    );
}

#[test]
fn hostcall_storm() {
    let (rig, calls) = (Rig::new(), card("service_counts_calls", "service"));
    rig.start_ready(&calls);
    let mut storm = card("hostcall_storm", "service");
    storm.limits.call_ms = 2000;
    rig.start(&storm);
    rig.lines.wait_for(&storm, "");
    for n in 0..100_u32 {
        let payload = n.to_le_bytes();
        assert_eq!(rig.invoke(&calls, ECHO, &payload), Ok(payload.to_vec()));
    }
    let end = rig.end_of(&storm);
    assert!(
        matches!(end, End::Deadline { call: "start", .. }),
        "{end:?}"
    );
}

#[test]
fn log_100mb() {
    // More than one call may carry: the call traps, whatever memory the Card grants.
    let (rig, mut card) = (Rig::new(), card("log_100mb", "service"));
    card.limits.memory_bytes = 256 << 20;
    let End::Trapped { message, .. } = rig.run(&card) else {
        panic!("it was taken")
    };
    assert!(message.contains("too much data"), "{message}");
    assert_eq!(rig.lines.of(&card), [""; 0]);
    assert_eq!(
        rig.run(&self::card("run_ok", "run")),
        End::Exited(0),
        "the host goes on"
    );
}

#[test]
fn stdout_100mb() {
    let (rig, card) = (Rig::new(), card("stdout_100mb", "run"));
    assert_eq!(rig.run(&card), End::Exited(0));
    let lines = rig.lines.of(&card);
    assert_eq!(lines.len(), 1);
    assert!(lines[0].len() < 17 * 1024 && lines[0].ends_with(" more bytes]"));
}
