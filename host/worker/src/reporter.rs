//! The thread that tells PID 1 what happens.
//!
//! Lines and events go through one queue, so they arrive in the order in which they happened. Lines
//! hold permits until they are written: when PID 1 does not read, the component waits.

use crate::questions::Questions;
use crate::{ENDED, LEFT_ALONE};
use arje_wasm::wire::Report;
use arje_wasm::{End, EventKind, Host, InvokeError, Line, LineSink};
use std::io::{self, Write};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// Stack of the thread: it formats frames.
const STACK: usize = 128 * 1024;

enum Message {
    Line(Line),
    Answer(u64, Result<Vec<u8>, InvokeError>),
    /// A question whose turn has come.
    Ask(Report),
    /// There are events.
    Look,
}

/// The way to PID 1.
pub(crate) struct Reporter {
    /// Bounded by what sends: a line for each permit of its Ente, a look for each event, one question for each answer
    /// of PID 1, which has one call under way.
    queue: Sender<Message>,
    /// Until the thread takes them.
    ends: Mutex<Option<(UnixStream, Receiver<Message>)>>,
    /// The end of the component is told, or about to be.
    told: Arc<AtomicBool>,
}

/// Takes the component's lines.
struct Lines(Sender<Message>);

impl LineSink for Lines {
    fn accept(&self, line: Line) {
        let _ = self.0.send(Message::Line(line)); // fails when the process is about to exit
    }
}

/// Takes the answers to calls.
pub(crate) struct Answers(Sender<Message>);

impl Answers {
    pub(crate) fn send(&self, number: u64, answer: Result<Vec<u8>, InvokeError>) {
        let _ = self.0.send(Message::Answer(number, answer)); // as above
    }
}

impl Reporter {
    pub(crate) fn new(socket: UnixStream) -> Reporter {
        let (queue, messages) = mpsc::channel();
        Reporter {
            queue,
            ends: Mutex::new(Some((socket, messages))),
            told: Arc::default(),
        }
    }

    pub(crate) fn lines(&self) -> Arc<dyn LineSink> {
        Arc::new(Lines(self.queue.clone()))
    }

    pub(crate) fn answers(&self) -> Answers {
        Answers(self.queue.clone())
    }

    pub(crate) fn send(&self, question: Report) {
        let _ = self.queue.send(Message::Ask(question)); // as above
    }

    pub(crate) fn wake(&self) -> Arc<dyn Fn() + Send + Sync> {
        let queue = self.queue.clone();
        Arc::new(move || {
            let _ = queue.send(Message::Look); // as above
        })
    }

    /// PID 1 has closed the socket: because it heard the end, or for reasons of its own.
    pub(crate) fn leave(&self) -> ! {
        let told = self.told.load(Ordering::Acquire);
        std::process::exit(if told { ENDED } else { LEFT_ALONE })
    }

    fn take(&self) -> Option<(UnixStream, Receiver<Message>)> {
        let mut ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner);
        ends.take()
    }

    /// Starts the thread; it ends the process.
    ///
    /// # Errors
    ///
    /// There is no room for a thread.
    pub(crate) fn start(&self, host: Arc<Host>, questions: Arc<Questions>) -> io::Result<()> {
        let Some((mut socket, messages)) = self.take() else {
            return Ok(()); // it has been started
        };
        let told = Arc::clone(&self.told);
        thread::Builder::new()
            .name("reporter".into())
            .stack_size(STACK)
            .spawn(move || {
                // It fails when PID 1 is gone, or has given up on this process.
                let told = tell(&mut socket, &messages, (&host, &questions), &told);
                std::process::exit(if told.is_ok() { ENDED } else { LEFT_ALONE })
            })?;
        Ok(())
    }

    /// Tells that the component never ran, and exits.
    pub(crate) fn refuse(&self, end: End) -> ! {
        if let Some((mut socket, _)) = self.take() {
            let report = Report::Ended {
                end,
                memory_peak: 0,
            };
            let _ = socket.write_all(&report.encode()); // nobody else could be told
        }
        std::process::exit(ENDED)
    }
}

/// Tells everything up to the end.
fn tell(
    socket: &mut UnixStream,
    messages: &Receiver<Message>,
    (host, questions): (&Host, &Questions),
    told: &AtomicBool,
) -> io::Result<()> {
    loop {
        match messages.recv() {
            Ok(Message::Line(line)) => {
                let report = Report::Line {
                    level: line.level,
                    text: line.text.clone(),
                };
                socket.write_all(&report.encode())?;
            }
            Ok(Message::Answer(number, answer)) => {
                socket.write_all(&Report::Answer { number, answer }.encode())?;
            }
            Ok(Message::Ask(question)) => socket.write_all(&question.encode())?,
            Ok(Message::Look) => {
                // One event for each look: a later one may have lines before it in the queue.
                let Some(event) = host.next_event() else {
                    continue;
                };
                let Some(report) = report(event.kind, questions) else {
                    continue;
                };
                let last = matches!(report, Report::Ended { .. });
                told.store(last, Ordering::Release);
                socket.write_all(&report.encode())?;
                if last {
                    return Ok(());
                }
            }
            Err(closed) => return Err(io::Error::other(closed)),
        }
    }
}

/// What is said of it now; a question may have to wait for its turn.
fn report(event: EventKind, questions: &Questions) -> Option<Report> {
    Some(match event {
        // The pin is PID 1's to tell.
        EventKind::Started { .. } => Report::Started,
        EventKind::Ready => Report::Ready,
        EventKind::Alive => Report::Alive,
        EventKind::Asks(ask) => return questions.ask(ask),
        EventKind::TookOver { .. } => return None, // nobody is replaced here
        EventKind::Ended { end, memory_peak } => Report::Ended { end, memory_peak },
    })
}
