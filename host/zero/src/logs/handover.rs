//! The pipes of all processes from one image to the next. What they hold is read by the next one;
//! what the rings hold ends with the old one.

use super::drain::{Drain, Message};
use super::line::Splitter;
use super::{Logs, Source};
use arje_card::Id;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::mpsc::{self, Sender};
use std::time::Duration;

/// A pipe, and what was read of a line that has not ended.
#[derive(Debug)]
pub struct LeftPipe {
    /// Whose it is.
    pub id: Id,
    /// Of which incarnation.
    pub incarnation: u64,
    /// Standard error, else standard output.
    pub is_stderr: bool,
    /// The reading end.
    pub fd: OwnedFd,
    /// The beginning of a line.
    pub partial: Vec<u8>,
    /// How many more bytes of it were not kept.
    pub cut: u64,
}

/// The thread waits, and reads nothing, for as long as the value lives.
pub struct Paused {
    /// All pipes.
    pub pipes: Vec<LeftPipe>,
    _go_on: Sender<()>,
}

impl Logs {
    /// Hands on what was printed so far and stops reading, so that the next image misses nothing.
    /// `None` if the thread does not answer in time.
    #[must_use]
    pub fn pause(&self, at_most: Duration) -> Option<Paused> {
        let (answer, pipes) = mpsc::channel();
        let (go_on, wait) = mpsc::channel();
        self.send(Message::Pause(answer, wait));
        Some(Paused {
            pipes: pipes.recv_timeout(at_most).ok()?,
            _go_on: go_on,
        })
    }

    /// Reads on where another image stopped. The Ente must have been [opened](Self::open).
    pub fn take_over(&self, label: Arc<str>, pipe: LeftPipe) {
        self.send(Message::TakeOver(label, pipe));
    }
}

impl Drain {
    /// Duplicates, which stay open if this image goes on. One that cannot be made is missing: its
    /// program then finds nobody at the other end.
    pub(super) fn pipes_left(&self) -> Vec<LeftPipe> {
        let left = self.pipes.values().map(|pipe| {
            let (partial, cut) = pipe.splitter.unfinished();
            let fd = pipe.fd.try_clone().inspect_err(|error| {
                tracing::error!(id = %pipe.origin.id, %error, "output: a pipe is lost");
            });
            Some(LeftPipe {
                id: pipe.origin.id,
                incarnation: pipe.origin.incarnation,
                is_stderr: pipe.origin.source == Source::Stderr,
                fd: fd.ok()?,
                partial: partial.to_vec(),
                cut,
            })
        });
        left.flatten().collect()
    }
}

impl LeftPipe {
    /// The line that has not ended.
    pub(super) fn splitter(&self) -> Splitter {
        Splitter::resume(&self.partial, self.cut)
    }
}
