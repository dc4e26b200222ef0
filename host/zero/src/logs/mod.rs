//! What the Entes print: taken in by a thread of its own, kept in one bounded ring for each Ente, and
//! shown on the console. See `docs/output.md`.
//!
//! Three sides meet here. Programs write into pipes, which the thread (`drain.rs`) empties whatever
//! happens, so that no program waits for PID 1. Components hand over lines that hold permits, so they
//! wait for the console. The core loop and the bus read the rings; they wait at most for one short
//! copy under a lock that only this thread and they take, never for a program, a component or the
//! console.

mod drain;
mod handover;
mod intake;
mod line;
mod ring;
mod talker;

pub use drain::Captured;
pub use handover::{LeftPipe, Paused};

use crate::console::Console;
use crate::poller::Wake;
use arje_card::Id;
use arje_wasm::{Level, Line, LineSink};
use drain::{Drain, Message, Signal};
use ring::Ring;
use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// What one Ente may keep: some hundred lines, which is what one looks at after a crash.
const RING_BYTES: usize = 64 * 1024;

/// What all Entes together may keep. Beyond 512 of them each gets less (see [`Rings::share`]), so
/// that ten thousand talkative ones do not fill a small machine.
const ALL_BYTES: usize = 32 * 1024 * 1024;

/// Where a line came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Standard output of a process.
    Stdout,
    /// Standard error of a process.
    Stderr,
    /// A component, at this level: its standard output is info, its standard error warn.
    Component(Level),
}

impl Source {
    /// How much its lines matter. As for components, standard output is info and standard error warn.
    #[must_use]
    pub fn level(self) -> Level {
        match self {
            Source::Stdout => Level::Info,
            Source::Stderr => Level::Warn,
            Source::Component(level) => level,
        }
    }
}

/// Lines that were not kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lost {
    /// How many.
    pub lines: u64,
    /// Their length in bytes, newlines included.
    pub bytes: u64,
}

/// What a record holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// One line, without its newline and without control characters but tabs, at most about 16 KiB.
    Line {
        /// Where it came from.
        source: Source,
        /// The text.
        text: String,
    },
    /// At this place lines are missing: the Ente printed faster than its budget.
    Lost(Lost),
}

/// One record of an Ente's output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its number: 0, 1, 2… over the life of the Ente, restarts included.
    pub number: u64,
    /// When it was taken in, microseconds since 1970 (`CLOCK_REALTIME`).
    pub time_us: u64,
    /// Which incarnation printed it.
    pub incarnation: u64,
    /// The line.
    pub entry: Entry,
}

/// A part of an Ente's output.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// The oldest first.
    pub records: Vec<Record>,
    /// Ask for this number next.
    pub next: u64,
    /// Records between the number asked for and the first of these that were overwritten.
    pub missed: u64,
}

/// The rings of all Entes.
struct Rings {
    by_ente: HashMap<Id, Ring>,
    share: usize,
}

impl Rings {
    /// What each of so many Entes may keep. It changes only when their number passes a power of two,
    /// so that adding Entes one by one does not look at all rings each time.
    fn share(entes: usize) -> usize {
        RING_BYTES.min(ALL_BYTES / entes.max(1).next_power_of_two())
    }

    fn open(&mut self, id: Id) {
        let share = Rings::share(self.by_ente.len() + 1);
        if share != self.share {
            self.set_share(share);
        }
        self.by_ente.entry(id).or_insert_with(|| Ring::new(share));
    }

    fn remove(&mut self, id: Id) {
        self.by_ente.remove(&id);
        let share = Rings::share(self.by_ente.len());
        if share != self.share {
            self.set_share(share);
        }
    }

    fn set_share(&mut self, share: usize) {
        self.share = share;
        for ring in self.by_ente.values_mut() {
            ring.set_limit(share);
        }
    }
}

/// What the thread and the readers share.
struct Shared {
    rings: Mutex<Rings>,
    followers: AtomicUsize,
    /// The thread is gone, by a defect.
    lost: AtomicBool,
}

