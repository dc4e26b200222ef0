//! Programs that are started for a while and end with us, with everything that they started themselves.

use std::fs::File;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::sys::prctl;
use nix::sys::signal::{SigSet, Signal, kill, killpg};
use nix::unistd::Pid;

/// How long what is told to end may take.
const GRACE: Duration = Duration::from_secs(5);

/// A program of ours: beside this one, else in the path.
#[must_use]
pub fn program(name: &str) -> PathBuf {
    let beside = std::env::current_exe().map(|this| this.with_file_name(name));
    let beside = beside.ok().filter(|path| path.is_file());
    beside.unwrap_or_else(|| name.into())
}

/// A child in a process group of its own: what Ctrl-C sends goes to us alone, so that everything ends in order.
#[derive(Debug)]
pub struct Group {
    child: Child,
    kill_at: Option<Instant>,
}

impl Group {
    /// Starts it, without standard input. Should this program be killed, the child gets SIGTERM.
    ///
    /// # Errors
    /// It cannot be started; the text names it.
    pub fn start(command: &mut Command) -> Result<Self, String> {
        let name = command.get_program().to_string_lossy().into_owned();
        command.stdin(Stdio::null()).process_group(0);
        // SAFETY: both are system calls that signal-safety(7) allows after a fork, prctl(2) being one without a wrapper's
        // state; neither allocates nor takes a lock.
        unsafe { command.pre_exec(before_exec) };
        let child = command.spawn();
        let child = child.map_err(|error| format!("{name} cannot be started: {error}"))?;
        Ok(Self {
            child,
            kill_at: None,
        })
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().cast_signed())
    }

    /// How it ended, if it did.
    ///
    /// # Errors
    /// The system does not say.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>, String> {
        self.child
            .try_wait()
            .map_err(|error| format!("wait: {error}"))
    }

    /// Sends a signal to the child alone. One that has ended has not been waited for, so nobody else has its number.
    pub fn signal(&self, signal: Signal) {
        // It may have ended, which is what was wanted.
        let _ = kill(self.pid(), signal);
    }

    /// Has the whole group end: SIGTERM now, SIGKILL later ([`Group::overdue`]).
    pub fn end(&mut self) {
        if self.kill_at.is_none() {
            self.kill_at = Some(Instant::now() + GRACE);
            let _ = killpg(self.pid(), Signal::SIGTERM);
        }
    }

    /// Kills the group if it was to end and did not in time; else when that would be.
    pub fn overdue(&mut self, now: Instant) -> Option<Instant> {
        let kill_at = self.kill_at?;
        if now < kill_at {
            return Some(kill_at);
        }
        let _ = killpg(self.pid(), Signal::SIGKILL);
        None
    }

    /// Waits for the child's end.
    pub fn wait(&mut self) {
        let _ = self.child.wait();
    }
}

/// Signals that are blocked here are not to be in the child, and it is not to outlive us.
fn before_exec() -> io::Result<()> {
    prctl::set_pdeathsig(Signal::SIGTERM)?;
    Ok(SigSet::empty().thread_set_mask()?)
}

/// What a child prints goes to a file, so that nobody has to read it while it runs.
///
/// # Errors
/// The file cannot be made.
pub fn output_file(path: &Path) -> Result<File, String> {
    File::create(path).map_err(|error| format!("{}: {error}", path.display()))
}
