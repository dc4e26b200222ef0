//! The host of all Wasm Entes, as the core loop sees it.

mod error;

use crate::actor::{self, Actor, Birth};
use crate::calls::face::Answering;
use crate::calls::waits::Waits;
use crate::calls::{Mailbox, Payloads};
use crate::control::{Control, StopReason};
use crate::event::{Event, EventKind};
use crate::idle::{AsOthers, Held};
use crate::lane::Lanes;
use crate::ledger::Ledger;
use crate::loader::{Loaded, Loader, Source};
use crate::output::{LineSink, Printer};
use crate::remote::Remote;
use crate::sealed::SealedModule;
use crate::ticker::Ticker;
use crate::vigil::Vigil;
use arje_bus::{Provider, Routes};
use arje_card::{Capability, Card, Id};
use arje_store::Store;
use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;
use wasmtime::{Engine, Result};

pub use error::{InvokeError, NotRunning};

/// Fast workers at most: components are small and many, the machine has other work, too.
const MAX_WORKERS: usize = 8;

/// What a [`Host`] needs from its owner.
pub struct HostConfig {
    /// Where modules come from.
    pub store: Store,
    /// Who answers calls to what; filled by the owner.
    pub routes: Arc<Routes>,
    /// Where the lines go that components print.
    pub lines: Arc<dyn LineSink>,
    /// Called after each event, on any thread; wakes the core loop. Must not block.
    pub wake: Arc<dyn Fn() + Send + Sync>,
}

/// Asks for a new incarnation of an Ente.
#[derive(Debug)]
pub struct StartRequest {
    /// The Card; its payload is `Wasm`.
    pub card: Arc<Card>,
    /// The number that the supervisor gave this incarnation.
    pub incarnation: u64,
    /// The listening sockets of the Card's `listen`, in its order. Duplicates of them stay with whoever
    /// asks, from one incarnation to the next.
    pub sockets: Vec<OwnedFd>,
}

/// Runs Wasm Entes.
pub struct Host {
    pub(crate) shared: Arc<Shared>,
    events: Mutex<Receiver<Event>>,
}

/// What every actor has a hand on.
pub(crate) struct Shared {
    pub(crate) loader: Arc<Loader>,
    pub(crate) lanes: Lanes,
    pub(crate) ticker: Arc<Ticker>,
    pub(crate) printer: Printer,
    pub(crate) vigil: Arc<Vigil<Birth>>,
    pub(crate) routes: Arc<Routes>,
    /// Whether this is a worker process, in which nobody else is: PID 1 makes the calls.
    pub(crate) is_worker: bool,
    pub(crate) waits: Waits,
    /// What waits in the mailboxes of all.
    pub(crate) payloads: Arc<Payloads>,
    living: Mutex<HashMap<Id, Living>>,
    /// Those that are to take the place of one in `living`; locked after it, where both are.
    coming: Mutex<HashMap<Id, Living>>,
    /// Bounded by what sends: an incarnation sends `Started`, `Ready` and `Ended` once each and
    /// `Alive` at most every half `liveness_ms`, and an Ente has one incarnation at a time. Who `Asks` waits for the
    /// answer, and is counted for the payload ([`Ask::Invoke`](crate::Ask::Invoke)).
    events: Sender<Event>,
    wake: Arc<dyn Fn() + Send + Sync>,
}

/// The host's hold on a running incarnation.
pub(crate) struct Living {
    incarnation: u64,
    pub(crate) control: Arc<Control>,
    mailbox: Mailbox,
    /// Absent for one in a worker process, whose memory its cgroup counts.
    ledger: Option<Arc<Ledger>>,
}

impl Host {
    /// Makes the engine and its worker threads.
    ///
    /// # Errors
    ///
    /// The engine refuses its configuration, or a thread cannot be started.
    pub fn new(config: HostConfig) -> Result<Host> {
        let engine = arje_engine::engine()?;
        let source = Source::store(config.store, &engine);
        let HostConfig {
            routes,
            lines,
            wake,
            ..
        } = config;
        Host::build(engine, source, Some(routes), lines, wake, MAX_WORKERS)
    }

    /// Makes the host of a worker process: for one module, which was verified elsewhere, and with at
    /// most so many fast workers. The rest is as in [`HostConfig`].
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn of_worker(
        module: SealedModule,
        workers: usize,
        lines: Arc<dyn LineSink>,
        wake: Arc<dyn Fn() + Send + Sync>,
    ) -> Result<Host> {
        let engine = arje_engine::engine()?;
        let source = Source::Sealed(module);
        Host::build(engine, source, None, lines, wake, workers)
    }

