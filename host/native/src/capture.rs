//! The pipes through which an Ente's standard output and error are captured.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use arje_card::{Card, RunAs};
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::unistd::{Gid, Uid, fchown, pipe2};

use crate::console::console_of;

/// Standard output and error of one incarnation, each a pipe of its own, so that a line is known to be of one or the
/// other. A pipe holds 64 KiB (`pipe(7)`): so much a program can write while nobody reads.
#[derive(Debug)]
pub struct OutputPipes {
    /// For [`StartRequest::output`](crate::StartRequest::output); to be closed after the start, since a pipe ends when its last writer closes it.
    pub writers: [OwnedFd; 2],
    /// Standard output and error, non-blocking. The writing ends are open files of their own and block as usual.
    pub readers: [OwnedFd; 2],
}

impl OutputPipes {
    /// The pipes of a Card's next incarnation; `None` for a Card with a console, which keeps its terminal.
    ///
    /// # Errors
    /// `EMFILE`, `ENFILE` and the like.
    pub fn of(card: &Card) -> nix::Result<Option<OutputPipes>> {
        match console_of(card) {
            Ok(None) => OutputPipes::new(card.soma.run_as.as_ref()).map(Some),
            // What is wrong with it is told by the start.
            Ok(Some(_)) | Err(_) => Ok(None),
        }
    }

    fn new(owner: Option<&RunAs>) -> nix::Result<OutputPipes> {
        let (out, out_writer) = pipe(owner)?;
        let (err, err_writer) = pipe(owner)?;
        Ok(OutputPipes {
            writers: [out_writer, err_writer],
            readers: [out, err],
        })
    }

    /// The writing ends, as a start takes them.
    #[must_use]
    pub fn output(&self) -> [BorrowedFd<'_>; 2] {
        let [out, err] = &self.writers;
        [out.as_fd(), err.as_fd()]
    }
}

fn pipe(owner: Option<&RunAs>) -> nix::Result<(OwnedFd, OwnedFd)> {
    let (reader, writer) = pipe2(OFlag::O_CLOEXEC)?;
    fcntl(&reader, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    if let Some(owner) = owner {
        // A program that opens /dev/stderr opens the pipe anew, which asks for its permissions.
        let (uid, gid) = (Uid::from_raw(owner.uid), Gid::from_raw(owner.gid));
        fchown(&writer, Some(uid), Some(gid))?;
    }
    Ok((reader, writer))
}
