//! The bus's server: a socket, connections, and the order in which their requests are answered.
//!
//! It lives in the core loop and never waits: sockets are non-blocking, each turn does a bounded
//! amount of work, and every buffer has a cap (`limits.rs`). What a request means is decided by
//! `router.rs`, which knows no sockets; what it does, by `core/bus.rs`. docs/bus.md describes the
//! protocol, the rules and the deadlines.

mod caller;
mod calls;
mod caps;
mod connection;
mod event;
mod limits;
mod listen;
mod log;
mod outbox;
mod peer;
mod quota;
mod router;
mod spawn;
#[cfg(test)]
mod tests;
mod turn;
mod view;

pub use caller::{Caller, Member, Owner};
pub use calls::{Asking, Destination, Outcome, Question, UnderWay, Waiter, deadline};
pub use event::{Change, Subscription, event};
pub use peer::Peer;
pub use router::{Decision, Power, Share, Task, changes, route};
pub use spawn::may_spawn;
pub use view::{Running, View, cause_text, note, short};

use crate::logs::Logs;
use crate::poller::{Interest, Poller};
use arje_bus::{
    BusError, Calls, ErrorCode, Event, Hello, HelloAnswer, PROTOCOL, Reply, RequestFrame, Response,
    Routes, SUPPORTED, ServerFrame, Undecodable, Welcome, decode,
};
use arje_card::Id;
use arje_supervisor::Millis;
use connection::{Connection, Gone, Stage};
use limits::{ACCEPT_BATCH, ACCEPT_PAUSE, MAX_SUBSCRIPTIONS};
use log::Tail;
use nix::errno::Errno;
use nix::sys::resource::{Resource, getrlimit};
use quota::{Bytes, Quotas};
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::io;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;
use turn::Turn;

/// A request to be decided.
pub struct Incoming {
    /// The connection.
    pub token: u64,
    /// Who asks.
    pub caller: Caller,
    /// What for, or why that cannot be told.
    pub frame: Result<RequestFrame, Undecodable>,
}

/// The server.
pub struct Bus {
    listener: UnixListener,
    listener_token: u64,
    /// Set while no connections are accepted, because descriptors ran out.
    paused_until: Option<Millis>,
    connections: HashMap<u64, Connection>,
    quotas: Quotas,
    /// Connections with a request to be answered, in turn.
    runnable: VecDeque<u64>,
    /// What was done in this turn.
    turn: Turn,
    /// Connections that something was done to in this turn.
    touched: BTreeSet<u64>,
    /// Connections with a subscription.
    subscribers: BTreeSet<u64>,
    /// Connections that are to get parts of logs.
    readers: BTreeSet<u64>,
    logs: Logs,
    deadlines: BTreeSet<(Millis, u64)>,
    /// The connection on which each provider takes its calls.
    announced: HashMap<Id, u64>,
    /// Where it is told which processes take calls.
    routes: Arc<Routes>,
    /// Calls that processes are to answer.
    calls: Calls<Waiter>,
    /// Those who are to be told that their provider is no more.
    orphaned: Vec<Waiter>,
}

impl Bus {
    /// Listens at this path.
    ///
    /// # Errors
    ///
    /// The socket cannot be made there.
    pub fn listen(path: &Path, logs: Logs, poller: &mut Poller) -> io::Result<Bus> {
        Bus::on(listen::open(path)?, logs, poller)
    }

    /// Listens on a socket that was made already.
    ///
    /// # Errors
    ///
    /// It cannot be watched.
    pub fn on(listener: UnixListener, logs: Logs, poller: &mut Poller) -> io::Result<Bus> {
        listener.set_nonblocking(true)?;
        let descriptors = getrlimit(Resource::RLIMIT_NOFILE).map_or(1024, |(soft, _)| soft);
        Ok(Bus {
            listener_token: poller.watch(&listener)?,
            listener,
            paused_until: None,
            connections: HashMap::new(),
            quotas: Quotas::new(usize::try_from(descriptors).unwrap_or(usize::MAX)),
            runnable: VecDeque::new(),
            turn: Turn::default(),
            touched: BTreeSet::new(),
            subscribers: BTreeSet::new(),
            readers: BTreeSet::new(),
            logs,
            deadlines: BTreeSet::new(),
            announced: HashMap::new(),
            routes: Arc::default(),
            calls: Calls::default(),
            orphaned: Vec::new(),
        })
    }

    /// Tells these from now on which processes take calls; nobody has announced itself yet.
    pub fn tell_routes(&mut self, routes: Arc<Routes>) {
        self.routes = routes;
    }

    /// The socket, for the next image.
    #[must_use]
    pub fn listener(&self) -> &UnixListener {
        &self.listener
    }

    /// Whether a token of the poller belongs to the bus.
    #[must_use]
    pub fn owns(&self, token: u64) -> bool {
        token == self.listener_token || self.connections.contains_key(&token)
    }

