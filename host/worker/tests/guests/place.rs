//! Where the components of these tests live: each in a worker process, without a sandbox, but for those that a test wants
//! in the host's own.

use arje_card::{Card, Id};
use arje_wasm::{Host, NotRunning, StartRequest};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;

/// The running workers.
#[derive(Default)]
pub struct Place {
    workers: Arc<Workers>,
    /// Labels of those that live in the host's own process.
    inside: Mutex<Vec<String>>,
}

#[derive(Default)]
struct Workers {
    table: Mutex<HashMap<Id, Worker>>,
    changed: Condvar,
}

#[derive(Clone, Copy)]
enum Worker {
    Running(Pid),
    /// The host knows it, too.
    Reaped(ExitStatus),
}

impl Place {
    /// Entes with this label will live in the host's own process.
    pub fn keep_inside(&self, label: &str) {
        self.inside.lock().unwrap().push(label.to_owned());
    }

    fn is_inside(&self, card: &Card) -> bool {
        self.inside.lock().unwrap().contains(&card.label)
    }

    /// Starts a process and hands it the component. A thread reaps it and tells the host, as PID 1's
    /// core loop does.
    pub fn start(&self, host: &Arc<Host>, request: StartRequest) {
        if self.is_inside(&request.card) {
            return host.start(request);
        }
        let (ours, theirs) = UnixStream::pair().unwrap();
        let mut child = command(theirs).spawn().unwrap();
        let (id, incarnation) = (request.card.id, request.incarnation);
        let running = Worker::Running(Pid::from_raw(child.id().cast_signed()));
        self.workers.set(id, running);
        host.start_remote(request, ours);
        let (host, workers) = (Arc::clone(host), Arc::clone(&self.workers));
        thread::spawn(move || {
            let status = child.wait().unwrap();
            let _ = host.kill(id, incarnation); // it may have been told already
            workers.set(id, Worker::Reaped(status));
        });
    }

    /// Kills the process; the host hears of it when it is reaped.
    pub fn kill(&self, host: &Host, card: &Card) -> Result<(), NotRunning> {
        if self.is_inside(card) {
            return host.kill(card.id, 1);
        }
        self.signal(card, Signal::SIGKILL).ok_or(NotRunning)
    }

    /// Signals the process of a Card, if it runs.
    pub fn signal(&self, card: &Card, signal: Signal) -> Option<()> {
        let pid = self.pid(card)?;
        kill(pid, signal).ok()
    }

    /// Its process id, while it runs.
    pub fn pid(&self, card: &Card) -> Option<Pid> {
        match self.workers.lock().get(&card.id) {
            Some(Worker::Running(pid)) => Some(*pid),
            _ => None,
        }
    }

    /// The host has heard its last word. A worker that said it exits by itself; the next life begins when that is seen,
    /// as in PID 1.
    pub fn ended(&self, card: &Card) {
        if self.pid(card).is_some() {
            self.exit_status(card);
        }
    }

    /// Waits for the end of the process.
    pub fn exit_status(&self, card: &Card) -> ExitStatus {
        let mut table = self.workers.lock();
        let end = std::time::Instant::now() + crate::rig::DEADLINE;
        loop {
            if let Some(Worker::Reaped(status)) = table.get(&card.id) {
                return *status;
            }
            let left = end.saturating_duration_since(std::time::Instant::now());
            assert!(!left.is_zero(), "{}: its process runs on", card.label);
            table = self.workers.changed.wait_timeout(table, left).unwrap().0;
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        for worker in self.workers.lock().values() {
            if let Worker::Running(pid) = worker {
                let _ = kill(*pid, Signal::SIGKILL); // it may have ended by now
            }
        }
    }
}

impl Workers {
    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Id, Worker>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, id: Id, worker: Worker) {
        self.lock().insert(id, worker);
        self.changed.notify_all();
    }
}

/// The worker with the socket as descriptor 3, where ente-spawn puts it.
pub fn command(socket: UnixStream) -> Command {
    let mut command = Command::new("/bin/sh");
    command
        .args([
            "-c",
            "exec \"$0\" 3<&0 </dev/null",
            env!("CARGO_BIN_EXE_ente-worker"),
        ])
        .stdin(OwnedFd::from(socket));
    command
}

/// Whether a process was ended by this signal.
pub fn ended_by(status: ExitStatus, signal: Signal) -> bool {
    status.signal() == Some(signal as i32)
}
