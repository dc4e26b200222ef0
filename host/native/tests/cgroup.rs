//! Cgroups of processes, where this program may make some: as root on a machine that has cgroup v2 mounted.
//! Controllers are not needed here; what they enforce is tried in the virtual machine (`host/zero/tests/vm`).

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test program: its helpers fail the test that calls them"
)]

mod common;

use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};

use arje_card::{Card, Cgroup, Id};
use arje_native::cgroup::{CgroupTree, Controllers, Leaf, Place};
use arje_native::{ExitStatus, StartRequest, Started};
use common::{card, end, ignored, launcher};
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::pipe2;

/// A subtree for one test, or `None` with a word why not.
fn tree(test: u32) -> Option<CgroupTree> {
    let name = format!("arje-test-{}-{test}", std::process::id());
    match CgroupTree::open(&name, Controllers::AsTheyAre) {
        Ok(tree) => Some(tree),
        Err(error) => {
            ignored(error);
            None
        }
    }
}

fn numbered(number: u8, script: &str) -> Card {
    let mut card = card("/bin/sh", &["-c", script]);
    card.id = Id::from_bytes([number; 16]);
    card
}

/// Starts a Card in a cgroup of its own; its output.
fn start(card: &Card, leaf: &Leaf) -> (Started, OwnedFd) {
    let (reader, writer) = pipe2(OFlag::O_CLOEXEC).unwrap();
    let started = launcher()
        .start(&StartRequest {
            output: Some([writer.as_fd(), writer.as_fd()]),
            cgroup: Some(leaf.fd()),
            ..StartRequest::new(card, 1)
        })
        .unwrap();
    (started, reader)
}

fn line(pipe: &OwnedFd) -> String {
    let mut text = String::new();
    let mut file = std::fs::File::from(pipe.try_clone().unwrap());
    let mut byte = [0];
    while file.read(&mut byte).unwrap() == 1 && byte[0] != b'\n' {
        text.push(char::from(byte[0]));
    }
    text
}

/// Waits until nobody is in a cgroup, as the core loop does.
fn wait_empty(leaf: &Leaf) {
    while leaf.state().unwrap().populated {
        let mut fds = [PollFd::new(leaf.events(), PollFlags::POLLPRI)];
        assert_eq!(
            poll(&mut fds, PollTimeout::from(60_000_u16)).unwrap(),
            1,
            "nothing changed"
        );
    }
}

#[test]
fn a_process_is_born_into_its_cgroup() {
    let Some(tree) = tree(1) else { return };
    let card = numbered(1, "grep ^0:: /proc/self/cgroup; read x");
    let place = Place::of(&card);
    let leaf = tree.leaf(&place, &Cgroup::default()).unwrap();
    assert!(!leaf.state().unwrap().populated);
    let (started, pipe) = start(&card, &leaf);
    assert_eq!(line(&pipe), format!("0::{}/{place}", tree.name()));
    assert_eq!(end(&started), ExitStatus::Code(1)); // it reads from /dev/null
    assert_eq!(tree.place_of_process(1), None);
    wait_empty(&leaf);
    assert!(leaf.usage().cpu_usec.is_some());
    leaf.remove(&tree).unwrap();
    tree.close();
}

/// Kills until nobody is left, as the core loop does.
fn kill_all(leaf: &Leaf) {
    leaf.kill().unwrap();
    while leaf.state().unwrap().populated {
        let mut fds = [PollFd::new(leaf.events(), PollFlags::POLLPRI)];
        let changed = poll(&mut fds, PollTimeout::from(60_000_u16)).unwrap();
        assert_eq!(changed, 1, "nothing changed");
        leaf.kill().unwrap();
    }
}