    /// Something is ready: connections to accept, or bytes to read or to write. `identify` says who a peer is.
    pub fn ready(
        &mut self,
        token: u64,
        now: Millis,
        poller: &mut Poller,
        identify: impl Fn(&Peer) -> Caller,
    ) {
        if token == self.listener_token {
            self.accept(now, poller, identify);
        } else if let Some(connection) = self.connections.get_mut(&token) {
            self.touched.insert(token);
            let stuck = connection.interest == Interest::NONE;
            match connection.read() {
                // Nothing was waited for, so only the end of the connection can have been told.
                Ok(()) if stuck => self.drop_connection(token, poller),
                Ok(()) => self.after_read(token, poller),
                Err(Gone) => self.drop_connection(token, poller),
            }
        }
    }

    fn accept(&mut self, now: Millis, poller: &mut Poller, identify: impl Fn(&Peer) -> Caller) {
        for _ in 0..ACCEPT_BATCH {
            match self.listener.accept() {
                Ok((stream, _)) => self.welcome(stream, now, poller, &identify),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if is_shortage(&error) => return self.pause(now, poller),
                // That connection is over before it began; the next one may be better.
                Err(_) => {}
            }
        }
    }

    /// Leaves connections to the kernel's queue for a while: without descriptors accept(2) fails
    /// again and again, and the loop would do nothing else.
    fn pause(&mut self, now: Millis, poller: &Poller) {
        let until = now.plus(ACCEPT_PAUSE.as_millis() as u64);
        let _ = poller.set_interest(&self.listener, self.listener_token, Interest::NONE);
        self.paused_until = Some(until);
        tracing::warn!("bus: no descriptors left for connections; they wait");
    }

    fn welcome(
        &mut self,
        stream: UnixStream,
        now: Millis,
        poller: &mut Poller,
        identify: &impl Fn(&Peer) -> Caller,
    ) {
        let Ok(peer) = Peer::of(&stream) else {
            return; // nobody is there any more
        };
        let caller = identify(&peer);
        if !peer.is_alive() || stream.set_nonblocking(true).is_err() {
            return;
        }
        let owner = caller.owner();
        let room = self.quotas.connect(owner);
        let mut connection = Connection::new(stream, caller, now);
        if !room {
            let error = BusError::new(ErrorCode::Busy, "too many connections; close some");
            connection.stage = Stage::Closing;
            connection.push(&HelloAnswer::Refused(error), now);
            let _ = connection.send(&self.logs, now); // a courtesy, as far as it goes at once
            return;
        }
        match poller.watch(&connection.stream) {
            Ok(token) => {
                self.connections.insert(token, connection);
                self.touched.insert(token);
            }
            Err(_) => self.quotas.disconnect(owner, Bytes::default()),
        }
    }

    fn after_read(&mut self, token: u64, poller: &mut Poller) {
        let Some(connection) = self.connections.get_mut(&token) else {
            return;
        };
        let (before, after) = (connection.charged, connection.excess());
        connection.charged = after;
        let owner = connection.caller.owner();
        let runnable = connection.is_runnable();
        if connection.has_said_all() {
            self.said_all(token);
        }
        if !self.quotas.charge(owner, before, after) {
            self.drop_connection(token, poller);
        } else if runnable && !self.runnable.contains(&token) {
            self.runnable.push_back(token);
        }
    }

    /// Answers a request.
    pub fn reply(&mut self, token: u64, serial: u32, response: Response, now: Millis) {
        if let Some(connection) = self.connections.get_mut(&token) {
            let reply = Reply { serial, response };
            connection.push(&ServerFrame::Reply(reply), now);
            self.pushed(token);
        }
    }

    /// Something was put into a connection's queue. A peer that lets too much wait there is given up.
    fn pushed(&mut self, token: u64) {
        let Some(connection) = self.connections.get_mut(&token) else {
            return;
        };
        self.touched.insert(token);
        let (before, after) = (connection.charged, connection.excess());
        connection.charged = after;
        if before != after && !self.quotas.charge(connection.caller.owner(), before, after) {
            tracing::debug!("bus: a peer does not read what it asked for");
            connection.abandon();
        }
    }

    /// Ends a connection when what waits for it is sent.
    pub fn close(&mut self, token: u64) {
        if let Some(connection) = self.connections.get_mut(&token) {
            connection.stage = Stage::Closing;
            self.touched.insert(token);
        }
    }

    /// Adds a subscription.
    ///
    /// # Errors
    ///
    /// The connection has as many as it may.
    pub fn subscribe(
        &mut self,
        token: u64,
        serial: u32,
        of: Option<Id>,
        kinds: u64,
    ) -> Result<(), BusError> {
        let Some(connection) = self.connections.get_mut(&token) else {
            return Ok(());
        };
        check_subscriptions(connection)?;
        connection
            .subscriptions
            .push(Subscription::new(serial, of, kinds));
        self.subscribers.insert(token);
        Ok(())
    }

