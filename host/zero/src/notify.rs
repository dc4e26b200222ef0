//! What native Entes say of themselves (sd_notify(3)), from the socket to the supervisor. See
//! `docs/readiness.md`.
//!
//! The core loop takes the datagrams itself, a bounded number in one turn: who sent one is found out
//! in the tables of the core, and a sender waits when the socket is full, never the core.

use crate::natives::Who;
use crate::poller::Poller;
use arje_card::{Card, Id};
use arje_native::{Notification, NotifySocket, Received, Watchdog};
use arje_supervisor::{Incarnation, ReadyBy, Report};
use nix::errno::Errno;
use std::collections::HashMap;
use std::fmt;
use std::os::fd::OwnedFd;
use std::path::Path;

/// Datagrams taken in one turn of the core loop. One costs some microseconds.
const BATCH: usize = 64;

/// What an incarnation said of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Said {
    /// Which incarnation.
    pub incarnation: Incarnation,
    /// `STATUS=`, at most about 1 KiB, without control characters.
    pub status: String,
    /// `ERRNO=`, the error it fails with.
    pub errno: Option<i32>,
    /// `MAINPID=`: a process of the same Ente. The Ente ends with the process that was started all
    /// the same.
    pub main_pid: Option<i32>,
    /// `RELOADING=1`, until `READY=1`.
    pub reloading: bool,
    /// `STOPPING=1`.
    pub stopping: bool,
    /// It was told that descriptors are not stored.
    told: bool,
}

/// The status, and in brackets what else is to be known.
impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let errno = |number: i32| format!("error {number}, {}", Errno::from_raw(number).desc());
        let facts = [
            self.reloading.then(|| "reloading".to_owned()),
            self.stopping.then(|| "stopping".to_owned()),
            self.errno.map(errno),
            self.main_pid.map(|pid| format!("main process {pid}")),
        ];
        let facts: Vec<String> = facts.into_iter().flatten().collect();
        f.write_str(&self.status)?;
        match (facts.is_empty(), self.status.is_empty()) {
            (true, _) => Ok(()),
            (false, true) => write!(f, "({})", facts.join("; ")),
            (false, false) => write!(f, " ({})", facts.join("; ")),
        }
    }
}

/// Datagrams that came to nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ignored {
    /// Too long, malformed, or from nobody that can be named.
    pub malformed: u64,
    /// From a process of no Ente.
    pub strangers: u64,
    /// From an Ente whose Card does not let it say anything.
    pub uninvited: u64,
}

/// A sender that is known.
pub struct Sender<'a> {
    /// Its Card.
    pub card: &'a Card,
    /// The incarnation that lives.
    pub incarnation: Incarnation,
}

/// The socket, and what was said.
#[derive(Default)]
pub struct Notify {
    socket: Option<NotifySocket>,
    token: Option<u64>,
    said: HashMap<Id, Said>,
    ignored: Ignored,
}

impl Notify {
    /// Takes notifications at this path from now on, by the socket there that another image left, or a
    /// new one.
    ///
    /// # Errors
    ///
    /// The socket cannot be made or watched. Cards that need it do not start then.
    pub fn listen(
        path: &Path,
        left: Option<OwnedFd>,
        poller: &mut Poller,
    ) -> Result<Notify, String> {
        let socket = match left {
            Some(left) => NotifySocket::take_over(path, left)?,
            None => NotifySocket::bind(path)?,
        };
        let token = poller.watch(&socket).map_err(|error| error.to_string())?;
        Ok(Notify {
            socket: Some(socket),
            token: Some(token),
            ..Notify::default()
        })
    }

    /// The socket, for the next image.
    #[must_use]
    pub fn socket(&self) -> Option<&NotifySocket> {
        self.socket.as_ref()
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        self.socket.as_ref().map(NotifySocket::path)
    }

    /// Whether a token is that of the socket.
    #[must_use]
    pub fn owns(&self, token: u64) -> bool {
        self.token == Some(token)
    }

