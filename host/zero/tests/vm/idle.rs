//! A machine with nothing to do does nothing.

use crate::machine::{Booted, native, restart, seed, shell, wasm};

#[test]
fn an_idle_pid_1_does_not_wake_up() {
    let sleeper = native("sleeper", "/bin/sleep", &["100000"], restart());
    let greeting = wasm("greeting", "hello", "service", restart());
    let mut booted = Booted::to_prompt(&seed(vec![shell(), sleeper, greeting]));
    booted.wait("the seed is up");
    booted.wait("greeting: hello");
    // Every thread of PID 1, and how often it went to sleep or was put aside. The shell's own
    // children are not PID 1's.
    let count = "cat /proc/1/task/*/status | grep ctxt_switches";
    // Whatever the start still had to do is over when a while has passed without a change.
    booted.run(&format!(
        "a=; until [ \"$a\" = \"$({count})\" ]; do a=$({count}); sleep 5; done"
    ));
    let before = booted.run(count);
    booted.run("sleep 20");
    assert_eq!(booted.run(count), before);
}
