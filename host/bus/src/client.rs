//! A small blocking client.

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use arje_card::Capability;

use crate::call::{CallError, DEFAULT_DEADLINE, HandlerError};
use crate::calling::{Announce, Answer, Call, CallId, Invoke};
use crate::error::BusError;
use crate::event::Event;
use crate::frame::{Broken, FrameReader, decode, encode};
use crate::hello::{Hello, HelloAnswer, SUPPORTED, Versions, Welcome};
use crate::limits::MAX_DEADLINE_MS;
use crate::request::{ListEntes, Request, RequestFrame};
use crate::response::{Log, Notice, Response, ServerFrame};
use crate::status::EnteSummary;

/// How long the server may take to answer, unless [`Client::set_patience`] says otherwise. It answers within
/// milliseconds; whoever waits longer has another problem.
const PATIENCE: Duration = Duration::from_secs(10);

/// Events, log lines and calls kept while an answer is awaited. The server sends no more than its own queue holds
/// meanwhile, which is far less.
const MAX_KEPT: usize = 4096;

/// Bytes read at once.
const CHUNK: usize = 16 * 1024;

/// Why the client has no answer.
#[derive(Debug)]
pub enum ClientError {
    /// There is no server at this path, or this user may not connect to it.
    Connect(PathBuf, io::Error),
    /// The connection broke.
    Io(io::Error),
    /// The server closed the connection.
    Closed,
    /// No answer came in time.
    TimedOut,
    /// The server speaks other versions.
    Versions(Versions),
    /// The server answered with an error.
    Refused(BusError),
    /// The server sent something that makes no sense.
    Protocol(&'static str),
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect(path, error) => write!(
                f,
                "{}: cannot connect to the bus: {error}; is ente-zero running, and may you use its socket? \
                 --socket or $ENTE_BUS_SOCK names another one, such as that of dev mode",
                path.display()
            ),
            Self::Io(error) => write!(f, "the connection to the bus broke: {error}"),
            Self::Closed => f.write_str("the bus closed the connection"),
            Self::TimedOut => f.write_str("the bus did not answer in time"),
            Self::Versions(found) => write!(
                f,
                "the bus speaks versions {} to {}, and this program {} to {}; use the program of its image",
                found.oldest, found.newest, SUPPORTED.oldest, SUPPORTED.newest
            ),
            Self::Refused(error) => error.fmt(f),
            Self::Protocol(what) => write!(f, "the bus sent {what}; is it another version?"),
        }
    }
}

impl std::error::Error for ClientError {}

impl From<io::Error> for ClientError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Self::TimedOut,
            io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => Self::Closed,
            _ => Self::Io(error),
        }
    }
}

impl From<Broken> for ClientError {
    fn from(_: Broken) -> Self {
        Self::Protocol("a frame that is too long")
    }
}

/// A connection to the bus. One request at a time; events and calls may come in between.
#[derive(Debug)]
pub struct Client {
    stream: UnixStream,
    reader: FrameReader,
    serial: u32,
    patience: Duration,
    events: VecDeque<Notice<Event>>,
    logs: VecDeque<Notice<Log>>,
    calls: VecDeque<Call>,
    welcome: Welcome,
}

impl Client {
    /// Connects, and says hello.
    ///
    /// # Errors
    /// Nobody listens there, this process may not connect, or the server does not want it.
    pub fn connect(path: &Path) -> Result<Self, ClientError> {
        Self::connect_within(path, PATIENCE)
    }

