//! The running native Entes, and what becomes of them.

mod failure;
mod handover;
#[cfg(test)]
mod tests;

use crate::bus::Share;
use crate::leaves::Leaves;
use crate::poller::Poller;
use crate::services::Services;
use arje_card::{Card, Id};
use arje_native::cgroup::Usage;
use arje_native::{
    ExecFailure, ExecOutcome, ExitStatus as NativeExit, Launcher, StartRequest, Started,
    read_death, read_exec_outcome, signal_group,
};
use arje_supervisor::{ExitStatus, Incarnation};
use failure::exec_failed;
pub use failure::start_failed;
use nix::sys::signal::Signal;
use nix::unistd::Pid;
use std::collections::HashMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

/// How far up a process's ancestors are followed: a shell in a shell in a session, several times over.
const MAX_ANCESTORS: usize = 64;

/// Which incarnation of which Ente.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
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
    /// By which it was started; not known of one that another image of this program started.
    card: Option<Arc<Card>>,
}

/// How far its exec has come.
enum Exec {
    /// The executor is at work; its status pipe and the token under which that is watched.
    Pending(OwnedFd, u64),
    /// It succeeded; the status pipe of an init.
    Done(Option<OwnedFd>),
    Failed(ExecFailure),
}

/// What a process is given beside what its Card says.
#[derive(Debug, Clone, Copy, Default)]
pub struct Extras<'a> {
    /// Descriptors that it finds from 3 on.
    pub passed: &'a [BorrowedFd<'a>],
    /// The program of a Card that is not Native.
    pub worker: Option<&'a str>,
}

/// Starts, signals and recognises native Entes.
pub struct Natives {
    launcher: Launcher,
    services: Services,
    console: Option<PathBuf>,
    leaves: Leaves,
    by_pid: HashMap<i32, Native>,
    pid_of: HashMap<Id, i32>,
    by_token: HashMap<u64, i32>,
    /// The environment of Entes that may use the bus, beyond what all have.
    bus_environment: Vec<(String, String)>,
}

impl Natives {
    /// With this launcher, these services, these cgroups and, for Cards that ask for the active
    /// console, this terminal.
    #[must_use]
    pub fn new(
        launcher: Launcher,
        services: Services,
        leaves: Leaves,
        console: Option<PathBuf>,
    ) -> Natives {
        Natives {
            launcher,
            services,
            console,
            leaves,
            by_pid: HashMap::new(),
            pid_of: HashMap::new(),
            by_token: HashMap::new(),
            bus_environment: Vec::new(),
        }
    }

    /// Tells Entes that may use the bus where it is, from now on.
    pub fn offer_bus(&mut self, path: &Path) {
        let path = path.to_string_lossy().into_owned();
        self.bus_environment = vec![(arje_bus::SOCKET_VARIABLE.to_owned(), path)];
    }

    /// Starts a process.
    ///
    /// # Errors
    ///
    /// It could not be started; there is no process.
    pub fn start(
        &mut self,
        card: &Arc<Card>,
        incarnation: Incarnation,
        poller: &mut Poller,
    ) -> Result<(), ExitStatus> {
        self.start_with(card, incarnation, Extras::default(), poller)
    }

