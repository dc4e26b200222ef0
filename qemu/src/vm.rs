//! A running machine at the other end of a pipe: what it prints can be waited for, and its shell can be
//! given commands. The machine dies with the value.

use std::io::{Read, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::console::{self, Log};
use crate::error::Error;
use crate::machine::{Machine, Terminal};

/// How long [`Vm::run`] waits. Under TCG on a busy machine a command takes seconds where hardware takes
/// milliseconds.
pub const RUN_DEADLINE: Duration = Duration::from_secs(120);

/// The longest line [`Vm::run`] types: busybox's line editor takes 1,023 characters (its
/// `FEATURE_EDITING_MAX_LEN`) and cuts off the rest.
const MAX_LINE: usize = 1000;

/// Least time between two looks at the whole console: a guest that prints fast must not make its watcher
/// search megabytes for every few bytes.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Bytes of QEMU's standard error that are kept: its messages are a line or two.
const MAX_STDERR: u64 = 64 << 10;

/// What a guest command printed, and how it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// Standard output and error as the terminal showed them, without kernel messages.
    pub text: String,
    /// The same with the kernel messages that fell into it (and for commands that print such lines
    /// themselves, as `dmesg` does).
    pub raw: String,
    /// The exit status as the shell shows it in `$?`.
    pub code: i32,
}

impl Output {
    /// Whether the command ended with 0.
    #[must_use]
    pub fn ok(&self) -> bool {
        self.code == 0
    }
}

/// What the reading thread and the waiting caller share.
#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    log: Log,
    /// What QEMU itself said, at most [`MAX_STDERR`] bytes.
    stderr: String,
    /// How many of QEMU's two output streams have ended. The machine has ended when both have: only then is
    /// what QEMU said about it complete.
    ended: u8,
}

