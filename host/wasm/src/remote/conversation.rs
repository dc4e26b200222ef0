//! The conversation with a worker that has got its component: one word at a time, at a bounded pace,
//! and never waiting for it alone.

use super::outbox::Outbox;
use super::pace::Pace;
use super::phase::Phase;
use super::questions::{Questions, check_values};
use super::{Calls, Ended, Remote};
use crate::calls::face::Face;
use crate::calls::values::results;
use crate::calls::{Answer, Call, Invocation, Reply, Work};
use crate::event::{End, EventKind};
use crate::host::InvokeError;
use crate::iface::log::Level;
use crate::output::printable;
use crate::wire::{Command, Frames, MAX_PAYLOAD, MAX_REPORT, Malformed, Report, can_name, sent};
use arje_bus::HandlerError;
use nix::sys::socket::{MsgFlags, recv};
use std::io;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use tokio::net::UnixStream;
use tokio::time::{Instant, sleep_until};
use wasmtime::component::Type;

/// Bytes read from a worker that is gone. The kernel holds at most what its socket buffer takes
/// (`net.core.wmem_default`, 208 KiB); more would come from somebody who inherited the socket.
const MAX_LAST_WORDS: usize = 1 << 20;

/// Bytes read at once.
const CHUNK: usize = 8 * 1024;

/// What comes of one look at the worker.
enum Next {
    /// Something was done; look again.
    Again,
    /// It is over.
    Over(Ended),
    /// The process is gone, or closed its end.
    Gone,
}

/// A call that it is at.
struct Asked {
    number: u64,
    /// Of a typed function; absent where the answer is bytes.
    results: Option<Vec<Type>>,
    /// Who waits for the answer.
    reply: Reply,
}

/// Talks with a worker that has got its parcel.
pub(super) struct Conversation<'a> {
    remote: &'a Remote,
    socket: UnixStream,
    frames: Frames,
    /// What is read into, before it goes to `frames`.
    chunk: Box<[u8]>,
    phase: Phase,
    pace: Pace,
    /// A line that waits for room, and keeps what comes after it from being read.
    line: Option<(Level, String)>,
    out: Outbox,
    /// What it asks.
    questions: Questions,
    /// The process is gone: nobody waits for answers any more.
    gone: bool,
    /// Until it is asked to stop.
    calls: Option<Calls>,
    /// The call that it is at.
    asked: Option<Asked>,
    /// Calls so far.
    count: u64,
}

