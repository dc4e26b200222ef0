//! PID 1 replaces itself. What does not need a machine is in `tests/reexec.rs`.

use crate::machine::{Booted, native, restart, seed, shell, wasm};

const SLEEPERS: u32 = 5;

#[test]
fn pid_1_replaces_itself_twenty_times() {
    let sleepers = (0..SLEEPERS).map(|n| {
        let seconds = (10_000 + n).to_string();
        native(
            &format!("sleeper-{n}"),
            "/bin/sleep",
            &[&seconds],
            restart(),
        )
    });
    let mut genesis = vec![shell(), wasm("greeting", "hello", "service", restart())];
    genesis.extend(sleepers);
    let mut booted = Booted::to_prompt(&seed(genesis));
    booted.wait("the seed is up");
    let pids = booted.run("pidof sleep");
    assert_eq!(pids.split_whitespace().count(), SLEEPERS as usize);

    let count = |booted: &mut Booted| -> u32 {
        let count = booted.run("ls /proc/1/fd | wc -l");
        count.trim().parse().unwrap()
    };
    let mut descriptors = 0;
    for image in 1..=20 {
        let mark = booted.vm.mark();
        booted.run("ente reexec");
        // The shell that asked is among those that go on.
        let took_over = format!("reexec: image {image} took over");
        for line in [took_over.as_str(), "Ente greeting encarnado wasm="] {
            booted
                .vm
                .wait_for_since(mark, line, crate::machine::DEADLINE)
                .unwrap();
        }
        if image == 1 {
            descriptors = count(&mut booted);
        }
    }
    assert_eq!(booted.run("pidof sleep"), pids);
    // Fewer when something was still being started or closed at the first count. A leak would be twenty.
    let left = count(&mut booted);
    assert!(left <= descriptors, "{left} after {descriptors}");
    assert_eq!(booted.run("cat /proc/1/comm"), "ente-zero\n");

    // Still supervised: one that is killed comes back, and everybody counts as before.
    let first = pids.split_whitespace().next().unwrap();
    booted.run(&format!("kill -9 {first}"));
    booted.run(&format!(
        "until [ $(pidof sleep | wc -w) = {SLEEPERS} ]; do usleep 10000; done"
    ));
    assert!(!booted.run("pidof sleep").contains(first));
    let status = booted.run("ente status --json");
    let packed = status.replace(char::is_whitespace, "");
    assert_eq!(packed.matches("\"restarts\":1,").count(), 1, "{status}");
    // And the machine still ends.
    booted.vm.send_line("ente poweroff").unwrap();
    booted.wait("shutdown: power off");
}
