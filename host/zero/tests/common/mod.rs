//! `ente-zero` in dev mode, for tests that watch what it prints.
#![allow(
    dead_code,
    reason = "each test program compiles this file and uses its own part of it"
)]

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A hang is a failure; this only bounds how long it takes to notice one.
pub const DEADLINE: Duration = Duration::from_secs(120);

/// Says that a test has nothing to try here, and why: to standard error itself, since what a test prints is shown of those
/// alone that fail.
pub fn ignored(why: impl std::fmt::Display) {
    let current = thread::current();
    let name = current.name().unwrap_or("?");
    let _ = writeln!(std::io::stderr(), "test {name} ... ignored, {why}");
}

/// A running instance, and what it prints.
pub struct Dev {
    pub child: Child,
    lines: Receiver<String>,
    seen: Vec<String>,
    pub folder: TempDir,
}

impl Dev {
    /// Runs a seed of these Cards, with what `adjust` adds to the command line and the environment.
    pub fn start(folder: TempDir, genesis: &[Value], adjust: impl FnOnce(&mut Command)) -> Dev {
        let mut command = command(folder.path(), genesis);
        adjust(&mut command);
        Dev::run(&mut command, folder)
    }

    /// Runs this command, for which the folder is kept.
    pub fn run(command: &mut Command, folder: TempDir) -> Dev {
        let mut child = command.spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in out.lines() {
                let _ = sender.send(line.unwrap());
            }
        });
        Dev {
            child,
            lines,
            seen: Vec::new(),
            folder,
        }
    }

    /// Waits for a line that contains this, among those not looked at yet.
    pub fn wait(&mut self, text: &str) -> String {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let Ok(line) = self.lines.recv_timeout(left) else {
                panic!("no {text:?} in:\n{}", self.seen.join("\n"));
            };
            self.seen.push(line.clone());
            if line.contains(text) {
                return line;
            }
        }
    }

    /// Waits for a line that contains this, unless there was one already.
    pub fn wait_once(&mut self, text: &str) -> String {
        let seen = self.seen.iter().find(|line| line.contains(text)).cloned();
        seen.unwrap_or_else(|| self.wait(text))
    }

    /// Asks it to end, and waits for that.
    pub fn stop(self) -> (bool, Vec<String>) {
        let pid = Pid::from_raw(self.child.id().cast_signed());
        kill(pid, Signal::SIGTERM).unwrap();
        self.end()
    }

    /// Waits for its end; whether all that should be ready were, and every line that it printed.
    pub fn end(mut self) -> (bool, Vec<String>) {
        let status = self.child.wait().unwrap();
        self.seen.extend(self.lines.iter());
        (status.success(), std::mem::take(&mut self.seen))
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        let _ = self.child.kill(); // ended already, unless the test failed
        let _ = self.child.wait();
    }
}

/// Dev mode of a seed of these Cards, with all that it keeps in this folder.
pub fn command(folder: &Path, genesis: &[Value]) -> Command {
    let mut seed = card("seed", json!("Virtual"), json!("Delegate"));
    seed["genesis"] = json!(genesis);
    let path = folder.join("seed.card.json");
    std::fs::write(&path, seed.to_string()).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_ente-zero"));
    command
        .arg(path)
        .arg("--store")
        .arg(folder.join("store"))
        .env("ARJE_ENTE_SPAWN", helper("ARJE_ENTE_SPAWN", "ente-spawn"))
        .env(
            "ARJE_ENTE_COMPILE",
            helper("ARJE_ENTE_COMPILE", "ente-compile"),
        )
        .env("XDG_RUNTIME_DIR", folder)
        .stdout(Stdio::piped());
    command
}

/// A program that is built by itself: from the environment, else beside ente-zero.
fn helper(variable: &str, name: &str) -> PathBuf {
    let zero = PathBuf::from(env!("CARGO_BIN_EXE_ente-zero"));
    std::env::var_os(variable).map_or_else(|| zero.with_file_name(name), PathBuf::from)
}

/// A folder that is below `target/`.
pub fn folder() -> TempDir {
    TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

/// A Card, with an id of its own, also among those that other processes make.
pub fn card(label: &str, payload: Value, supervision: Value) -> Value {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    let id = format!(
        "01J0000000{:08}{:08}",
        std::process::id(),
        NEXT.fetch_add(1, Ordering::Relaxed)
    );
    json!({
        "schema_version": 1, "id": id, "label": label,
        "payload": payload, "supervision": supervision,
    })
}
