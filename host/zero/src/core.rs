//! The core loop: one thread that reaps, keeps time, asks the supervisor and carries out what it
//! says. It waits in one place only, and never for anybody in particular.

mod brought;
mod bus;
mod calls;
mod coming_up;
mod components;
mod deploy;
mod handover;
mod hearers;
mod invoke;
mod leaving;
mod notify;
mod resume;
mod signals;
mod spawn;
mod switch_root;
mod tend;

pub use resume::{Beginning, Left};

use crate::bodies::{Bodies, News};
use crate::bus::Bus;
use crate::console::Console;
use crate::crash::Crash;
use crate::devices::Changes;
use crate::down::Down;
pub use crate::down::Outcome;
use crate::hardware::Hardware;
use crate::notify::Notify;
use crate::poller::{Poller, Ready};
use crate::watchdog::Watchdog;
use arje_card::{Card, Id};
use arje_native::cgroup::Support;
use arje_supervisor::{
    Action, Cause, Event, EventKind, Millis, Refusal, Report, State, Supervisor,
};
use coming_up::ComingUp;
use deploy::Deployment;
use invoke::Answered;
use std::collections::{HashMap, VecDeque};
use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How long lines for the console and pipes of new processes wait for programs that are starting, milliseconds. A start
/// takes less than one, nobody sees a line come later by that, and a pipe holds what is written meanwhile.
const MOMENT_MS: u8 = 1;

/// Signals taken in one turn: children that end faster than they are reaped would keep the loop here for ever.
const SIGNAL_BATCH: usize = 4;

/// What the loop was made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// PID 1: ends only with the machine.
    Machine,
    /// A developer's process: ends after this time, or when nothing is left to do.
    Dev(Option<Duration>),
}

/// What the loop knows of the machine it runs on.
pub struct MachineParts {
    /// Devices and the watchdog.
    pub hardware: Hardware,
    /// How long a shutdown may take in all.
    pub shutdown: Duration,
    /// What SIGQUIT does to the core; nothing, except on a machine booted to see it.
    pub crash: Option<Crash>,
    /// What its cgroups can enforce.
    pub support: Support,
    /// The folder with Cards that can be spawned by the name of their file.
    pub cards: PathBuf,
}

/// How the loop ended.
pub struct Ended {
    /// What is to be done now.
    pub outcome: Outcome,
    /// In dev mode: whether every Ente that should have been Ready was.
    pub all_ready: bool,
    /// When the machine has to have ended.
    pub deadline: Instant,
    /// The watchdog, armed.
    pub watchdog: Option<Watchdog>,
}

/// The running system.
pub struct Core {
    supervisor: Supervisor,
    bodies: Bodies,
    notify: Notify,
    poller: Poller,
    console: Console,
    mode: Mode,
    machine: MachineParts,
    began: Instant,
    /// Reports that came of carrying out actions and of reaping; they wait here instead of
    /// recursing. At most one per action and per child of one turn.
    pending: VecDeque<News>,
    /// The supervisor's deadline, and in dev mode the end of the time given.
    deadline: Option<Millis>,
    leave_at: Option<Millis>,
    down: Option<Down>,
    all_ready: bool,
    finished: bool,
    /// Children may be left that no further SIGCHLD tells of.
    reap_again: bool,
    /// Entes of the seed that have not come up for the first time yet.
    coming_up: ComingUp,
    /// The socket for requests, where there is one.
    bus: Option<Bus>,
    /// What components have answered to peers on it.
    answered: Answered,
    /// The user of this program.
    owner_uid: u32,
    /// A hand-over to another image under way, and how many there were.
    handover: Option<handover::Handover>,
    /// A move to another root under way.
    moving: Option<switch_root::Moving>,
    generation: u64,
    /// Deployments under way: one for each Ente at most.
    deployments: HashMap<Id, Deployment>,
    /// Components that hear of events.
    hearers: hearers::Hearers,
    /// Cards that came later.
    brought: brought::Brought,
}

impl Core {
    /// A system with nothing in it yet.
    #[must_use]
    pub fn new(
        bodies: Bodies,
        poller: Poller,
        console: Console,
        mode: Mode,
        machine: MachineParts,
    ) -> Core {
        let leave_at = match mode {
            Mode::Dev(Some(after)) => Some(Millis(after.as_millis() as u64)),
            _ => None,
        };
        Core {
            supervisor: Supervisor::new(),
            bodies,
            notify: Notify::default(),
            poller,
            console,
            mode,
            machine,
            began: Instant::now(),
            pending: VecDeque::new(),
            deadline: None,
            leave_at,
            down: None,
            all_ready: false,
            finished: false,
            reap_again: false,
            coming_up: ComingUp::default(),
            bus: None,
            answered: Answered::default(),
            owner_uid: nix::unistd::geteuid().as_raw(),
            handover: None,
            moving: None,
            generation: 0,
            deployments: HashMap::new(),
            hearers: hearers::Hearers::default(),
            brought: brought::Brought::default(),
        }
    }

