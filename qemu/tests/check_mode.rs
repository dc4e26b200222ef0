//! The program's check mode, from a seed to an exit status: the image is built, a kernel boots it, and a shell
//! script in the place of `ente-zero` prints what the seed promises, or leaves something out.

#![expect(clippy::unwrap_used, reason = "tests say what they expect")]

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};

const SEED: &str = r#"{
  "schema_version": 1, "id": "01J00000000000000000000000", "label": "pretended", "payload": "Virtual",
  "supervision": "OneShot",
  "genesis": [
    { "schema_version": 1, "id": "01J00000000000000000000001", "label": "shell", "supervision": "OneShot",
      "payload": { "Native": { "exec": "/bin/sh", "envp": [["PS1", "arje# "]] } } }
  ] }"#;

/// Prints the milestones of the seed with one kernel-module Card added, and ends as told.
const INIT: &str = "#!/bin/sh
mount -t proc none /proc
echo 'ente-zero despierta como PID 1'
echo 'Tarjeta Semilla cargada y validada path=/ente/seed.card.json'
echo 'bus interno escuchando path=/run/ente-bus.sock'
echo 'instanciando genesis seed=pretended count=2'
echo 'Ente modules-load encarnado pid=2'
";
const WELL: &str = "echo 'Ente shell encarnado pid=3'
echo 'the seed is up, 7 ms after its start'
export PS1='arje# '
exec setsid cttyhack sh -i
";
const BADLY: &str = "echo 'Ente somebody-else encarnado pid=3'
poweroff -f
";

/// Alive, with a prompt, and something has failed.
const GIVEN_UP: &str = "echo 'Ente shell encarnado pid=3'
echo 'the seed is not up: 1 of 2 Entes failed (modules-load), 7 ms after its start'
export PS1='arje# '
exec setsid cttyhack sh -i
";

/// A shell, but not the seed's.
const RESCUED: &str = "echo 'rescue: the seed cannot be booted'
echo 'rescue: starting a shell; `reboot` and `poweroff` end the machine'
exec setsid cttyhack sh -i
";

fn check(ending: &str, arguments: &[&str]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let put = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        path
    };
    put("ente-zero", &format!("{INIT}{ending}"));
    put("ente-spawn", "#!/bin/sh\n");
    put("ente", "#!/bin/sh\n");
    let seed = put("pretended.card.json", SEED);
    let cache = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/kernel");
    Command::new(env!("CARGO_BIN_EXE_arje-qemu"))
        .arg("check")
        .arg(seed)
        .arg("--helpers")
        .arg(folder.path())
        .arg("--out")
        .arg(folder.path().join("out/image.img"))
        .arg("--kernel-cache")
        .arg(cache)
        // A module with two dependencies, so that the packed modules.dep is put to use.
        .args(["--modules", "virtio_net"])
        .args(arguments)
        .env("KERNEL_CMD", "ente.word=from-the-environment")
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_good_boot_passes_and_its_kernel_modules_load() {
    let output = check(
        WELL,
        &[
            "--fw-cfg",
            "word,string=from-firmware",
            "--run",
            "cat /proc/cmdline",
            "--expect",
            "from-the-environment",
            // As the packed Card does it.
            "--run",
            "grep -o '\"modprobe\"' /ente/seed.card.json && modprobe -a failover net_failover virtio_net && lsmod",
            "--expect",
            "virtio_net",
            "--run",
            "test -x /sbin/ente-zero -a -x /usr/lib/ente/ente-spawn -a -d /sys/fs/cgroup",
        ],
    );
    let (said, built) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{said}\n{built}");
    assert!(said.contains("check passed"), "{said}");
    assert!(
        built.contains("sha256") && built.contains("virtio_net.ko"),
        "{built}"
    );
}

#[test]
fn a_bad_boot_fails_with_the_console_and_what_was_missing() {
    let output = check(BADLY, &[]);
    let said = text(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{said}");
    for part in [
        "missing: `Ente shell encarnado pid=`",
        "missing: `arje# `",
        "Ente somebody-else encarnado pid=3",
        "check failed",
    ] {
        assert!(said.contains(part), "{part} in {said}");
    }
    assert!(!said.contains("missing: `ente-zero despierta"), "{said}");
    // PID 1 was there and the kernel did nothing wrong: its hundreds of lines would hide the few that matter.
    assert!(!said.contains("Linux version"), "{said}");
}

#[test]
fn a_last_command_that_ends_the_machine_in_order_has_done_its_work() {
    let output = check(WELL, &["--run", "echo yes", "--run", "poweroff -f"]);
    let said = text(&output.stdout);
    assert!(output.status.success(), "{said}");
    // Not if more was to come, nor if it is the kernel that gave up.
    let panic = "echo c > /proc/sysrq-trigger";
    for commands in [["poweroff -f", "echo yes"], ["echo yes", panic]] {
        let [first, second] = commands;
        let output = check(WELL, &["--run", first, "--run", second]);
        let said = text(&output.stdout);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains("missing: the machine ended before"), "{said}");
        assert_eq!(said.contains("Kernel panic"), second == panic, "{said}");
    }
}

/// The Cards of a session are appended to the seed's by PID 1, and so are what is waited for.
#[test]
fn a_session_brings_its_entes_along() {
    let fragments = tempfile::tempdir().unwrap();
    let session = SEED
        .replace(
            "00000000000\", \"label\": \"pretended",
            "00000000008\", \"label\": \"fragment",
        )
        .replace(
            "00000000001\", \"label\": \"shell",
            "00000000009\", \"label\": \"browser",
        );
    let file = fragments.path().join("session-kiosk.card.json");
    std::fs::write(file, session).unwrap();
    let folder = fragments.path().to_str().unwrap();
    let arguments = ["--fragments", folder, "--append", "arje.session=kiosk"];
    let output = check(GIVEN_UP, &arguments);
    let said = text(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{said}");
    for part in [
        "missing: `instanciando genesis seed=pretended count=3`",
        "missing: `Ente browser encarnado pid=`",
    ] {
        assert!(said.contains(part), "{part} in {said}");
    }
    let with_it = WELL.replace(
        "echo 'the seed is up",
        "echo 'instanciando genesis seed=pretended count=3'; echo 'Ente browser encarnado pid=4'; echo 'the seed is up",
    );
    let output = check(&with_it, &arguments);
    assert!(output.status.success(), "{}", text(&output.stdout));
}

#[test]
fn what_failed_for_good_is_told_without_waiting_for_it() {
    for (ending, reason) in [
        (
            GIVEN_UP,
            "missing: the seed is not up: 1 of 2 Entes failed (modules-load)",
        ),
        (RESCUED, "missing: rescue: starting a shell; "),
    ] {
        let output = check(ending, &["--deadline", "3600"]);
        let said = text(&output.stdout);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(reason), "{said}");
    }
}

#[test]
fn a_guest_command_that_fails_fails_the_check() {
    let output = check(
        WELL,
        &["--run", "false", "--run", "echo yes", "--expect", "no"],
    );
    let said = text(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains("exit 0 of \"false\": it ended with 1"),
        "{said}"
    );
    assert!(
        said.contains("\"no\" in the output of \"echo yes\""),
        "{said}"
    );
}
