//! The ways out of a confinement, each tried, whichever permission is narrow. These tests need user 0.
//!
//! What could harm the machine, should it be let through, is tried in confinement only.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test program: its helpers fail the test that calls them"
)]

#[path = "common/attempts.rs"]
mod attempts;
mod common;
#[path = "probe/tables.rs"]
mod tables;

use std::os::fd::AsFd;
use std::process::{Child, Command};

use arje_card::{Filesystem, Networking, RunAs};
use arje_native::ExitStatus;
use attempts::{
    Cgroup, answers, confined, denies, filesystem, finds, free, networking, permit, probing, start,
    start_in, without_processes,
};
use common::{end, read_all};
use tables::{REFUSED, WAYS_OUT};

#[test]
fn the_ways_out_are_shut_whichever_permission_is_narrow() {
    for card in confined() {
        finds(&card, &WAYS_OUT);
    }
}

#[test]
fn each_call_that_is_a_way_out_is_refused() {
    let attempts = REFUSED.map(|number| format!("call:{number}"));
    let expected: Vec<_> = attempts
        .iter()
        .map(|call| (call.as_str(), "EPERM"))
        .collect();
    for card in confined() {
        finds(&card, &expected);
    }
}

#[test]
fn a_32_bit_system_call_ends_the_process() {
    for card in confined() {
        let (started, _output) = start(&card, &["int80"]);
        let killed = ExitStatus::Signal {
            number: 31,
            core_dumped: false,
        };
        assert_eq!(end(&started), killed);
    }
}

#[test]
fn user_0_keeps_what_its_permissions_are_for() {
    let mut user = networking(Networking::Full);
    permit(&mut user, Networking::None, Filesystem::ReadWrite, true);
    user.soma.run_as = Some(RunAs {
        uid: 4711,
        gid: 4711,
        groups: Vec::new(),
    });
    let nothing = probing(|card| permit(card, Networking::None, Filesystem::None, false));
    for (card, capabilities, setuid) in [
        (nothing, "0000000000000000", "EPERM"),
        (user, "0000000000000000", "EPERM"),
        (networking(Networking::Loopback), "00000000000005ff", "ok"),
        (without_processes(), "0000000000003c1f", "EPERM"),
        (filesystem(Filesystem::ReadOnly), "0000000000003de4", "ok"),
    ] {
        finds(
            &card,
            &[("capabilities", capabilities), ("setuid:4712", setuid)],
        );
    }
}

/// A process of the same user that is not the Ente's.
struct Stranger(Child);

impl Stranger {
    fn new() -> Stranger {
        Stranger(Command::new("/bin/sleep").arg("1000").spawn().unwrap())
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn other_processes_are_out_of_reach() {
    let stranger = Stranger::new();
    let number = stranger.0.id();
    let memory = format!("open-write:/proc/{number}/mem");
    let environment = format!("read:/proc/{number}/environ");
    let namespace = format!("setns:/proc/{number}/ns/net");
    for card in [networking(Networking::Loopback), without_processes()] {
        denies(
            &free(),
            &card,
            &[
                (&memory, "EACCES"),
                (&environment, "EACCES"),
                (&namespace, "EACCES"),
            ],
        );
    }
}

#[test]
fn signals_stay_inside() {
    let stranger = Stranger::new();
    let kill = format!("kill:{}:0", stranger.0.id());
    // With landlock before 6 a PID namespace does it.
    // SAFETY: with this flag the call takes no structure and makes no descriptor.
    let version = unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, 0, 0, 1) };
    let expected = if version >= 6 { "EPERM" } else { "ESRCH" };
    for card in [networking(Networking::Loopback), without_processes()] {
        denies(&free(), &card, &[(&kill, expected)]);
    }
    let mut inside = networking(Networking::Loopback);
    inside.soma.namespaces.pid = true;
    denies(&free(), &inside, &[(&kill, "ESRCH")]);
}

#[test]
fn everything_together_holds() {
    let cgroup = Cgroup::new("together");
    let folder = cgroup.open();
    let card = probing(|card| {
        permit(card, Networking::None, Filesystem::None, false);
        let own = &mut card.soma.namespaces;
        (own.mount, own.pid, own.net, own.uts, own.ipc, own.user) =
            (true, true, true, true, true, true);
        card.soma.run_as = Some(RunAs {
            uid: 4711,
            gid: 4712,
            groups: vec![4713],
        });
        card.soma.cpu_affinity = Some(vec![0]);
        card.soma.rlimits.nofile = Some(32);
        card.label = "together".into();
    });
    let attempts = [
        "id",
        "hostname",
        "fork",
        "list:/",
        "interface:lo",
        "kill:1:0",
    ];
    let (started, output) = start_in(&card, &attempts, Some(folder.as_fd()));
    let text = read_all(output);
    assert_eq!(end(&started), ExitStatus::Code(0), "{text}");
    let found = answers(&text);
    for (attempt, answer) in attempts.into_iter().zip([
        "4711/4712,4713",
        "together",
        "EPERM",
        "EACCES",
        "down",
        "EPERM",
    ]) {
        assert_eq!(found[attempt], answer, "{attempt}");
    }
}
