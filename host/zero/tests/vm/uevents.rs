//! Devices that come and go, and kernel modules loaded at boot.

use crate::devices::{Disk, Monitor};
use crate::machine::{
    self, Booted, changed, folder, kernel, native, restart, seed, shell, tree_with, wasm,
};
use serde_json::{Value, json};

/// An Ente that lives with a disk.
fn user() -> Value {
    let script = "echo user start$PPID; while :; do sleep 1; done";
    let mut user = native("user", "/bin/sh", &["-c", script], restart());
    user["requires"] = json!([{"Device": {"class": "Block"}}]);
    user
}

/// Boots a machine without disks and network cards, but with the drivers for disks; and the
/// monitor, to plug them.
fn boot(cards: Vec<Value>) -> (Booted, Monitor) {
    let files = folder();
    let image = tree_with(files.path(), &seed(cards), |options| {
        options.modules = vec!["virtio_pci".into(), "virtio_blk".into()];
        options.modules_dir = kernel().modules;
    });
    let mut monitor = None;
    let booted = Booted::with_tree(folder(), &image, |machine| {
        machine.append = vec!["ente.log=debug".into()];
        machine.extra.extend(["-nic".into(), "none".into()]);
        monitor = Some(Monitor::of(machine));
    });
    booted.wait(machine::PROMPT);
    booted.wait("modules-load: starting -> done");
    (booted, monitor.unwrap())
}

/// Plugs a disk in as `name`.
fn plug(monitor: &mut Monitor, disk: &Disk, name: &str) {
    let file = disk.path.display();
    monitor.tell(&format!(
        "drive_add 0 if=none,format=raw,id=of-{name},file={file}"
    ));
    monitor.tell(&format!(
        "device_add virtio-blk-pci,drive=of-{name},id={name}"
    ));
}

fn wait_since(booted: &Booted, mark: usize, text: &str) {
    if let Err(error) = booted.vm.wait_for_since(mark, text, machine::DEADLINE) {
        panic!("{error}\n{}", booted.vm.console());
    }
}

#[test]
fn an_ente_that_needs_a_disk_lives_as_long_as_there_is_one() {
    let mut net = wasm("net", "hello", "service", restart());
    net["requires"] = json!([{"Device": {"class": "Net"}}]);
    let mut tty = wasm("tty", "hello", "service", restart());
    tty["requires"] = json!([{"Device": {"class": "Tty"}}]);
    let (booted, mut monitor) = boot(vec![shell(), user(), net, tty]);
    booted.wait("Ente tty encarnado wasm="); // there from the beginning

    let files = folder();
    for round in 0..2 {
        // Another one in each round: QEMU lets go of an unplugged one when it likes to.
        let name = format!("disk{round}");
        let disk = Disk::ext4(files.path(), &name);
        let console = booted.printed();
        assert_eq!(console.matches("Ente user encarnado").count(), round);
        let mark = booted.vm.mark();
        plug(&mut monitor, &disk, &name);
        wait_since(&booted, mark, "Ente user encarnado pid=");
        monitor.tell(&format!("device_del {name}"));
        wait_since(&booted, mark, "user: ready -> stopping: needs Device:Block");
        wait_since(&booted, mark, "user: stopping -> parked: ");
    }
    assert!(!booted.printed().contains("Ente net encarnado"));
}

#[test]
fn a_disk_is_found_although_its_event_was_lost() {
    let (mut booted, mut monitor) = boot(vec![shell(), user()]);
    let files = folder();
    let disk = Disk::ext4(files.path(), "disk");
    // PID 1 is put aside, and more events come than its socket keeps.
    let group = "/sys/fs/cgroup/aside";
    booted.run(&format!(
        "mkdir {group} && echo 1 > {group}/cgroup.procs && echo 1 > {group}/cgroup.freeze"
    ));
    booted.run(&format!(
        "until grep -q 'frozen 1' {group}/cgroup.events; do :; done"
    ));
    booted.run(
        "i=0; while [ $i -lt 6000 ]; do echo change > /sys/class/net/lo/uevent; i=$((i+1)); done",
    );
    plug(&mut monitor, &disk, "disk");
    booted.run("until [ -e /sys/class/block/vda ]; do :; done");
    assert!(!booted.printed().contains("Ente user encarnado"));
    booted.run(&format!("echo 0 > {group}/cgroup.freeze"));
    booted.wait("too many device events at once; looking at all devices again");
    booted.wait("Ente user encarnado pid=");
}

#[test]
fn a_module_that_cannot_be_loaded_is_told() {
    let files = folder();
    let image = tree_with(files.path(), &seed(vec![shell()]), |options| {
        options.modules = vec!["softdog".into()];
        options.modules_dir = kernel().modules;
    });
    let release = kernel().release.unwrap();
    let module = format!("/lib/modules/{release}/kernel/drivers/watchdog/softdog.ko");
    let torn = changed(&image, &module, |data| data.truncate(1000));
    let booted = Booted::with_tree(folder(), &torn, |_| {});
    booted.wait("modprobe: ");
    booted.wait("Ente modules-load: exited with code ");
    booted.wait(machine::PROMPT);
}
