//! The running native Entes, and what becomes of them.

use crate::logs::{Captured, Logs};
use crate::poller::Poller;
use arje_card::{Card, Id};
use arje_native::{
    ExecFailure, ExecOutcome, ExitStatus as NativeExit, Launcher, OutputPipes, StartRequest,
    Started, read_death, read_exec_outcome, signal_group,
};
use arje_supervisor::{ExitStatus, Incarnation};
use nix::sys::signal::Signal;
use std::collections::HashMap;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;

/// Which incarnation of which Ente.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Who {
    /// The Ente.
    pub id: Id,
    /// Its incarnation.
    pub incarnation: Incarnation,
}

/// A process that was started and not reaped yet.
struct Native {
    who: Who,
    pidfd: OwnedFd,
    /// Whether it is an init, whose status pipe also tells by what signal its program died.
    init: bool,
    exec: Exec,
}

/// How far its exec has come.
enum Exec {
    /// The executor is at work; its status pipe and the token under which that is watched.
    Pending(OwnedFd, u64),
    /// It succeeded; the status pipe of an init.
    Done(Option<OwnedFd>),
    Failed(ExecFailure),
}

/// Starts, signals and recognises native Entes.
pub struct Natives {
    launcher: Launcher,
    logs: Logs,
    console: Option<PathBuf>,
    by_pid: HashMap<i32, Native>,
    pid_of: HashMap<Id, i32>,
    by_token: HashMap<u64, i32>,
}

impl Natives {
    /// With this launcher, this place for what they print and, for Cards that ask for the active
    /// console, this terminal.
    #[must_use]
    pub fn new(launcher: Launcher, logs: Logs, console: Option<PathBuf>) -> Natives {
        Natives {
            launcher,
            logs,
            console,
            by_pid: HashMap::new(),
            pid_of: HashMap::new(),
            by_token: HashMap::new(),
        }
    }

    /// Starts a process.
    ///
    /// # Errors
    ///
    /// It could not be started; there is no process.
    pub fn start(
        &mut self,
        card: &Card,
        incarnation: Incarnation,
        poller: &mut Poller,
    ) -> Result<(), ExitStatus> {
        let mut request = StartRequest::new(card, incarnation);
        request.active_console = self.console.as_deref();
        let pipes = OutputPipes::of(card).map_err(|errno| start_failed("make its pipes", errno))?;
        request.output = pipes.as_ref().map(OutputPipes::output);
        let started = self
            .launcher
            .start(&request)
            .map_err(|error| start_failed("spawn", error))?;
        if let Some(pipes) = pipes {
            self.capture(card, incarnation, pipes);
        }
        let Started {
            pid,
            pidfd,
            status,
            init,
        } = started;
        let who = Who {
            id: card.id,
            incarnation,
        };
        let token = match poller.watch(&status) {
            Ok(token) => token,
            Err(error) => {
                // Unwatched it would never be seen to have started. It is killed, and its end,
                // when it is reaped, is that of nobody.
                let _ = signal_group(pid, pidfd.as_fd(), Signal::SIGKILL);
                return Err(start_failed("watch the exec", error));
            }
        };
        self.by_token.insert(token, pid.as_raw());
        self.pid_of.insert(card.id, pid.as_raw());
        let native = Native {
            who,
            pidfd,
            init,
            exec: Exec::Pending(status, token),
        };
        self.by_pid.insert(pid.as_raw(), native);
        Ok(())
    }

    fn capture(&self, card: &Card, incarnation: Incarnation, pipes: OutputPipes) {
        let [stdout, stderr] = pipes.readers;
        self.logs.attach(Captured {
            id: card.id,
            label: card.label.as_str().into(),
            incarnation,
            stdout,
            stderr,
        });
    }

    /// Looks at the exec behind a token; the process id, if its program runs now.
    pub fn exec_ready(&mut self, token: u64, poller: &Poller) -> Option<(Who, i32)> {
        let pid = *self.by_token.get(&token)?;
        let native = self.by_pid.get_mut(&pid)?;
        let outcome = native.look(poller)?;
        self.by_token.remove(&token);
        (outcome == ExecOutcome::Started).then_some((native.who, pid))
    }

    /// A child was reaped: whose it was, how its life ended, and whether that its program ran is
    /// told only now, because it was faster than its status pipe. `None` for an orphan that PID 1
    /// had adopted.
    pub fn reaped(
        &mut self,
        pid: i32,
        exit: NativeExit,
        poller: &Poller,
    ) -> Option<(Who, ExitStatus, bool)> {
        let mut native = self.by_pid.remove(&pid)?;
        let mut just_started = false;
        if let Exec::Pending(_, token) = native.exec {
            self.by_token.remove(&token);
            just_started = native.look(poller) == Some(ExecOutcome::Started);
        }
        if self.pid_of.get(&native.who.id) == Some(&pid) {
            self.pid_of.remove(&native.who.id);
        }
        let died = match &native.exec {
            Exec::Done(Some(status)) => read_death(status),
            _ => None,
        };
        let status = match (native.exec, died.unwrap_or(exit)) {
            (Exec::Failed(failure), _) => ExitStatus::StartFailed {
                step: failure.step.name().to_owned(),
                message: failure.reason(),
            },
            (_, NativeExit::Code(code)) => ExitStatus::Code(code),
            (_, NativeExit::Signal { number, .. }) => ExitStatus::Signal(number),
        };
        Some((native.who, status, just_started))
    }

    /// Signals all processes of an Ente.
    pub fn signal(&self, who: Who, signal: Signal) {
        let native = self
            .pid_of
            .get(&who.id)
            .and_then(|pid| Some((pid, self.by_pid.get(pid)?)));
        if let Some((pid, native)) = native
            && native.who == who
        {
            // Fails when it has ended, and then its end is about to be reported.
            let pid = nix::unistd::Pid::from_raw(*pid);
            let _ = signal_group(pid, native.pidfd.as_fd(), signal);
        }
    }
}

fn start_failed(step: &str, error: impl ToString) -> ExitStatus {
    ExitStatus::StartFailed {
        step: step.to_owned(),
        message: error.to_string(),
    }
}

impl Native {
    /// Reads the status pipe, if it is still open; `None` while the executor is at work.
    fn look(&mut self, poller: &Poller) -> Option<ExecOutcome> {
        let Exec::Pending(status, _) = &self.exec else {
            return None;
        };
        // What cannot be read is no failure of the exec; the exit status tells the rest.
        let outcome = read_exec_outcome(status).unwrap_or(ExecOutcome::Started);
        if outcome == ExecOutcome::Pending {
            return None;
        }
        poller.forget(status);
        let next = match &outcome {
            ExecOutcome::Failed(failure) => Exec::Failed(failure.clone()),
            _ => Exec::Done(None),
        };
        let before = std::mem::replace(&mut self.exec, next);
        if let (true, Exec::Done(kept), Exec::Pending(status, _)) =
            (self.init, &mut self.exec, before)
        {
            *kept = Some(status);
        }
        Some(outcome)
    }
}
