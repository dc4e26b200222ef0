//! Pipes in, rings and console out.

use super::*;
use crate::poller::{Poller, Ready};
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::unistd::pipe2;
use std::fs::File;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::sync::mpsc::Receiver;
use std::time::Instant;

/// A hang is a failure; this only bounds how long it takes to notice one.
const DEADLINE: Duration = Duration::from_secs(60);

/// A console that hands on what it is given, or keeps it to itself until it is let go.
struct Paper(Sender<String>, Option<Receiver<()>>);

impl Write for Paper {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Some(go) = &self.1 {
            let _ = go.recv();
        }
        let _ = self.0.send(String::from_utf8_lossy(bytes).into_owned());
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Rig {
    logs: Logs,
    console: Receiver<String>,
    poller: Poller,
}

fn rig(go: Option<Receiver<()>>, adjust: fn(Console) -> Console) -> Rig {
    let (sender, console) = mpsc::channel();
    let poller = Poller::new().unwrap();
    let out = adjust(Console::start(Paper(sender, go), Level::Info).unwrap());
    let logs = Logs::start(out, poller.wake_handle()).unwrap();
    Rig {
        logs,
        console,
        poller,
    }
}

fn id(n: u8) -> Id {
    Id::from_bytes([n; 16])
}

fn pipe() -> (OwnedFd, File) {
    let (reader, writer) = pipe2(OFlag::O_CLOEXEC).unwrap();
    fcntl(&reader, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).unwrap();
    (reader, writer.into())
}

/// A known Ente with an incarnation that prints.
fn talk(logs: &Logs, id: Id, label: &str, incarnation: u64) -> [File; 2] {
    let (stdout, out) = pipe();
    let (stderr, err) = pipe();
    logs.open(id);
    logs.attach(Captured {
        id,
        label: label.into(),
        incarnation,
        stdout,
        stderr,
    });
    logs.hand_on();
    [out, err]
}

/// The records of an Ente, as soon as they are as wanted.
fn wait(logs: &Logs, id: Id, what: impl Fn(&[Record]) -> bool) -> Vec<Record> {
    let deadline = Instant::now() + DEADLINE;
    loop {
        let page = logs.tail(id, u64::MAX).unwrap();
        if what(&page.records) {
            return page.records;
        }
        assert!(Instant::now() < deadline, "{} records", page.records.len());
        std::thread::yield_now();
    }
}

fn texts(records: &[Record]) -> Vec<&str> {
    let text = |record| match record {
        &Record {
            entry: Entry::Line { ref text, .. },
            ..
        } => Some(text.as_str()),
        _ => None,
    };
    records.iter().filter_map(text).collect()
}

#[test]
fn lines_are_kept_with_stream_and_incarnation_and_shown_with_the_label() {
    let rig = rig(None, |console| console);
    let [mut out, mut err] = talk(&rig.logs, id(1), "web", 1);
    out.write_all(b"one\ntwo\x07\nhalf").unwrap();
    err.write_all(b"oops\n").unwrap();
    wait(&rig.logs, id(1), |records| records.len() == 3);
    drop((out, err));
    let [mut out, _err] = talk(&rig.logs, id(1), "web", 2);
    out.write_all(b"again\n").unwrap();
    let records = wait(&rig.logs, id(1), |records| records.len() == 5);
    assert_eq!(
        records.iter().map(|r| r.number).collect::<Vec<_>>(),
        [0, 1, 2, 3, 4]
    );
    let mut seen: Vec<_> = records
        .iter()
        .map(|record| match &record.entry {
            Entry::Line { source, text } => (record.incarnation, *source, text.as_str()),
            other => panic!("{other:?}"),
        })
        .collect();
    seen.sort_by_key(|(incarnation, _, text)| (*incarnation, *text));
    assert_eq!(
        seen,
        [
            (1, Source::Stdout, "half"),
            (1, Source::Stdout, "one"),
            (1, Source::Stderr, "oops"),
            (1, Source::Stdout, "two\\u{7}"),
            (2, Source::Stdout, "again"),
        ]
    );
    let mut shown: Vec<String> = (0..5)
        .map(|_| rig.console.recv_timeout(DEADLINE).unwrap())
        .collect();
    shown.sort();
    assert_eq!(
        shown,
        [
            "web: again\n",
            "web: half\n",
            "web: one\n",
            "web: oops\n",
            "web: two\\u{7}\n"
        ]
    );
    rig.logs.remove(id(1));
    assert_eq!(rig.logs.tail(id(1), 1), None);
}

#[test]
fn pages_follow_each_other_and_tell_what_was_missed() {
    let rig = rig(None, |console| console);
    let [mut out, _err] = talk(&rig.logs, id(1), "web", 1);
    for n in 0..3000 {
        writeln!(out, "{n} {}", "x".repeat(50)).unwrap();
    }
    rig.logs.flush(DEADLINE);
    let page = rig.logs.since(id(1), 0, usize::MAX).unwrap();
    assert_eq!(page.next, 3000);
    assert!(page.missed > 0);
    assert_eq!(page.records[0].number, page.missed);
    assert_eq!(page.missed + page.records.len() as u64, 3000);
    let last = rig.logs.tail(id(1), 2).unwrap();
    assert!(texts(&last.records)[0].starts_with("2998 "));
    let part = rig.logs.since(id(1), page.missed, 1000).unwrap();
    assert!(part.records.len() < 20 && part.next == part.records.last().unwrap().number + 1);
    let none = rig.logs.since(id(1), 3000, 1000).unwrap();
    assert_eq!((none.records.len(), none.next, none.missed), (0, 3000, 0));
    assert_eq!(rig.logs.since(id(2), 0, 1000), None);
}

#[test]
fn a_flood_is_drained_and_mostly_not_kept() {
    let rig = rig(None, |console| console);
    let [mut out, _err] = talk(&rig.logs, id(1), "flood", 1);
    let [mut quiet, _] = talk(&rig.logs, id(2), "quiet", 1);
    // Much more than the pipe holds: without the thread this would never return.
    let lines = "y\n".repeat(32 * 1024);
    let chunks = 200_u64;
    for n in 0..chunks {
        out.write_all(lines.as_bytes()).unwrap();
        if n == chunks / 2 {
            quiet.write_all(b"still heard\n").unwrap();
        }
    }
    out.write_all(b"end\n").unwrap();
    wait(&rig.logs, id(2), |records| {
        texts(records) == ["still heard"]
    });
    rig.logs.flush(DEADLINE);
    let page = rig.logs.tail(id(1), u64::MAX).unwrap();
    // Numbers are given to what is kept, and to each note about losses.
    let total = chunks * 32 * 1024 + 1;
    assert!(page.next < total / 2, "{} of {total} kept", page.next);
    // How long the flood took decides what the last second lost, so only what always holds is asked.
    for record in &page.records {
        if let Entry::Lost(lost) = record.entry {
            assert!(lost.lines > 0 && lost.lines < total, "{lost:?}");
            assert!(lost.bytes >= 2 * lost.lines, "{lost:?}");
        }
    }
}

#[test]
fn a_stuck_console_keeps_no_program_waiting_and_says_what_it_did_not_show() {
    let (go, wait_for) = mpsc::channel();
    let rig = rig(Some(wait_for), |console| console);
    let [mut out, _err] = talk(&rig.logs, id(1), "web", 1);
    for n in 0..3000 {
        writeln!(out, "{n:050}").unwrap();
    }
    wait(&rig.logs, id(1), |records| {
        texts(records)
            .last()
            .is_some_and(|text| text.ends_with("02999"))
    });
    drop(go);
    let mut shown = 0;
    loop {
        let line = rig.console.recv_timeout(DEADLINE).unwrap();
        match line.strip_suffix(" lines are not shown here; `ente logs` has the last ones\n") {
            Some(count) => {
                let count: usize = count.strip_prefix("web: ").unwrap().parse().unwrap();
                assert_eq!(count + shown, 3000);
                return;
            }
            None => shown += 1,
        }
    }
}

/// A line of a component.
fn said(id: Id, level: Level, text: String) -> Line {
    Line::of_host("loud".into(), id, 1, level, text)
}

#[test]
fn the_machines_console_does_not_hold_lines_of_components() {
    let (go, wait_for) = mpsc::channel();
    let rig = rig(Some(wait_for), Console::of_machine);
    rig.logs.open(id(1));
    for n in 0..3000 {
        rig.logs
            .accept(said(id(1), Level::Info, format!("{n:050}")));
    }
    // The console still holds the first.
    wait(&rig.logs, id(1), |records| {
        texts(records)
            .last()
            .is_some_and(|text| text.ends_with("02999"))
    });
    drop(go);
    // The rest of the window's 16 KiB, and how many it has not shown; those of a few windows, if this took seconds.
    let lines = std::iter::from_fn(|| rig.console.recv_timeout(DEADLINE).ok());
    let last = "not shown here; `ente logs` has the last ones\n";
    let shown = lines.take_while(|line| !line.ends_with(last)).count();
    assert!((300..1500).contains(&shown), "{shown}");
}

#[test]
fn levels_of_components_are_kept_and_said() {
    let rig = rig(None, Console::of_machine);
    rig.logs.open(id(1));
    for (level, text) in [
        (Level::Debug, "kept, not shown"),
        (Level::Info, "plain"),
        (Level::Error, "broken"),
    ] {
        rig.logs.accept(said(id(1), level, text.into()));
    }
    // An Ente that is not known any more.
    rig.logs.accept(said(id(2), Level::Info, "late".into()));
    rig.logs.flush(DEADLINE);
    let records = rig.logs.tail(id(1), u64::MAX).unwrap().records;
    assert_eq!(texts(&records), ["kept, not shown", "plain", "broken"]);
    let shown = || rig.console.recv_timeout(DEADLINE).unwrap();
    assert_eq!(shown(), "loud: plain\n");
    assert_eq!(shown(), "loud: error: broken\n");
}

#[test]
fn the_machines_console_shows_so_much_of_one_ente_in_a_second() {
    let rig = rig(None, Console::of_machine);
    let [mut out, _err] = talk(&rig.logs, id(1), "web", 1);
    // Ten times as much.
    for n in 0..3000 {
        writeln!(out, "{n:050}").unwrap();
    }
    rig.logs.flush(DEADLINE);
    let lines: Vec<String> = std::iter::from_fn(|| rig.console.recv_timeout(DEADLINE).ok())
        .take_while(|line| !line.contains("not shown"))
        .collect();
    assert!(lines.len() < 1500, "{}", lines.len());
    wait(&rig.logs, id(1), |records| {
        texts(records)
            .last()
            .is_some_and(|text| text.ends_with("02999"))
    });
}

#[test]
fn the_core_loop_hears_that_the_thread_is_gone() {
    let rig = rig(None, |console| console);
    assert!(!rig.logs.is_lost());
    rig.logs.send(Message::Panic);
    while !rig.poller.wait(None).unwrap().contains(&Ready::Woken) {}
    assert!(rig.logs.is_lost());
}

#[test]
fn followers_are_woken() {
    let rig = rig(None, |console| console);
    let [mut out, _err] = talk(&rig.logs, id(1), "web", 1);
    let following = rig.logs.follow();
    out.write_all(b"news\n").unwrap();
    while !rig.poller.wait(None).unwrap().contains(&Ready::Woken) {}
    assert_eq!(texts(&rig.logs.tail(id(1), 1).unwrap().records), ["news"]);
    drop(following);
    assert_eq!(rig.logs.shared.followers.load(Ordering::Acquire), 0);
}

#[test]
fn pipes_left_behind_are_bounded_and_lines_of_removed_entes_vanish() {
    let rig = rig(None, |console| console);
    let mut left: Vec<[File; 2]> = (0..10)
        .map(|incarnation| talk(&rig.logs, id(1), "web", incarnation))
        .collect();
    rig.logs.flush(DEADLINE);
    let broken = left
        .iter_mut()
        .filter_map(|[out, _]| out.write_all(b"x\n").err())
        .count();
    assert_eq!(broken, 10 - 8 / 2);
    rig.logs.remove(id(1));
    rig.logs.flush(DEADLINE);
    for [out, err] in &mut left {
        assert!(out.write_all(b"x\n").is_err() && err.write_all(b"x\n").is_err());
    }
    assert_eq!(rig.logs.tail(id(1), 1), None);
}

#[test]
fn all_rings_together_keep_to_their_bound() {
    let mut rings = Rings {
        by_ente: HashMap::new(),
        share: RING_BYTES,
    };
    let wide = |n: usize| {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&(n as u64 + 1).to_le_bytes());
        Id::from_bytes(bytes)
    };
    for n in 0..600 {
        rings.open(wide(n));
        let ring = rings.by_ente.get_mut(&wide(n)).unwrap();
        for _ in 0..100 {
            ring.line(0, 1, Source::Stdout, &"x".repeat(1000));
        }
    }
    assert_eq!(rings.share, ALL_BYTES / 1024);
    assert!(rings.by_ente.len() * rings.share <= ALL_BYTES);
    for n in 0..100 {
        rings.remove(wide(n));
    }
    assert_eq!(rings.share, RING_BYTES);
    assert_eq!(Rings::share(65_536), 512);
    assert_eq!(Rings::share(0), RING_BYTES);
}
