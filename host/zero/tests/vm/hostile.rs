//! Natives that resist: how each of them ends is written in docs/cgroups.md.

use crate::machine::{self, Booted, folder, native, seed, shell, tree, tree_with};
use crate::programs::{compile, put};
use arje_qemu::kernel::Search;
use initrd_builder::Program;
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;

/// A native Card with a cgroup named like itself, and a second to stop.
fn hostile(label: &str, script: &str) -> Value {
    let forever = json!({"Restart": {"initial": 20, "max": 200}});
    let mut card = native(label, "/bin/sh", &["-c", script], forever);
    card["start_limit"] = json!({"burst": 100_000, "interval_ms": 1000});
    card["stop_timeout_ms"] = json!(1000);
    card["soma"] = json!({"cgroup": {"path": label}});
    card
}

fn until(booted: &mut Booted, condition: &str) {
    booted.run(&format!("until {condition}; do usleep 20000; done"));
}

/// Stops an Ente, which has to end; nothing of it is left then.
fn stop(booted: &mut Booted, label: &str) {
    // Told again by one who waited for an answer longer than the command line does.
    until(booted, &format!("ente stop --timeout 200 {label}"));
    // While others take the processor it may be told sooner: its end is withheld for some seconds at most.
    until(booted, &format!("! test -e /sys/fs/cgroup/ente/{label}"));
}

#[test]
fn whatever_a_native_does_it_ends_with_its_cgroup() {
    let daemon = "(setsid sh -c '(setsid sh -c \"echo \\$\\$ >/tmp/daemon; exec sleep 100000\" &)' &); \
                  until test -s /tmp/daemon; do usleep 10000; done";
    let mut daemon = hostile("daemon", daemon);
    daemon["supervision"] = json!("OneShot");
    // Each life writes down how many share its cgroup when it begins.
    let orphans = "cat /sys/fs/cgroup/ente/orphans/cgroup.procs | wc -l >>/tmp/shared; \
                   trap '' TERM HUP INT; (trap '' TERM; setsid sleep 100000 & sleep 100000) & \
                   sh -c 'kill -STOP $$' & echo $$ >/tmp/orphans; wait";
    let bomb = "bomb() { bomb | bomb & }; bomb; while :; do sleep 1; done";
    let mut bomb = hostile("bomb", bomb);
    bomb["soma"]["cgroup"]["pids_max"] = json!(500);
    let mut booted = Booted::to_prompt(&seed(vec![
        shell(),
        daemon,
        hostile("orphans", orphans),
        hostile("deaf", "trap '' TERM INT HUP; while :; do sleep 1; done"),
        hostile("stopped", "kill -STOP $$"),
        bomb,
    ]));

    // A daemon that left its parents and its session ends with the first process; Done is said after.
    until(&mut booted, "test -s /tmp/daemon");
    until(&mut booted, "! test -e /sys/fs/cgroup/ente/daemon");
    // Out of its cgroup, it still has to be reaped.
    until(&mut booted, "! kill -0 $(cat /tmp/daemon) 2>/dev/null");

    // Orphans, deaf and stopped ones among them, are gone before the next life begins.
    for _ in 0..3 {
        until(&mut booted, "test -s /tmp/orphans");
        booted.run("pid=$(cat /tmp/orphans); rm /tmp/orphans; kill -9 $pid");
    }
    until(&mut booted, "test -s /tmp/orphans");
    // The shell, and those of `cat` and `wc` that run already; four more were left behind.
    booted
        .run("cat /tmp/shared; test $(wc -l </tmp/shared) = 4 && ! grep -v '^[123]$' /tmp/shared");
    stop(&mut booted, "orphans");

    stop(&mut booted, "deaf");
    stop(&mut booted, "stopped");

    // The bomb fills its 500 places; one request ends all of them, and PID 1 reaps them.
    until(
        &mut booted,
        "grep -q 'max [1-9]' /sys/fs/cgroup/ente/bomb/pids.events",
    );
    // On a busy emulated processor that may take longer than the end of an Ente is withheld.
    until(&mut booted, "ente stop --timeout 200 bomb");
    until(&mut booted, "! test -e /sys/fs/cgroup/ente/bomb");
    booted
        .run("until ! grep -q '^State:.Z' /proc/[0-9]*/status 2>/dev/null; do usleep 20000; done");
    booted.run("[ \"$(ls -d /sys/fs/cgroup/ente/*/ | wc -l)\" = 1 ]"); // the shell's
    booted.pid_1_lives();
}

