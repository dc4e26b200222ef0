//! Carries out what the supervisor wants: starts, stops and kills components and processes, and
//! turns what becomes of them into the supervisor's reports.

mod events;
mod resources;
mod routes;
mod starting;

use crate::bus::Running;
use crate::handover::{Keep, Kept, ListenRecord, NativeRecord};
use crate::logs::{LeftPipe, Logs, Paused};
use crate::natives::{Natives, Told, Who, start_failed};
use crate::poller::Poller;
use crate::workers::{self, Workers};
use arje_bus::{Routes, Telemetry};
use arje_card::{Card, CardKind, Id, Payload};
use arje_supervisor::{
    Command, ExitStatus, Incarnation, ReadyBy, Report, StopReason as Why, TrapKind,
};
use arje_wasm::{Ask, End, EventKind, Host, StopReason};
use nix::sys::signal::Signal;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Makes the Wasm host when the first component is to start: a seed without components does not
/// pay for an engine.
pub type MakeHost = Box<dyn Fn(Arc<Routes>) -> Result<Host, String>>;

/// All running payloads.
pub struct Bodies {
    natives: Natives,
    logs: Logs,
    workers: Workers,
    make_host: MakeHost,
    host: Option<Host>,
    /// Who answers calls to what.
    routes: Arc<Routes>,
}

/// What comes of components.
#[derive(Debug)]
pub enum FromWasm {
    /// One has something to tell.
    News(News),
    /// One asks, and waits for the answer.
    Asks(Who, Ask),
    /// One has taken another one's place, and nobody answered for so long.
    TookOver(Who, Duration),
}

/// Something to tell the supervisor, and perhaps the user.
#[derive(Debug)]
pub struct News {
    /// About whom.
    pub who: Who,
    /// What the supervisor is to know.
    pub report: Report,
    /// `pid=…` or `wasm=…`, when the payload has come to life just now.
    pub incarnated: Option<String>,
}

impl News {
    /// A report, and nothing for the user.
    #[must_use]
    pub fn new(who: Who, report: Report) -> News {
        News {
            who,
            report,
            incarnated: None,
        }
    }
}

impl Bodies {
    /// Nothing runs yet.
    #[must_use]
    pub fn new(natives: Natives, logs: Logs, workers: Workers, make_host: MakeHost) -> Bodies {
        Bodies {
            natives,
            logs,
            workers,
            make_host,
            host: None,
            routes: Arc::default(),
        }
    }

    /// Tells native Entes that may use the bus where it is, from now on.
    pub fn offer_bus(&mut self, path: &Path) {
        self.natives.offer_bus(path);
    }

    /// Makes the listening sockets of the Entes of a tree; what failed.
    pub fn open_sockets(&mut self, root: &Card) -> Vec<String> {
        self.natives.services().open_sockets(root)
    }

    /// Whether nobody takes in what Entes print any more: whoever printed next would get SIGPIPE.
    #[must_use]
    pub fn has_lost_output(&self) -> bool {
        self.logs.is_lost()
    }

    /// Whether something was started whose output nobody takes in yet.
    #[must_use]
    pub fn owes_output(&self) -> bool {
        self.logs.owes()
    }

    /// Has the output of what was started taken in; after a turn of the loop.
    pub fn hand_on_output(&self) {
        self.logs.hand_on();
    }

    /// Which incarnation of a native Ente a process belongs to.
    #[must_use]
    pub fn who_of(&self, pid: i32) -> Option<Who> {
        self.natives.who_of(pid)
    }

    /// An Ente is no more.
    pub fn removed(&mut self, id: Id) {
        self.logs.remove(id);
        self.natives.services().removed(id);
        self.natives.retire(id);
    }

    fn host(&mut self) -> Result<&Host, ExitStatus> {
        Ok(match &mut self.host {
            Some(host) => host,
            none => none.insert(
                (self.make_host)(Arc::clone(&self.routes))
                    .map_err(|reason| start_failed("make the Wasm host", reason))?,
            ),
        })
    }

