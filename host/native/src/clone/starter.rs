//! A thread with a small table of descriptors of its own, in which children are made.
//!
//! A child gets a copy of its maker's table, and what is in it is closed again at `execve`. PID 1 holds several
//! descriptors for each native Ente, so a start would cost the more the more Entes there are: with a thousand of them
//! twice the work of everything else in it. This thread holds those of one start at a time, sent to it by PID 1
//! (`SCM_RIGHTS`, unix(7)), and none of the rest. It waits for nothing but the next start, and PID 1 waits for
//! nothing but one answer of this thread, which is a thread of its own.

use std::io::{IoSlice, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use ente_spawn::{FIRST_PASSED_FD, MAX_PASSED};
use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, ControlMessage, ControlMessageOwned, MsgFlags, Shutdown, SockFlag, SockType,
    recv, recvmsg, send, sendmsg, shutdown, socketpair,
};
use nix::unistd::Pid;

use super::{Child, Cloner, set_signal_mask};
use crate::descriptors::{Placement, duplicate_above};

/// Stack of the thread: it makes system calls and places descriptors.
const STACK: usize = 64 * 1024;

/// Descriptors of one start: three streams, plan, status pipe, cgroup, and those to pass.
const MAX_SENT: usize = FIRST_PASSED_FD as usize + 1 + MAX_PASSED as usize;

/// Length of a request: flags, `RLIMIT_NOFILE` soft and hard.
const REQUEST: usize = 3 * 8;

/// Length of an answer: the process id, or a negative error number.
const ANSWER: usize = 4;

const HAS_CGROUP: u64 = 1;
const PID_NAMESPACE: u64 = 2;

/// The first number above all that a start may be given in the executor.
const FIRST_FREE: RawFd = FIRST_PASSED_FD + MAX_PASSED as RawFd;

/// Signals that the thread takes, bit 0 for signal 1: those that the kernel sends to a thread for what it does (SIGILL,
/// SIGTRAP, SIGABRT, SIGBUS, SIGFPE, SIGSEGV, SIGSYS). If they were blocked, a fault would end PID 1 at once instead of
/// by the handler that it has for them.
const FAULTS: u64 = 0x4000_04f8;

/// What to start, by PID 1's descriptors.
pub(crate) struct Order<'a> {
    pub(crate) streams: [BorrowedFd<'a>; 3],
    /// Closed as soon as it was sent.
    pub(crate) plan: OwnedFd,
    pub(crate) status: BorrowedFd<'a>,
    pub(crate) passed: &'a [BorrowedFd<'a>],
    pub(crate) cgroup: Option<BorrowedFd<'a>>,
    pub(crate) files: libc::rlimit,
    pub(crate) pid_namespace: bool,
}

/// PID 1's end of the thread. Dropping it ends the thread.
#[derive(Debug)]
pub(crate) struct Starter {
    socket: OwnedFd,
    thread: Option<JoinHandle<()>>,
}

impl Starter {
    /// Starts the thread. `executor` is a descriptor by whose number children execute the executor, if that is how.
    ///
    /// # Errors
    /// The socket or the thread cannot be made.
    pub(crate) fn start(
        cloner: Arc<Mutex<Cloner>>,
        executor: Option<RawFd>,
    ) -> nix::Result<Starter> {
        let (ours, theirs) = socketpair(
            AddressFamily::Unix,
            SockType::SeqPacket,
            None,
            SockFlag::SOCK_CLOEXEC,
        )?;
        let number = theirs.as_raw_fd();
        let thread = thread::Builder::new()
            .name("starter".into())
            .stack_size(STACK)
            .spawn(move || run(number, executor, &cloner))
            .map_err(|error| error.raw_os_error().map_or(Errno::EAGAIN, Errno::from_raw))?;
        // Until then `theirs` is in the one table of both.
        wait_answer(&ours)?;
        drop(theirs);
        Ok(Starter {
            socket: ours,
            thread: Some(thread),
        })
    }

    /// Makes a child.
    ///
    /// # Errors
    /// Those of [`Cloner::spawn`]; `EPIPE` if the thread is gone.
    pub(crate) fn spawn(&mut self, order: Order<'_>) -> nix::Result<(Pid, OwnedFd)> {
        request(&self.socket, &order)?;
        let pid = Pid::from_raw(wait_answer(&self.socket)?);
        // Makes room for the pidfd, so that there is no child that cannot be held.
        drop(order.plan);
        // The number cannot be another process's: only the caller reaps, and it does not yet.
        let pidfd = pidfd_open(pid).inspect_err(|_| {
            // Its end will be that of nobody.
            let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL);
        })?;
        Ok((pid, pidfd))
    }
}