    /// The same with another patience ([`Client::set_patience`]), which holds for the greeting, too.
    ///
    /// # Errors
    /// As those of [`Client::connect`].
    pub fn connect_within(path: &Path, patience: Duration) -> Result<Self, ClientError> {
        let stream = UnixStream::connect(path)
            .map_err(|error| ClientError::Connect(path.to_owned(), error))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let mut client = Self {
            stream,
            reader: FrameReader::new(),
            serial: 0,
            patience,
            events: VecDeque::new(),
            logs: VecDeque::new(),
            calls: VecDeque::new(),
            welcome: Welcome {
                version: SUPPORTED.newest,
                server: String::new(),
            },
        };
        let hello = encode(&Hello::new()).map_err(|_| ClientError::Protocol("no hello"))?;
        match client.send(&hello) {
            // A full bus refuses before it has read anything; what it says can still be read.
            Ok(()) | Err(ClientError::Closed) => {}
            Err(error) => return Err(error),
        }
        let body = client.body(Instant::now() + client.patience)?;
        match decode(&body).ok_or(ClientError::Protocol("no answer to the hello"))? {
            HelloAnswer::Welcome(welcome) => client.welcome = welcome,
            HelloAnswer::Unsupported(versions) => return Err(ClientError::Versions(versions)),
            HelloAnswer::Refused(error) => return Err(ClientError::Refused(error)),
        }
        Ok(client)
    }

    /// What the server said about itself.
    #[must_use]
    pub const fn welcome(&self) -> &Welcome {
        &self.welcome
    }

    /// How long an answer may take from now on.
    pub const fn set_patience(&mut self, patience: Duration) {
        self.patience = patience;
    }

    /// Sends a request and waits for its answer. Events that come first are kept for
    /// [`next_event`](Self::next_event).
    ///
    /// # Errors
    /// The connection broke, or the answer is an error.
    pub fn request(&mut self, request: Request) -> Result<Response, ClientError> {
        self.request_within(request, self.patience)
    }

    fn request_within(
        &mut self,
        request: Request,
        patience: Duration,
    ) -> Result<Response, ClientError> {
        let serial = self.begin(request)?;
        let deadline = Instant::now() + patience;
        loop {
            match self.frame(deadline)? {
                ServerFrame::Reply(reply) if reply.serial == serial => {
                    return match reply.response {
                        Response::Error(error) => Err(ClientError::Refused(error)),
                        response => Ok(response),
                    };
                }
                ServerFrame::Reply(_) => {
                    return Err(ClientError::Protocol("an answer to something else"));
                }
                other => self.keep(other)?,
            }
        }
    }

    /// All Entes, however many pages they take.
    ///
    /// # Errors
    /// As for [`request`](Self::request).
    pub fn list(&mut self) -> Result<Vec<EnteSummary>, ClientError> {
        let mut all: Vec<EnteSummary> = Vec::new();
        loop {
            let after = all.last().map(|last| last.id);
            match self.request(Request::ListEntes(ListEntes { after }))? {
                Response::Entes(page) => {
                    let more = page.more && !page.entes.is_empty();
                    all.extend(page.entes);
                    if !more {
                        return Ok(all);
                    }
                }
                _ => return Err(ClientError::Protocol("no list of Entes")),
            }
        }
    }

    /// Calls whoever provides a capability, and waits for the answer; a `deadline` of zero means
    /// [`DEFAULT_DEADLINE`]. The inner error is what became of the call, the outer one that nobody knows.
    ///
    /// # Errors
    /// As for [`request`](Self::request).
    pub fn invoke(
        &mut self,
        capability: Capability,
        payload: Vec<u8>,
        deadline: Duration,
    ) -> Result<Result<Vec<u8>, CallError>, ClientError> {
        let request = Request::Invoke(Invoke {
            capability,
            payload,
            deadline_ms: u64::try_from(deadline.as_millis()).unwrap_or(u64::MAX),
        });
        let waits = if deadline.is_zero() {
            DEFAULT_DEADLINE
        } else {
            deadline.min(Duration::from_millis(MAX_DEADLINE_MS))
        };
        // The server answers at the deadline; this one is for a server that does not.
        match self.request_within(request, waits + self.patience)? {
            Response::Invoked(invoked) => Ok(invoked.result),
            _ => Err(ClientError::Protocol("no outcome of a call")),
        }
    }

    /// Takes the calls to this Ente on this connection from now on, also to these capabilities. Tells the supervisor
    /// that the Ente is ready, if its Card waits for that (`readiness: announce`).
    ///
    /// # Errors
    /// As for [`request`](Self::request).
    pub fn announce(&mut self, capabilities: Vec<Capability>) -> Result<(), ClientError> {
        self.request(Request::Announce(Announce { capabilities }))
            .map(drop)
    }