    /// Takes what is waiting, at most a batch; the rest is told of again. `sender` knows the Entes by
    /// their processes.
    pub fn take<'a>(&mut self, sender: impl Fn(i32) -> Option<Sender<'a>>) -> Vec<(Who, Report)> {
        let mut reports = Vec::new();
        for _ in 0..BATCH {
            match self.next() {
                Some(Received::Said {
                    pid,
                    notification,
                    descriptors,
                }) => {
                    match sender(pid.as_raw()) {
                        Some(from) if crate::services::notifies(from.card) => {
                            let main = notification.main_pid.filter(|pid| {
                                sender(*pid).is_some_and(|main| main.card.id == from.card.id)
                            });
                            self.note(&from, &notification, main);
                            reports.extend(reports_of(&from, &notification));
                        }
                        Some(from) => count(
                            &mut self.ignored.uninvited,
                            &format!(
                                "from {}, whose Card does not say that it notifies",
                                from.card.label
                            ),
                        ),
                        None => count(&mut self.ignored.strangers, "from a process of no Ente"),
                    }
                    // Whoever waits behind a barrier sees by this that all before it was taken.
                    drop(descriptors);
                }
                Some(Received::Ignored) => count(&mut self.ignored.malformed, "malformed"),
                None => break,
            }
        }
        reports
    }

    fn next(&self) -> Option<Received> {
        let received = self.socket.as_ref()?.receive();
        received.unwrap_or_else(|error| {
            // Out of memory or descriptors; the socket stays, and the next turn tries again.
            tracing::warn!(%error, "a notification cannot be received");
            None
        })
    }

    fn note(&mut self, from: &Sender<'_>, notification: &Notification, main: Option<i32>) {
        let said = self.said.entry(from.card.id).or_default();
        if said.incarnation != from.incarnation {
            *said = Said {
                incarnation: from.incarnation,
                ..Said::default()
            };
        }
        if let Some(status) = &notification.status {
            said.status.clone_from(status);
        }
        said.errno = notification.errno.or(said.errno);
        said.main_pid = main.or(said.main_pid);
        said.reloading = (said.reloading && !notification.ready) || notification.reloading;
        said.stopping |= notification.stopping;
        if notification.fd_store && !std::mem::replace(&mut said.told, true) {
            tracing::warn!(
                "{}: FDSTORE=1 is not supported; the descriptors were closed",
                from.card.label
            );
        }
    }

    /// What an incarnation said; `None` if it said nothing.
    #[must_use]
    pub fn said(&self, id: Id, incarnation: Incarnation) -> Option<&Said> {
        let said = self.said.get(&id)?;
        (said.incarnation == incarnation).then_some(said)
    }

    /// An Ente is no more.
    pub fn removed(&mut self, id: Id) {
        self.said.remove(&id);
    }
}

/// Counts one, and tells of it less and less often.
fn count(counter: &mut u64, what: &str) {
    *counter += 1;
    if counter.is_power_of_two() {
        tracing::warn!("a notification is ignored: {what} ({counter} of this kind so far)");
    }
}

/// What the supervisor is to know, in the order in which it matters.
fn reports_of(from: &Sender<'_>, notification: &Notification) -> Vec<(Who, Report)> {
    let who = Who {
        id: from.card.id,
        incarnation: from.incarnation,
    };
    let ms = |usec: u64| usec.div_ceil(1000);
    let mut reports = Vec::new();
    // 0 would be "none", and whether it is watched is its Card's to say.
    if let Some(usec @ 1..) = notification.watchdog_usec {
        reports.push(Report::Liveness { ms: ms(usec) });
    }
    if let Some(usec) = notification.extend_timeout_usec {
        reports.push(Report::MoreTime { ms: ms(usec) });
    }
    if notification.ready {
        reports.push(Report::Ready {
            by: ReadyBy::Notify,
        });
    }
    match notification.watchdog {
        Some(Watchdog::Alive) => reports.push(Report::Alive),
        Some(Watchdog::Trigger) => reports.push(Report::NotAlive),
        None => {}
    }
    reports.into_iter().map(|report| (who, report)).collect()
}

#[cfg(test)]
mod tests;