    /// Takes in the seed; its Entes start as soon as [`run`](Self::run) is called.
    ///
    /// # Errors
    ///
    /// The supervisor refuses the tree, for example because of a cycle.
    pub fn adopt(&mut self, seed: Card) -> Result<(), Refusal> {
        self.coming_up = ComingUp::of(&seed);
        // First what is there already, so that those who need it start at once.
        self.take_device_changes();
        for problem in self.bodies.open_sockets(&seed) {
            tracing::warn!("{problem}");
        }
        self.step(EventKind::Adopt {
            parent: None,
            cards: vec![seed],
        })
    }

    /// Runs until everything has stopped.
    ///
    /// # Errors
    ///
    /// The loop cannot go on: a defect, or the kernel is out of the few things it needs.
    pub fn run(mut self) -> io::Result<Ended> {
        loop {
            self.settle();
            self.go_on_with_handover();
            self.go_on_with_move()?;
            self.settle();
            if self.finished {
                return Ok(self.ended());
            }
            if self.bodies.has_lost_output() {
                return Err(io::Error::other(
                    "the thread that takes in output has ended; an earlier message says why",
                ));
            }
            self.flush_bus();
            self.on_time(Instant::now());
            self.arm()?;
            self.begin_turn_of_bus();
            for ready in self.wait()? {
                self.serve(ready);
            }
        }
    }

    /// Waits for events. Before that, the console and the thread that takes in output get what this turn had for them, but
    /// not before whoever was started in it has had a moment: a processor that is waking them runs no program.
    fn wait(&self) -> io::Result<Vec<Ready>> {
        if self.console.holds() || self.bodies.owes_output() {
            let ready = self.poller.wait(Some(MOMENT_MS))?;
            self.console.release();
            self.bodies.hand_on_output();
            if !ready.is_empty() {
                return Ok(ready);
            }
        }
        self.poller.wait(None)
    }

    fn now(&self) -> Millis {
        Millis(self.began.elapsed().as_millis() as u64)
    }

    /// Works off what came of the last actions.
    fn settle(&mut self) {
        while let Some(news) = self.pending.pop_front() {
            self.tell(news);
        }
        // First what an ending dev mode waits for, then whether it ends.
        self.tell_who_waits();
        self.tell_how_it_came_up();
        if self.down.is_none() && self.should_leave() {
            self.leave(Outcome::Leave);
            self.settle();
        }
    }

    fn arm(&mut self) -> io::Result<()> {
        let leave_at = self.leave_at.filter(|_| self.down.is_none());
        let of_bus = self.bus.as_ref().and_then(Bus::next_deadline);
        let of_bodies = self.bodies.deadline();
        let next = self
            .deadline
            .into_iter()
            .chain(leave_at)
            .chain(of_bus)
            .chain(self.handover_deadline())
            .chain(self.move_deadline())
            .chain(self.coming_up.due())
            .min();
        // To the nanosecond, though the clock of the events counts whole milliseconds: when the timer
        // has expired, that clock shows the deadline, and not a millisecond is lost to rounding.
        let elapsed = self.began.elapsed();
        let after = next.map(|at| Duration::from_millis(at.0).saturating_sub(elapsed));
        let notice = self.down.as_ref().map(|down| down.notice.due());
        let own = self.machine.hardware.due().into_iter().chain(notice);
        let own = own.chain(of_bodies).min();
        let own = own.map(|at| at.saturating_duration_since(Instant::now()));
        self.poller.set_deadline(after.into_iter().chain(own).min())
    }

    fn serve(&mut self, ready: Ready) {
        match ready {
            Ready::Signals => {
                // What is left is there in the next turn, after timers and everybody else.
                for _ in 0..SIGNAL_BATCH {
                    let Some(signal) = self.poller.next_signal() else {
                        break;
                    };
                    self.on_signal(signal);
                }
            }
            Ready::Deadline => {
                self.feed(EventKind::Timer);
                self.expire_bus();
                for news in self.bodies.overdue(Instant::now()) {
                    self.tell(news);
                }
            }
            Ready::Woken => {
                self.take_wasm_events();
                self.take_answers();
                self.wake_bus();
                if self.reap_again {
                    self.reap();
                }
            }
            Ready::Watched(token) if self.is_of_bus(token) => self.serve_bus(token),
            Ready::Watched(token) if self.machine.hardware.owns(token) => {
                self.machine.hardware.receive();
                self.take_device_changes();
            }
            Ready::Watched(token) if self.notify.owns(token) => self.take_notifications(),
            Ready::Watched(token) => {
                if let Some(news) = self.bodies.watched(token, &self.poller) {
                    self.tell(news);
                }
            }
        }
    }