    /// The first part of a log; the others follow as the peer takes them.
    ///
    /// # Errors
    ///
    /// The connection has as many subscriptions as it may.
    pub fn log(
        &mut self,
        token: u64,
        serial: u32,
        id: Id,
        lines: u32,
        follow: bool,
    ) -> Result<Response, BusError> {
        let Some(connection) = self.connections.get_mut(&token) else {
            return Ok(Response::Ok);
        };
        check_subscriptions(connection)?;
        let (first, rest) = Tail::begin(&self.logs, serial, id, lines, follow);
        if let Some(tail) = rest {
            connection.tails.push(tail);
            self.readers.insert(token);
        }
        Ok(Response::Log(first))
    }

    /// There may be new lines in logs.
    pub fn logs_grew(&mut self) {
        self.touched.extend(&self.readers);
    }

    /// Whether anybody would hear an event.
    #[must_use]
    pub fn has_subscribers(&self) -> bool {
        !self.subscribers.is_empty()
    }

    /// Tells an event to those who subscribed to it.
    pub fn publish(&mut self, event: &Event, now: Millis) {
        for token in &self.subscribers {
            if let Some(connection) = self.connections.get_mut(token) {
                connection.publish(event, now);
                self.touched.insert(*token);
            }
        }
    }

    /// Ends the turn: sends what can be sent, and waits for what is still wanted.
    pub fn flush(&mut self, now: Millis, poller: &mut Poller) {
        self.settle_orphaned(now);
        for token in std::mem::take(&mut self.touched) {
            let Some(connection) = self.connections.get_mut(&token) else {
                continue;
            };
            match connection.send(&self.logs, now) {
                Ok(false) => {}
                Ok(true) => drop(self.touched.insert(token)),
                Err(Gone) => {
                    self.drop_connection(token, poller);
                    continue;
                }
            }
            if connection.tails.is_empty() {
                self.readers.remove(&token);
            }
            connection.note_progress(now);
            let (interest, deadline) = (connection.wanted_interest(), connection.deadline());
            if interest != connection.interest {
                connection.interest = interest;
                let _ = poller.set_interest(&connection.stream, token, interest);
            }
            if deadline != connection.noted {
                let noted = connection.noted.take().map(|at| (at, token));
                noted.map(|noted| self.deadlines.remove(&noted));
                connection.noted = deadline;
                self.deadlines.extend(deadline.map(|at| (at, token)));
            }
            // Room that was made by sending may let the next request be answered.
            self.after_read(token, poller);
        }
    }

    /// When [`expire`](Self::expire) is to be called.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Millis> {
        let first = self.deadlines.first().map(|(at, _)| *at);
        let call = self.calls.next_deadline().map(Millis);
        first.into_iter().chain(self.paused_until).chain(call).min()
    }

    /// Closes connections whose time is over, and accepts again after a pause.
    pub fn expire(&mut self, now: Millis, poller: &mut Poller) {
        if self.paused_until.is_some_and(|at| at <= now) {
            self.paused_until = None;
            let _ = poller.set_interest(&self.listener, self.listener_token, Interest::READ);
        }
        self.expire_calls(now);
        while let Some((at, token)) = self.deadlines.first().copied() {
            if at > now {
                return;
            }
            tracing::debug!("bus: a peer was too slow");
            self.deadlines.remove(&(at, token));
            self.drop_connection(token, poller);
        }
    }

    fn drop_connection(&mut self, token: u64, poller: &Poller) {
        let Some(connection) = self.connections.remove(&token) else {
            return;
        };
        poller.forget(&connection.stream);
        if let Some(at) = connection.noted {
            self.deadlines.remove(&(at, token));
        }
        self.subscribers.remove(&token);
        self.readers.remove(&token);
        self.touched.remove(&token);
        self.calls_of_dropped(token, &connection);
        self.quotas
            .disconnect(connection.caller.owner(), connection.charged);
    }
}

fn hello(connection: &mut Connection, body: &[u8]) -> HelloAnswer {
    let known = decode(body)
        .filter(|hello: &Hello| hello.protocol == PROTOCOL && SUPPORTED.contain(hello.version));
    let answer = match (known, connection.caller.admit()) {
        (None, _) => HelloAnswer::Unsupported(SUPPORTED),
        (Some(_), Err(error)) => HelloAnswer::Refused(error),
        (Some(hello), Ok(())) => HelloAnswer::Welcome(Welcome {
            version: hello.version,
            server: format!("ente-zero {}", env!("CARGO_PKG_VERSION")),
        }),
    };
    connection.stage = match answer {
        HelloAnswer::Welcome(_) => Stage::Open,
        HelloAnswer::Unsupported(_) | HelloAnswer::Refused(_) => Stage::Closing,
    };
    answer
}

fn check_subscriptions(connection: &Connection) -> Result<(), BusError> {
    if connection.subscriptions.len() + connection.tails.len() < MAX_SUBSCRIPTIONS {
        return Ok(());
    }
    Err(BusError::new(
        ErrorCode::Busy,
        format!("this connection has {MAX_SUBSCRIPTIONS} subscriptions, which is the most"),
    ))
}

fn is_shortage(error: &io::Error) -> bool {
    let shortages = [Errno::EMFILE, Errno::ENFILE, Errno::ENOBUFS, Errno::ENOMEM];
    shortages
        .iter()
        .any(|errno| error.raw_os_error() == Some(*errno as i32))
}