impl State {
    fn closed(&self) -> bool {
        self.ended == 2
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // The reader does nothing that leaves the state half-changed, so a poisoned lock is still good.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A running virtual machine with its serial console. Dropping it ends the machine.
pub struct Vm {
    child: Child,
    stdin: Option<ChildStdin>,
    shared: Arc<Shared>,
    readers: Vec<JoinHandle<()>>,
    commands: u32,
}

impl Vm {
    /// Starts `machine` with `image`. Returns as soon as QEMU runs.
    ///
    /// # Errors
    /// [`Error::Program`] when QEMU cannot be started; [`Error::Io`] when the image or the kernel is not
    /// a file, which QEMU would say less clearly.
    pub fn boot(machine: &Machine, image: &Path) -> Result<Self, Error> {
        for file in [image, &machine.kernel] {
            std::fs::File::open(file).map_err(Error::io("open", file))?;
        }
        let mut command = Command::new(&machine.program);
        command
            .args(machine.arguments(image, Terminal::Piped))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|error| Error::Program {
            command: machine.program.display().to_string(),
            reason: format!("{error}; is the package qemu-system-x86 installed?"),
        })?;
        let shared = Arc::new(Shared::default());
        let mut readers = Vec::new();
        if let Some(out) = child.stdout.take() {
            let shared = Arc::clone(&shared);
            readers.push(std::thread::spawn(move || read_console(out, &shared)));
        }
        if let Some(err) = child.stderr.take() {
            let shared = Arc::clone(&shared);
            readers.push(std::thread::spawn(move || read_stderr(err, &shared)));
        }
        Ok(Self {
            stdin: child.stdin.take(),
            child,
            shared,
            readers,
            commands: 0,
        })
    }

    /// The console so far, control sequences removed; at most the last 8 MiB.
    #[must_use]
    pub fn console(&self) -> String {
        self.shared.lock().log.text()
    }

    /// A mark at the present end of the console, for [`Vm::wait_for_since`].
    #[must_use]
    pub fn mark(&self) -> usize {
        self.shared.lock().log.mark()
    }

    /// The console from a mark on.
    #[must_use]
    pub fn since(&self, mark: usize) -> String {
        self.shared.lock().log.since(mark)
    }

    /// Waits until `text` stands anywhere on the console, before or after the call; kernel messages
    /// that fell into the middle of it do not matter.
    ///
    /// # Errors
    /// [`Error::Deadline`] after `within`; [`Error::Ended`] when the machine ends first.
    pub fn wait_for(&self, text: &str, within: Duration) -> Result<(), Error> {
        self.wait_for_since(0, text, within)
    }

    /// Waits until `text` stands on the console after a mark.
    ///
    /// # Errors
    /// As [`Vm::wait_for`].
    pub fn wait_for_since(&self, mark: usize, text: &str, within: Duration) -> Result<(), Error> {
        self.wait_until(mark, &format!("{text:?}"), within, |console| {
            console::contains(console, text).then_some(())
        })
    }

    /// Waits until `found` makes something of the console after a mark; `what` names it in errors.
    /// `found` is called when more has come, not for every byte.
    ///
    /// # Errors
    /// As [`Vm::wait_for`].
    pub fn wait_until<T>(
        &self,
        mark: usize,
        what: &str,
        within: Duration,
        mut found: impl FnMut(&str) -> Option<T>,
    ) -> Result<T, Error> {
        let deadline = Instant::now() + within;
        loop {
            let (text, seen, closed) = {
                let state = self.shared.lock();
                (state.log.since(mark), state.log.mark(), state.closed())
            };
            if let Some(value) = found(&text) {
                return Ok(value);
            }
            if closed {
                return Err(Error::Ended {
                    what: what.to_owned(),
                    stderr: self.stderr_text(),
                });
            }
            if !self.wait_for_more(seen, deadline) {
                return Err(Error::Deadline {
                    what: what.to_owned(),
                    after: within,
                });
            }
        }
    }

    /// Blocks until the console is longer than `seen` or the machine ended, and for [`LOOK_EVERY`] more so
    /// that a burst is looked at once. False when the deadline came first.
    fn wait_for_more(&self, seen: usize, deadline: Instant) -> bool {
        let now = Instant::now();
        let Some(left) = deadline.checked_duration_since(now) else {
            return false;
        };
        let same = |state: &mut State| state.log.mark() == seen && !state.closed();
        let (state, result) = self
            .shared
            .changed
            .wait_timeout_while(self.shared.lock(), left, same)
            .unwrap_or_else(PoisonError::into_inner);
        if result.timed_out() {
            return false;
        }
        let pause = LOOK_EVERY.min(left);
        drop(
            self.shared
                .changed
                .wait_timeout_while(state, pause, |state| !state.closed()),
        );
        true
    }

    /// Types a line, and Enter.
    ///
    /// # Errors
    /// [`Error::Ended`] when the machine no longer reads.
    pub fn send_line(&mut self, line: &str) -> Result<(), Error> {
        let sent = self.stdin.as_mut().map(|stdin| {
            stdin
                .write_all(format!("{line}\n").as_bytes())
                .and_then(|()| stdin.flush())
        });
        match sent {
            Some(Ok(())) => Ok(()),
            Some(Err(_)) | None => Err(Error::Ended {
                what: format!("input {line:?} was taken"),
                stderr: self.stderr_text(),
            }),
        }
    }

    /// Runs a command in the guest's shell, which must be at its prompt, within two minutes.
    ///
    /// # Errors
    /// As [`Vm::run_within`].
    pub fn run(&mut self, command: &str) -> Result<Output, Error> {
        self.run_within(command, RUN_DEADLINE)
    }

    /// Runs a command in the guest's shell, which must be at its prompt. The command is evaluated in a
    /// subshell: a syntax error or `exit` in it ends only that, and variables set in it are gone afterwards.
    ///
    /// # Errors
    /// [`Error::Command`] for a command of several lines or one too long to be typed;
    /// otherwise as [`Vm::wait_for`].
    pub fn run_within(&mut self, command: &str, within: Duration) -> Result<Output, Error> {
        self.commands += 1;
        let line = typed_line(self.commands, command)?;
        let mark = self.mark();
        self.send_line(&line)?;
        let number = self.commands;
        let what = format!("the end of guest command {command:?}");
        self.wait_until(mark, &what, within, |console| parse_output(number, console))
    }

    /// Waits until the machine has ended: powered off, or rebooted (`-no-reboot`).
    ///
    /// # Errors
    /// [`Error::Deadline`]; [`Error::Io`] when the child cannot be waited for.
    pub fn wait_exit(&mut self, within: Duration) -> Result<ExitStatus, Error> {
        let deadline = Instant::now() + within;
        let what = "the end of the machine";
        loop {
            let (seen, closed) = {
                let state = self.shared.lock();
                (state.log.mark(), state.closed())
            };
            if closed {
                // Standard output closes when the process ends, so this does not block.
                return self.child.wait().map_err(Error::io("wait for", "QEMU"));
            }
            if !self.wait_for_more(seen, deadline) {
                return Err(Error::Deadline {
                    what: what.to_owned(),
                    after: within,
                });
            }
        }
    }

    fn stderr_text(&self) -> String {
        self.shared.lock().stderr.trim().to_owned()
    }
}

impl Drop for Vm {
    fn drop(&mut self) {
        // Both fail only when the child is gone already, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
        for reader in self.readers.drain(..) {
            let _ = reader.join();
        }
    }
}

fn read_console(mut out: impl Read, shared: &Shared) {
    let mut buffer = [0; 4096];
    loop {
        match out.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => {
                shared.lock().log.push(&buffer[..count]);
                shared.changed.notify_all();
            }
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(_) => break,
        }
    }
    shared.lock().ended += 1;
    shared.changed.notify_all();
}