    /// As [`start`](Self::start), with more than the Card says.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start).
    pub fn start_with(
        &mut self,
        card: &Arc<Card>,
        incarnation: Incarnation,
        extras: Extras<'_>,
        poller: &mut Poller,
    ) -> Result<(), ExitStatus> {
        let mut request = StartRequest::new(card, incarnation);
        request.worker = extras.worker;
        request.active_console = self.console.as_deref();
        let mut given = self.services.give(card)?;
        if extras.worker.is_none() && card.permissions.ipc.allows(arje_bus::IPC_NAME) {
            let bus = self.bus_environment.iter().cloned();
            given.environment.extend(bus);
        }
        let passed = [self.services.sockets(card).as_slice(), extras.passed].concat();
        request.output = given.pipes.as_ref().map(|pipes| pipes.output());
        request.environment = &given.environment;
        request.own_pid = &given.own_pid;
        request.credentials = given.credentials.as_deref();
        request.passed = &passed;
        request.cgroup = self.leaves.enter(card)?;
        let started = match self.launcher.start(&request) {
            Ok(started) => started,
            Err(error) => {
                if error.may_have_started() {
                    self.leaves.kill(card.id);
                }
                // Should that be for its cgroup's sake, the next start gets another one.
                self.leaves.retire(card.id);
                return Err(start_failed("spawn", error));
            }
        };
        self.services.started(card, incarnation, given);
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
            card: Some(Arc::clone(card)),
        };
        self.by_pid.insert(pid.as_raw(), native);
        Ok(())
    }

    /// What the host does for them beside starting them.
    pub fn services(&mut self) -> &mut Services {
        &mut self.services
    }

    /// Something has happened behind a watched token.
    pub fn watched(&mut self, token: u64, poller: &Poller) -> Option<Told> {
        if let Some(pid) = self.by_token.get(&token).copied() {
            let native = self.by_pid.get_mut(&pid)?;
            let outcome = native.look(poller)?;
            self.by_token.remove(&token);
            return (outcome == ExecOutcome::Started).then_some(Told::Runs(native.who, pid));
        }
        let (who, status) = self.leaves.changed(token, poller)?;
        Some(Told::Ended(who, status))
    }

    /// A child was reaped. That its program ran may be told only now, because it was faster than its
    /// status pipe; that its Ente has ended may be told later, when all that it left has gone.
    /// Nothing for an orphan that PID 1 had adopted.
    pub fn reaped(&mut self, pid: i32, exit: NativeExit, poller: &mut Poller) -> Vec<Told> {
        let Some(mut native) = self.by_pid.remove(&pid) else {
            return Vec::new();
        };
        let mut told = Vec::new();
        if let Exec::Pending(_, token) = native.exec {
            self.by_token.remove(&token);
            if native.look(poller) == Some(ExecOutcome::Started) {
                told.push(Told::Runs(native.who, pid));
            }
        }
        if self.pid_of.get(&native.who.id) == Some(&pid) {
            self.pid_of.remove(&native.who.id);
        }
        let died = match &native.exec {
            Exec::Done(Some(status)) => read_death(status),
            _ => None,
        };
        let status = match (native.exec, died.unwrap_or(exit)) {
            (Exec::Failed(failure), _) => exec_failed(&failure, native.card.as_deref()),
            (_, NativeExit::Code(code)) => ExitStatus::Code(code),
            (_, NativeExit::Signal { number, .. }) => ExitStatus::Signal(number),
        };
        let ended = self.leaves.ended(native.who, status, poller);
        told.extend(ended.map(|(who, status)| Told::Ended(who, status)));
        told
    }

    /// Whether this incarnation has a process.
    #[must_use]
    pub fn runs(&self, who: Who) -> bool {
        let pid = self.pid_of.get(&who.id);
        pid.and_then(|pid| self.by_pid.get(pid))
            .is_some_and(|native| native.who == who)
    }

    /// The first process of an Ente.
    #[must_use]
    pub fn pid(&self, id: Id) -> Option<u32> {
        self.pid_of.get(&id).map(|pid| pid.cast_unsigned())
    }

    /// Which incarnation a process belongs to: by its cgroup, which nobody leaves who may not write
    /// there; where there are no cgroups, by what it descends from: its own number, its session, or
    /// one of its ancestors is that of an incarnation's first process.
    ///
    /// A number may be another process's by the time of the answer, unless the caller holds a pidfd
    /// that was opened before and is still alive afterwards.
    #[must_use]
    pub fn who_of(&self, pid: i32) -> Option<Who> {
        let known = |pid: i32| Some(self.by_pid.get(&pid)?.who);
        if self.leaves.are_there() {
            let of_cgroup = || known(*self.pid_of.get(&self.leaves.ente_of(pid)?)?);
            return known(pid).or_else(of_cgroup);
        }
        let session = || nix::unistd::getsid(Some(Pid::from_raw(pid))).ok();
        known(pid)
            .or_else(|| known(session()?.as_raw()))
            .or_else(|| ancestors(pid).find_map(known))
    }

    /// The Ente that a process belongs to, as [`who_of`](Self::who_of), and also while the first process
    /// of the Ente is no more and others are on their way out.
    #[must_use]
    pub fn ente_of(&self, pid: i32) -> Option<Id> {
        let who = self.who_of(pid).map(|who| who.id);
        who.or_else(|| self.leaves.ente_of(pid))
    }

    /// When [`overdue`](Self::overdue) has something to tell at the latest.
    pub fn deadline(&mut self) -> Option<Instant> {
        self.leaves.deadline()
    }

    /// The next end that is told although not everybody has gone.
    pub fn overdue(&mut self, now: Instant) -> Option<Told> {
        let (who, status) = self.leaves.overdue(now)?;
        Some(Told::Ended(who, status))
    }

    /// Signals an Ente: SIGKILL goes to all its processes, that is to its cgroup, if there is one; any
    /// other signal to the process group of its first process, which is what a program expects of its
    /// init (a SIGTERM in each worker would cut short the orderly stop that their parent arranges).
    pub fn signal(&self, who: Who, signal: Signal) {
        if signal == Signal::SIGKILL && self.runs(who) {
            self.leaves.kill(who.id);
            // The group as well, whatever came of that: a kernel that kills a cgroup in several turns waits
            // for the end of the first process, which must not be among those of a later turn.
        }
        let native = self
            .pid_of
            .get(&who.id)
            .and_then(|pid| Some((pid, self.by_pid.get(pid)?)));
        if let Some((pid, native)) = native
            && native.who == who
        {
            // Fails when it has ended, and then its end is about to be reported.
            let pid = Pid::from_raw(*pid);
            let _ = signal_group(pid, native.pidfd.as_fd(), signal);
        }
    }

    /// This Ente is not expected to start again soon.
    pub fn retire(&mut self, id: Id) {
        self.leaves.retire(id);
    }

    /// Changes what an Ente has of the machine.
    ///
    /// # Errors
    ///
    /// It has no cgroup, or the kernel does not take the value.
    pub fn set_resource(&mut self, id: Id, what: Share) -> Result<(), String> {
        if !self.pid_of.contains_key(&id) {
            return Err("it does not run".to_owned());
        }
        self.leaves.set(id, what)
    }

    /// What an Ente has used since its cgroup was made; `None` where it has none.
    #[must_use]
    pub fn usage(&self, id: Id) -> Option<Usage> {
        self.leaves.usage(id)
    }
}

/// What becomes of processes.
#[derive(Debug)]
pub enum Told {
    /// Its program runs, as this process.
    Runs(Who, i32),
    /// It has ended, and so have all that it started.
    Ended(Who, ExitStatus),
}

/// The parents of a process, up to PID 1, and at most [`MAX_ANCESTORS`].
fn ancestors(pid: i32) -> impl Iterator<Item = i32> {
    std::iter::successors(Some(pid), |pid| parent(*pid))
        .skip(1)
        .take(MAX_ANCESTORS)
}

/// The parent of a process (proc_pid_stat(5)); none for PID 1, and for a process that is gone.
fn parent(pid: i32) -> Option<i32> {
    let stat = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
    // The name in brackets may contain anything, so the fields after it are found from the end.
    let after_name = stat.iter().rposition(|byte| *byte == b')')?;
    let fields = str::from_utf8(stat.get(after_name + 1..)?).ok()?;
    let parent = fields.split_ascii_whitespace().nth(1)?.parse().ok()?;
    (parent > 1).then_some(parent)
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