    fn build(
        engine: Engine,
        source: Source,
        routes: Option<Arc<Routes>>,
        lines: Arc<dyn LineSink>,
        wake: Arc<dyn Fn() + Send + Sync>,
        at_most: usize,
    ) -> Result<Host> {
        let ticker = Arc::new(Ticker::start(engine.weak())?);
        let workers = thread::available_parallelism().map_or(1, usize::from);
        let (sender, events) = mpsc::channel();
        Ok(Host {
            shared: Arc::new(Shared {
                lanes: Lanes::new(Arc::clone(&ticker), workers.clamp(1, at_most.max(1)))?,
                loader: Arc::new(Loader::new(engine, source)),
                ticker,
                printer: Printer::new(lines),
                vigil: Arc::default(),
                is_worker: routes.is_none(),
                routes: routes.unwrap_or_default(),
                waits: Waits::default(),
                payloads: Arc::default(),
                living: Mutex::default(),
                coming: Mutex::default(),
                events: sender,
                wake,
            }),
            events: Mutex::new(events),
        })
    }

    /// Starts an incarnation. What comes of it is told by [`Event`]s; exactly one of them is
    /// [`EventKind::Ended`].
    pub fn start(&self, request: StartRequest) {
        let StartRequest {
            card,
            incarnation,
            sockets,
        } = request;
        let ledger = Ledger::new(card.limits.memory_bytes);
        let (mailbox, messages) = Mailbox::new(card.limits.mailbox, &self.shared.payloads);
        let control = self.enter(&card, incarnation, mailbox, Some(Arc::clone(&ledger)));
        let shared = Arc::clone(&self.shared);
        let actor = Actor::new(shared, card, incarnation, control, ledger, sockets, None);
        let birth = (Arc::new(actor), messages);
        // To wake a sleeping worker takes longer than to find one awake.
        if let Err(birth) = self.shared.vigil.give(birth) {
            actor::begin(birth);
        }
    }

    /// Starts an incarnation beside the one that runs, to take its place when it is ready and well: an Ente whose entry is
    /// `service` or `http`. What comes of it is told by [`Event`]s: either [`EventKind::TookOver`], from which on it is
    /// the one, or [`EventKind::Ended`], and the other one goes on. The one that was replaced ends.
    ///
    /// # Errors
    ///
    /// None runs in this process.
    pub fn start_beside(&self, request: StartRequest) -> Result<(), NotRunning> {
        let StartRequest {
            card,
            incarnation,
            sockets,
        } = request;
        let (predecessor, mailbox) = self.shared.living_of(card.id).ok_or(NotRunning)?;
        let ledger = Ledger::new(card.limits.memory_bytes);
        let control = Arc::new(Control::default());
        let coming = Living {
            incarnation,
            control: Arc::clone(&control),
            mailbox,
            ledger: Some(Arc::clone(&ledger)),
        };
        let before = self.shared.coming().insert(card.id, coming);
        drop(before); // not under the lock
        let shared = Arc::clone(&self.shared);
        let actor = Actor::new(
            shared,
            card,
            incarnation,
            control,
            ledger,
            sockets,
            Some(predecessor),
        );
        // Its calls come with the place that it is to take.
        let (_, no_messages) = Mailbox::new(1, &self.shared.payloads);
        actor::begin((Arc::new(actor), no_messages));
        Ok(())
    }

    /// Starts an incarnation in a worker process (`ente-worker`), which has the other end of
    /// `socket`. Its events, lines and bounds are those of any other. Two things differ:
    ///
    /// - Whoever started the process also reaps it, and then calls [`kill`](Self::kill), which here
    ///   means that the process is gone: what it had said is taken, and the end is told.
    /// - [`EventKind::Ended`] may come while the process still runs, which is then to be killed.
    ///   With [`End::Lost`](crate::End::Lost) the exit status of the process says how it ended.
    pub fn start_remote(&self, request: StartRequest, socket: UnixStream) {
        let StartRequest {
            card,
            incarnation,
            sockets,
        } = request;
        let (mailbox, messages) = Mailbox::new(card.limits.mailbox, &self.shared.payloads);
        let control = self.enter(&card, incarnation, mailbox, None);
        let remote = Remote::new(Arc::clone(&self.shared), card, incarnation, control);
        self.shared
            .lanes
            .handle()
            .spawn(remote.live(socket, sockets, messages));
    }

    /// Notes that an incarnation lives.
    fn enter(
        &self,
        card: &Card,
        incarnation: u64,
        mailbox: Mailbox,
        ledger: Option<Arc<Ledger>>,
    ) -> Arc<Control> {
        let control = Arc::new(Control::default());
        let living = Living {
            incarnation,
            control: Arc::clone(&control),
            mailbox,
            ledger,
        };
        let before = self.shared.living().insert(card.id, living);
        drop(before); // not under the lock
        control
    }

    /// Asks an incarnation to stop: a service's `stop` is called, anything else just ends. How
    /// long that may take is the caller's to decide, with [`kill`](Self::kill).
    ///
    /// # Errors
    ///
    /// It does not run.
    pub fn stop(&self, ente: Id, incarnation: u64, reason: StopReason) -> Result<(), NotRunning> {
        self.with(ente, incarnation, |living| living.control.stop(reason))
    }

    /// Ends an incarnation at once: it is dropped wherever it is, a computing one at its next epoch.
    /// Its [`EventKind::Ended`] comes when nothing of it will run again.
    ///
    /// # Errors
    ///
    /// It does not run.
    pub fn kill(&self, ente: Id, incarnation: u64) -> Result<(), NotRunning> {
        self.with(ente, incarnation, |living| living.control.kill())
    }

