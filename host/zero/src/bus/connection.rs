//! One connection: its buffers, its deadlines, and nothing about what is said on it.

use super::caller::Caller;
use super::calls::UnderWay;
use super::event::Subscription;
use super::limits::{
    FRAME_TIME, HELLO_TIME, LOG_PARTS, MAX_OUTBOUND, READ_CHUNK, READ_TIME, SMALL_FRAME,
};
use super::log::Tail;
use super::outbox::Outbox;
use super::quota::Bytes;
use crate::logs::Logs;
use crate::poller::Interest;
use arje_bus::{Broken, Call, Event, FrameReader, Notice, ServerFrame, encode};
use arje_supervisor::Millis;
use serde::Serialize;
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// The connection is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gone;

/// How far a connection has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// The peer has not said hello.
    Hello,
    /// It may ask.
    Open,
    /// Nothing is read any more; it is closed when everything is sent.
    Closing,
}

/// A connection.
pub struct Connection {
    /// The socket, non-blocking.
    pub stream: UnixStream,
    /// Who is at the other end.
    pub caller: Caller,
    /// How far it has come.
    pub stage: Stage,
    /// What it subscribed to.
    pub subscriptions: Vec<Subscription>,
    /// The logs of which it is still to get parts.
    pub tails: Vec<Tail>,
    /// What the poller was last told.
    pub interest: Interest,
    /// The deadline that the table of deadlines has.
    pub noted: Option<Millis>,
    /// What its owner was charged for it.
    pub charged: Bytes,
    /// Requests whose answer comes later.
    pub awaited: usize,
    /// What is under way for it elsewhere.
    pub under_way: Vec<Box<dyn UnderWay>>,
    /// The peer sends nothing more.
    pub eof: bool,
    said_all: bool,
    abandoned: bool,
    reader: FrameReader,
    out: Outbox,
    accepted: Millis,
    /// When the frame that is not complete began.
    begun: Option<Millis>,
    /// When bytes last left, or began to wait.
    moved: Millis,
}

impl Connection {
    /// A fresh one, on a non-blocking socket.
    #[must_use]
    pub fn new(stream: UnixStream, caller: Caller, now: Millis) -> Connection {
        Connection {
            stream,
            caller,
            stage: Stage::Hello,
            subscriptions: Vec::new(),
            tails: Vec::new(),
            interest: Interest::READ,
            noted: None,
            charged: Bytes::default(),
            awaited: 0,
            under_way: Vec::new(),
            eof: false,
            said_all: false,
            abandoned: false,
            reader: FrameReader::new(),
            out: Outbox::default(),
            accepted: now,
            begun: None,
            moved: now,
        }
    }

    /// Reads what is there, at most [`READ_CHUNK`] bytes, unless enough waits to be worked off.
    ///
    /// # Errors
    ///
    /// The socket is broken.
    pub fn read(&mut self) -> Result<(), Gone> {
        if !self.may_read() {
            return Ok(());
        }
        let mut chunk = [0; READ_CHUNK];
        match self.stream.read(&mut chunk) {
            Ok(0) => self.eof = true,
            Ok(count) => self.reader.push(&chunk[..count]),
            Err(error) if is_temporary(&error) => {}
            Err(_) => return Err(Gone),
        }
        Ok(())
    }

    /// The next frame, if there is room for its answer.
    ///
    /// # Errors
    ///
    /// What comes is no frame.
    pub fn next_body(&mut self) -> Result<Option<Vec<u8>>, Broken> {
        if self.stage == Stage::Closing || self.is_full() {
            return Ok(None);
        }
        self.reader.take()
    }

    /// Whether [`next_body`](Self::next_body) has something.
    #[must_use]
    pub fn is_runnable(&self) -> bool {
        self.stage != Stage::Closing && !self.is_full() && self.reader.has_frame()
    }

    /// Whether the peer's last request has been taken. Told once.
    pub fn has_said_all(&mut self) -> bool {
        let all = self.eof && !self.reader.has_frame();
        all && !std::mem::replace(&mut self.said_all, true)
    }

    /// Puts a frame into the queue.
    pub fn push(&mut self, frame: &impl Serialize, now: Millis) {
        self.queue(frame, false, now);
    }

    /// Puts a call into the queue.
    pub fn push_call(&mut self, call: Call, now: Millis) {
        self.queue(&ServerFrame::Call(call), true, now);
    }

    fn queue(&mut self, frame: &impl Serialize, is_call: bool, now: Millis) {
        if self.abandoned {
            return;
        }
        match encode(frame) {
            Ok(bytes) => {
                if self.out.is_empty() {
                    self.moved = now;
                }
                self.out.push(bytes, is_call);
            }
            // Answers are bounded far below a frame, so this is a defect; the peer sees an end
            // instead of a gap.
            Err(error) => {
                tracing::error!(%error, "bus: an answer");
                self.stage = Stage::Closing;
            }
        }
    }

