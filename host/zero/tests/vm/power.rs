//! Shutdown to the end: disks at rest, and off within the deadline whatever refuses to end.

use crate::devices::{Disk, Monitor};
use crate::machine::{self, Booted, folder, kernel, native, restart, seed, shell, tree_with, wasm};
use arje_qemu::Machine;
use serde_json::{Value, json};

/// Boots to the prompt on a machine changed by `adjust`.
fn boot(seed: &Value, adjust: impl FnOnce(&mut Machine)) -> Booted {
    let inputs = folder();
    let image = tree_with(inputs.path(), seed, |options| {
        // Some kernels have all or some of them built in.
        options.modules = ["nvme", "ext4", "loop"].map(Into::into).into();
        options.modules_dir = kernel().modules;
    });
    let booted = Booted::with_tree(folder(), &image, adjust);
    booted.wait(machine::PROMPT);
    booted
}

/// Waits until the kernel has made the nodes of these devices.
fn found(booted: &mut Booted, devices: &[&str]) {
    for device in devices {
        booted.run(&format!("until [ -b {device} ]; do sleep 1; done"));
    }
}

/// An Ente that a shutdown would wait for as long as it may.
fn stubborn(label: &str, script: &str) -> Value {
    let script = format!("{script}; echo begins; while :; do sleep 1; done");
    let mut card = native(label, "/bin/sh", &["-c", &script], restart());
    card["stop_timeout_ms"] = json!(3_600_000);
    card
}

fn ends(booted: &mut Booted) -> String {
    if let Err(error) = booted.vm.wait_exit(machine::DEADLINE) {
        panic!("{error}\n--- console ---\n{}", booted.vm.console());
    }
    let console = booted.vm.console();
    assert!(!console.contains("Kernel panic"), "{console}");
    console
}

#[test]
fn disks_are_clean_after_every_kind_of_end() {
    let seed = seed(vec![shell()]);
    let files = folder();
    let disk = Disk::ext4(files.path(), "disk");
    for (signal, last_words) in [
        ("USR2", "reboot: Power down"),
        ("TERM", "reboot: Restarting system"),
        ("USR1", "reboot: System halted"),
    ] {
        let mut booted = boot(&seed, |machine| disk.plug(machine, "disk"));
        found(&mut booted, &["/dev/nvme0n1", "/dev/loop0"]);
        // In use in every way that keeps a file system from being unmounted at once: by a daemon
        // that left its Ente, by a mount on top, by swap, by a loop device with a file on it.
        for command in [
            "mkdir -p /data && mount -t ext4 /dev/nvme0n1 /data",
            &format!("echo {signal} > /data/note"),
            "dd if=/dev/zero of=/data/swap bs=1M count=1 && mkswap /data/swap && swapon /data/swap",
            "mkdir -p /data/tmp && mount -t tmpfs none /data/tmp",
            "dd if=/dev/zero of=/data/image bs=1M count=1 && mke2fs -F /data/image && mkdir -p /data/inner",
            "losetup /dev/loop0 /data/image && mount -t ext2 /dev/loop0 /data/inner",
            "cd /data && (setsid sleep 10000 > /data/log 2>&1 &)",
        ] {
            booted.run(command);
        }
        assert!(
            !disk.is_clean(),
            "mounted, and nobody would see a difference"
        );
        booted.vm.send_line(&format!("kill -{signal} 1")).unwrap();
        booted.wait(last_words);
        if signal != "USR1" {
            ends(&mut booted);
        }
        let console = booted.vm.console();
        assert!(console.contains(" (nvme0n1): unmounting"), "{console}");
        drop(booted); // a halted machine stays as it is
        assert!(disk.is_clean(), "{signal}");
        disk.check();
        assert_eq!(disk.read("/note").trim(), signal);
    }
}

