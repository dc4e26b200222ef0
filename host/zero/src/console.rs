//! Everything that PID 1 and the components say, written by one thread.
//!
//! A console can stop taking bytes (Ctrl-S, a serial line without a reader), so the core loop
//! never writes to it. It hands lines to this thread. The core's own lines are counted; when
//! [`MAX_WAITING`] of them wait, more are counted instead of kept, and the count is printed as soon as the
//! console takes bytes again. Lines of Entes take from a [`Quota`]: nobody who is supervised is made to wait
//! for the machine's console, so what has no room is not shown, and `logs` says so. On a developer's
//! console lines of components hold permits instead (see `arje_wasm::Line`), and everything is shown.

use crate::logs::Source;
use arje_wasm::{Level, Line};
use std::io::{self, Write};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::Duration;
use tracing::Level as TracingLevel;
use tracing_subscriber::fmt::MakeWriter;

/// The core's lines that wait for the console. A boot of the largest seed has some ten thousand.
const MAX_WAITING: usize = 32 * 1024;

/// Bytes of one Ente's lines that wait for the console: a program's talk while it starts, and no
/// more of a flood than a serial line of 115,200 baud writes in six seconds.
const WAITING_OF_ONE: usize = 64 * 1024;

/// Bytes of all Entes' lines that wait for the console.
const WAITING_OF_ALL: usize = 1024 * 1024;

/// Bytes of one Ente's lines that the machine's console shows in one second: a flood leaves room
/// for others, and what is not shown is in the Ente's ring.
const SHOWN_PER_SECOND: u64 = 16 * 1024;

/// Stack of the writer: it formats lines.
const STACK: usize = 128 * 1024;

/// The way to the console.
#[derive(Clone, Debug)]
pub struct Console {
    lines: Sender<Message>,
    /// Lines of the core that are handed over after its turn, so that waking the writer takes no time from what the turn
    /// is about: a start, most often.
    held: Arc<Mutex<Vec<String>>>,
    waiting: Arc<AtomicUsize>,
    lost: Arc<AtomicUsize>,
    of_entes: Arc<AtomicUsize>,
    level: Level,
    window: u64,
}

/// Room for the lines of one Ente.
#[derive(Clone, Debug, Default)]
pub struct Quota {
    own: Arc<AtomicUsize>,
    all: Arc<AtomicUsize>,
}

impl Quota {
    /// Room for a line of so many bytes, if there is any.
    #[must_use]
    pub fn take(&self, bytes: usize) -> Option<Slot> {
        let own = self.own.fetch_add(bytes, Ordering::AcqRel) + bytes;
        let all = self.all.fetch_add(bytes, Ordering::AcqRel) + bytes;
        // Gives back what it took when it is dropped, here as well.
        let slot = Slot {
            quota: self.clone(),
            bytes,
        };
        (own <= WAITING_OF_ONE && all <= WAITING_OF_ALL).then_some(slot)
    }
}

/// Room that a line takes until it has been written.
#[derive(Debug)]
pub struct Slot {
    quota: Quota,
    bytes: usize,
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.quota.own.fetch_sub(self.bytes, Ordering::AcqRel);
        self.quota.all.fetch_sub(self.bytes, Ordering::AcqRel);
    }
}

#[derive(Debug)]
enum Message {
    /// A line of the core.
    Own(String),
    /// A line of a component, which waits until it is written.
    Component(Line),
    /// A line of an Ente, with its label.
    Ente(Arc<str>, Source, String, Slot),
    /// Answered when everything before it has been written.
    Flush(Sender<()>),
}

impl Console {
    /// Starts the writer thread on `out`. Lines of components below `level` are not written.
    ///
    /// # Errors
    ///
    /// The thread cannot be started.
    pub fn start(out: impl Write + Send + 'static, level: Level) -> io::Result<Console> {
        let (lines, queue) = mpsc::channel();
        let waiting = Arc::new(AtomicUsize::new(0));
        let lost = Arc::new(AtomicUsize::new(0));
        let writer = Writer {
            out,
            queue,
            waiting: Arc::clone(&waiting),
            lost: Arc::clone(&lost),
        };
        thread::Builder::new()
            .name("console".into())
            .stack_size(STACK)
            .spawn(move || {
                crate::threads::never_preempt();
                writer.run();
            })?;
        Ok(Console {
            lines,
            held: Arc::default(),
            waiting,
            lost,
            of_entes: Arc::new(AtomicUsize::new(0)),
            level,
            window: u64::MAX,
        })
    }