    /// Bytes in the memories and tables of an Ente that lives in this process.
    #[must_use]
    pub fn memory_bytes(&self, ente: Id) -> Option<u64> {
        let living = self.shared.living();
        Some(living.get(&ente)?.ledger.as_ref()?.used())
    }

    /// The next event, if there is one.
    #[must_use]
    pub fn next_event(&self) -> Option<Event> {
        self.events().try_recv().ok()
    }

    /// The next event, waiting for it at most as long as given. For tests and tools; the core loop
    /// never waits here.
    #[must_use]
    pub fn wait_event(&self, at_most: Duration) -> Option<Event> {
        self.events().recv_timeout(at_most).ok()
    }

    /// The engine's worker threads, for callers of [`invoke`](Self::invoke).
    #[must_use]
    pub fn workers(&self) -> &tokio::runtime::Handle {
        self.shared.lanes.handle()
    }

    pub(crate) fn with(
        &self,
        ente: Id,
        incarnation: u64,
        then: impl FnOnce(&Living),
    ) -> Result<(), NotRunning> {
        for table in [self.shared.living(), self.shared.coming()] {
            if let Some(living) = table.get(&ente)
                && living.incarnation == incarnation
            {
                then(living);
                return Ok(());
            }
        }
        Err(NotRunning)
    }

    fn events(&self) -> MutexGuard<'_, Receiver<Event>> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        for table in [self.shared.living(), self.shared.coming()] {
            table.values().for_each(|living| living.control.kill());
        }
    }
}

impl Shared {
    pub(crate) fn send(&self, ente: Id, incarnation: u64, kind: EventKind) {
        // The core loop waits for one that is half-way in.
        let _as_others = AsOthers::enter();
        // Fails only when the host is gone, and then nobody asks.
        let _ = self.events.send(Event {
            ente,
            incarnation,
            kind,
        });
        (self.wake)();
    }

    /// Forgets an incarnation, unless a newer one has taken its place.
    pub(crate) fn forget(&self, ente: Id, incarnation: u64) {
        let its = |it: &Living| it.incarnation == incarnation;
        let gone = [self.living(), self.coming()].map(|mut table| {
            match table.get(&ente).is_some_and(its) {
                true => table.remove(&ente),
                false => None,
            }
        });
        drop(gone); // not under the locks
    }

    /// A successor is the one that is found from now on, unless it is to end itself or the one whose place it is to take is
    /// not the one any more: then a third one may live already.
    pub(crate) fn switch(&self, ente: Id, incarnation: u64, predecessor: &Arc<Control>) -> bool {
        let (mut living, mut coming) = (self.living(), self.coming());
        let is_the_one = |it: &Living| Arc::ptr_eq(&it.control, predecessor);
        let may_come = |it: &Living| it.incarnation == incarnation && it.control.is_running();
        if !living.get(&ente).is_some_and(is_the_one) || !coming.get(&ente).is_some_and(may_come) {
            return false;
        }
        let successor = coming.remove(&ente);
        let before = successor.and_then(|it| living.insert(ente, it));
        drop((living, coming));
        drop(before); // not under the locks
        true
    }

    /// Who is to answer the next call to this capability. The core loop changes the table, and waits for those who read.
    pub(crate) fn resolve(&self, capability: &Capability) -> Option<Provider> {
        let _as_others = AsOthers::enter();
        self.routes.resolve(capability)
    }

    /// The mailbox of the incarnation that lives.
    pub(crate) fn mailbox(&self, ente: Id) -> Option<Mailbox> {
        Some(self.living().get(&ente)?.mailbox.clone())
    }

    /// The incarnation that lives: what is wanted of it, and its mailbox.
    pub(crate) fn living_of(&self, ente: Id) -> Option<(Arc<Control>, Mailbox)> {
        let living = self.living();
        let living = living.get(&ente)?;
        Some((Arc::clone(&living.control), living.mailbox.clone()))
    }

    /// The number of the incarnation that lives.
    pub(crate) fn living_incarnation(&self, ente: Id) -> Option<u64> {
        Some(self.living().get(&ente)?.incarnation)
    }

    /// The component of the incarnation that lives in this process.
    pub(crate) fn loaded(&self, ente: Id) -> Option<Arc<Loaded>> {
        self.living().get(&ente)?.control.loaded()
    }

    /// The component of the incarnation that lives, for those who call it by type.
    pub(crate) fn answering(&self, ente: Id) -> Option<Answering> {
        self.living().get(&ente)?.control.answering()
    }

    fn coming(&self) -> Held<'_, HashMap<Id, Living>> {
        Held::of(&self.coming) // as below
    }

    /// The core loop takes it, too, and waits for whoever holds it: nobody does so for longer than it takes to look something
    /// up, to put it in or to take it out, what is taken out is dropped later, and no thread that might not run for long
    /// holds it as such ([`Held`]).
    fn living(&self) -> Held<'_, HashMap<Id, Living>> {
        // Every change of the table is one insert or remove; a panic cannot leave it half-made.
        Held::of(&self.living)
    }
}
