//! A Wasm host for measuring, with a clock that is read on the very thread that announces an event.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use arje_bus::Routes;
use arje_card::{Card, Entry, Id, Payload, Pin, Supervision, WasmPayload};
use arje_store::Sha256;
use arje_wasm::{End, Event, EventKind, Host, HostConfig, Line, LineSink, StartRequest};

use crate::error::Error;
use crate::places::Places;

/// Nothing that is measured takes this long; what does is broken.
const DEADLINE: Duration = Duration::from_secs(60);

/// How often a waiting thread looks: rarely enough that most samples are over at the first look.
const LOOK: Duration = Duration::from_millis(1);

/// How long a worker is kept busy before it is timed: a processor that idled is slow at first.
const WARM_UP: Duration = Duration::from_micros(100);

/// The incarnation of every Ente here: identities are not used twice.
const INCARNATION: u64 = 1;

/// A host without a supervisor.
#[derive(Clone)]
pub struct Rig {
    /// The host itself.
    pub host: Arc<Host>,
    /// Who answers calls to what.
    pub routes: Arc<Routes>,
    clock: Arc<Clock>,
    /// Events taken so far, to be compared with the clock's strokes.
    taken: Arc<AtomicU64>,
}

/// Takes the time of the first event after it was armed.
struct Clock {
    origin: Instant,
    /// Nanoseconds since `origin`; 0 while armed.
    first: AtomicU64,
    /// How often it was struck: once for each event, soon after the event can be taken.
    strokes: AtomicU64,
}

impl Clock {
    fn arm(&self) {
        self.first.store(0, Ordering::Release);
    }

    fn strike(&self) {
        let now = self.origin.elapsed().as_nanos() as u64;
        let _ = self
            .first
            .compare_exchange(0, now, Ordering::AcqRel, Ordering::Acquire);
        self.strokes.fetch_add(1, Ordering::AcqRel);
    }

    fn first(&self) -> Option<Instant> {
        let nanos = self.first.load(Ordering::Acquire);
        (nanos > 0).then(|| self.origin + Duration::from_nanos(nanos))
    }
}

/// Reads lines and forgets them.
pub struct Nowhere;

impl LineSink for Nowhere {
    fn accept(&self, _: Line) {}
}

impl Rig {
    /// A host on the store of this run.
    ///
    /// # Errors
    /// The store cannot be opened or the host not be made.
    pub fn new(places: &Places) -> Result<Self, Error> {
        let clock = Arc::new(Clock {
            origin: Instant::now(),
            first: AtomicU64::new(0),
            strokes: AtomicU64::new(0),
        });
        let struck = Arc::clone(&clock);
        let routes = Arc::new(Routes::new());
        let host = Host::new(HostConfig {
            routes: Arc::clone(&routes),
            store: places.open_store()?,
            lines: Arc::new(Nowhere),
            wake: Arc::new(move || struck.strike()),
        })
        .map_err(Error::tree)?;
        Ok(Self {
            host: Arc::new(host),
            routes,
            clock,
            taken: Arc::default(),
        })
    }

    /// The next event of any Ente; `None` if there is none in time.
    pub fn next_event(&self, at_most: Duration) -> Option<Event> {
        let event = self.host.wait_event(at_most)?;
        self.taken.fetch_add(1, Ordering::AcqRel);
        Some(event)
    }

    /// Waits until the strokes of all events taken have fallen: they belong to what is over.
    fn settle(&self) {
        let taken = self.taken.load(Ordering::Acquire);
        spin_while(DEADLINE, || {
            self.clock.strokes.load(Ordering::Acquire) < taken
        });
    }

    /// Starts an Ente and returns at once.
    pub fn start(&self, card: &Arc<Card>) {
        self.host.start(StartRequest {
            card: Arc::clone(card),
            incarnation: INCARNATION,
            sockets: Vec::new(),
        });
    }

    /// Starts a service and waits until it is Ready.
    ///
    /// # Errors
    /// It ended instead.
    pub fn start_ready(&self, card: &Arc<Card>) -> Result<(), Error> {
        self.start(card);
        self.wait(card, |kind| matches!(kind, EventKind::Ready))
            .map(drop)
    }

    /// Ends an Ente, if it still lives, and waits until nothing of it is left.
    ///
    /// # Errors
    /// It does not end.
    pub fn end(&self, card: &Card) -> Result<End, Error> {
        // Not running means that its end is on its way.
        let _ = self.host.kill(card.id, INCARNATION);
        self.wait_end(card)
    }

