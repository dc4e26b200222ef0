//! The core killed on purpose, and what the rescue path endures.

use crate::machine::{self, Booted, folder, restart, seed, shell, tree, wasm};
use initrd_builder::tree::Tree;

fn armed(image: &Tree, how: &str) -> Booted {
    let booted = Booted::with_tree(folder(), image, |machine| {
        machine.append = vec![format!("ente.debug={how}")];
    });
    booted.wait(machine::PROMPT);
    booted
}

#[test]
fn every_end_of_the_core_opens_the_rescue_shell() {
    let inputs = folder();
    let seed = seed(vec![
        shell(),
        wasm("greeting", "hello", "service", restart()),
    ]);
    let image = tree(inputs.path(), &seed);
    for (how, reason) in [
        ("crash-abort", "rescue: the core of ente-zero aborted"),
        (
            "crash-segv",
            "rescue: the core of ente-zero faulted (SIGSEGV)",
        ),
        (
            "crash-stack",
            "rescue: the core of ente-zero faulted (SIGSEGV)",
        ),
        ("crash-memory", "rescue: the core of ente-zero aborted"),
    ] {
        let mut booted = armed(&image, how);
        booted.wait("greeting: hello");
        booted.vm.send_line("kill -QUIT 1").unwrap();
        booted.wait(reason);
        booted.wait("rescue# ");
        booted.pid_1_lives();
        booted.run("ls /proc | grep -q '^[0-9]'");
        assert!(!booted.vm.console().contains("Kernel panic"), "{how}");
    }
}

#[test]
fn a_panic_is_told_on_a_stopped_console_and_the_rescue_shell_ends_the_machine() {
    let inputs = folder();
    let image = tree(inputs.path(), &seed(vec![shell()]));
    let mut booted = armed(&image, "crash-panic");
    // Ctrl-S: from now on the terminal takes nothing, and whoever writes to it waits. In one go with the line, so that
    // it comes while that sleeps.
    booted
        .vm
        .send_line("(sleep 3; kill -QUIT 1) & true\n\x13")
        .unwrap();
    booted.wait("panicked at ");
    booted.wait("rescue: the core of ente-zero panicked");
    booted.wait("rescue# ");
    booted.pid_1_lives();
    // What has no meaning here does nothing.
    for signal in [
        "HUP", "QUIT", "PIPE", "ALRM", "SEGV", "ABRT", "STOP", "TSTP", "KILL", "CHLD", "WINCH",
    ] {
        booted.run(&format!("kill -{signal} 1"));
    }
    booted.run("i=0; while [ $i -lt 100 ]; do ( (exit 3) & ) ; i=$((i+1)); done");
    booted.run("n=1; while [ $n -gt 0 ]; do n=$(grep -l '^State:.Z' /proc/[0-9]*/status 2>/dev/null | wc -l); done");
    booted.pid_1_lives();

    // A shell killed while the terminal is stopped: the next one can be used.
    let mark = booted.vm.mark();
    booted
        .vm
        .send_line("(sleep 3; kill -KILL $$) & true\n\x13")
        .unwrap();
    booted.wait_for_new_shell(mark, "rescue# ");
    booted.run("true");

    booted.vm.send_line("poweroff").unwrap();
    booted.vm.wait_exit(machine::DEADLINE).unwrap();
    let console = booted.vm.console();
    assert!(console.contains("reboot: Power down"), "{console}");
    assert!(!console.contains("Kernel panic"), "{console}");
}