    fn take_device_changes(&mut self) {
        let Changes { adds, removes } = self.machine.hardware.changes();
        if !adds.is_empty() || !removes.is_empty() {
            self.feed(EventKind::HostCapabilities { adds, removes });
        }
    }

    fn tell(&mut self, news: News) {
        if self.ends_with_image(&news) {
            return;
        }
        let News {
            who,
            report,
            incarnated,
        } = news;
        let succeeds = self.is_successor(who);
        if let Report::Exited(status) = &report {
            self.deployment_failed(who, status);
            self.asks_no_more(who);
        }
        if let Some(how) = incarnated
            && !succeeds // until it has taken over
            && let Some(card) = self.supervisor.card(who.id)
        {
            let line = format!("Ente {} encarnado {how}", card.label);
            if Bodies::is_component(card) {
                self.console.line(line); // what it says does not wait either
            } else {
                self.console.later(line);
            }
        }
        self.feed(EventKind::Report {
            id: who.id,
            incarnation: who.incarnation,
            report,
        });
    }

    /// Steps the supervisor with an event that is the host's own, so that a refusal is a defect.
    fn feed(&mut self, kind: EventKind) {
        if let Err(refusal) = self.step(kind) {
            tracing::error!(%refusal, "the supervisor refused an event of the host");
        }
    }

    fn step(&mut self, kind: EventKind) -> Result<(), Refusal> {
        let event = Event::new(self.now(), kind);
        for action in self.supervisor.step(event)? {
            self.carry_out(action);
        }
        Ok(())
    }

    fn carry_out(&mut self, action: Action) {
        match action {
            Action::Start { id, .. } if self.starts_in_next_image(id) => {}
            Action::Start { id, incarnation } => {
                if let Some(card) = self.supervisor.card(id) {
                    let news = self.bodies.start(card, incarnation, &mut self.poller);
                    self.pending.extend(news);
                }
            }
            Action::StartBeside {
                id: _,
                incarnation,
                card,
            } => {
                let news = self.bodies.start_beside(&card, incarnation);
                self.pending.extend(news);
            }
            Action::Stop {
                id,
                incarnation,
                reason,
            } => {
                if let Some(card) = self.supervisor.card(id) {
                    self.bodies.stop(card, incarnation, &reason);
                }
            }
            Action::Kill { id, incarnation } => {
                if let Some(card) = self.supervisor.card(id) {
                    self.bodies.kill(card, incarnation);
                }
            }
            Action::StateChanged {
                id,
                incarnation,
                from,
                to,
                cause,
            } => {
                self.state_changed(id, from, to, &cause);
                self.publish(id, incarnation, to, &cause);
                if from.is_live() && !to.is_live() {
                    self.life_over(id);
                }
                if matches!(to, State::Ready | State::Done | State::Failed) {
                    self.came_up(id);
                }
                if matches!(to, State::Done | State::Failed | State::Declared) {
                    self.bodies.retire(id);
                }
            }
            Action::SetTimer { at } => self.deadline = at,
            Action::ShutdownComplete { left } => {
                for id in left {
                    tracing::error!(%id, "did not end in time");
                }
                self.finished = true;
            }
            Action::Removed { id } => {
                self.bodies.removed(id);
                self.notify.removed(id);
            }
            Action::Provided { capability, by } => {
                if let Some(card) = self.supervisor.card(by) {
                    self.bodies.provided(card, capability);
                }
            }
            Action::Withdrawn { capability, by } => self.withdrawn(&capability, by),
            // Nobody is told of that in this version.
            Action::DelegateEnded { .. } => {}
        }
    }

    /// Tells the user of ends that are not as they should be; the rest is for `ente.log=debug`.
    fn state_changed(&self, id: Id, from: State, to: State, cause: &Cause) {
        let label = self
            .supervisor
            .card(id)
            .map_or("?", |card| card.label.as_str());
        match cause {
            Cause::Exited(status) if !status.success() && self.down.is_none() => {
                self.console.later(format!("Ente {label}: {status}"));
            }
            // It did nothing wrong, but its user should know that it does not stay up.
            Cause::Exited(status) if to == State::Backoff && self.down.is_none() => {
                self.console
                    .line(format!("Ente {label}: {status}, starts again"));
            }
            Cause::StartLimit { .. } => self.console.line(format!("Ente {label}: {cause}")),
            _ => {}
        }
        tracing::debug!("{label}: {from} -> {to}: {cause}");
    }
}