    /// The machine's console: of each Ente only so much in a second. A developer's is not bounded
    /// in that way, since it is fast and shows what one wants to see.
    #[must_use]
    pub fn of_machine(self) -> Console {
        Console {
            window: SHOWN_PER_SECOND,
            ..self
        }
    }

    /// Whether it is a developer's, which is not bounded.
    #[must_use]
    pub fn shows_everything(&self) -> bool {
        self.window == u64::MAX
    }

    /// Whether lines of this kind are shown at all.
    #[must_use]
    pub fn wants(&self, source: Source) -> bool {
        source.level() >= self.level
    }

    /// Bytes of one Ente's lines to be shown in one second.
    #[must_use]
    pub fn window(&self) -> u64 {
        self.window
    }

    /// Room for the lines of another Ente.
    #[must_use]
    pub fn quota(&self) -> Quota {
        Quota {
            own: Arc::new(AtomicUsize::new(0)),
            all: Arc::clone(&self.of_entes),
        }
    }

    /// Writes one line, soon. Never blocks.
    pub fn line(&self, text: impl Into<String>) {
        self.later(text);
        self.release();
    }

    /// Writes one line after the next [`release`](Self::release), or together with the next line of any other kind.
    pub fn later(&self, text: impl Into<String>) {
        if self.waiting.fetch_add(1, Ordering::AcqRel) >= MAX_WAITING {
            self.waiting.fetch_sub(1, Ordering::AcqRel);
            self.lost.fetch_add(1, Ordering::AcqRel);
            return;
        }
        self.held().push(text.into());
    }

    /// Whether something was said [`later`](Self::later).
    #[must_use]
    pub fn holds(&self) -> bool {
        !self.held().is_empty()
    }

    /// Hands over what was said [`later`](Self::later).
    pub fn release(&self) {
        for text in self.held().drain(..) {
            // Fails only when the writer is gone, and then there is no console.
            let _ = self.lines.send(Message::Own(text));
        }
    }

    fn held(&self) -> MutexGuard<'_, Vec<String>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes a line of a component, soon.
    pub fn component(&self, line: Line) {
        if line.level >= self.level {
            let _ = self.lines.send(Message::Component(line));
        }
    }

    /// Writes a line of an Ente, soon.
    pub fn ente(&self, label: &Arc<str>, source: Source, text: String, slot: Slot) {
        if self.wants(source) {
            let message = Message::Ente(Arc::clone(label), source, text, slot);
            let _ = self.lines.send(message);
        }
    }

    /// Waits until everything said so far is written, but not longer than `at_most`. For the end
    /// of a process; the core loop does not call it while it runs.
    pub fn flush(&self, at_most: Duration) {
        self.release();
        let (done, written) = mpsc::channel();
        if self.lines.send(Message::Flush(done)).is_ok() {
            let _ = written.recv_timeout(at_most);
        }
    }
}

struct Writer<W> {
    out: W,
    queue: Receiver<Message>,
    waiting: Arc<AtomicUsize>,
    lost: Arc<AtomicUsize>,
}

impl<W: Write> Writer<W> {
    fn run(mut self) {
        while let Ok(message) = self.queue.recv() {
            // An error on the console has nowhere to be reported to.
            let _ = self.write(message);
            let lost = self.lost.swap(0, Ordering::AcqRel);
            if lost > 0 {
                let _ = writeln!(self.out, "console: {lost} lines could not be kept");
            }
        }
    }

    fn write(&mut self, message: Message) -> io::Result<()> {
        match message {
            Message::Own(text) => {
                self.waiting.fetch_sub(1, Ordering::AcqRel);
                self.out.write_all((text + "\n").as_bytes())
            }
            Message::Component(line) => {
                let source = Source::Component(line.level);
                self.of_ente(&line.label, source, &line.text)
            }
            Message::Ente(label, source, text, _slot) => self.of_ente(&label, source, &text),
            Message::Flush(done) => {
                let flushed = self.out.flush();
                let _ = done.send(());
                flushed
            }
        }
    }

    /// With its label, and with its level where a component has said one that is not info.
    fn of_ente(&mut self, label: &str, source: Source, text: &str) -> io::Result<()> {
        let line = match source {
            Source::Component(level) if level != Level::Info => {
                format!("{label}: {}: {text}\n", name(level))
            }
            _ => format!("{label}: {text}\n"),
        };
        self.out.write_all(line.as_bytes())
    }
}