fn read_stderr(err: impl Read, shared: &Shared) {
    let mut buffer = [0; 1024];
    let mut err = err.take(MAX_STDERR);
    while let Ok(count @ 1..) = err.read(&mut buffer) {
        let text = String::from_utf8_lossy(&buffer[..count]);
        shared.lock().stderr.push_str(&text);
    }
    // Past the cap the pipe is still emptied, or QEMU would block on it.
    let _ = std::io::copy(&mut err.into_inner(), &mut std::io::sink());
    shared.lock().ended += 1;
    shared.changed.notify_all();
}

/// The line that runs `command` between two markers. The markers are typed with quotes in the middle,
/// so that the terminal's echo of this line does not contain them; only the output does.
fn typed_line(number: u32, command: &str) -> Result<String, Error> {
    if command.contains(['\n', '\r']) {
        return Err(Error::Command(
            "it has several lines; join them with ';'".to_owned(),
        ));
    }
    let quoted = command.replace('\'', r"'\''");
    let line = format!(
        "echo arje-run-{number}'-begin'; ( eval '{quoted}' ); echo arje-run-{number}'-end' $?"
    );
    if line.len() > MAX_LINE {
        return Err(Error::Command(format!(
            "it makes a line of {} bytes, the guest's line editor takes {MAX_LINE}",
            line.len()
        )));
    }
    Ok(line)
}

/// Finds the output of a command between its markers; `None` while it is not complete.
fn parse_output(number: u32, console: &str) -> Option<Output> {
    let stripped = console::without_kernel(console);
    let (text, code) = between_markers(number, &stripped)?;
    // When a kernel message split a marker, only the stripped form has the output.
    let raw = between_markers(number, console).map_or(text, |(raw, _)| raw);
    Some(Output {
        text: text.to_owned(),
        raw: raw.to_owned(),
        code,
    })
}

fn between_markers(number: u32, console: &str) -> Option<(&str, i32)> {
    let (_, after) = console.split_once(&format!("arje-run-{number}-begin"))?;
    let after = after.split_once('\n')?.1;
    let (output, tail) = after.split_once(&format!("arje-run-{number}-end "))?;
    let (code, _) = tail.split_once('\n')?;
    Some((output, code.trim().parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_echo_does_not_contain_the_markers() {
        let line = typed_line(7, "echo 'a b'; exit 3").unwrap();
        assert_eq!(
            line,
            r"echo arje-run-7'-begin'; ( eval 'echo '\''a b'\''; exit 3' ); echo arje-run-7'-end' $?"
        );
        assert_eq!(parse_output(7, &format!("arje# {line}\n")), None);
    }

    #[test]
    fn what_cannot_be_typed_is_refused() {
        for command in ["a\nb", "a\rb", &"x".repeat(MAX_LINE)] {
            assert!(matches!(typed_line(1, command), Err(Error::Command(_))));
        }
    }

    #[test]
    fn output_between_markers() {
        let kernel = "[    3.141592] clocksource: Switched\n";
        for (console, text, code) in [
            ("arje-run-1-begin\nhi\narje-run-1-end 0\narje# ", "hi\n", 0),
            (
                "arje-run-1-begin\nno newlinearje-run-1-end 127\n",
                "no newline",
                127,
            ),
            ("arje-run-1-begin\narje-run-1-end 2\n", "", 2),
            (
                "x arje-run-0-begin\narje-run-1-begin\na\narje-run-1-end 0\n",
                "a\n",
                0,
            ),
            (
                &format!("arje-run-1-be{kernel}gin\na{kernel}b\narje-run-1-end {kernel}0\n"),
                "ab\n",
                0,
            ),
        ] {
            let output = parse_output(1, console).unwrap();
            assert_eq!(
                (output.text.as_str(), output.code),
                (text, code),
                "{console}"
            );
        }
        for incomplete in [
            "",
            "arje-run-1-begin",
            "arje-run-1-begin\nhi\n",
            "arje-run-1-begin\narje-run-1-end",
            "arje-run-1-begin\narje-run-1-end 12",
            "arje-run-2-begin\narje-run-2-end 0\n",
        ] {
            assert_eq!(parse_output(1, incomplete), None, "{incomplete}");
        }
    }

    #[test]
    fn raw_output_keeps_kernel_lines() {
        let console = "arje-run-1-begin\n[    0.000000] Linux\narje-run-1-end 0\n";
        let output = parse_output(1, console).unwrap();
        assert_eq!(output.raw, "[    0.000000] Linux\n");
        assert_eq!(output.text, "");
    }
}