    /// Asks an incarnation to stop.
    pub fn stop(&self, card: &Card, incarnation: Incarnation, why: &Why) {
        let who = Who {
            id: card.id,
            incarnation,
        };
        match (&card.payload, &self.host) {
            (Payload::Wasm(_), Some(host)) => {
                // Not running means that its end is already on its way.
                let _ = host.stop(card.id, incarnation, reason(why));
            }
            _ => {
                for signal in stop_signals(card) {
                    self.natives.signal(who, *signal);
                }
            }
        }
    }

    /// Ends an incarnation at once.
    pub fn kill(&self, card: &Card, incarnation: Incarnation) {
        let who = Who {
            id: card.id,
            incarnation,
        };
        match (&card.payload, &self.host) {
            (Payload::Wasm(_), Some(host)) if !workers::has_body(card) => {
                let _ = host.kill(card.id, incarnation); // as in `stop`
            }
            _ => self.natives.signal(who, Signal::SIGKILL),
        }
    }

    /// Signals an incarnation: all its processes with SIGKILL, the process group of its first one with any
    /// other signal. A component knows two: SIGTERM asks it to
    /// stop, SIGKILL ends it.
    ///
    /// # Errors
    ///
    /// There is nobody to send it to, or a component could make nothing of it.
    pub fn signal(
        &self,
        card: &Card,
        incarnation: Incarnation,
        signal: Signal,
    ) -> Result<(), String> {
        let who = Who {
            id: card.id,
            incarnation,
        };
        let running = match (&card.payload, &self.host) {
            (Payload::Wasm(_), Some(host)) => match signal {
                Signal::SIGTERM => host
                    .stop(card.id, incarnation, StopReason::Requested)
                    .is_ok(),
                Signal::SIGKILL if workers::has_body(card) => {
                    let running = self.natives.runs(who);
                    self.natives.signal(who, signal);
                    running
                }
                Signal::SIGKILL => host.kill(card.id, incarnation).is_ok(),
                _ => {
                    return Err(format!(
                        "Ente `{}` is a component, which knows no {signal}; use SIGTERM or SIGKILL",
                        card.label
                    ));
                }
            },
            _ => {
                let running = self.natives.runs(who);
                self.natives.signal(who, signal);
                running
            }
        };
        match running {
            true => Ok(()),
            false => Err(format!("Ente `{}` does not run", card.label)),
        }
    }

    /// The Ente that a process belongs to.
    #[must_use]
    pub fn ente_of(&self, pid: i32) -> Option<Id> {
        self.natives.ente_of(pid)
    }

    /// Whether there is anything to run. A container has nothing.
    #[must_use]
    pub fn runs(card: &Card) -> bool {
        card.payload != Payload::Virtual && card.kind != CardKind::Data
    }

    /// Whether it ends with this image: it runs inside of it, or in a worker that only this image can
    /// talk to.
    #[must_use]
    pub fn is_component(card: &Card) -> bool {
        matches!(card.payload, Payload::Wasm(_))
    }

    /// Whether this incarnation has a process, which goes on in the next image.
    #[must_use]
    pub fn outlives_image(&self, who: Who) -> bool {
        self.natives.runs(who)
    }

