//! The hardware watchdog: petted while PID 1 lives, and the end of a machine whose PID 1 hangs.

use crate::machine::{self, Booted, folder, kernel, native, restart, seed, shell, tree_with};
use crate::programs::{compile, put};
use arje_qemu::Machine;
use arje_qemu::kernel::Kernel;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Boots with the module of a watchdog, armed for this end of the core.
fn boot(kernel: &Kernel, module: &str, debug: &str, adjust: impl FnOnce(&mut Machine)) -> Booted {
    boot_seed(kernel, module, vec![shell()], |machine| {
        machine.append.push(format!("ente.debug={debug}"));
        adjust(machine);
    })
}

fn boot_seed(
    kernel: &Kernel,
    module: &str,
    genesis: Vec<Value>,
    adjust: impl FnOnce(&mut Machine),
) -> Booted {
    let files = folder();
    let mut image = tree_with(files.path(), &seed(genesis), |options| {
        options.modules = vec![module.into()];
        options.modules_dir = kernel.modules.clone();
    });
    put(&mut image, "/stopper", compile("stopper.c", &[]));
    let booted = Booted::with_tree(folder(), &image, |machine| {
        machine.kernel = kernel.image.clone();
        machine.append = vec!["ente.watchdog=10".into()];
        adjust(machine);
    });
    booted.wait(machine::PROMPT);
    booted.wait("the hardware watchdog is armed, 10 s");
    booted
}

/// Waits for the end, which has to be the watchdog's.
fn is_reset(mut booted: Booted) {
    booted.vm.wait_exit(machine::DEADLINE).unwrap();
    let console = booted.vm.console();
    assert!(
        console.contains("softdog: Initiating system reboot"),
        "{console}"
    );
    assert!(!console.contains("reboot: Power down"), "{console}");
}

#[test]
fn a_hung_pid_1_is_reset_and_a_living_one_is_not() {
    let mut booted = boot(&kernel(), "softdog", "hang", |_| {});
    // Longer than the device waits without a pet.
    booted.run("sleep 15");
    booted.run("grep -qx active /sys/class/watchdog/watchdog0/state");
    booted.vm.send_line("kill -QUIT 1").unwrap();
    is_reset(booted);
}

/// A shutdown has a deadline, which a PID 1 that hangs does not keep; the machine ends all the same.
#[test]
fn a_pid_1_that_hangs_while_entes_stop_is_reset() {
    // It is told to stop, and then PID 1 is made to hang.
    let script = "trap 'kill -QUIT 1' TERM; echo begins; while :; do sleep 1; done";
    let mut last = native("last", "/bin/sh", &["-c", script], restart());
    last["stop_timeout_ms"] = json!(3_600_000);
    let mut booted = boot_seed(&kernel(), "softdog", vec![shell(), last], |machine| {
        let words = ["ente.debug=hang", "ente.shutdown=3600"];
        machine.append.extend(words.map(Into::into));
    });
    booted.wait("last: begins");
    booted.vm.send_line("kill -USR2 1").unwrap();
    is_reset(booted);
}

/// The same when all Entes have ended: whoever left its Ente is sent SIGTERM then, and this one stops PID 1.
#[test]
fn a_pid_1_that_is_stopped_in_the_last_phase_is_reset() {
    let mut booted = boot_seed(&kernel(), "softdog", vec![shell()], |machine| {
        machine.append.push("ente.shutdown=3600".into());
    });
    let leave = "echo $$ >/sys/fs/cgroup/cgroup.procs && exec setsid /stopper /tmp/waits";
    booted.run(&format!("(sh -c '{leave}' >/dev/null 2>&1 &)"));
    booted.run("until test -e /tmp/waits; do usleep 20000; done");
    booted.vm.send_line("kill -USR2 1").unwrap();
    is_reset(booted);
}

#[test]
fn whoever_works_in_the_rescue_shell_is_not_reset() {
    let mut booted = boot(&kernel(), "softdog", "crash-panic", |_| {});
    booted.vm.send_line("kill -QUIT 1").unwrap();
    booted.wait("rescue: the hardware watchdog is disarmed");
    booted.wait("rescue# ");
    booted.run("grep -qx inactive /sys/class/watchdog/watchdog0/state");
    booted.vm.send_line("poweroff").unwrap();
    booted.vm.wait_exit(machine::DEADLINE).unwrap();
}

#[test]
fn one_that_cannot_be_disarmed_is_petted_in_the_rescue_shell() {
    let mut booted = boot(&kernel(), "softdog", "crash-panic", |machine| {
        machine.append.push("softdog.nowayout=1".into());
    });
    booted.vm.send_line("kill -QUIT 1").unwrap();
    booted.wait("rescue: the hardware watchdog cannot be disarmed; it is petted instead");
    booted.wait("rescue# ");
    booted.run("sleep 25");
    booted.vm.send_line("poweroff").unwrap();
    booted.vm.wait_exit(machine::DEADLINE).unwrap();
    let console = booted.vm.console();
    assert!(console.contains("reboot: Power down"), "{console}");
}

/// A watchdog that is a device of QEMU's. Kernels for virtual machines have no driver for one, so
/// this boots the distribution's other kernel.
#[test]
fn qemu_carries_out_what_its_watchdog_was_told() {
    let kernel = full_kernel();
    let mut booted = boot(&kernel, "i6300esb", "hang", |machine| {
        let words = ["-device", "i6300esb", "-watchdog-action", "poweroff"];
        machine.extra.extend(words.map(Into::into));
    });
    booted.vm.send_line("kill -QUIT 1").unwrap();
    booted.vm.wait_exit(machine::DEADLINE).unwrap();
    let console = booted.vm.console();
    assert!(
        !console.contains("reboot: "),
        "the kernel did it: {console}"
    );
    assert!(!console.contains("Kernel panic"), "{console}");
}

/// The kernel for real machines, and of its modules only the watchdogs': fetched with the package
/// manager, not installed.
fn full_kernel() -> Kernel {
    let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join("../kernel-full");
    unpacked(&place).unwrap_or_else(|| {
        fetch(&place);
        unpacked(&place).unwrap()
    })
}

fn unpacked(place: &Path) -> Option<Kernel> {
    let only = |folder: PathBuf| {
        let mut entries = std::fs::read_dir(folder).ok()?;
        Some(entries.next()?.ok()?.path())
    };
    let image = only(place.join("boot"))?;
    let modules = only(place.join("lib/modules"))?;
    Some(Kernel {
        image,
        release: Some(modules.file_name()?.to_str()?.to_owned()),
        modules: Some(modules),
    })
}

fn fetch(place: &Path) {
    let work = place.with_extension("fetch");
    let _ = std::fs::remove_dir_all(&work);
    std::fs::create_dir_all(work.join("tree")).unwrap();
    let script = "
        set -e
        package=$(apt-cache depends linux-image-amd64 | sed -n 's/.*Depends: \\(linux-image-[^ ]*\\)$/\\1/p')
        apt-get download \"$package\" >&2
        dpkg --fsys-tarfile *.deb | tar -x -C tree --wildcards \
            './boot/vmlinuz-*' './lib/modules/*/kernel/drivers/watchdog'
    ";
    let status = Command::new("sh")
        .args(["-c", script])
        .current_dir(&work)
        .status();
    assert!(status.unwrap().success(), "cannot fetch linux-image-amd64");
    std::fs::rename(work.join("tree"), place).unwrap();
    std::fs::remove_dir_all(&work).unwrap();
}
