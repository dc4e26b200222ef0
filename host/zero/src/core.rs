//! The core loop: one thread that reaps, keeps time, asks the supervisor and carries out what it
//! says. It waits in one place only, and never for anybody in particular.

mod bus;

use crate::bodies::{Bodies, News};
use crate::bus::Bus;
use crate::console::Console;
use crate::poller::{Poller, Ready};
use arje_card::{Card, Id, Payload, Supervision};
use arje_native::Reaper;
use arje_supervisor::{Action, Cause, Event, EventKind, Millis, Refusal, State, Supervisor};
use nix::sys::signal::Signal;
use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::time::{Duration, Instant};

/// Events of components taken in one turn, so that a busy one cannot keep the loop from reaping.
const WASM_BATCH: usize = 256;

/// How long everything together may take to stop.
const SHUTDOWN_MS: u64 = 30_000;

/// What to do when all has stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Reboot (SIGTERM, SIGINT: Ctrl-Alt-Del).
    Reboot,
    /// Power off (SIGUSR2, SIGPWR).
    PowerOff,
    /// Halt (SIGUSR1).
    Halt,
    /// Dev mode: the time is over, or there is nothing left to do.
    Leave,
}

/// What the loop was made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// PID 1: ends only with the machine.
    Machine,
    /// A developer's process: ends after this time, or when nothing is left to do.
    Dev(Option<Duration>),
}

/// The running system.
pub struct Core {
    supervisor: Supervisor,
    bodies: Bodies,
    poller: Poller,
    console: Console,
    mode: Mode,
    began: Instant,
    /// Reports that came of carrying out actions and of reaping; they wait here instead of
    /// recursing. At most one per action and per child of one turn.
    pending: VecDeque<News>,
    /// The supervisor's deadline, and in dev mode the end of the time given.
    deadline: Option<Millis>,
    leave_at: Option<Millis>,
    leaving: Option<Outcome>,
    all_ready: bool,
    finished: bool,
    /// Children may be left that no further SIGCHLD tells of.
    reap_again: bool,
    /// Entes of the seed that have not come up for the first time yet.
    coming_up: BTreeSet<Id>,
    /// The socket for requests, where there is one.
    bus: Option<Bus>,
    /// The user of this program.
    owner_uid: u32,
}

impl Core {
    /// A system with nothing in it yet.
    #[must_use]
    pub fn new(bodies: Bodies, poller: Poller, console: Console, mode: Mode) -> Core {
        let leave_at = match mode {
            Mode::Dev(Some(after)) => Some(Millis(after.as_millis() as u64)),
            _ => None,
        };
        Core {
            supervisor: Supervisor::new(),
            bodies,
            poller,
            console,
            mode,
            began: Instant::now(),
            pending: VecDeque::new(),
            deadline: None,
            leave_at,
            leaving: None,
            all_ready: false,
            finished: false,
            reap_again: false,
            coming_up: BTreeSet::new(),
            bus: None,
            owner_uid: nix::unistd::geteuid().as_raw(),
        }
    }

    /// Takes in the seed; its Entes start as soon as [`run`](Self::run) is called.
    ///
    /// # Errors
    ///
    /// The supervisor refuses the tree, for example because of a cycle.
    pub fn adopt(&mut self, seed: Card) -> Result<(), Refusal> {
        self.coming_up = seed
            .walk()
            .filter(|visit| visit.card.payload != Payload::Virtual)
            .map(|visit| visit.card.id)
            .collect();
        self.step(EventKind::Adopt {
            parent: None,
            cards: vec![seed],
        })
    }

    /// Runs until everything has stopped. The second value tells, in dev mode, whether every Ente
    /// that should have been Ready was.
    ///
    /// # Errors
    ///
    /// The loop cannot go on: a defect, or the kernel is out of the few things it needs.
    pub fn run(mut self) -> io::Result<(Outcome, bool)> {
        loop {
            self.settle();
            if self.finished {
                return Ok((self.leaving.unwrap_or(Outcome::Leave), self.all_ready));
            }
            self.flush_bus();
            self.arm()?;
            for ready in self.poller.wait()? {
                self.serve(ready);
            }
        }
    }

    fn now(&self) -> Millis {
        Millis(self.began.elapsed().as_millis() as u64)
    }

    /// Works off what came of the last actions.
    fn settle(&mut self) {
        while let Some(news) = self.pending.pop_front() {
            self.tell(news);
        }
        if self.leaving.is_none() && self.should_leave() {
            self.leave(Outcome::Leave);
            self.settle();
        }
    }

    fn arm(&self) -> io::Result<()> {
        let leave_at = self.leave_at.filter(|_| self.leaving.is_none());
        let of_bus = self.bus.as_ref().and_then(Bus::next_deadline);
        let next = self
            .deadline
            .into_iter()
            .chain(leave_at)
            .chain(of_bus)
            .min();
        // One more millisecond, because the clock of the events counts whole ones.
        let after = next.map(|at| Duration::from_millis(at.since(self.now()) + 1));
        self.poller.set_deadline(after)
    }

    fn serve(&mut self, ready: Ready) {
        match ready {
            Ready::Signals => {
                while let Some(signal) = self.poller.next_signal() {
                    self.on_signal(signal);
                }
            }
            Ready::Deadline => {
                self.feed(EventKind::Timer);
                self.expire_bus();
            }
            Ready::Woken => {
                self.take_wasm_events();
                self.work_bus();
                if self.reap_again {
                    self.reap();
                }
            }
            Ready::Watched(token) if self.is_of_bus(token) => self.serve_bus(token),
            Ready::Watched(token) => {
                if let Some(news) = self.bodies.exec_ready(token, &self.poller) {
                    self.tell(news);
                }
            }
        }
    }

