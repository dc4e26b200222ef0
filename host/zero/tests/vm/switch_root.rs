//! Moving to a root on a disk.

use crate::devices::Disk;
use crate::machine::{Booted, card, folder, native, restart, seed, shell, tree, wasm};
use initrd_builder::tree::{Node, Tree};
use serde_json::{Value, json};
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

/// Writes what would be an initramfs into a folder. Device nodes are the kernel's to make.
fn write_out(tree: &Tree, to: &Path) {
    for (path, entry) in tree.iter() {
        let place = to.join(path);
        match &entry.node {
            Node::Dir => fs::create_dir_all(&place).unwrap(),
            Node::Symlink(target) => symlink(target, &place).unwrap(),
            Node::Char { .. } => {}
            Node::File(data) => {
                fs::write(&place, data).unwrap();
                fs::set_permissions(&place, Permissions::from_mode(entry.mode & 0o7777)).unwrap();
            }
        }
    }
}

/// A disk with a whole system on it, and an init that is not ours.
fn disk(folder: &Path, name: &str, seed: &Value) -> Disk {
    let root = folder.join(format!("{name}.root"));
    fs::create_dir(&root).unwrap();
    write_out(&tree(folder, seed), &root);
    let foreign = root.join("sbin/foreign");
    fs::write(
        &foreign,
        "#!/bin/sh\necho \"a foreign init, $$\"; exec sleep 100000\n",
    )
    .unwrap();
    fs::set_permissions(&foreign, Permissions::from_mode(0o755)).unwrap();
    Disk::holding(folder, name, &root)
}

fn one_shot(label: &str, script: &str) -> Value {
    native(label, "/bin/sh", &["-c", script], json!("OneShot"))
}

#[test]
fn the_machine_moves_to_a_disk_and_its_seed_goes_on_there() {
    let files = folder();
    // The same shell on both sides: its incarnations are counted on.
    let console = shell();
    let mut on_disk = seed(vec![
        console.clone(),
        wasm("greeting", "hello", "service", restart()),
        {
            let mut arrived = one_shot("arrived", "echo arr\"\"ived");
            arrived["requires"] = json!(["FilesystemRoot"]);
            arrived
        },
    ]);
    on_disk["label"] = json!("arje.seed.disk");
    let first = disk(files.path(), "first", &on_disk);
    let mut other = card("arje.seed.other", json!("Virtual"), json!("Delegate"));
    other["genesis"] = json!([shell()]);
    let second = disk(files.path(), "second", &other);
    let start = seed(vec![
        console,
        wasm("left-behind", "hello", "service", restart()),
        one_shot("waits-for-ever", "trap '' TERM; exec sleep 100000"),
    ]);
    let image = tree(files.path(), &start);
    let mut booted = Booted::with_tree(folder(), &image, |machine| {
        first.plug(machine, "first");
        second.plug(machine, "second");
    });
    booted.wait(crate::machine::PROMPT);

    // What cannot be the root is refused, and nothing has happened.
    booted.run("mkdir /new /other && mount -t ext4 /dev/nvme0n1 /new");
    for (arguments, why) in [
        ("/etc", "is not a mount point"),
        ("/tmp", "has none of /sbin/ente-zero"),
        ("/new /sbin/none", "No such file"),
    ] {
        let output = booted.try_run(&format!("ente switch-root {arguments}"));
        assert_ne!(output.code, 0, "{arguments}");
        assert!(output.text.contains(why), "{arguments}: {}", output.text);
    }
    booted.run("until ente status left-behind | grep -q ready; do sleep 1; done");

    let mark = booted.vm.mark();
    booted.vm.send_line("ente switch-root /new").unwrap();
    for line in [
        "switch-root: stopping all Entes; then /sbin/ente-zero in /new",
        "instanciando genesis seed=arje.seed.disk count=3",
        "arrived: arrived",
        "Ente greeting encarnado wasm=",
    ] {
        let found = booted
            .vm
            .wait_for_since(mark, line, crate::machine::DEADLINE);
        assert!(found.is_ok(), "{line}: {}", booted.vm.console());
    }
    booted.wait_for_new_shell(mark, crate::machine::PROMPT);
    let mounts = booted.run("cat /proc/mounts");
    assert!(mounts.contains("/dev/nvme0n1 / ext4"), "{mounts}");
    for moved in ["/proc", "/sys", "/dev", "/run", "/sys/fs/cgroup", "/tmp"] {
        assert!(
            mounts.contains(&format!(" {moved} ")),
            "{moved} in {mounts}"
        );
    }
    booted.pid_1_lives();
    assert!(!booted.vm.console().contains("the old root was not emptied"));
    assert!(booted.run("ls /").contains("lost+found"));
    // Nothing of the old seed lives; one-shots that refuse to die were killed.
    assert!(!booted.run("ente status").contains("left-behind"));
    booted.run("! pidof sleep");
    let status = booted.answer("ente status shell");
    assert!(status.contains("life        2, "), "{status}");

    // And on, to an init that knows nothing of us.
    booted.run("mount -t ext4 /dev/nvme1n1 /mnt 2>/dev/null || { mkdir /mnt && mount -t ext4 /dev/nvme1n1 /mnt; }");
    booted
        .vm
        .send_line("ente switch-root /mnt /sbin/foreign")
        .unwrap();
    booted.wait("a foreign init, 1");
}