/// An ext4 file system of 4 MiB.
fn disk() -> Vec<u8> {
    let folder = folder();
    let file = folder.path().join("disk");
    std::fs::File::create(&file)
        .unwrap()
        .set_len(4 << 20)
        .unwrap();
    let made = Command::new("mke2fs")
        .args(["-q", "-t", "ext4"])
        .arg(&file)
        .status()
        .unwrap();
    assert!(made.success());
    std::fs::read(file).unwrap()
}

/// The kernel's module of disks in memory.
fn ram_disk_module() -> Vec<u8> {
    let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("../kernel");
    let modules = Search::here(cache).find(None).unwrap().modules.unwrap();
    std::fs::read(modules.join("kernel/drivers/block/brd.ko")).unwrap()
}

#[test]
fn a_process_in_uninterruptible_sleep_stops_nobody_else() {
    // Who makes a file on a frozen file system waits uninterruptibly until it is thawed.
    let wait = "until test -e /tmp/frozen; do usleep 20000; done;";
    let child =
        format!("{wait} echo >/mnt/child & echo $! >/tmp/child; echo $$ >/tmp/parent; wait");
    let first = format!("{wait} : >/mnt/first");
    let inputs = folder();
    let mut image = tree(
        inputs.path(),
        &seed(vec![
            shell(),
            hostile("child", &child),
            hostile("first", &first),
        ]),
    );
    put(&mut image, "/disk", disk());
    put(&mut image, "/brd.ko", ram_disk_module());
    let mut booted = Booted::with_tree(folder(), &image, |_| {});
    booted.wait(machine::PROMPT);
    booted.run("insmod /brd.ko rd_nr=1 rd_size=4096 && cat /disk >/dev/ram0 && mkdir -p /mnt");
    booted.run("mount -t ext4 /dev/ram0 /mnt && fsfreeze --freeze /mnt && touch /tmp/frozen");
    let in_sleep = "grep -q '^State:.D' /proc/$(cat /tmp/child)/status";
    until(&mut booted, &format!("test -s /tmp/parent && {in_sleep}"));

    // Its parent dies. That is told, although the child cannot be killed; and no new life begins next to it.
    booted.run("kill -9 $(cat /tmp/parent)");
    booted.wait("Ente child: ended by signal 9");
    booted.wait("Ente child: could not be started: cgroup: processes of its last life are still in the cgroup child");
    booted.run(in_sleep);
    // Nobody else notices.
    booted.run("ente status child | grep -q child");
    let mark = booted.vm.mark();
    booted.run("fsfreeze --unfreeze /mnt");
    booted
        .vm
        .wait_for_since(mark, "Ente child encarnado pid=", machine::DEADLINE)
        .unwrap();

    // With a first process that cannot be killed the machine goes down all the same.
    booted.run("rm -f /tmp/frozen; fsfreeze --freeze /mnt; touch /tmp/frozen");
    let first = "/proc/$(cat /sys/fs/cgroup/ente/first/cgroup.procs)/status";
    until(&mut booted, &format!("grep -q '^State:.D' {first}"));
    booted.vm.send_line("kill -USR2 1").unwrap();
    booted.vm.wait_exit(machine::DEADLINE).unwrap();
    let console = booted.vm.console();
    assert!(!console.contains("Kernel panic"), "{console}");
    assert!(
        booted.printed().contains("did not end in time"),
        "{console}"
    );
}

#[test]
fn one_without_a_limit_leaves_room_for_others() {
    let inputs = folder();
    let program = inputs.path().join("hog");
    std::fs::write(&program, compile("hog.c", &[])).unwrap();
    let seed = seed(vec![
        shell(),
        native("hog", "/hog", &[], json!("OneShot")),
        hostile("other", "echo $$ > /tmp/other; exec sleep 100000"),
    ]);
    let image = tree_with(inputs.path(), &seed, |options| {
        options.programs.push(Program {
            dest: "/hog".into(),
            source: program,
        });
    });
    let mut booted = Booted::with_tree(folder(), &image, |_| {});
    booted.wait(machine::PROMPT);
    booted.wait("hog: hog: ");
    let threads = booted.number("cat /proc/sys/kernel/threads-max");
    let most = threads.min(booted.number("cat /proc/sys/kernel/pid_max"));
    let all = booted.number("cat /sys/fs/cgroup/ente/pids.max");
    assert_eq!(all, most * 85 / 100);
    let hog = booted.number("cat /sys/fs/cgroup/ente/*/pids.current | sort -n | tail -n 1");
    assert_eq!(hog, most * 15 / 100);
    // The other one is started again, and another command runs.
    until(&mut booted, "test -s /tmp/other");
    booted.run("pid=$(cat /tmp/other); rm /tmp/other; kill -9 $pid");
    until(&mut booted, "test -s /tmp/other");
}
