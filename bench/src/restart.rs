//! From the death of a Wasm Ente to its new instance: the host and the supervisor on one loop, as in
//! PID 1.

use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use arje_card::{Card, StartLimit, Supervision};
use arje_supervisor::{
    Action, Event, EventKind, ExitStatus, Incarnation, Millis, ReadyBy, Report, Supervisor,
};
use arje_wasm::{EventKind as Told, Host, HostConfig, Line, LineSink, StartRequest};

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags};
use nix::sys::eventfd::{EfdFlags, EventFd};

use crate::error::Error;
use crate::places::Places;
use crate::plan::Plan;
use crate::rig::card;
use crate::stats::Samples;
use crate::table::Table;

/// The shortest delay between two starts that a Card can ask for, and that nothing lets it grow.
const SUPERVISION: Supervision = Supervision::Restart { initial: 1, max: 1 };

/// How long an incarnation lives before it is killed: longer than the delay.
const LIFE: Duration = Duration::from_millis(3);

/// What makes a component trap that does.
const CALL: &str = "arje:test/calls@1.0.0#echo";

/// Nothing here takes that long.
const DEADLINE: Duration = Duration::from_secs(10);

/// The same, for epoll(7).
const DEADLINE_MS: u16 = 10_000;

/// What was measured.
#[derive(Debug, Default)]
pub struct Restarts {
    /// From the component's own last word, before it traps, to the new instance.
    pub from_last_word: Samples,
    /// From the request to kill it.
    from_kill: Samples,
    /// From the moment at which the end of the old one is told.
    from_end: Samples,
}

/// Kills a service again and again.
///
/// # Errors
/// The component is missing, or it does not come back.
pub fn measure(places: &Places, plan: &Plan) -> Result<Restarts, Error> {
    let mut restarts = Restarts::default();
    let mut world = World::new(places, service(places, "service_traps_in_call")?)?;
    let mut incarnation = world.adopt()?;
    for _ in 0..plan.rounds * plan.repeats {
        thread::sleep(LIFE);
        world.make_trap();
        world.wait(|told| matches!(told, Told::Ended { .. }))?;
        incarnation = world.report(incarnation, Report::Exited(ExitStatus::Signal(9)))?;
        let started = world.wait(|told| matches!(told, Told::Started { .. }))?;
        let said = world.said.recv_timeout(DEADLINE).map_err(Error::tree)?;
        restarts
            .from_last_word
            .push(started.saturating_duration_since(said));
        world.come_up(incarnation)?;
    }
    let mut world = World::new(places, service(places, "hello")?)?;
    let mut incarnation = world.adopt()?;
    for _ in 0..plan.rounds * plan.repeats {
        thread::sleep(LIFE);
        let killed = Instant::now();
        world.kill(incarnation)?;
        let ended = world.wait(|told| matches!(told, Told::Ended { .. }))?;
        incarnation = world.report(incarnation, Report::Exited(ExitStatus::Signal(9)))?;
        let started = world.wait(|told| matches!(told, Told::Started { .. }))?;
        restarts
            .from_kill
            .push(started.saturating_duration_since(killed));
        restarts
            .from_end
            .push(started.saturating_duration_since(ended));
        world.come_up(incarnation)?;
    }
    Ok(restarts)
}

fn service(places: &Places, guest: &str) -> Result<Card, Error> {
    let mut card = card(places.stock(guest)?, guest, "service");
    card.supervision = SUPERVISION;
    card.start_limit = StartLimit {
        burst: u32::MAX,
        interval_ms: 1,
    };
    Ok(card)
}

struct World {
    host: Arc<Host>,
    supervisor: Supervisor,
    card: Card,
    began: Instant,
    /// The core loop's way of being woken: an eventfd that it waits for in epoll(7).
    woken: Arc<EventFd>,
    epoll: Epoll,
    /// When each event was sent, in their order: taken on the thread that sent it.
    stamps: mpsc::Receiver<Instant>,
    /// When each line was said: taken in the call of the component that says it.
    said: mpsc::Receiver<Instant>,
}

/// Notes when a line is said.
struct Ear(mpsc::Sender<Instant>);

impl LineSink for Ear {
    fn accept(&self, _: Line) {
        let _ = self.0.send(Instant::now()); // fails only when nobody measures any more
    }
}

