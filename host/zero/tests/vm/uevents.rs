//! Devices that come and go, and kernel modules loaded at boot.

use crate::devices::{Disk, Monitor};
use crate::machine::{
    self, Booted, changed, folder, kernel, native, restart, seed, shell, tree_with, wasm,
};
use serde_json::json;

#[test]
fn an_ente_that_needs_a_disk_lives_as_long_as_there_is_one() {
    let script = "echo user start$PPID; while :; do sleep 1; done";
    let mut user = native("user", "/bin/sh", &["-c", script], restart());
    user["requires"] = json!([{"Device": {"class": "Block"}}]);
    let mut net = wasm("net", "hello", "service", restart());
    net["requires"] = json!([{"Device": {"class": "Net"}}]);
    let mut tty = wasm("tty", "hello", "service", restart());
    tty["requires"] = json!([{"Device": {"class": "Tty"}}]);

    let files = folder();
    let image = tree_with(
        files.path(),
        &seed(vec![shell(), user, net, tty]),
        |options| {
            options.modules = vec!["virtio_pci".into(), "virtio_blk".into()];
            options.modules_dir = kernel().modules;
        },
    );
    let mut monitor = None;
    let booted = Booted::with_tree(folder(), &image, |machine| {
        machine.append = vec!["ente.log=debug".into()];
        machine.extra.extend(["-nic".into(), "none".into()]);
        monitor = Some(Monitor::of(machine));
    });
    let mut monitor = monitor.unwrap();
    booted.wait(machine::PROMPT);
    booted.wait("modules-load: starting -> done");
    booted.wait("Ente tty encarnado wasm="); // there from the beginning

    for round in 0..2 {
        // Another one in each round: QEMU lets go of an unplugged one when it likes to.
        let disk = Disk::ext4(files.path(), &format!("disk{round}"));
        let plug = format!(
            "drive_add 0 if=none,format=raw,id=disk{round},file={}",
            disk.path.display()
        );
        let console = booted.vm.console();
        assert_eq!(console.matches("Ente user encarnado").count(), round);
        let mark = booted.vm.mark();
        monitor.tell(&plug);
        monitor.tell(&format!(
            "device_add virtio-blk-pci,drive=disk{round},id=hot{round}"
        ));
        let since = |text: &str| {
            if let Err(error) = booted.vm.wait_for_since(mark, text, machine::DEADLINE) {
                panic!("{error}\n{}", booted.vm.console());
            }
        };
        since("Ente user encarnado pid=");
        monitor.tell(&format!("device_del hot{round}"));
        since("user: ready -> stopping: needs Device:Block");
        since("user: stopping -> parked: ");
    }
    assert!(!booted.vm.console().contains("Ente net encarnado"));
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
