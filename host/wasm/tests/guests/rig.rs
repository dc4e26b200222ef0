//! What the tests of the Wasm host share: a host with a store of all guests, and Cards for them.

use crate::place::Place;
use arje_bus::Routes;
use arje_card::{Card, Entry, Id, Payload, Pin, Supervision, WasmPayload};
use arje_guest_artifacts::{Guest, ente_compile, guest};
use arje_store::compiler::Compiler;
use arje_store::{Sha256, Store};
use arje_wasm::{
    End, Event, EventKind, Host, HostConfig, Level, Line, LineSink, NotRunning, StartRequest,
    StopReason,
};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, OnceLock};
use std::time::{Duration, Instant};

/// No test waits longer for anything; what takes that long is broken.
pub const DEADLINE: Duration = Duration::from_secs(120);

/// A host and what its components printed.
pub struct Rig {
    pub host: Arc<Host>,
    pub place: Place,
    pub lines: Arc<Lines>,
    /// Who answers calls to what; in PID 1 the core loop fills it.
    pub routes: Arc<Routes>,
}

/// Lines that components printed.
#[derive(Default)]
pub struct Lines {
    lines: Mutex<Vec<(String, Level, String)>>,
    more: Condvar,
}

impl LineSink for Lines {
    fn accept(&self, line: Line) {
        let mut lines = self.lines.lock().unwrap();
        lines.push((line.label.to_string(), line.level, line.text.clone()));
        self.more.notify_all();
    }
}

impl Lines {
    /// All lines of one Ente so far.
    pub fn of(&self, card: &Card) -> Vec<String> {
        let lines = self.lines.lock().unwrap();
        let own = lines.iter().filter(|(label, ..)| *label == card.label);
        own.map(|(_, _, text)| text.clone()).collect()
    }

    /// Waits for a line of this Ente that contains `text`, and returns it.
    pub fn wait_for(&self, card: &Card, text: &str) -> String {
        let mut lines = self.lines.lock().unwrap();
        let end = Instant::now() + DEADLINE;
        loop {
            let own =
                |line: &&(String, Level, String)| line.0 == card.label && line.2.contains(text);
            if let Some(line) = lines.iter().find(own) {
                return line.2.clone();
            }
            let left = end.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "no line with {text:?} in {lines:?}");
            lines = self.more.wait_timeout(lines, left).unwrap().0;
        }
    }
}

impl Rig {
    pub fn new() -> Rig {
        Rig::with(Store::open(store().root()).unwrap())
    }

    pub fn with(store: Store) -> Rig {
        let lines = Arc::new(Lines::default());
        let routes = Arc::new(Routes::new());
        let host = Host::new(HostConfig {
            routes: Arc::clone(&routes),
            store,
            lines: Arc::clone(&lines) as Arc<dyn LineSink>,
            wake: Arc::new(|| {}),
        })
        .unwrap();
        Rig {
            host: Arc::new(host),
            place: Place::default(),
            lines,
            routes,
        }
    }

    /// Starts a Card and waits until it has ended.
    pub fn run(&self, card: &Card) -> End {
        self.start(card);
        self.end_of(card)
    }

    pub fn start(&self, card: &Card) {
        self.start_with(card, Vec::new());
    }

    /// Starts a Card that listens, with its sockets.
    pub fn start_with(&self, card: &Card, sockets: Vec<OwnedFd>) {
        let request = StartRequest {
            card: Arc::new(card.clone()),
            incarnation: 1,
            sockets,
        };
        self.place.start(&self.host, request);
    }

    pub fn stop(&self, card: &Card, reason: StopReason) -> Result<(), NotRunning> {
        self.host.stop(card.id, 1, reason)
    }

    pub fn kill(&self, card: &Card) -> Result<(), NotRunning> {
        self.place.kill(&self.host, card)
    }

    /// Starts a service and waits until it is Ready.
    pub fn start_ready(&self, card: &Card) {
        self.start(card);
        self.wait(card, |kind| matches!(kind, EventKind::Ready));
    }

    pub fn end_of(&self, card: &Card) -> End {
        match self
            .wait(card, |kind| matches!(kind, EventKind::Ended { .. }))
            .kind
        {
            // Without a word: it was killed.
            EventKind::Ended { end: End::Lost, .. } => End::Killed,
            EventKind::Ended { end, .. } => end,
            kind => panic!("{kind:?}"),
        }
    }

    /// Waits for an event of this Ente; others of it are passed over, but not its end.
    pub fn wait(&self, card: &Card, wanted: impl Fn(&EventKind) -> bool) -> Event {
        let end = Instant::now() + DEADLINE;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let event = self.host.wait_event(left).expect("no such event in time");
            if event.ente != card.id {
                continue;
            }
            if matches!(event.kind, EventKind::Ended { .. }) {
                self.place.ended(card);
            }
            if wanted(&event.kind) {
                return event;
            }
            assert!(
                !matches!(event.kind, EventKind::Ended { .. }),
                "{}: {:?}",
                card.label,
                event.kind
            );
        }
    }

    /// Calls an export of a running service.
    pub fn invoke(
        &self,
        card: &Card,
        function: &str,
        payload: &[u8],
    ) -> Result<Vec<u8>, arje_wasm::InvokeError> {
        let call = self.host.invoke(card.id, function, payload.to_vec());
        self.host.workers().block_on(call)
    }
}

/// The guest with this name, in the store, compiled.
pub fn pin(name: &str) -> Pin {
    let guest: &Guest = guest(name);
    let wasm = std::fs::read(guest.path()).unwrap();
    pin_of(&wasm)
}

/// Puts any component into the store and compiles it.
pub fn pin_of(wasm: &[u8]) -> Pin {
    let store = store();
    let pin = store.put_module(wasm).unwrap();
    store.ensure(pin, fingerprint(), &compiler()).unwrap();
    Pin(*pin.as_bytes())
}

pub fn compiler() -> Compiler {
    Compiler::new(ente_compile().unwrap())
}

pub fn fingerprint() -> Sha256 {
    arje_engine::fingerprint(&arje_engine::engine().unwrap()).into()
}

/// One store for all tests of this program, so that each guest is compiled once.
fn store() -> &'static Store {
    static STORE: OnceLock<Store> = OnceLock::new();
    STORE.get_or_init(|| {
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("wasm-store");
        Store::create(folder).unwrap()
    })
}

/// A Card for a guest; its label is the guest's name, its id is new.
pub fn card(name: &str, entry: &str) -> Card {
    card_for(pin(name), name, entry)
}

pub fn card_for(module_sha256: Pin, label: &str, entry: &str) -> Card {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let id = Id::from_parts(NEXT.fetch_add(1, Ordering::Relaxed), [7; 10]);
    let payload = Payload::Wasm(WasmPayload {
        module_sha256,
        entry: Entry::from(entry),
        argv: Vec::new(),
        envp: Default::default(),
        preopens: Vec::new(),
    });
    let mut card = Card::new(id, label, payload, Supervision::OneShot);
    card.limits.call_ms = 600_000;
    card
}

pub fn wasm(card: &mut Card) -> &mut WasmPayload {
    match &mut card.payload {
        Payload::Wasm(payload) => payload,
        _ => panic!("not Wasm"),
    }
}