impl<'a> Conversation<'a> {
    pub(super) fn new(remote: &'a Remote, socket: UnixStream, calls: Calls) -> Conversation<'a> {
        Conversation {
            remote,
            socket,
            frames: Frames::new(MAX_REPORT),
            chunk: vec![0; CHUNK].into(),
            phase: Phase::new(&remote.card, Instant::now()),
            pace: Pace::new(Instant::now()),
            line: None,
            out: Outbox::default(),
            questions: Questions::new(&remote.card),
            gone: false,
            calls: remote.is_called().then_some(calls),
            asked: None,
            count: 0,
        }
    }

    /// Holds it to its end.
    pub(super) async fn hold(mut self) -> Result<Ended, End> {
        loop {
            match self.step().await? {
                Next::Again => {}
                Next::Over(ended) => return Ok(ended),
                Next::Gone => return self.last_words(),
            }
        }
    }

    /// Takes the next word, or waits for whatever happens first.
    async fn step(&mut self) -> Result<Next, End> {
        let remote = self.remote;
        let may_read = self.line.is_none() && !self.out.is_full();
        if may_read && let Some(report) = self.next_report()? {
            self.pace.note_frame(Instant::now());
            return self.take(report);
        }
        let pause = self.pace.pause();
        tokio::select! {
            biased;
            () = remote.control.killed() => Ok(Next::Gone),
            () = at(self.phase.deadline()) => Err(self.phase.too_late()),
            () = remote.control.stopped(), if !self.phase.is_stopping() => {
                self.ask_to_stop();
                Ok(Next::Again)
            }
            () = self.out.write_some(&self.socket) => Ok(Next::Again),
            (number, told) = self.questions.next() => {
                self.out.push(Command::Told { number, told }.encode());
                Ok(Next::Again)
            }
            Some(call) = next_call(&mut self.calls), if self.asked.is_none() && self.phase.serves() => {
                self.ask(*call);
                Ok(Next::Again)
            }
            () = remote.control.told(), if self.phase.serves() && !self.out.is_full() => {
                if let Some(event) = remote.control.take_event() {
                    self.out.push(Command::Event(event).encode());
                }
                Ok(Next::Again)
            }
            room = remote.output.room(), if self.line.is_some() => {
                if let Some((level, text)) = self.line.take() {
                    remote.output.accept(level, text, room);
                }
                Ok(Next::Again)
            }
            () = at(pause), if may_read && pause.is_some() => {
                self.pace.renew(Instant::now());
                Ok(Next::Again)
            }
            ready = self.socket.readable(), if may_read && pause.is_none() => {
                ready.map_err(|_| End::Lost)?;
                self.read()
            }
        }
    }

    fn ask_to_stop(&mut self) {
        self.phase.stopping();
        self.calls = None; // those who wait are told now, not when the process is gone
        if let Some(reason) = self.remote.control.stop_reason() {
            self.out.push(Command::Stop(reason).encode());
        }
    }

    fn ask(&mut self, call: Invocation) {
        let Invocation {
            work,
            reply,
            charge,
        } = call;
        drop(charge); // it does not wait any more
        if reply.is_closed() {
            return; // nobody waits any more: cancelled, or too late
        }
        let number = self.count + 1;
        let results = match &work {
            Work::Typed(call) => Some(results(&call.ty)),
            Work::Function { .. } | Work::Handle(_) => None,
        };
        let face = self.remote.control.face();
        match command(number, work, face.map(Arc::as_ref)) {
            Ok(command) => {
                self.count = number;
                self.out.push(command.encode());
                self.asked = Some(Asked {
                    number,
                    results,
                    reply,
                });
                self.phase.asked(Instant::now());
            }
            Err(error) => drop(reply.send(Err(error))), // the caller may have gone
        }
    }

    fn answered(
        &mut self,
        number: u64,
        answer: Result<Vec<u8>, InvokeError>,
    ) -> Result<(), Malformed> {
        let asked = self.asked.take().filter(|asked| asked.number == number);
        let asked = asked.ok_or(Malformed("an answer to no call"))?;
        self.phase.answered();
        let answer = match (answer, asked.results) {
            (Ok(bytes), Some(types)) => {
                check_values(&bytes, &types)?.map(|()| Answer::Values(bytes))
            }
            (answer, _) => answer.map(Answer::Bytes),
        };
        let _ = asked.reply.send(answer); // the caller may have gone
        Ok(())
    }

    fn read(&mut self) -> Result<Next, End> {
        match self.socket.try_read(&mut self.chunk) {
            Ok(0) => Ok(Next::Gone),
            Ok(read) => {
                self.frames.push(&self.chunk[..read]);
                self.pace.note_bytes(read, Instant::now());
                Ok(Next::Again)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Next::Again),
            Err(_) => Ok(Next::Gone),
        }
    }

    fn next_report(&mut self) -> Result<Option<Report>, End> {
        let broken = |malformed: Malformed| End::Broken(malformed.to_string());
        let Some(frame) = self.frames.next_frame().map_err(broken)? else {
            return Ok(None);
        };
        Report::decode(frame).map(Some).map_err(broken)
    }
    /// Carries out what the worker said, if it may say that now.
    fn take(&mut self, report: Report) -> Result<Next, End> {
        let broken = |malformed: Malformed| End::Broken(malformed.to_string());
        match report {
            Report::Started => {
                self.phase.started(Instant::now()).map_err(broken)?;
                if let Some(pin) = self.remote.pin() {
                    self.remote.send(EventKind::Started { pin });
                }
            }
            Report::Ready => {
                self.phase.ready().map_err(broken)?;
                self.remote.send(EventKind::Ready);
            }
            Report::Alive => {
                self.phase.alive(Instant::now()).map_err(broken)?;
                self.remote.send(EventKind::Alive);
            }
            // Made printable once more: the worker may not have done so.
            Report::Line { level, text } => self.line = Some((level, printable(&text))),
            Report::Answer { number, answer } => self.answered(number, answer).map_err(broken)?,
            Report::Asks { .. } if self.gone => {}
            Report::Asks { number, question } => {
                let taken = self.questions.take(self.remote, number, question);
                taken.map_err(broken)?;
            }
            Report::Ended { end, memory_peak } => return Ok(Next::Over((end, memory_peak))),
        }
        Ok(Next::Again)
    }

    /// Takes what a worker that is gone had said, without waiting for anything.
    fn last_words(mut self) -> Result<Ended, End> {
        self.gone = true;
        let mut left = MAX_LAST_WORDS;
        loop {
            if let Some(ended) = self.take_all()? {
                return Ok(ended);
            }
            // Asked of the kernel and not of tokio, which only knows what its reactor has come to see.
            match recv(
                self.socket.as_raw_fd(),
                &mut self.chunk,
                MsgFlags::MSG_DONTWAIT,
            ) {
                Ok(read) if read > 0 && left > 0 => {
                    left = left.saturating_sub(read);
                    self.frames.push(&self.chunk[..read]);
                }
                _ => return Err(End::Lost),
            }
        }
    }

    /// Takes every whole frame; how it ended, if that is among them.
    fn take_all(&mut self) -> Result<Option<Ended>, End> {
        loop {
            if let Some((level, text)) = self.line.take() {
                self.remote.output.try_print(level, text);
            }
            let Some(report) = self.next_report()? else {
                return Ok(None);
            };
            if let Next::Over(ended) = self.take(report)? {
                return Ok(Some(ended));
            }
        }
    }
}

/// Returns at that time; without one, never.
async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}

/// What the worker is to do.
fn command(number: u64, work: Work, face: Option<&Face>) -> Result<Command, InvokeError> {
    match work {
        Work::Function { payload, .. } if payload.len() > MAX_PAYLOAD => Err(InvokeError::TooLarge),
        Work::Function { name, payload } => Ok(Command::Call {
            number,
            function: name.into(),
            payload,
        }),
        Work::Handle(call) => {
            let (caller, call) = sent(nameable(call)?);
            Ok(Command::Handle {
                number,
                caller,
                call,
            })
        }
        Work::Typed(call) => {
            let face = face.ok_or(InvokeError::Refused(HandlerError::Unsupported))?;
            let (function, call) = call.sent_to(face)?;
            let (caller, call) = sent(nameable(call)?);
            Ok(Command::Typed {
                number,
                function,
                caller,
                call,
            })
        }
    }
}

fn nameable(call: Call) -> Result<Call, InvokeError> {
    match can_name(&call.capability) {
        true => Ok(call),
        false => Err(InvokeError::Refused(HandlerError::Unsupported)),
    }
}

/// The next call; `None` when there can be no more.
async fn next_call(calls: &mut Option<Calls>) -> Option<Box<Invocation>> {
    calls.as_mut()?.recv().await
}