    /// Ends these Entes, those that still live, and waits until nothing of any is left. Their ends
    /// must not have been waited for.
    ///
    /// # Errors
    /// One of them does not end.
    pub fn end_all(&self, cards: &[Arc<Card>]) -> Result<(), Error> {
        let mut open: BTreeSet<Id> = cards.iter().map(|card| card.id).collect();
        for id in &open {
            let _ = self.host.kill(*id, INCARNATION); // as in `end`
        }
        while !open.is_empty() {
            let Some(event) = self.next_event(DEADLINE) else {
                let left = format!("{} components did not end", open.len());
                return Err(Error::Tree(left));
            };
            if matches!(event.kind, EventKind::Ended { .. }) {
                open.remove(&event.ente);
            }
        }
        Ok(())
    }

    /// Waits for the end of an Ente.
    ///
    /// # Errors
    /// It does not end.
    pub fn wait_end(&self, card: &Card) -> Result<End, Error> {
        match self
            .wait(card, |kind| matches!(kind, EventKind::Ended { .. }))?
            .kind
        {
            EventKind::Ended { end, .. } => Ok(end),
            kind => Err(Error::guest(&card.label, format!("unexpected {kind:?}"))),
        }
    }

    /// Waits for an event of this Ente; events of others are dropped.
    ///
    /// # Errors
    /// It ended, or the event did not come.
    pub fn wait(&self, card: &Card, wanted: impl Fn(&EventKind) -> bool) -> Result<Event, Error> {
        let begin = Instant::now();
        while let Some(event) = self.next_event(DEADLINE.saturating_sub(begin.elapsed())) {
            match &event.kind {
                _ if event.ente != card.id => {}
                kind if wanted(kind) => return Ok(event),
                EventKind::Ended { end, .. } => return Err(Error::guest(&card.label, end)),
                _ => {}
            }
        }
        Err(Error::guest(
            &card.label,
            "what was waited for did not come",
        ))
    }

    /// From the request to the first event (`Started`, sent when the component is verified, loaded and
    /// instantiated): asked on a worker thread, which the actor then has, and timed by whoever announces
    /// it. No thread waits for another in between, and the processor is not woken from idling.
    ///
    /// # Errors
    /// It did not become Ready.
    pub fn time_on_worker(&self, card: &Arc<Card>) -> Result<Duration, Error> {
        self.settle();
        self.clock.arm();
        let (rig, starting) = (self.clone(), Arc::clone(card));
        let (asked, when) = mpsc::sync_channel(1);
        drop(self.host.workers().spawn(async move {
            spin_while(WARM_UP, || true);
            let begin = Instant::now();
            rig.start(&starting);
            let _ = asked.send(begin); // the channel has room, and this function waits for it
        }));
        // Asleep, since two processors are often one core: spinning here would slow the worker down.
        let patience = Instant::now() + DEADLINE;
        while self.clock.first().is_none() && Instant::now() < patience {
            thread::sleep(LOOK);
        }
        let begin = when.recv().map_err(Error::tree)?;
        self.wait(card, |kind| matches!(kind, EventKind::Ready))?;
        let first = self.clock.first();
        first
            .map(|first| first.duration_since(begin))
            .ok_or_else(|| Error::guest(&card.label, "no event"))
    }

    /// The same as the core loop sees it: asked on another thread, which then waits for the event.
    ///
    /// # Errors
    /// It did not become Ready.
    pub fn time_from_loop(&self, card: &Arc<Card>) -> Result<Duration, Error> {
        let begin = Instant::now();
        self.start(card);
        self.wait(card, |kind| matches!(kind, EventKind::Started { .. }))?;
        let took = begin.elapsed();
        self.wait(card, |kind| matches!(kind, EventKind::Ready))?;
        Ok(took)
    }
}

/// Keeps the processor busy while the condition holds, at most as long as given.
fn spin_while(at_most: Duration, condition: impl Fn() -> bool) {
    let begin = Instant::now();
    while condition() && begin.elapsed() < at_most {
        std::hint::spin_loop();
    }
}

/// A Card for a component; its identity is new.
pub fn card(pin: Sha256, label: &str, entry: &str) -> Card {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let id = Id::from_parts(NEXT.fetch_add(1, Ordering::Relaxed), [1; 10]);
    let payload = Payload::Wasm(WasmPayload {
        module_sha256: Pin(*pin.as_bytes()),
        entry: Entry::from(entry),
        ..WasmPayload::default()
    });
    let mut card = Card::new(id, label, payload, Supervision::OneShot);
    card.limits.call_ms = DEADLINE.as_millis() as u64;
    card
}

/// A Card for the smallest service.
pub fn hello(pin: Sha256) -> Arc<Card> {
    Arc::new(card(pin, "hello", "service"))
}
