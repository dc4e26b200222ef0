//! What PID 1 and a worker process say to each other (`docs/worker.md`).
//!
//! Frames on a Unix stream socket: the length of what follows (u32), its kind (u8), its body.
//! Integers are little-endian. Both ends come from one image, so nothing is negotiated. PID 1 takes
//! a worker for hostile: a length beyond its cap, an unknown kind or a body that does not parse is
//! [`Malformed`], and the end of the worker.

mod body;
mod frames;
mod questions;
mod socket;
mod tend;

pub use frames::Frames;
pub(crate) use questions::sent;
pub use questions::{Question, Told, can_name, left_ms, questions_at_once, within};
pub use socket::{receive_start, send_start};

use crate::control::StopReason;
use crate::event::End;
use crate::host::InvokeError;
use crate::iface::log::Level;
use arje_bus::{CallFrom, Event, Invoke};
use body::{Reader, Writer};
use std::fmt;
use std::sync::Arc;

/// Longest frame to a worker, in bytes. It holds one Card, of a file of at most 4 MiB; as much
/// again is left for the spaces of the canonical writer.
pub const MAX_COMMAND: usize = 8 << 20;

/// Longest text of a [`Report::Line`], in bytes; a worker cuts longer ones, and says so in the line.
/// Ordinary lines have at most 16 KiB; what is beyond are many fields, or escaped control characters.
pub const MAX_LINE_TEXT: usize = 64 << 10;

/// Longest payload of a call, and of its answer, in bytes: as on the bus.
pub const MAX_PAYLOAD: usize = 1 << 20;

/// Longest frame from a worker, in bytes: an answer, and some room for the numbers beside it. It is
/// what a worker can make PID 1 keep for an unfinished frame.
pub const MAX_REPORT: usize = MAX_PAYLOAD + 256;

/// Listening sockets that one Ente may be handed. As many descriptors as a native Ente may be passed.
pub const MAX_SOCKETS: usize = 64;

/// From PID 1 to the worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// The first frame, sent once. With its first byte come descriptors: the sealed artifact, then
    /// the sockets of the Card's `listen` in their order.
    Start {
        /// The number that the supervisor gave this incarnation.
        incarnation: u64,
        /// The Card without its `genesis`, as JSON.
        card: String,
    },
    /// Asks the component to stop.
    Stop(StopReason),
    /// A call of an exported function, for the host's owner. The next call comes when this one is answered.
    Call {
        /// Comes back with the answer.
        number: u64,
        /// The exported function, by its full name.
        function: String,
        /// At most [`MAX_PAYLOAD`] bytes.
        payload: Vec<u8>,
    },
    /// A call by capability, for the component's handler; else as above.
    Handle {
        /// Comes back with the answer.
        number: u64,
        /// Who calls.
        caller: CallFrom,
        /// What is asked, with what is left of its time.
        call: Invoke,
    },
    /// Something that the component subscribed to.
    Event(Arc<Event>),
    /// A call of a function of a typed service, of the interface that the call's capability names; else as above. The
    /// payload are the values, and so are the bytes of the answer.
    Typed {
        /// Comes back with the answer.
        number: u64,
        /// The function.
        function: String,
        /// Who calls.
        caller: CallFrom,
        /// What is asked, with what is left of its time.
        call: Invoke,
    },
    /// The answer to a question.
    Told {
        /// The question's.
        number: u64,
        /// What it says.
        told: Told,
    },
}

/// From the worker to PID 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Report {
    /// As [`EventKind::Started`](crate::EventKind::Started).
    Started,
    /// As [`EventKind::Ready`](crate::EventKind::Ready).
    Ready,
    /// As [`EventKind::Alive`](crate::EventKind::Alive).
    Alive,
    /// A line that the component printed.
    Line {
        /// How much it matters.
        level: Level,
        /// The text, at most [`MAX_LINE_TEXT`] bytes.
        text: String,
    },
    /// The answer to the last call.
    Answer {
        /// The call's.
        number: u64,
        /// At most [`MAX_PAYLOAD`] bytes, or why there is no answer.
        answer: Result<Vec<u8>, InvokeError>,
    },
    /// The component asks something, and waits for the answer. At most [`questions_at_once`] are under way.
    Asks {
        /// Comes back with the answer.
        number: u64,
        /// What it asks.
        question: Question,
    },
    /// The last frame.
    Ended {
        /// How it ended.
        end: End,
        /// The most bytes that its memories and tables ever had together.
        memory_peak: u64,
    },
}

/// A frame that no honest peer sends; the text says what is wrong with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed(pub(crate) &'static str);

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for Malformed {}

const START: u8 = 1;
const STOP: u8 = 2;
const CALL: u8 = 3;
const HANDLE: u8 = 4;
const TOLD: u8 = 5;
const EVENT: u8 = 7;
const TYPED: u8 = 6;

