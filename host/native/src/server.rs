//! PID 1's side of the fork server: the executor, running, of which PID 1 asks children that are its own.
//!
//! Nothing of PID 1 is copied for a start, however large it is and however many descriptors it holds, and no process
//! shares its memory. PID 1 waits for one answer, which takes the server one clone, whether the child then runs or not: one
//! that is born into a frozen cgroup does not. What could keep the server itself from answering is somebody who may
//! signal it, or a kernel without memory; so the wait has an end, and then there is another server.

use std::io::IoSlice;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use ente_spawn::{ANSWER_BYTES, Order};
use nix::errno::Errno;
use nix::sys::signal::Signal;
use nix::sys::socket::{
    AddressFamily, ControlMessage, MsgFlags, SockFlag, SockType, recv, sendmsg, setsockopt,
    socketpair, sockopt,
};
use nix::sys::time::TimeVal;
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::Pid;

use crate::signal::{pidfd_open, send_signal};

/// How long PID 1 waits for an answer before it looks whether somebody has stopped the server. A clone takes a tenth of a
/// millisecond, and the server has its share of the processor beside all Entes together.
const LOOK_AFTER: TimeVal = TimeVal::new(0, 100_000);

/// How often it looks before it gives the server up: after ten seconds, on a machine that can hardly do anything.
const LOOKS: u32 = 100;

/// What to start, by PID 1's descriptors.
pub(crate) struct Start<'a> {
    pub(crate) streams: [BorrowedFd<'a>; 3],
    pub(crate) plan: BorrowedFd<'a>,
    pub(crate) status: BorrowedFd<'a>,
    pub(crate) passed: &'a [BorrowedFd<'a>],
    pub(crate) cgroup: Option<BorrowedFd<'a>>,
    pub(crate) files: libc::rlimit,
    pub(crate) pid_namespace: bool,
}

/// Why there is no child, or none that is known.
#[derive(Debug)]
pub(crate) enum NoChild {
    /// The kernel refused it.
    Refused(Errno),
    /// The server is gone, and was so before it knew of the start.
    Gone,
    /// The server did not answer. It is gone, but there may be a child.
    Unanswered(Errno),
}

/// A running server. Dropping it ends it; children go on.
#[derive(Debug)]
pub(crate) struct Server {
    socket: OwnedFd,
    process: OwnedFd,
}

impl Server {
    /// Starts the executor as a server.
    ///
    /// # Errors
    /// The program cannot be executed, or there is no socket to be had.
    pub(crate) fn start(program: &Path) -> nix::Result<Server> {
        let (ours, theirs) = socketpair(
            AddressFamily::Unix,
            SockType::SeqPacket,
            None,
            SockFlag::SOCK_CLOEXEC,
        )?;
        setsockopt(&ours, sockopt::ReceiveTimeout, &LOOK_AFTER)?;
        // Its end is reaped like that of any orphan.
        let child = Command::new(program)
            .arg0("ente-spawn")
            .env_clear()
            .stdin(Stdio::from(theirs))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| errno_of(&error))?;
        // Nobody has reaped it, so the number is its own.
        let process = pidfd_open(Pid::from_raw(child.id().cast_signed()))?;
        Ok(Server {
            socket: ours,
            process,
        })
    }

    /// Makes a child: its process id, and a descriptor that holds it.
    ///
    /// # Errors
    /// See [`NoChild`]. Only after [`NoChild::Refused`] this server makes more.
    pub(crate) fn spawn(&self, start: &Start<'_>) -> Result<(Pid, OwnedFd), NoChild> {
        // Room for the descriptor that holds the child, before there is one: a start that fails for want of it fails whole.
        let room = self
            .socket
            .try_clone()
            .map_err(|error| NoChild::Refused(errno_of(&error)))?;
        self.request(start).map_err(|errno| match errno {
            Errno::EPIPE => NoChild::Gone,
            other => NoChild::Refused(other),
        })?;
        let answer = self.answer().map_err(|errno| match errno {
            // It ended with the request unread.
            Errno::ECONNRESET => NoChild::Gone,
            other => NoChild::Unanswered(other),
        })?;
        if answer <= 0 {
            return Err(NoChild::Refused(Errno::from_raw(-answer)));
        }
        let pid = Pid::from_raw(answer);
        drop(room);
        // The number cannot be another process's: only the caller reaps, and it does not yet.
        let pidfd = pidfd_open(pid).map_err(|errno| {
            // Another thread was faster. Its end will be that of nobody.
            let _ = nix::sys::signal::kill(pid, Signal::SIGKILL);
            NoChild::Refused(errno)
        })?;
        Ok((pid, pidfd))
    }

    fn request(&self, start: &Start<'_>) -> nix::Result<()> {
        let [input, output, error] = start.streams;
        let mut descriptors = vec![input, output, error, start.plan, start.status];
        descriptors.extend(start.cgroup);
        descriptors.extend(start.passed);
        let descriptors: Vec<RawFd> = descriptors.iter().map(AsRawFd::as_raw_fd).collect();
        let order = Order {
            has_cgroup: start.cgroup.is_some(),
            pid_namespace: start.pid_namespace,
            files_soft: start.files.rlim_cur,
            files_hard: start.files.rlim_max,
        };
        let sent = sendmsg::<()>(
            self.socket.as_raw_fd(),
            &[IoSlice::new(&order.encode())],
            &[ControlMessage::ScmRights(&descriptors)],
            MsgFlags::MSG_NOSIGNAL | MsgFlags::MSG_DONTWAIT,
            None,
        );
        sent.map(drop)
    }

    fn answer(&self) -> nix::Result<i32> {
        let mut answer = [0; ANSWER_BYTES];
        let mut looks = 0;
        let length = loop {
            match recv(self.socket.as_raw_fd(), &mut answer, MsgFlags::empty()) {
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) if looks < LOOKS && !self.is_stopped() => looks += 1,
                Err(Errno::EAGAIN) => return Err(Errno::ETIMEDOUT),
                result => break result?,
            }
        };
        if length == ANSWER_BYTES {
            Ok(i32::from_le_bytes(answer))
        } else {
            Err(Errno::EPIPE)
        }
    }

    /// Whether somebody has sent it SIGSTOP.
    fn is_stopped(&self) -> bool {
        let flags = WaitPidFlag::WSTOPPED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        matches!(
            waitid(Id::PIDFd(self.process.as_fd()), flags),
            Ok(WaitStatus::Stopped(..))
        )
    }
}

fn errno_of(error: &std::io::Error) -> Errno {
    error.raw_os_error().map_or(Errno::EIO, Errno::from_raw)
}

impl Drop for Server {
    fn drop(&mut self) {
        // It would end with the socket, but not if it was stopped.
        let _ = send_signal(self.process.as_fd(), Signal::SIGKILL);
    }
}