    /// The processes that the next image takes over: all but those of these Entes.
    pub fn leave<'fd>(&'fd self, but: &BTreeSet<Id>, keep: &mut Keep<'fd>) -> Vec<NativeRecord> {
        self.natives.leave(but, keep)
    }

    /// The listening sockets of all Entes, for the next image.
    pub fn leave_sockets<'fd>(&'fd self, keep: &mut Keep<'fd>) -> Vec<ListenRecord> {
        self.natives.leave_sockets(keep)
    }

    /// Goes on with the listening sockets that another image left for this Ente.
    ///
    /// # Errors
    ///
    /// They cannot be its.
    pub fn take_over_sockets(
        &mut self,
        card: &Card,
        record: &ListenRecord,
        kept: &mut Kept,
    ) -> Result<(), String> {
        self.natives.take_over_sockets(card, record, kept)
    }

    /// Stops taking in what processes print, for as long as the value lives.
    #[must_use]
    pub fn pause_output(&self, at_most: Duration) -> Option<Paused> {
        self.logs.pause(at_most)
    }

    /// Takes in what an Ente's process prints, where another image stopped.
    pub fn take_over_output(&self, card: &Card, pipe: LeftPipe) {
        self.logs.open(card.id);
        self.logs.take_over(card.label.as_str().into(), pipe);
    }

    /// Takes over what the old image left; `lives` are the incarnations held to be alive.
    ///
    /// # Errors
    ///
    /// It cannot be true.
    pub fn take_over(
        &mut self,
        natives: Vec<NativeRecord>,
        kept: &mut Kept,
        lives: &BTreeSet<Who>,
        poller: &mut Poller,
    ) -> Result<(), String> {
        self.natives.take_over(natives, kept, lives, poller)
    }

    /// The next thing a component has to tell, or asks.
    pub fn next_wasm(&mut self) -> Option<FromWasm> {
        loop {
            let event = self.host.as_ref()?.next_event()?;
            let who = Who {
                id: event.ente,
                incarnation: event.incarnation,
            };
            let mut incarnated = None;
            let report = match event.kind {
                EventKind::Started { pin } => {
                    incarnated = Some(format!("wasm={}", pin.short()));
                    Report::Started
                }
                EventKind::Ready => Report::Ready { by: ReadyBy::Start },
                EventKind::Alive => Report::Alive,
                EventKind::Asks(ask) => return Some(FromWasm::Asks(who, ask)),
                EventKind::TookOver { paused } => return Some(FromWasm::TookOver(who, paused)),
                EventKind::Ended { end, .. } if self.workers.has(who) => {
                    // Said is not ended: the process has nothing left to do.
                    self.natives.signal(who, Signal::SIGKILL);
                    match self.workers.said(who, end) {
                        Some(status) => Report::Exited(status),
                        None => continue, // until it is reaped
                    }
                }
                EventKind::Ended { end, .. } => Report::Exited(exit_status(end)),
            };
            return Some(FromWasm::News(News {
                who,
                report,
                incarnated,
            }));
        }
    }

    /// Something has happened behind a watched token.
    pub fn watched(&mut self, token: u64, poller: &Poller) -> Option<News> {
        let told = self.natives.watched(token, poller)?;
        self.news(told)
    }

    /// A child was reaped.
    pub fn reaped(&mut self, reaped: arje_native::Reaped, poller: &mut Poller) -> Vec<News> {
        let pid = reaped.pid.as_raw();
        let told = self.natives.reaped(pid, reaped.status, poller);
        told.into_iter()
            .filter_map(|told| self.news(told))
            .collect()
    }

    /// When [`overdue`](Self::overdue) has something to tell at the latest.
    pub fn deadline(&mut self) -> Option<Instant> {
        self.natives.deadline()
    }

    /// Tells what is told because its time has come.
    pub fn overdue(&mut self, now: Instant) -> Vec<News> {
        let told: Vec<Told> = std::iter::from_fn(|| self.natives.overdue(now)).collect();
        told.into_iter()
            .filter_map(|told| self.news(told))
            .collect()
    }

    /// Goes on with the cgroup of a process that was taken over.
    pub fn take_over_cgroup(&mut self, card: &Card, who: Who) {
        self.natives.take_over_cgroup(card, who);
    }

    /// Removes the cgroups of nobody.
    pub fn sweep_cgroups(&self) {
        self.natives.sweep_cgroups();
    }

    /// This Ente is not expected to start again soon: what was kept for that is given back.
    pub fn retire(&mut self, id: Id) {
        self.natives.retire(id);
    }

    /// What becomes of a process, told of the Ente whose body it is.
    fn news(&mut self, told: Told) -> Option<News> {
        match told {
            // Not the process is the Ente, but the component that is to start in it.
            Told::Runs(who, _) if self.workers.has(who) => None,
            Told::Ended(who, status) if self.workers.has(who) => self.worker_reaped(who, status),
            Told::Runs(who, pid) => Some(News {
                who,
                report: Report::Started,
                incarnated: Some(format!("pid={pid}")),
            }),
            Told::Ended(who, status) => Some(News::new(who, Report::Exited(status))),
        }
    }

    /// The process of a component was reaped; what it had said is heard first.
    fn worker_reaped(&mut self, who: Who, status: ExitStatus) -> Option<News> {
        if let Some(host) = &self.host {
            let _ = host.kill(who.id, who.incarnation); // not running: heard already
        }
        let status = self.workers.exited(who, status)?;
        Some(News::new(who, Report::Exited(status)))
    }
}