fn name(level: Level) -> &'static str {
    match level {
        Level::Trace => "trace",
        Level::Debug => "debug",
        Level::Info => "info",
        Level::Warn => "warn",
        Level::Error => "error",
    }
}

/// Understands `ente.log=` and `RUST_LOG`: one level name. Targets (`crate=level`) are accepted
/// and their level is taken for everything, the most talkative of several.
#[must_use]
pub fn parse_level(filter: &str) -> Option<Level> {
    filter
        .split(',')
        .filter_map(|part| {
            let level = part.rsplit('=').next().unwrap_or(part);
            match level.trim().to_ascii_lowercase().as_str() {
                "trace" => Some(Level::Trace),
                "debug" => Some(Level::Debug),
                "info" => Some(Level::Info),
                "warn" => Some(Level::Warn),
                "error" => Some(Level::Error),
                _ => None,
            }
        })
        .min()
}

static TRACE_TO: OnceLock<Console> = OnceLock::new();

/// Sends `tracing` events to this console, from `level` on.
pub fn trace_to(console: &Console, level: Level) {
    let _ = TRACE_TO.set(console.clone());
    let level = match level {
        Level::Trace => TracingLevel::TRACE,
        Level::Debug => TracingLevel::DEBUG,
        Level::Info => TracingLevel::INFO,
        Level::Warn => TracingLevel::WARN,
        Level::Error => TracingLevel::ERROR,
    };
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(level)
        .without_time()
        .with_ansi(false)
        .with_target(false)
        .with_writer(ToConsole)
        .finish();
    // Fails only when it was set before, and then it stays as it was.
    let _ = tracing::subscriber::set_global_default(subscriber);
}

struct ToConsole;

impl MakeWriter<'_> for ToConsole {
    type Writer = OneLine;

    fn make_writer(&self) -> OneLine {
        OneLine(Vec::new())
    }
}

/// Collects one event and hands it over when it is complete.
struct OneLine(Vec<u8>);

impl Write for OneLine {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for OneLine {
    fn drop(&mut self) {
        if let Some(console) = TRACE_TO.get() {
            let text = String::from_utf8_lossy(&self.0);
            console.line(text.trim_end());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;
    use std::sync::mpsc::SyncSender;

    #[derive(Clone, Default)]
    struct Paper(Arc<Mutex<Vec<u8>>>);

    impl Write for Paper {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// A console that takes nothing until it is let go.
    struct Stuck(Paper, Receiver<()>, SyncSender<()>);

    impl Write for Stuck {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.2.try_send(());
            let _ = self.1.recv();
            self.0.write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_stuck_console_never_blocks_and_what_was_lost_is_said() {
        let paper = Paper::default();
        let (go, wait) = mpsc::channel();
        let (stuck, is_stuck) = mpsc::sync_channel(1);
        let console = Console::start(Stuck(paper.clone(), wait, stuck), Level::Info).unwrap();
        console.line("first");
        is_stuck.recv().unwrap();
        for n in 0..MAX_WAITING + 5 {
            console.line(n.to_string());
        }
        drop(go);
        console.flush(Duration::from_secs(60));
        let text = String::from_utf8(paper.0.lock().unwrap().clone()).unwrap();
        assert!(
            text.starts_with("first\nconsole: 5 lines could not be kept\n0\n"),
            "{}",
            &text[..90]
        );
        assert_eq!(text.lines().count(), MAX_WAITING + 2);
    }

    #[test]
    fn what_is_held_keeps_its_place() {
        let paper = Paper::default();
        let console = Console::start(paper.clone(), Level::Info).unwrap();
        console.later("one");
        console.later("two");
        console.line("three");
        console.later("four");
        console.flush(Duration::from_secs(60));
        console.later("five");
        console.release();
        console.flush(Duration::from_secs(60));
        assert_eq!(*paper.0.lock().unwrap(), b"one\ntwo\nthree\nfour\nfive\n");
    }

    #[test]
    fn levels_are_read_as_from_rust_log() {
        assert_eq!(parse_level("debug"), Some(Level::Debug));
        assert_eq!(parse_level("info,wasm=TRACE"), Some(Level::Trace));
        assert_eq!(parse_level("loud"), None);
    }
}
