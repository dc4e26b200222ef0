//! A boot without a person: waits for the milestones, runs commands in the guest, and says what was missing.

use std::borrow::Cow;
use std::fmt;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::console;
use crate::error::Error;
use crate::machine::Machine;
use crate::milestones::{AWAKE, Milestone, NOT_UP, PROMPT, RESCUE};
use crate::vm::{Output, Vm};
use serde_json::Value;

/// What tells the states of all Entes.
const STATUS: &str = "ente status --json";

/// How the kernel's last words begin.
const PANIC: &str = "Kernel panic - not syncing";

/// A guest command, and what it must do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GuestCommand {
    /// The command line.
    pub command: String,
    /// Texts that must stand in its output. Without any, it must end with 0.
    pub expect: Vec<String>,
}

/// What is to be checked.
#[derive(Debug, Clone)]
pub struct Plan {
    /// What the console must show.
    pub milestones: Vec<Milestone>,
    /// Run in this order at the prompt, after the milestones.
    pub commands: Vec<GuestCommand>,
    /// For everything together, from the start of the machine.
    pub deadline: Duration,
}

/// What was seen.
#[derive(Debug, Clone, Default)]
pub struct Verdict {
    /// What did not come, one line each; empty means that the check passed.
    pub missing: Vec<String>,
    /// Commands and their outputs, in order, as far as they ran.
    pub outputs: Vec<(String, String)>,
    /// The whole console.
    pub console: String,
    /// How long it took.
    pub took: Duration,
}

impl Verdict {
    /// Whether everything came.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.missing.is_empty()
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.passed() {
            let console = telling(&self.console);
            writeln!(
                f,
                "--- console ---\n{}\n--- end of console ---",
                console.trim_end()
            )?;
        }
        for (command, output) in &self.outputs {
            writeln!(f, "{PROMPT}{command}\n{}", output.trim_end())?;
        }
        for item in &self.missing {
            writeln!(f, "missing: {item}")?;
        }
        let word = if self.passed() { "passed" } else { "failed" };
        writeln!(f, "check {word} after {:.1} s", self.took.as_secs_f64())
    }
}

/// What of the console tells why a check failed: what PID 1 and its Entes said, without the kernel's own messages; with
/// them where the kernel panicked, or never handed over to PID 1.
fn telling(console: &str) -> Cow<'_, str> {
    let about_kernel = console.contains(PANIC) || !console::contains(console, AWAKE);
    match about_kernel {
        true => Cow::Borrowed(console),
        false => Cow::Owned(console::without_kernel(console)),
    }
}

/// Boots `image` and carries out the plan. That something is missing is a verdict, not an error.
///
/// # Errors
/// Only when the machine cannot be started at all.
pub fn check(machine: &Machine, image: &Path, plan: &Plan) -> Result<Verdict, Error> {
    let start = Instant::now();
    let mut vm = Vm::boot(machine, image)?;
    let mut verdict = Verdict::default();
    wait_for_milestones(&vm, plan, &mut verdict);
    if verdict.passed() {
        run_commands(&mut vm, plan, start, &mut verdict);
    }
    if verdict.passed() && plan.milestones.iter().any(Milestone::is_prompt) {
        let left = plan.deadline.saturating_sub(start.elapsed());
        // Where the last command has ended the machine, or the shell may not ask, nobody can be asked.
        if let Ok(output) = vm.run_within(STATUS, left) {
            verdict.missing.extend(unwell(&output.text));
        }
    }
    verdict.console = vm.console();
    verdict.took = start.elapsed();
    Ok(verdict)
}

fn wait_for_milestones(vm: &Vm, plan: &Plan, verdict: &mut Verdict) {
    // What was seen once stays seen, also when a flood pushes it out of the console that is kept.
    let mut open: Vec<&Milestone> = plan.milestones.iter().collect();
    let result = vm.wait_until(0, "the milestones", plan.deadline, |console| {
        open.retain(|milestone| !milestone.is_in(console));
        match open.is_empty() {
            true => Some(Ok(())),
            // What the machine itself has given up on will not come.
            false => [NOT_UP, RESCUE]
                .iter()
                .find_map(|text| line_with(console, text))
                .map(Err),
        }
    });
    let reason = match result {
        Ok(Ok(())) => None,
        Ok(Err(line)) => Some(line),
        Err(error) => Some(error.to_string()),
    };
    if let Some(reason) = reason {
        verdict.missing.push(reason);
        let texts = open.iter().map(|milestone| milestone.to_string());
        verdict
            .missing
            .extend(texts.map(|text| format!("`{}`", text.trim_end_matches('\n'))));
    }
}