#[test]
fn what_refuses_to_end_does_not_keep_the_machine() {
    let files = folder();
    let disk = Disk::ext4(files.path(), "disk");
    let seed = seed(vec![
        shell(),
        stubborn("deaf", "trap '' TERM"),
        stubborn("stopped", "kill -STOP $$"),
        wasm("endless", "loop_forever_in_run", "run", json!("OneShot")),
    ]);
    let mut booted = boot(&seed, |machine| {
        machine.append = vec!["ente.shutdown=30".into()];
        disk.plug(machine, "disk");
    });
    found(&mut booted, &["/dev/nvme0n1"]);
    booted.wait("deaf: begins");
    // A write to a frozen file system sleeps where no signal reaches it.
    booted.run("mkdir /data && mount -t ext4 /dev/nvme0n1 /data && fsfreeze --freeze /data");
    booted.run("(setsid dd if=/dev/zero of=/data/x bs=1k count=1 > /dev/null 2>&1 &)");
    booted.run("until grep -q '^State:.D' /proc/$(pidof dd)/status; do sleep 1; done");
    // Daemons that left their Ente, take no SIGTERM, and make orphans as fast as they can.
    let storm = "trap '' TERM; while :; do ( (:) & ); done";
    for _ in 0..2 {
        booted.run(&format!("(setsid sh -c \"{storm}\" > /dev/null 2>&1 &)"));
    }
    booted.vm.send_line("kill -USR2 1").unwrap();
    let console = ends(&mut booted);
    // The shell may still be among them: the storm leaves little time to end it.
    let waited_for = |line: &str| line.contains("shutdown: waiting for ") && line.contains("deaf");
    assert!(console.lines().any(waited_for), "{console}");
    for said in [
        "shutdown: these do not end: ",
        " (dd)",
        "/data: unmount: ",
        "reboot: Power down",
    ] {
        assert!(console.contains(said), "{said} in {console}");
    }
}

#[test]
fn a_disk_that_hangs_is_given_up_and_the_others_are_clean() {
    let files = folder();
    let disk = |name| Disk::ext4(files.path(), name);
    let (good, frozen) = (disk("good"), disk("frozen"));
    let mut booted = boot(&seed(vec![shell()]), |machine| {
        machine.append = vec!["ente.shutdown=12".into()];
        good.plug(machine, "good");
        frozen.plug(machine, "frozen");
    });
    found(&mut booted, &["/dev/nvme0n1", "/dev/nvme1n1", "/dev/loop0"]);
    // A file system on a loop device whose file cannot be written to any more: writing back, and
    // unmounting, sleep in the kernel where nothing reaches them.
    for command in [
        "mkdir /good /frozen /bad && mount -t ext4 /dev/nvme0n1 /good && mount -t ext4 /dev/nvme1n1 /frozen",
        "dd if=/dev/zero of=/frozen/image bs=1M count=4 && mke2fs -F /frozen/image && sync",
        "losetup /dev/loop0 /frozen/image && mount -t ext2 /dev/loop0 /bad",
        "fsfreeze --freeze /frozen",
        "dd if=/dev/zero of=/bad/x bs=64k count=8 && echo kept > /good/note",
    ] {
        booted.run(command);
    }
    booted.vm.send_line("kill -USR2 1").unwrap();
    let console = ends(&mut booted);
    assert!(
        console.contains("shutdown: gave up waiting for "),
        "{console}"
    );
    assert!(good.is_clean());
    good.check();
    assert_eq!(good.read("/note"), "kept\n");
}

#[test]
fn ctrl_alt_del_again_hurries() {
    let mut monitor = None;
    let deaf = stubborn("deaf", "trap '' TERM");
    let mut booted = boot(&seed(vec![shell(), deaf]), |machine| {
        machine.append = vec!["ente.shutdown=3600".into()];
        monitor = Some(Monitor::of(machine));
    });
    booted.wait("deaf: begins");
    // The kernel finds the keyboard in its own time.
    booted.run("until grep -q 'AT.*keyboard' /proc/bus/input/devices; do usleep 20000; done");
    let mut monitor = monitor.unwrap();
    monitor.tell("sendkey ctrl-alt-delete");
    booted.wait("shutdown: waiting for deaf; ");
    monitor.tell("sendkey ctrl-alt-delete");
    let console = ends(&mut booted);
    assert!(
        console.contains("shutdown: Ctrl-Alt-Del again; killing deaf"),
        "{console}"
    );
    assert!(console.contains("reboot: Restarting system"), "{console}");
}
