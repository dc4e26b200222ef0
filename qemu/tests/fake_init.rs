//! Boots a real kernel in QEMU with a shell script in the place of PID 1: what is tested is the image
//! format, the machine's command line and the conversation over the serial console.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "tests say what they expect"
)]

use std::path::{Path, PathBuf};
use std::time::Duration;

use arje_qemu::kernel::Search;
use arje_qemu::{Error, Machine, Vm};
use initrd_builder::compress::Compression;
use initrd_builder::cpio;
use initrd_builder::tree::{Group, Tree};

/// Boots take about 3 s of TCG time; the rest is for machines that do other things meanwhile.
const DEADLINE: Duration = Duration::from_secs(180);

const INIT: &str = "#!/bin/sh
mount -t proc none /proc
echo 'ente-zero despierta como PID 1'
echo 'Tarjeta Semilla cargada y validada path=/ente/seed.card.json'
export PS1='arje# '
exec setsid cttyhack sh -i
";

fn kernel() -> PathBuf {
    let cache = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/kernel");
    Search::here(cache).find(None).unwrap().image
}

fn busybox() -> Vec<u8> {
    let path = std::env::var("BUSYBOX_BIN").unwrap_or_else(|_| "/bin/busybox".to_owned());
    std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}; install busybox-static"))
}

fn image(form: Compression) -> tempfile::NamedTempFile {
    let mut tree = Tree::new();
    tree.add_file("/bin/busybox", busybox(), 0o755, Group::Busybox)
        .unwrap();
    for applet in [
        "sh", "mount", "echo", "setsid", "cttyhack", "ls", "cat", "poweroff", "printf", "uname",
        "sleep",
    ] {
        tree.add_symlink(&format!("/bin/{applet}"), "busybox", Group::Busybox)
            .unwrap();
    }
    tree.add_dir("/proc", 0o755, Group::Skeleton).unwrap();
    tree.add_char("/dev/console", (5, 1), 0o600).unwrap();
    tree.add_char("/dev/null", (1, 3), 0o666).unwrap();
    tree.add_char("/dev/ttyS0", (4, 64), 0o600).unwrap();
    tree.add_file("/init", INIT.as_bytes(), 0o755, Group::Arje)
        .unwrap();
    let packed = form.compress(&cpio::pack(&tree, 0).unwrap()).unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), packed).unwrap();
    file
}

#[test]
fn a_boot_a_conversation_and_power_off() {
    let image = image(Compression::Zstd);
    let machine = Machine::new(kernel());
    let mut vm = Vm::boot(&machine, image.path()).unwrap();
    vm.wait_for("ente-zero despierta como PID 1", DEADLINE)
        .unwrap();
    vm.wait_for("arje# ", DEADLINE).unwrap();

    let output = vm
        .run("echo 'two  words'; echo \"$((6 * 7))\" >&2")
        .unwrap();
    assert_eq!((output.text.as_str(), output.code), ("two  words\n42\n", 0));
    assert_eq!(vm.run("exit 9").unwrap().code, 9);
    assert_eq!(
        vm.run("printf nothing-after").unwrap().text,
        "nothing-after"
    );
    assert!(
        !vm.run("if then").unwrap().ok(),
        "a syntax error is a failure, not a hang"
    );
    // The kernel speaks in the middle of a command: through /dev/kmsg, at console level.
    let output = vm
        .run("mknod /dev/kmsg c 1 11 2>/dev/null || /bin/busybox mknod /dev/kmsg c 1 11; printf be; echo '<2>noise' > /dev/kmsg; echo fore")
        .unwrap();
    assert_eq!(output.text, "before\n", "{}", output.raw);
    let console = vm.run("ls -l /dev/console").unwrap().text;
    assert!(
        console.starts_with("crw-------") && console.contains("5,   1"),
        "{console}"
    );
    assert!(
        vm.run("cat /proc/cmdline")
            .unwrap()
            .text
            .contains("rdinit=/init")
    );

    vm.send_line("poweroff -f").unwrap();
    let status = vm.wait_exit(DEADLINE).unwrap();
    assert!(status.success(), "{status}\n{}", vm.console());
    let error = vm.wait_for("never printed", DEADLINE).unwrap_err();
    assert!(matches!(error, Error::Ended { .. }), "{error}");
}

#[test]
fn a_gzip_image_boots_with_the_deterministic_clock() {
    let image = image(Compression::Gzip);
    let machine = Machine {
        icount: true,
        append: vec!["quiet".into()],
        ..Machine::new(kernel())
    };
    let vm = Vm::boot(&machine, image.path()).unwrap();
    vm.wait_for("arje# ", DEADLINE).unwrap();
    let error = vm
        .wait_for("never printed", Duration::from_millis(50))
        .unwrap_err();
    assert!(matches!(error, Error::Deadline { .. }), "{error}");
}

#[test]
fn a_machine_that_cannot_start_says_why() {
    let image = image(Compression::Gzip);
    let machine = Machine {
        extra: vec!["-no-such-option".into()],
        ..Machine::new(kernel())
    };
    let vm = Vm::boot(&machine, image.path()).unwrap();
    let error = vm.wait_for("arje# ", DEADLINE).unwrap_err().to_string();
    assert!(error.contains("no-such-option"), "{error}");
    let error = Vm::boot(&machine, Path::new("/no/image")).err().unwrap();
    assert!(error.to_string().contains("/no/image"), "{error}");
}