    /// The next call to be answered, waiting as [`next_event`](Self::next_event) does.
    ///
    /// # Errors
    /// As for [`next_event`](Self::next_event).
    pub fn next_call(&mut self, deadline: Option<Instant>) -> Result<Call, ClientError> {
        loop {
            if let Some(call) = self.calls.pop_front() {
                return Ok(call);
            }
            let frame = self.frame_until(deadline)?;
            self.keep(frame)?;
        }
    }

    /// Answers a call that came on this connection.
    ///
    /// # Errors
    /// As for [`request`](Self::request); refused when nobody waits for the answer any more.
    pub fn answer(
        &mut self,
        call: CallId,
        result: Result<Vec<u8>, HandlerError>,
    ) -> Result<(), ClientError> {
        self.request(Request::Answer(Answer { call, result }))
            .map(drop)
    }

    /// The next event, waiting at most until the deadline, or without one for as long as it takes.
    ///
    /// # Errors
    /// The connection broke, or the deadline has passed ([`ClientError::TimedOut`]).
    pub fn next_event(&mut self, deadline: Option<Instant>) -> Result<Event, ClientError> {
        loop {
            if let Some(notice) = self.events.pop_front() {
                return Ok(notice.content);
            }
            let frame = self.frame_until(deadline)?;
            self.keep(frame)?;
        }
    }

    /// The next lines of a log that is followed.
    ///
    /// # Errors
    /// As for [`next_event`](Self::next_event).
    pub fn next_log(&mut self, deadline: Option<Instant>) -> Result<Log, ClientError> {
        loop {
            if let Some(notice) = self.logs.pop_front() {
                return Ok(notice.content);
            }
            let frame = self.frame_until(deadline)?;
            self.keep(frame)?;
        }
    }

    fn begin(&mut self, request: Request) -> Result<u32, ClientError> {
        self.serial = self.serial.wrapping_add(1);
        let serial = self.serial;
        let frame = encode(&RequestFrame { serial, request })
            .map_err(|_| ClientError::Protocol("nothing: the request is too long"))?;
        self.send(&frame)?;
        Ok(serial)
    }

    fn keep(&mut self, frame: ServerFrame) -> Result<(), ClientError> {
        match frame {
            ServerFrame::Event(notice) => self.events.push_back(notice),
            ServerFrame::Log(notice) => self.logs.push_back(notice),
            ServerFrame::Call(call) => self.calls.push_back(call),
            ServerFrame::Reply(_) => return Err(ClientError::Protocol("an answer to nothing")),
        }
        if self.events.len() + self.logs.len() + self.calls.len() > MAX_KEPT {
            return Err(ClientError::Protocol("more events or calls than it may"));
        }
        Ok(())
    }

    fn send(&mut self, frame: &[u8]) -> Result<(), ClientError> {
        Ok(self.stream.write_all(frame)?)
    }

    fn frame(&mut self, deadline: Instant) -> Result<ServerFrame, ClientError> {
        self.frame_until(Some(deadline))
    }

    fn frame_until(&mut self, deadline: Option<Instant>) -> Result<ServerFrame, ClientError> {
        let body = self.body_until(deadline)?;
        decode(&body).ok_or(ClientError::Protocol("a frame that cannot be read"))
    }

    fn body(&mut self, deadline: Instant) -> Result<Vec<u8>, ClientError> {
        self.body_until(Some(deadline))
    }

    fn body_until(&mut self, deadline: Option<Instant>) -> Result<Vec<u8>, ClientError> {
        let mut chunk = [0; CHUNK];
        loop {
            if let Some(body) = self.reader.take()? {
                return Ok(body);
            }
            let left = deadline.map(|at| at.saturating_duration_since(Instant::now()));
            if left.is_some_and(|left| left.is_zero()) {
                return Err(ClientError::TimedOut);
            }
            self.stream.set_read_timeout(left)?;
            match self.stream.read(&mut chunk) {
                Ok(0) => return Err(ClientError::Closed),
                Ok(count) => self.reader.push(&chunk[..count]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}