    fn take_wasm_events(&mut self) {
        for _ in 0..WASM_BATCH {
            let Some(news) = self.bodies.next_wasm() else {
                return;
            };
            self.tell(news);
        }
        // There may be more; come back after everybody else had a turn.
        self.poller.wake_handle().wake();
    }

    fn on_signal(&mut self, signal: Signal) {
        match signal {
            Signal::SIGCHLD => self.reap(),
            Signal::SIGHUP => {} // reload of rules: there are none in this version
            _ if self.mode != Mode::Machine => self.leave(Outcome::Leave),
            Signal::SIGUSR2 | Signal::SIGPWR => self.leave(Outcome::PowerOff),
            Signal::SIGUSR1 => self.leave(Outcome::Halt),
            _ => self.leave(Outcome::Reboot),
        }
    }

    fn reap(&mut self) {
        let mut turn = Reaper::turn();
        for reaped in turn.by_ref() {
            self.pending
                .extend(self.bodies.reaped(reaped, &self.poller));
        }
        // One SIGCHLD may stand for many children; the others of this turn come first.
        self.reap_again = turn.more();
        if self.reap_again {
            self.poller.wake_handle().wake();
        }
    }

    fn tell(&mut self, news: News) {
        let News {
            who,
            report,
            incarnated,
        } = news;
        if let Some(how) = incarnated
            && let Some(card) = self.supervisor.card(who.id)
        {
            self.console
                .line(format!("Ente {} encarnado {how}", card.label));
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
            Action::Start { id, incarnation } => {
                if let Some(card) = self.supervisor.card(id) {
                    let news = self.bodies.start(card, incarnation, &mut self.poller);
                    self.pending.extend(news);
                }
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
                if matches!(to, State::Ready | State::Done | State::Failed) {
                    self.came_up(id);
                }
            }
            Action::SetTimer { at } => self.deadline = at,
            Action::ShutdownComplete { left } => {
                for id in left {
                    tracing::error!(%id, "did not end in time");
                }
                self.finished = true;
            }
            Action::Removed { id } => self.bodies.removed(id),
            // For the routing of calls, which this version does not have.
            Action::Provided { .. } | Action::Withdrawn { .. } | Action::DelegateEnded { .. } => {}
        }
    }

    /// Tells the user of ends that are not as they should be; the rest is for `ente.log=debug`.
    fn state_changed(&self, id: Id, from: State, to: State, cause: &Cause) {
        let label = self
            .supervisor
            .card(id)
            .map_or("?", |card| card.label.as_str());
        match cause {
            Cause::Exited(status) if !status.success() && self.leaving.is_none() => {
                self.console.line(format!("Ente {label}: {status}"));
            }
            Cause::StartLimit { .. } => self.console.line(format!("Ente {label}: {cause}")),
            _ => {}
        }
        tracing::debug!("{label}: {from} -> {to}: {cause}");
    }

    /// Says once when the last Ente of the seed has come up, or will not; also to the kernel's
    /// log, whose time stamps tell how long that took since the kernel started `/init`.
    fn came_up(&mut self, id: Id) {
        if !self.coming_up.remove(&id) || !self.coming_up.is_empty() {
            return;
        }
        let text = format!("the seed is up, {} ms after its start", self.now().0);
        if self.mode == Mode::Machine {
            let _ = std::fs::write("/dev/kmsg", format!("<6>ente-zero: {text}\n"));
        }
        self.console.line(text);
    }

    fn leave(&mut self, outcome: Outcome) {
        if self.leaving.is_some() {
            return;
        }
        self.all_ready = self.not_ready().is_empty();
        if self.mode != Mode::Machine {
            for (label, state) in self.not_ready() {
                self.console
                    .line(format!("Ente {label} is {state}, not ready"));
            }
        }
        self.leaving = Some(outcome);
        self.feed(EventKind::Shutdown {
            deadline_ms: SHUTDOWN_MS,
        });
    }

    fn should_leave(&self) -> bool {
        match self.mode {
            Mode::Machine => false,
            Mode::Dev(_) if self.leave_at.is_some_and(|at| self.now() >= at) => true,
            Mode::Dev(Some(_)) => self.pending.is_empty() && self.nothing_left_to_do(),
            Mode::Dev(None) => false,
        }
    }

    /// Every Ente with a payload has ended for good.
    fn nothing_left_to_do(&self) -> bool {
        self.payload_states()
            .all(|(_, state, _)| matches!(state, State::Done | State::Failed))
    }

    /// Entes that should be Ready and are not. A one-shot should be Done.
    fn not_ready(&self) -> Vec<(String, State)> {
        self.payload_states()
            .filter(|(_, state, supervision)| match state {
                State::Ready => **supervision == Supervision::OneShot,
                State::Done => false,
                _ => true,
            })
            .map(|(label, state, _)| (label.to_owned(), state))
            .collect()
    }

    fn payload_states(&self) -> impl Iterator<Item = (&str, State, &Supervision)> {
        self.supervisor.statuses().filter_map(|status| {
            let card = self.supervisor.card(status.id)?;
            (card.payload != Payload::Virtual).then_some((
                card.label.as_str(),
                status.state,
                &card.supervision,
            ))
        })
    }
}
