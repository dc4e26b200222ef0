//! Attempts by the probe, under a Card.
#![allow(
    dead_code,
    reason = "each test program compiles this file and uses its own part of it"
)]

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::PathBuf;

use arje_card::{Card, Filesystem, Networking};
use arje_native::{ExecOutcome, ExitStatus, StartRequest, Started};
use nix::fcntl::OFlag;
use nix::unistd::pipe2;

use crate::common::{card, end, launcher, outcome, payload, probe, read_all};

/// A Card whose program is the probe.
pub fn probing(change: impl FnOnce(&mut Card)) -> Card {
    let mut card = card(probe().to_str().unwrap(), &[]);
    change(&mut card);
    card
}

/// Narrower permissions.
pub fn permit(card: &mut Card, networking: Networking, filesystem: Filesystem, processes: bool) {
    card.permissions.networking = networking;
    card.permissions.filesystem = filesystem;
    card.permissions.processes = processes;
}

/// Starts the probe with these attempts; what it says comes out of the pipe.
pub fn start(card: &Card, attempts: &[&str]) -> (Started, std::os::fd::OwnedFd) {
    start_in(card, attempts, None)
}

/// The same in a cgroup.
pub fn start_in(
    card: &Card,
    attempts: &[&str],
    cgroup: Option<BorrowedFd<'_>>,
) -> (Started, std::os::fd::OwnedFd) {
    let mut card = card.clone();
    payload(&mut card).argv = attempts.iter().map(|text| (*text).into()).collect();
    let (reader, writer) = pipe2(OFlag::O_CLOEXEC).unwrap();
    let started = launcher()
        .start(&StartRequest {
            output: Some([writer.as_fd(), writer.as_fd()]),
            cgroup,
            ..StartRequest::new(&card, 1)
        })
        .unwrap();
    (started, reader)
}

/// Runs attempts to their end: what became of each.
pub fn tries(card: &Card, attempts: &[&str]) -> BTreeMap<String, String> {
    tries_in(card, attempts, None)
}

/// The same in a cgroup.
pub fn tries_in(
    card: &Card,
    attempts: &[&str],
    cgroup: Option<BorrowedFd<'_>>,
) -> BTreeMap<String, String> {
    let (started, reader) = start_in(card, attempts, cgroup);
    let text = read_all(reader);
    assert_eq!(outcome(&started), ExecOutcome::Started, "{text}");
    assert_eq!(end(&started), ExitStatus::Code(0), "{text}");
    answers(&text)
}

/// The lines of the probe.
pub fn answers(text: &str) -> BTreeMap<String, String> {
    text.lines()
        .map(|line| line.split_once(' ').unwrap())
        .map(|(attempt, answer)| (attempt.to_owned(), answer.to_owned()))
        .collect()
}

/// Each attempt ends as expected under one Card, and with `ok` under the other: so it is the Card that makes the
/// difference, and not the machine.
pub fn denies(free: &Card, confined: &Card, expected: &[(&str, &str)]) {
    let attempts: Vec<&str> = expected.iter().map(|(attempt, _)| *attempt).collect();
    // In this order: what is made or removed without confinement would be in the way with it.
    let confined = tries(confined, &attempts);
    let free = tries(free, &attempts);
    let ok: Vec<_> = attempts.iter().map(|attempt| (*attempt, "ok")).collect();
    agree(&free, &ok, "without confinement");
    agree(&confined, expected, "with confinement");
}

/// Names all attempts that ended otherwise.
pub fn agree(found: &BTreeMap<String, String>, expected: &[(&str, &str)], how: &str) {
    let wrong: Vec<String> = expected
        .iter()
        .filter(|(attempt, answer)| found[*attempt] != *answer)
        .map(|(attempt, answer)| format!("{attempt} {}, not {answer}", found[*attempt]))
        .collect();
    assert!(wrong.is_empty(), "{how}: {wrong:#?}");
}

/// Each attempt ends as expected.
pub fn finds(card: &Card, expected: &[(&str, &str)]) {
    let attempts: Vec<&str> = expected.iter().map(|(attempt, _)| *attempt).collect();
    agree(&tries(card, &attempts), expected, "under its Card");
}

/// A Card that is not confined.
pub fn free() -> Card {
    probing(|_| {})
}

/// Narrow in its network only.
pub fn networking(networking: Networking) -> Card {
    probing(|card| permit(card, networking, Filesystem::ReadWrite, true))
}

/// Narrow in its files only.
pub fn filesystem(filesystem: Filesystem) -> Card {
    probing(|card| permit(card, Networking::Full, filesystem, true))
}

/// Narrow in its processes only.
pub fn without_processes() -> Card {
    probing(|card| permit(card, Networking::Full, Filesystem::ReadWrite, false))
}

/// The narrowest Card, and the three that are narrow in one respect only.
pub fn confined() -> [Card; 4] {
    [
        probing(|card| permit(card, Networking::None, Filesystem::None, false)),
        networking(Networking::Loopback),
        filesystem(Filesystem::ReadOnly),
        without_processes(),
    ]
}

/// A cgroup for one test, gone after it.
pub struct Cgroup(PathBuf);

impl Cgroup {
    pub fn new(name: &str) -> Cgroup {
        let root = ["/sys/fs/cgroup/unified", "/sys/fs/cgroup"]
            .into_iter()
            .map(PathBuf::from)
            .find(|folder| folder.join("cgroup.procs").exists())
            .unwrap();
        let folder = root.join(format!("arje-test-{name}-{}", std::process::id()));
        fs::create_dir(&folder).unwrap();
        Cgroup(folder)
    }

    pub fn open(&self) -> File {
        File::open(&self.0).unwrap()
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.0);
    }
}