impl Running for Bodies {
    fn pid(&self, id: Id) -> Option<u32> {
        self.natives.pid(id)
    }

    fn usage(&self, card: &Card) -> Telemetry {
        match (&card.payload, &self.host) {
            (Payload::Wasm(_), Some(host)) if !workers::has_body(card) => Telemetry {
                mem_bytes: host.memory_bytes(card.id),
                ..Telemetry::default()
            },
            _ => {
                let usage = self.natives.usage(card.id).unwrap_or_default();
                Telemetry {
                    mem_bytes: usage.memory_bytes,
                    nproc: usage.tasks,
                    cpu_usec: usage.cpu_usec,
                    ..Telemetry::default()
                }
            }
        }
    }
}

/// What asks a process to stop. One that is stopped takes the others only when it goes on; an
/// interactive shell ignores SIGTERM, and ends when its terminal is gone.
fn stop_signals(card: &Card) -> &'static [Signal] {
    match arje_native::console_of(card) {
        Ok(Some(_)) => &[Signal::SIGTERM, Signal::SIGHUP, Signal::SIGCONT],
        _ => &[Signal::SIGTERM, Signal::SIGCONT],
    }
}

fn reason(why: &Why) -> StopReason {
    match why {
        Why::Command(Command::Restart) => StopReason::Restart,
        Why::Command(_) => StopReason::Requested,
        Why::Lost(_) => StopReason::DependencyLost,
        Why::NotAlive => StopReason::Unhealthy,
        Why::Shutdown => StopReason::Shutdown,
    }
}

/// The step at which one fails that cannot stand in for the incarnation before it ([`End::Incompatible`]).
pub const TAKE_PLACE: &str = "take the place of the one that runs";

/// How an incarnation ended, in the supervisor's words.
pub fn exit_status(end: End) -> ExitStatus {
    match end {
        End::Exited(code) => ExitStatus::Code(code),
        End::Failed(message) => ExitStatus::Error(message),
        End::Refused(message) => start_failed("load the component", message),
        End::Incompatible(message) => start_failed(TAKE_PLACE, message),
        End::Trapped { kind, message } => ExitStatus::Trap {
            kind: trap_kind(kind),
            detail: message,
        },
        End::Deadline { .. } => ExitStatus::Trap {
            kind: TrapKind::Deadline,
            detail: end.to_string(),
        },
        End::Unhealthy(message) => ExitStatus::Error(format!("unhealthy: {message}")),
        // As a process would say it.
        End::Killed => ExitStatus::Signal(Signal::SIGKILL as i32),
        broken @ End::Broken(_) => ExitStatus::Trap {
            kind: TrapKind::Host,
            detail: broken.to_string(),
        },
        // As a process that was killed; a worker's own status is known better (`workers.rs`).
        End::Lost => ExitStatus::Signal(Signal::SIGKILL as i32),
        End::HostPanic(message) => ExitStatus::Trap {
            kind: TrapKind::Host,
            detail: message,
        },
    }
}

fn trap_kind(kind: &str) -> TrapKind {
    match kind {
        "unreachable" => TrapKind::Unreachable,
        "stack-overflow" => TrapKind::StackOverflow,
        "memory-out-of-bounds" | "table-out-of-bounds" | "call-to-null" | "bad-signature" => {
            TrapKind::OutOfBounds
        }
        "integer-overflow" | "division-by-zero" | "bad-conversion" => TrapKind::Arithmetic,
        "allocation-too-large" => TrapKind::OutOfMemory,
        "host-error" => TrapKind::Host,
        _ => TrapKind::Other,
    }
}
