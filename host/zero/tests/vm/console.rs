//! A console that takes nothing keeps nobody waiting.

use crate::machine::{self, Booted, folder, seed, shell, tree_with, wasm};
use crate::programs::compile;
use initrd_builder::Program;
use serde_json::json;

#[test]
fn a_stopped_console_keeps_no_component_waiting() {
    // Sixteen of its lines may be under way, and the serial port itself takes 4 KiB.
    let mut loud = wasm("loud", "run_echo_args_env", "run", json!("OneShot"));
    let long: Vec<String> = (0..64).map(|n| format!("{n:0200}")).collect();
    loud["payload"]["Wasm"]["argv"] = json!(long);
    let inputs = folder();
    let program = inputs.path().join("stopped");
    std::fs::write(&program, compile("stopped.c", &[])).unwrap();
    let image = tree_with(inputs.path(), &seed(vec![shell(), loud]), |options| {
        options.programs.push(Program {
            dest: "/stopped".into(),
            source: program,
        });
    });
    let mut booted = Booted::with_tree(folder(), &image, |_| {});
    booted.wait(machine::PROMPT);
    booted.wait("loud: arg 63=");
    // It runs again while the console is stopped. Nobody outside sees when it has ended, so the guest lets the
    // console go on then; if the component waited for that, nothing ever would.
    let ended = "until ente status loud | grep -q done; do sleep 1; done";
    booted.run(ended);
    let command = format!("ente start loud; {ended}");
    booted
        .vm
        .send_line(&format!("setsid /stopped '({command}) > /dev/null 2>&1' &"))
        .unwrap();
    booted.wait("the console went on: 0");
    let status = booted.answer("ente status loud");
    assert!(status.contains("life        2, "), "{status}");
}
