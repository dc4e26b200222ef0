//! A console that takes nothing keeps nobody waiting.

use crate::machine::{Booted, seed, shell, wasm};
use serde_json::json;

#[test]
fn a_stopped_console_keeps_no_component_waiting() {
    // Sixteen of its lines may be under way, and the serial port itself takes 4 KiB.
    let mut loud = wasm("loud", "run_echo_args_env", "run", json!("OneShot"));
    let long: Vec<String> = (0..64).map(|n| format!("{n:0200}")).collect();
    loud["payload"]["Wasm"]["argv"] = json!(long);
    let mut booted = Booted::to_prompt(&seed(vec![shell(), loud]));
    booted.wait("loud: arg 63=");
    // It runs again while the terminal is stopped. Nobody outside sees when it has ended, so the guest
    // lets the terminal go on; if the component waited for that, nothing ever would.
    let script = "sleep 1; ente start loud; until ente status loud | grep -q done; do sleep 1; done; \
                  stty -F /dev/console -ixon; echo it went on > /dev/console";
    booted.run(&format!("echo '{script}' > /tmp/script"));
    booted.run("sh /tmp/script");
    let mark = booted.vm.mark();
    // In a session of its own: a background job may not set the terminal (SIGTTOU).
    booted
        .vm
        .send_line("setsid sh /tmp/script > /dev/null &")
        .unwrap();
    booted.vm.send_line("\x13").unwrap();
    let deadline = crate::machine::DEADLINE;
    if let Err(error) = booted.vm.wait_for_since(mark, "it went on", deadline) {
        panic!("{error}\n{}", booted.vm.console());
    }
}