impl World {
    fn new(places: &Places, card: Card) -> Result<Self, Error> {
        let (stamp, stamps) = mpsc::channel();
        let (ear, said) = mpsc::channel();
        let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
        let woken = Arc::new(EventFd::from_value_and_flags(0, flags).map_err(Error::tree)?);
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).map_err(Error::tree)?;
        let readable = EpollEvent::new(EpollFlags::EPOLLIN, 0);
        epoll.add(&*woken, readable).map_err(Error::tree)?;
        let wake = Arc::clone(&woken);
        let host = Host::new(HostConfig {
            routes: Arc::default(),
            store: places.open_store()?,
            lines: Arc::new(Ear(ear)),
            wake: Arc::new(move || {
                let _ = stamp.send(Instant::now()); // fails only when nobody measures any more
                let _ = wake.write(1); // full after 2^64 - 2 events
            }),
        })
        .map_err(Error::tree)?;
        Ok(Self {
            host: Arc::new(host),
            supervisor: Supervisor::new(),
            card,
            began: Instant::now(),
            woken,
            epoll,
            stamps,
            said,
        })
    }

    /// Brings the service up for the first time.
    fn adopt(&mut self) -> Result<Incarnation, Error> {
        let cards = vec![self.card.clone()];
        let adopted = self.step(EventKind::Adopt {
            parent: None,
            cards,
        })?;
        let incarnation = adopted.ok_or_else(|| Error::guest("hello", "it is not started"))?;
        self.wait(|told| matches!(told, Told::Started { .. }))?;
        self.come_up(incarnation)?;
        Ok(incarnation)
    }

    /// Waits until it is Ready, and says so.
    fn come_up(&mut self, incarnation: Incarnation) -> Result<(), Error> {
        self.step(self.about(incarnation, Report::Started))?;
        self.wait(|told| matches!(told, Told::Ready))?;
        self.step(self.about(incarnation, Report::Ready { by: ReadyBy::Start }))?;
        Ok(())
    }

    /// Calls the component, which says a last word and traps.
    fn make_trap(&self) {
        let (host, id) = (Arc::clone(&self.host), self.card.id);
        self.host.workers().spawn(async move {
            let _ = host.invoke(id, CALL, Vec::new()).await; // answered that it died
        });
    }

    fn kill(&self, incarnation: Incarnation) -> Result<(), Error> {
        let killed = self.host.kill(self.card.id, incarnation);
        killed.map_err(|_| Error::guest("hello", "it does not run"))
    }

    /// Tells the supervisor of the end; the new incarnation.
    fn report(&mut self, incarnation: Incarnation, report: Report) -> Result<Incarnation, Error> {
        let next = self.step(self.about(incarnation, report))?;
        next.ok_or_else(|| Error::guest("hello", "it is not started again at once"))
    }

    fn about(&self, incarnation: Incarnation, report: Report) -> EventKind {
        EventKind::Report {
            id: self.card.id,
            incarnation,
            report,
        }
    }

    /// Steps the supervisor and starts what it wants to be started.
    fn step(&mut self, kind: EventKind) -> Result<Option<Incarnation>, Error> {
        let now = Millis(self.began.elapsed().as_millis() as u64);
        let actions = self
            .supervisor
            .step(Event::new(now, kind))
            .map_err(Error::tree)?;
        let mut started = None;
        for action in actions {
            if let Action::Start { id, incarnation } = action
                && let Some(card) = self.supervisor.card(id)
            {
                self.host.start(StartRequest {
                    card: Arc::clone(card),
                    incarnation,
                    sockets: Vec::new(),
                });
                started = Some(incarnation);
            }
        }
        Ok(started)
    }

    /// The next event, waited for as PID 1 does.
    fn next_event(&self) -> Result<arje_wasm::Event, Error> {
        loop {
            if let Some(event) = self.host.next_event() {
                return Ok(event);
            }
            let mut ready = [EpollEvent::empty(); 1];
            let count = self.epoll.wait(&mut ready, DEADLINE_MS);
            if count.map_err(Error::tree)? == 0 {
                return Err(Error::guest("hello", "no event"));
            }
            let _ = self.woken.read(); // readable, so this clears it
        }
    }

    /// Waits for the next event, which must be the one wanted; when it was sent.
    fn wait(&self, wanted: impl Fn(&Told) -> bool) -> Result<Instant, Error> {
        let event = self.next_event()?;
        if !wanted(&event.kind) {
            return Err(Error::guest(
                "hello",
                format!("unexpected {:?}", event.kind),
            ));
        }
        self.stamps.recv_timeout(DEADLINE).map_err(Error::tree)
    }
}

impl Restarts {
    /// The table of this section.
    #[must_use]
    pub fn tables(&self) -> Vec<Table> {
        let mut table = Table::of_times("From the death of a Wasm Ente to its new instance");
        table.times(
            "from its last word, before it traps",
            self.from_last_word.summary(),
        );
        table.times("from the request to kill it", self.from_kill.summary());
        table.times(
            "from the end of the old one, as it is told",
            self.from_end.summary(),
        );
        table.note(
            "A component that traps in a call, and `hello`, killed by the loop that also steps the supervisor. Both are \
             started again at once, because they lived longer than their delay of 1 ms. Ends with the event `Started`, on \
             the thread that sends it. The loop is woken, through epoll(7) as in PID 1, and finds the worker awake; a kill wakes the worker before \
             that. The old one is unmapped after the new one has begun.",
        );
        vec![table]
    }
}