impl Drop for Starter {
    fn drop(&mut self) {
        let _ = shutdown(self.socket.as_raw_fd(), Shutdown::Both);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join(); // it has nothing to say
        }
    }
}

fn request(socket: &OwnedFd, order: &Order<'_>) -> nix::Result<()> {
    let [input, output, error] = order.streams;
    let mut descriptors = vec![input, output, error, order.plan.as_fd(), order.status];
    descriptors.extend(order.cgroup);
    descriptors.extend(order.passed);
    let descriptors: Vec<RawFd> = descriptors.iter().map(AsRawFd::as_raw_fd).collect();
    let has_cgroup = u64::from(order.cgroup.is_some()) * HAS_CGROUP;
    let flags = has_cgroup + u64::from(order.pid_namespace) * PID_NAMESPACE;
    let words = [flags, order.files.rlim_cur, order.files.rlim_max];
    let request = words.map(u64::to_ne_bytes).concat();
    let sent = sendmsg::<()>(
        socket.as_raw_fd(),
        &[IoSlice::new(&request)],
        &[ControlMessage::ScmRights(&descriptors)],
        MsgFlags::MSG_NOSIGNAL,
        None,
    );
    sent.map(drop)
}

fn wait_answer(socket: &OwnedFd) -> nix::Result<i32> {
    let mut answer = [0; ANSWER];
    let length = loop {
        match recv(socket.as_raw_fd(), &mut answer, MsgFlags::empty()) {
            Err(Errno::EINTR) => {}
            result => break result?,
        }
    };
    match i32::from_ne_bytes(answer) {
        _ if length != ANSWER => Err(Errno::EPIPE),
        errno @ ..0 => Err(Errno::from_raw(-errno)),
        value => Ok(value),
    }
}

/// The thread. `number` is its end of the socket in the table that it begins with, which is that of all threads.
fn run(number: RawFd, executor: Option<RawFd>, cloner: &Mutex<Cloner>) {
    set_signal_mask(!FAULTS);
    match Table::of_its_own(number, executor) {
        Ok((table, socket)) => {
            if answer(socket.as_raw_fd(), 0).is_ok() {
                table.serve(&socket, cloner);
            }
        }
        Err(errno) => {
            let _ = answer(number, -(errno as i32)); // whoever waits for it is there
        }
    }
}

fn answer(socket: RawFd, value: i32) -> nix::Result<()> {
    send(socket, &value.to_ne_bytes(), MsgFlags::MSG_NOSIGNAL).map(drop)
}

/// The thread's descriptors: standard streams, its socket, the executor.
struct Table {
    executor: Option<RawFd>,
}

impl Table {
    /// Gives the calling thread a table of its own with nothing in it but these; `own` is the socket. Returns the
    /// socket by its new number.
    fn of_its_own(own: RawFd, executor: Option<RawFd>) -> nix::Result<(Table, OwnedFd)> {
        let highest = executor.map_or(own, |executor| executor.max(own));
        // Nothing above is copied, however much there is.
        close_range(highest + 1, RawFd::MAX, libc::CLOSE_RANGE_UNSHARE)?;
        let lowest = executor.map_or(own, |executor| executor.min(own));
        close_range(3, lowest - 1, 0)?;
        close_range(lowest + 1, highest - 1, 0)?;
        // SAFETY: open until the end of this function; on failure, the caller still answers on it.
        let first = unsafe { BorrowedFd::borrow_raw(own) };
        // What is sent gets numbers above those of the streams, the plan and the status pipe in the executor, so
        // that it need not be moved out of the way. These stay open as long as the thread runs.
        let mut socket = duplicate_above(first, 3)?;
        while socket.as_raw_fd() < FIRST_PASSED_FD - 1 {
            let next = duplicate_above(first, 3)?;
            std::mem::forget(std::mem::replace(&mut socket, next));
        }
        if own >= FIRST_PASSED_FD {
            close_range(own, own, 0)?;
        }
        Ok((Table { executor }, socket))
    }

    /// Makes children until PID 1's end is closed.
    fn serve(&self, socket: &OwnedFd, cloner: &Mutex<Cloner>) {
        let mut space = nix::cmsg_space!([RawFd; MAX_SENT]);
        while let Some((request, sent)) = receive(socket, &mut space) {
            let made = sent.and_then(|sent| {
                let made = make(&request, &sent, cloner);
                self.close(sent);
                made
            });
            let value = made.map_or_else(|errno| -(errno as i32), Pid::as_raw);
            if answer(socket.as_raw_fd(), value).is_err() {
                return;
            }
        }
    }