const STARTED: u8 = 0x41;
const READY: u8 = 0x42;
const ALIVE: u8 = 0x43;
const LINE: u8 = 0x44;
const ANSWER: u8 = 0x45;
const ENDED: u8 = 0x46;
const ASKS: u8 = 0x47;

impl Command {
    /// The whole frame.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Command::Start { incarnation, card } => {
                Writer::new(START).u64(*incarnation).rest(card).frame()
            }
            Command::Stop(reason) => Writer::new(STOP).u8(*reason as u8).frame(),
            Command::Call {
                number,
                function,
                payload,
            } => Writer::new(CALL)
                .u64(*number)
                .text(function)
                .bytes(payload)
                .frame(),
            Command::Handle {
                number,
                caller,
                call,
            } => {
                let writer = Writer::new(HANDLE).u64(*number);
                questions::write_invoke(questions::write_caller(writer, caller), call).frame()
            }
            Command::Event(event) => tend::write_event(Writer::new(EVENT), event).frame(),
            Command::Typed {
                number,
                function,
                caller,
                call,
            } => {
                let writer = Writer::new(TYPED).u64(*number).text(function);
                questions::write_invoke(questions::write_caller(writer, caller), call).frame()
            }
            Command::Told { number, told } => told.write(Writer::new(TOLD).u64(*number)).frame(),
        }
    }

    /// From what follows the length.
    ///
    /// # Errors
    ///
    /// [`Malformed`]
    pub fn decode(frame: &[u8]) -> Result<Command, Malformed> {
        let (kind, mut body) = Reader::new(frame)?;
        let command = match kind {
            START => Command::Start {
                incarnation: body.u64()?,
                card: body.rest()?,
            },
            STOP => Command::Stop(
                StopReason::from_number(body.u8()?).ok_or(Malformed("no such stop reason"))?,
            ),
            CALL => Command::Call {
                number: body.u64()?,
                function: body.text()?.to_owned(),
                payload: body.bytes(),
            },
            HANDLE => Command::Handle {
                number: body.u64()?,
                caller: questions::read_caller(&mut body)?,
                call: questions::read_invoke(&mut body)?,
            },
            EVENT => Command::Event(Arc::new(tend::read_event(&mut body)?)),
            TYPED => Command::Typed {
                number: body.u64()?,
                function: body.text()?.to_owned(),
                caller: questions::read_caller(&mut body)?,
                call: questions::read_invoke(&mut body)?,
            },
            TOLD => Command::Told {
                number: body.u64()?,
                told: Told::read(&mut body)?,
            },
            _ => return Err(Malformed("no such command")),
        };
        body.finished(command)
    }
}

impl Report {
    /// The whole frame. A line's text is cut to [`MAX_LINE_TEXT`].
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Report::Started => Writer::new(STARTED).frame(),
            Report::Ready => Writer::new(READY).frame(),
            Report::Alive => Writer::new(ALIVE).frame(),
            Report::Line { level, text } => Writer::new(LINE)
                .u8(*level as u8)
                .rest(&cut_to(text, MAX_LINE_TEXT))
                .frame(),
            Report::Answer { number, answer } => {
                body::answer(Writer::new(ANSWER).u64(*number), answer).frame()
            }
            Report::Asks { number, question } => {
                question.write(Writer::new(ASKS).u64(*number)).frame()
            }
            Report::Ended { end, memory_peak } => {
                body::end(Writer::new(ENDED).u64(*memory_peak), end).frame()
            }
        }
    }

    /// From what follows the length.
    ///
    /// # Errors
    ///
    /// [`Malformed`]
    pub fn decode(frame: &[u8]) -> Result<Report, Malformed> {
        let (kind, mut body) = Reader::new(frame)?;
        let report = match kind {
            STARTED => Report::Started,
            READY => Report::Ready,
            ALIVE => Report::Alive,
            LINE => Report::Line {
                level: Level::from_number(body.u8()?).ok_or(Malformed("no such level"))?,
                text: body.rest()?,
            },
            ANSWER => Report::Answer {
                number: body.u64()?,
                answer: body.answer()?,
            },
            ASKS => Report::Asks {
                number: body.u64()?,
                question: Question::read(&mut body)?,
            },
            ENDED => Report::Ended {
                memory_peak: body.u64()?,
                end: body.end()?,
            },
            _ => return Err(Malformed("no such report")),
        };
        body.finished(report)
    }
}

/// The text, cut at a character boundary so that it has at most `max` bytes with the note of what is
/// missing.
fn cut_to(text: &str, max: usize) -> std::borrow::Cow<'_, str> {
    if text.len() <= max {
        return text.into();
    }
    // Room for the note, whatever its number.
    let kept = text.floor_char_boundary(max - crate::output::more_bytes(u64::MAX).len());
    let cut = (text.len() - kept) as u64;
    (text[..kept].to_owned() + &crate::output::more_bytes(cut)).into()
}

#[cfg(test)]
mod tests;
