//! PID 1's end of a worker process: a task that hands it its component, takes what it says, and
//! tells the core loop, as an actor does for a component in this process.
//!
//! The worker is taken for hostile. What it says is read at a bounded pace, held within the same
//! bounds as the words of components in this process, and believed only about itself; it can stop reading
//! or stop speaking, and then waits for itself alone. Whether it is still a process is not found
//! out here: whoever reaps it says so.

mod conversation;
mod outbox;
mod pace;
mod phase;
mod questions;

use crate::calls::{Invocation, binding};
use crate::control::Control;
use crate::event::{End, EventKind};
use crate::host::Shared;
use crate::output::Output;
use crate::wire::{Command, MAX_SOCKETS, send_start};
use arje_card::{Card, Entry, Payload, Pin};
use conversation::Conversation;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use tokio::net::UnixStream;
use tokio::sync::mpsc;

/// An incarnation in a worker process.
pub(crate) struct Remote {
    host: Arc<Shared>,
    card: Arc<Card>,
    incarnation: u64,
    control: Arc<Control>,
    output: Output,
}

/// Calls from other Entes that wait.
type Calls = mpsc::Receiver<Box<Invocation>>;

/// How it ended, and the most memory that the component used.
type Ended = (End, u64);

impl Remote {
    pub(crate) fn new(
        host: Arc<Shared>,
        card: Arc<Card>,
        incarnation: u64,
        control: Arc<Control>,
    ) -> Remote {
        let output = host
            .printer
            .for_ente(card.label.as_str().into(), card.id, incarnation);
        Remote {
            host,
            card,
            incarnation,
            control,
            output,
        }
    }

    /// The whole life of the incarnation. Whatever happens in it ends in exactly one
    /// [`EventKind::Ended`].
    pub(crate) async fn live(
        self,
        socket: std::os::unix::net::UnixStream,
        listening: Vec<OwnedFd>,
        calls: Calls,
    ) {
        let mut obituary = Obituary {
            remote: &self,
            ended: None,
        };
        let ended = self.run(socket, listening, calls).await;
        obituary.ended = Some(ended.unwrap_or_else(|end| (end, 0)));
    }

    async fn run(
        &self,
        socket: std::os::unix::net::UnixStream,
        listening: Vec<OwnedFd>,
        calls: Calls,
    ) -> Result<Ended, End> {
        let broken = |error: io::Error| End::HostPanic(format!("the worker's socket: {error}"));
        socket.set_nonblocking(true).map_err(broken)?;
        let mut socket = UnixStream::from_std(socket).map_err(broken)?;
        let hand_over = async {
            let parcel = self.parcel(listening).await?;
            parcel.send(&mut socket, self.incarnation).await
        };
        tokio::select! {
            biased;
            () = self.control.killed() => return Err(End::Lost),
            handed = hand_over => handed?,
        }
        Conversation::new(self, socket, calls).hold().await
    }

    /// Verifies the artifact, and puts all together.
    async fn parcel(&self, sockets: Vec<OwnedFd>) -> Result<Parcel, End> {
        let Payload::Wasm(payload) = &self.card.payload else {
            return Err(End::Refused("the payload is not Wasm".into()));
        };
        if sockets.len() > MAX_SOCKETS {
            return Err(End::Refused(format!(
                "listen: {} sockets, but a worker process is handed at most {MAX_SOCKETS}",
                sockets.len()
            )));
        }
        let sealed = self.host.loader.sealed(&payload.module_sha256, &self.card);
        let (artifact, face) = sealed.await?;
        if let Some(face) = face {
            binding::check(&self.host, face.imports()).map_err(End::Refused)?;
            self.control.note_face(face);
        }
        let mut card = Card::clone(&self.card);
        card.genesis.clear(); // others' business
        let card = card
            .to_json_line()
            .map_err(|error| End::Refused(format!("write the Card: {error}")))?;
        Ok(Parcel {
            card,
            artifact,
            sockets,
        })
    }

    /// Whether it answers calls. Whoever calls another one is told at once.
    fn is_called(&self) -> bool {
        matches!(&self.card.payload, Payload::Wasm(payload) if payload.entry == Entry::Service)
    }

    fn pin(&self) -> Option<Pin> {
        match &self.card.payload {
            Payload::Wasm(payload) => Some(payload.module_sha256),
            _ => None,
        }
    }

    fn send(&self, kind: EventKind) {
        self.host.send(self.card.id, self.incarnation, kind);
    }
}

/// Announces the end when the task is dropped, by return or by panic.
struct Obituary<'a> {
    remote: &'a Remote,
    ended: Option<Ended>,
}

impl Drop for Obituary<'_> {
    fn drop(&mut self) {
        let remote = self.remote;
        remote.host.forget(remote.card.id, remote.incarnation);
        let (end, memory_peak) = self.ended.take().unwrap_or_else(|| {
            let end = if std::thread::panicking() {
                End::HostPanic("see the panic message above".into())
            } else {
                End::Lost // the whole host ends
            };
            (end, 0)
        });
        remote.send(EventKind::Ended { end, memory_peak });
    }
}

/// What a worker needs.
struct Parcel {
    card: String,
    artifact: OwnedFd,
    sockets: Vec<OwnedFd>,
}

impl Parcel {
    /// Hands it over.
    async fn send(self, socket: &mut UnixStream, incarnation: u64) -> Result<(), End> {
        let start = Command::Start {
            incarnation,
            card: self.card,
        };
        let sockets = self.sockets.iter().map(OwnedFd::as_fd);
        let descriptors: Vec<BorrowedFd<'_>> = std::iter::once(self.artifact.as_fd())
            .chain(sockets)
            .collect();
        // It fails when the process has ended already.
        send_start(socket, &start, &descriptors)
            .await
            .map_err(|_| End::Lost)
    }
}