    /// Gives an event to the subscriptions that want it; counts it where the queue is full.
    pub fn publish(&mut self, event: &Event, now: Millis) {
        for index in 0..self.subscriptions.len() {
            let full = self.is_full();
            let subscription = &mut self.subscriptions[index];
            if !subscription.wants(event) {
                continue;
            }
            if full || subscription.lagged > 0 {
                subscription.lagged += 1;
                continue;
            }
            let frame = notice(subscription.serial, event.clone());
            self.push(&frame, now);
        }
    }

    /// Queues the next part of each log, where there is room; tells whether there was one.
    fn queue_logs(&mut self, logs: &Logs, now: Millis) -> bool {
        let mut queued = false;
        let mut tails = std::mem::take(&mut self.tails);
        tails.retain_mut(|tail| {
            if self.is_full() {
                return true;
            }
            let Some(content) = tail.next_part(logs) else {
                return true;
            };
            queued = true;
            let (serial, more) = (tail.serial, content.more);
            self.push(&ServerFrame::Log(Notice { serial, content }), now);
            more
        });
        self.tails = tails;
        queued
    }

    /// Sends what waits, and parts of logs as long as the peer takes them; tells whether it should be
    /// called again in the next turn.
    ///
    /// # Errors
    ///
    /// As for [`write`](Self::write).
    pub fn send(&mut self, logs: &Logs, now: Millis) -> Result<bool, Gone> {
        for _ in 0..LOG_PARTS {
            let queued = self.queue_logs(logs, now);
            self.write(now)?;
            if !queued || !self.out.is_empty() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Reports lag where there is room again.
    fn report_lag(&mut self, now: Millis) {
        for index in 0..self.subscriptions.len() {
            if self.is_full() {
                return;
            }
            let subscription = &mut self.subscriptions[index];
            let lagged = std::mem::take(&mut subscription.lagged);
            if lagged > 0 {
                let frame = notice(subscription.serial, Event::Lagged(lagged));
                self.push(&frame, now);
            }
        }
    }

    /// Writes what the peer takes.
    ///
    /// # Errors
    ///
    /// The socket is broken, or everything that was to be sent before its end is.
    fn write(&mut self, now: Millis) -> Result<(), Gone> {
        loop {
            self.report_lag(now);
            let front = self.out.front();
            if front.is_empty() {
                break;
            }
            match self.stream.write(front) {
                Ok(count) => {
                    self.out.sent(count);
                    self.moved = now;
                }
                Err(error) if is_temporary(&error) => break,
                Err(_) => return Err(Gone),
            }
        }
        if self.is_over() { Err(Gone) } else { Ok(()) }
    }

    /// Notes when the frame that is not complete began.
    pub fn note_progress(&mut self, now: Millis) {
        let partial = self.reader.held() > 0 && !self.reader.has_frame();
        self.begun = partial.then(|| self.begun.unwrap_or(now));
    }

    /// Bytes held beyond what every connection may hold.
    #[must_use]
    pub fn excess(&self) -> Bytes {
        Bytes {
            inbound: self.reader.held().saturating_sub(SMALL_FRAME),
            outbound: self.out.len().saturating_sub(MAX_OUTBOUND),
        }
    }

    /// Nothing is sent any more, and the connection is over.
    pub fn abandon(&mut self) {
        self.stage = Stage::Closing;
        self.abandoned = true;
        self.out.clear();
        self.tails.clear();
    }

    /// Bytes that wait to be sent.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.out.len()
    }

    /// Bytes that came and are not worked off.
    #[cfg(test)]
    pub fn held(&self) -> usize {
        self.reader.held()
    }

    /// What to wait for.
    #[must_use]
    pub fn wanted_interest(&self) -> Interest {
        Interest {
            read: self.may_read(),
            write: !self.out.is_empty(),
        }
    }

    /// When it is closed, if nothing happens until then.
    #[must_use]
    pub fn deadline(&self) -> Option<Millis> {
        let plus = |at: Millis, time: Duration| at.plus(time.as_millis() as u64);
        let hello = (self.stage == Stage::Hello).then(|| plus(self.accepted, HELLO_TIME));
        let frame = self.begun.map(|at| plus(at, FRAME_TIME));
        let sending = (!self.out.is_empty()).then(|| plus(self.moved, READ_TIME));
        hello.into_iter().chain(frame).chain(sending).min()
    }

    fn is_full(&self) -> bool {
        self.out.beside_calls() > MAX_OUTBOUND
    }

    fn may_read(&self) -> bool {
        !self.eof && self.stage != Stage::Closing && !self.is_full() && !self.reader.has_frame()
    }

    /// Nothing is left to be read, answered or sent.
    fn is_over(&self) -> bool {
        let asked = self.awaited == 0 && !self.reader.has_frame();
        let read = self.stage == Stage::Closing || (self.eof && asked);
        read && self.out.is_empty() && self.tails.is_empty()
    }
}

fn notice(serial: u32, content: Event) -> ServerFrame {
    ServerFrame::Event(Notice { serial, content })
}

fn is_temporary(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}