/// Entes that came up once and are not well now: a service that crashes again and again was Ready each time.
fn unwell(status: &str) -> Vec<String> {
    let entes: Vec<Value> = serde_json::from_str(status).unwrap_or_default();
    let unwell = entes.iter().filter_map(|ente| {
        let text = |key: &str| ente.get(key).and_then(Value::as_str);
        let (label, state) = (text("label")?, text("state")?);
        let restarts = ente.get("restarts").and_then(Value::as_u64).unwrap_or(0);
        ["failed", "backoff"]
            .contains(&state)
            .then(|| format!("Ente {label} alive: it is {state} after {restarts} restarts"))
    });
    unwell.collect()
}

/// What begins with a text, to the end of its line, which is there already. A prompt may stand before it.
fn line_with(console: &str, text: &str) -> Option<String> {
    let quiet = console::without_kernel(console);
    let (line, _) = quiet[quiet.find(text)?..].split_once('\n')?;
    Some(line.to_owned())
}

fn run_commands(vm: &mut Vm, plan: &Plan, start: Instant, verdict: &mut Verdict) {
    let left = |start: Instant| plan.deadline.saturating_sub(start.elapsed());
    if plan.commands.is_empty() {
        return;
    }
    if let Err(error) = vm.wait_for(PROMPT, left(start)) {
        verdict
            .missing
            .push(format!("the prompt to run commands at: {error}"));
        return;
    }
    for (number, command) in plan.commands.iter().enumerate() {
        let (is_last, mark) = (number + 1 == plan.commands.len(), vm.mark());
        match vm.run_within(&command.command, left(start)) {
            Ok(output) => {
                verdict.missing.extend(lacking(command, &output));
                verdict.outputs.push((command.command.clone(), output.raw));
            }
            // Whatever ends the machine never gets to say so at the prompt.
            Err(Error::Ended { .. }) if is_last && ended_in_order(&vm.since(mark)) => {
                let raw = vm.since(mark);
                let text = console::without_kernel(&raw);
                let output = Output { text, raw, code: 0 };
                verdict.missing.extend(lacking(command, &output));
                verdict.outputs.push((command.command.clone(), output.text));
            }
            Err(error) => {
                verdict.missing.push(error.to_string());
                return;
            }
        }
    }
}

/// Whether the kernel was told to end the machine, and no panic did.
fn ended_in_order(console: &str) -> bool {
    let ends = ["reboot: Power down", "reboot: Restarting system"];
    !console.contains(PANIC) && ends.iter().any(|text| console.contains(text))
}

/// What a command did not do.
fn lacking(command: &GuestCommand, output: &Output) -> Vec<String> {
    let GuestCommand { command, expect } = command;
    if expect.is_empty() && !output.ok() {
        return vec![format!(
            "exit 0 of {command:?}: it ended with {}",
            output.code
        )];
    }
    expect
        .iter()
        .filter(|text| !output.text.contains(*text) && !output.raw.contains(*text))
        .map(|text| format!("{text:?} in the output of {command:?}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_is_told_of_only_where_it_is_to_blame() {
        let booted = "[    1.000000] tsc\nente-zero despierta como PID 1\n[    2.000000] noise\nEnte a: no\n";
        assert_eq!(
            telling(booted),
            "ente-zero despierta como PID 1\nEnte a: no\n"
        );
        let stuck = "[    1.000000] tsc\n";
        assert_eq!(telling(stuck), stuck);
        let panic = format!("{booted}[    3.000000] Kernel panic - not syncing: Fatal\n");
        assert_eq!(telling(&panic), panic);
    }

    #[test]
    fn who_crashes_again_and_again_is_not_well() {
        let status = r#"[
          {"label": "shell", "state": "ready", "restarts": 0}, {"label": "once", "state": "done", "restarts": 0},
          {"label": "loop", "state": "backoff", "restarts": 3}, {"label": "gone", "state": "failed", "restarts": 4}
        ]"#;
        assert_eq!(
            unwell(status),
            [
                "Ente loop alive: it is backoff after 3 restarts",
                "Ente gone alive: it is failed after 4 restarts"
            ]
        );
        assert!(unwell("sh: ente: not found").is_empty());
    }
}