    /// Closes what was sent, in one go.
    fn close(&self, sent: Vec<OwnedFd>) {
        let lowest = sent.iter().map(AsRawFd::as_raw_fd).min();
        let highest = sent.iter().map(AsRawFd::as_raw_fd).max();
        let (Some(lowest), Some(highest)) = (lowest, highest) else {
            return;
        };
        if self
            .executor
            .is_some_and(|executor| (lowest..=highest).contains(&executor))
        {
            return; // one by one
        }
        if close_range(lowest, highest, 0).is_ok() {
            sent.into_iter().for_each(std::mem::forget);
        }
    }
}

/// A request, and its descriptors or why they could not be had.
type Received = ([u8; REQUEST], nix::Result<Vec<OwnedFd>>);

/// The next request; `None` at the end.
fn receive(socket: &OwnedFd, space: &mut [u8]) -> Option<Received> {
    loop {
        match receive_once(socket, space) {
            // By a fault signal that somebody sent, whose handler returns.
            Err(Errno::EINTR) => {}
            result => return result.ok().flatten(),
        }
    }
}

fn receive_once(socket: &OwnedFd, space: &mut [u8]) -> nix::Result<Option<Received>> {
    let mut request = [0; REQUEST];
    let mut into = [IoSliceMut::new(&mut request)];
    let flags = MsgFlags::MSG_CMSG_CLOEXEC;
    let message = recvmsg::<()>(socket.as_raw_fd(), &mut into, Some(space), flags)?;
    let length = message.bytes;
    let complete = !message.flags.contains(MsgFlags::MSG_CTRUNC);
    let sent = take_descriptors(message.cmsgs()?);
    if length != REQUEST {
        return Ok(None);
    }
    let sent = if complete {
        Ok(sent)
    } else {
        Err(Errno::EMFILE)
    };
    Ok(Some((request, sent)))
}

fn take_descriptors(messages: impl Iterator<Item = ControlMessageOwned>) -> Vec<OwnedFd> {
    let mut taken = Vec::with_capacity(MAX_SENT);
    for message in messages {
        if let ControlMessageOwned::ScmRights(numbers) = message {
            // SAFETY: the kernel has just made these descriptors, and nobody else knows them.
            taken.extend(
                numbers
                    .iter()
                    .map(|number| unsafe { OwnedFd::from_raw_fd(*number) }),
            );
        }
    }
    taken
}

fn make(request: &[u8; REQUEST], sent: &[OwnedFd], cloner: &Mutex<Cloner>) -> nix::Result<Pid> {
    let word = |index: usize| {
        let bytes = request.get(index * 8..index * 8 + 8).unwrap_or_default();
        bytes.try_into().map_or(0, u64::from_ne_bytes)
    };
    let sent: Vec<BorrowedFd<'_>> = sent.iter().map(AsFd::as_fd).collect();
    let [input, output, error, plan, status, rest @ ..] = sent.as_slice() else {
        return Err(Errno::EINVAL);
    };
    let (cgroup, passed) = match (word(0) & HAS_CGROUP != 0, rest) {
        (true, [cgroup, passed @ ..]) => (Some(*cgroup), passed),
        (_, passed) => (None, passed),
    };
    let placement = Placement::new([*input, *output, *error], *plan, *status, passed)?;
    let child = Child {
        moves: placement.moves(),
        status: placement.status(),
        files: libc::rlimit {
            rlim_cur: word(1),
            rlim_max: word(2),
        },
        cgroup,
        pid_namespace: word(0) & PID_NAMESPACE != 0,
    };
    // A panic while it was held would have left slots that are taken or not, nothing in between.
    let mut cloner = cloner.lock().unwrap_or_else(PoisonError::into_inner);
    cloner.spawn(&child)
}

/// The number that an executor has that is executed by its descriptor: above all that a start may be given.
pub(crate) fn executor_number(fd: BorrowedFd<'_>) -> nix::Result<OwnedFd> {
    duplicate_above(fd, FIRST_FREE)
}

/// close_range(2); an empty range is nothing to do.
fn close_range(first: RawFd, last: RawFd, flags: u32) -> nix::Result<()> {
    if first > last {
        return Ok(());
    }
    // SAFETY: numbers only; what they stand for is the caller's to close.
    let result = unsafe { libc::syscall(libc::SYS_close_range, first, last, flags) };
    Errno::result(result).map(drop)
}

fn pidfd_open(pid: Pid) -> nix::Result<OwnedFd> {
    // SAFETY: numbers only.
    let fd = Errno::result(unsafe { libc::syscall(libc::SYS_pidfd_open, pid.as_raw(), 0) })?;
    // SAFETY: the call has just made this descriptor, and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as RawFd) })
}