impl Shared {
    fn rings(&self) -> MutexGuard<'_, Rings> {
        // A panic in the middle of a push would leave one record cut short; reading checks lengths.
        self.rings.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The output of all Entes. Clones are handles to the same.
#[derive(Clone)]
pub struct Logs {
    shared: Arc<Shared>,
    messages: Sender<Message>,
    signal: Arc<Signal>,
    /// Pipes were attached of which the thread does not know yet.
    attached: Arc<AtomicBool>,
}

impl Logs {
    /// Starts the thread. Lines go on to `console`; `wake` is called when there are new ones and
    /// somebody [follows](Self::follow).
    ///
    /// # Errors
    ///
    /// A descriptor or the thread cannot be made.
    pub fn start(console: Console, wake: Wake) -> io::Result<Logs> {
        let shared = Arc::new(Shared {
            rings: Mutex::new(Rings {
                by_ente: HashMap::new(),
                share: RING_BYTES,
            }),
            followers: AtomicUsize::new(0),
            lost: AtomicBool::new(false),
        });
        let (messages, queue) = mpsc::channel();
        let signal = Arc::new(Signal::new()?);
        Drain::start(
            Arc::clone(&shared),
            console,
            wake,
            queue,
            Arc::clone(&signal),
        )?;
        Ok(Logs {
            shared,
            messages,
            signal,
            attached: Arc::default(),
        })
    }

    /// Whether something was [attached](Self::attach) of which the thread does not know.
    #[must_use]
    pub fn owes(&self) -> bool {
        self.attached.load(Ordering::Acquire)
    }

    /// Wakes the thread for what was [attached](Self::attach). The core loop does it after its turn: a pipe holds what is
    /// written until then, and starting its writer is more urgent.
    pub fn hand_on(&self) {
        if self.attached.swap(false, Ordering::AcqRel) {
            self.signal.raise();
        }
    }

    fn send(&self, message: Message) {
        // Fails only when the thread is gone, and then nobody is left to print for.
        if self.messages.send(message).is_ok() {
            self.signal.raise();
        }
    }

    /// Whether the thread has ended although it is needed. Then the core loop was woken.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        self.shared.lost.load(Ordering::Acquire)
    }

    /// An Ente is about to live: from now on its lines are kept, over restarts, until
    /// [`remove`](Self::remove).
    pub fn open(&self, id: Id) {
        self.shared.rings().open(id);
    }

    /// Takes the reading ends of an incarnation's output; they are read from the next [`hand_on`](Self::hand_on) on.
    pub fn attach(&self, captured: Captured) {
        if self.messages.send(Message::Attach(captured)).is_ok() {
            self.attached.store(true, Ordering::Release);
        }
    }

    /// Forgets an Ente and what it printed.
    pub fn remove(&self, id: Id) {
        self.shared.rings().remove(id);
        self.send(Message::Forget(id));
    }

    /// The last `lines` records. `None` for an Ente that is not known.
    #[must_use]
    pub fn tail(&self, id: Id, lines: u64) -> Option<Page> {
        let rings = self.shared.rings();
        let ring = rings.by_ente.get(&id)?;
        let from = ring.next().saturating_sub(lines).max(ring.first());
        Some(page(ring, from, usize::MAX))
    }

    /// The records from number `from` on, about `most` bytes of them, but at least one if there is
    /// any. `None` for an Ente that is not known.
    #[must_use]
    pub fn since(&self, id: Id, from: u64, most: usize) -> Option<Page> {
        let rings = self.shared.rings();
        Some(page(rings.by_ente.get(&id)?, from, most))
    }

    /// As long as the value lives, new lines wake the core loop, at most once per turn of the thread.
    #[must_use]
    pub fn follow(&self) -> Following {
        self.shared.followers.fetch_add(1, Ordering::AcqRel);
        Following(Arc::clone(&self.shared))
    }

    /// Waits until what has been written so far, and whatever still lies in the pipes, has been handed
    /// to the console, but not longer than `at_most`. For the end of a process; the core loop does not
    /// call it while it runs.
    pub fn flush(&self, at_most: Duration) {
        let (done, flushed) = mpsc::channel();
        self.send(Message::Flush(done));
        let _ = flushed.recv_timeout(at_most);
    }
}

fn page(ring: &Ring, from: u64, most: usize) -> Page {
    let records = ring.records(from, most);
    Page {
        next: records
            .last()
            .map_or(from.max(ring.next()), |last| last.number + 1),
        missed: ring.first().saturating_sub(from),
        records,
    }
}

impl LineSink for Logs {
    fn accept(&self, line: Line) {
        self.send(Message::Component(line));
    }
}

/// Somebody waits for new lines; see [`Logs::follow`].
pub struct Following(Arc<Shared>);

impl Drop for Following {
    fn drop(&mut self) {
        self.0.followers.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests;