fn all_are_killed(tree: CgroupTree, number: u8) {
    // One in a session of its own, one that ignores signals, one that is stopped, two that fork as fast
    // as they can.
    let script = "setsid sleep 1000 & trap '' TERM INT HUP; sh -c 'kill -STOP $$' & \
                  for storm in 1 2; do while :; do (:) & done & done; echo ready; exec sleep 1000";
    let card = numbered(number, script);
    let leaf = tree.leaf(&Place::of(&card), &Cgroup::default()).unwrap();
    let (started, pipe) = start(&card, &leaf);
    assert_eq!(line(&pipe), "ready");
    let place = tree.place_of_process(started.pid.as_raw());
    assert_eq!(place.as_deref(), Some(leaf.place().as_str()));
    kill_all(&leaf);
    let killed = ExitStatus::Signal {
        number: 9,
        core_dumped: false,
    };
    assert_eq!(end(&started), killed);
    // Nobody is born into it any more: some kernels would kill the child.
    assert!(!leaf.fresh_for(&Cgroup::default()));
    leaf.remove(&tree).unwrap();
    tree.close();
}

#[test]
fn whoever_leaves_the_group_is_killed_too() {
    let Some(tree) = tree(2) else { return };
    all_are_killed(tree, 2);
}

#[test]
fn kernels_that_cannot_kill_a_cgroup_kill_one_by_one() {
    let Some(tree) = tree(5) else { return };
    let tree = tree.without_kill();
    all_are_killed(tree, 5);
}

#[test]
fn what_an_ente_makes_in_its_cgroup_is_removed_with_it() {
    let Some(tree) = tree(3) else { return };
    let mut card = numbered(3, "");
    card.soma.cgroup.path = Some("outer/inner".to_owned());
    let place = Place::of(&card);
    let leaf = tree.leaf(&place, &Cgroup::default()).unwrap();
    let path = tree.path().join("outer/inner");
    std::fs::create_dir_all(path.join("a/b/c")).unwrap();
    assert!(!leaf.fresh_for(&Cgroup::default()));
    leaf.remove(&tree).unwrap();
    assert!(!tree.path().join("outer").exists());

    // One that a host before left behind, frozen, is made anew.
    std::fs::create_dir_all(path.join("a")).unwrap();
    std::fs::write(path.join("cgroup.freeze"), "1").unwrap();
    let leaf = tree.leaf(&place, &Cgroup::default()).unwrap();
    assert!(leaf.fresh_for(&Cgroup::default()));
    leaf.remove(&tree).unwrap();
    tree.close();
}

#[test]
fn a_frozen_cgroup_does_not_stop_the_starter() {
    let Some(tree) = tree(4) else { return };
    let card = numbered(4, "echo alive");
    let leaf = tree.leaf(&Place::of(&card), &Cgroup::default()).unwrap();
    let frozen = tree
        .path()
        .join(leaf.place().as_str())
        .join("cgroup.freeze");
    std::fs::write(&frozen, "1").unwrap();
    // Returns, although the child does not run; a parent that waits for the exec would stand here for ever.
    let (started, pipe) = start(&card, &leaf);
    std::fs::write(&frozen, "0").unwrap();
    assert_eq!(line(&pipe), "alive");
    assert!(end(&started).success());
    wait_empty(&leaf);

    // However many of them do not run, the next is made.
    std::fs::write(&frozen, "1").unwrap();
    let launcher = launcher();
    let request = StartRequest {
        cgroup: Some(leaf.fd()),
        ..StartRequest::new(&card, 1)
    };
    let stuck: Vec<Started> = (0..100)
        .map(|_| launcher.start(&request).unwrap())
        .collect();
    leaf.kill().unwrap();
    for started in &stuck {
        assert!(!end(started).success());
    }
    wait_empty(&leaf);
    leaf.remove(&tree).unwrap();
    let leaf = tree.leaf(&Place::of(&card), &Cgroup::default()).unwrap();
    let request = StartRequest {
        cgroup: Some(leaf.fd()),
        ..StartRequest::new(&card, 1)
    };
    let started = launcher.start(&request).unwrap();
    assert_eq!(end(&started), ExitStatus::Code(0));
    wait_empty(&leaf);
    leaf.remove(&tree).unwrap();
    tree.close();
}

#[test]
fn settings_without_a_cgroup_are_refused() {
    let mut card = card("/bin/true", &[]);
    card.soma.cgroup.pids_max = Some(5);
    let error = launcher().start(&StartRequest::new(&card, 1)).unwrap_err();
    assert!(error.to_string().contains("soma.cgroup: set"), "{error}");
}
