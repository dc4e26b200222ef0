//! The thread that empties the pipes of all processes.
//!
//! It reads at most one buffer of a pipe before the others have their turn, whoever floods, and it
//! waits for nothing but its epoll(7): the console has a thread of its own.

use super::handover::LeftPipe;
use super::intake::{Intake, Origin};
use super::line::Splitter;
use super::talker::WINDOW;
use super::{Shared, Source};
use crate::console::Console;
use crate::poller::Wake;
use arje_card::Id;
use arje_wasm::Line;
use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::eventfd::{EfdFlags, EventFd};
use std::collections::HashMap;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, TryRecvError};
use std::thread;
use std::time::Instant;

/// Bytes read from one pipe at a time; a pipe holds as many (pipe(7)).
const BUFFER: usize = 64 * 1024;

/// Pipes ready at once; more are reported by the next call.
const BATCH: usize = 64;

/// Messages taken before the pipes have their turn again.
const MESSAGE_BATCH: usize = 1024;

/// Pipes of one Ente. An incarnation has two; one whose pipes outlive it has left processes behind
/// that still write, and where nothing kills those, four incarnations of them are listened to.
const MAX_PIPES: usize = 8;

/// What is read of one pipe when everything is about to end; more than it holds.
const LAST_WORDS: usize = 4 * BUFFER;

/// Stack of the thread: its buffer is on the heap.
const STACK: usize = 128 * 1024;

/// Token of the messages; pipes have those above.
const MESSAGES: u64 = 0;

/// The reading ends of an incarnation's standard output and error, both non-blocking.
#[derive(Debug)]
pub struct Captured {
    /// The Ente.
    pub id: Id,
    /// Its label, which stands before its lines on the console.
    pub label: Arc<str>,
    /// The incarnation.
    pub incarnation: u64,
    /// Standard output.
    pub stdout: OwnedFd,
    /// Standard error.
    pub stderr: OwnedFd,
}

/// What the other threads send.
pub(super) enum Message {
    Attach(Captured),
    Component(Line),
    Forget(Id),
    /// Answered when everything that can be read now has been handed on.
    Flush(Sender<()>),
    /// The same, and then nothing is read until the other end of the channel is gone.
    Pause(Sender<Vec<LeftPipe>>, Receiver<()>),
    /// A pipe of another image, with its Ente's label.
    TakeOver(Arc<str>, LeftPipe),
    /// To be a defect.
    #[cfg(test)]
    Panic,
}

/// Wakes the thread when messages wait; one write for any number of them.
pub(super) struct Signal {
    event: EventFd,
    raised: AtomicBool,
}

impl Signal {
    pub(super) fn new() -> io::Result<Signal> {
        let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
        Ok(Signal {
            event: EventFd::from_value_and_flags(0, flags)?,
            raised: AtomicBool::new(false),
        })
    }

    pub(super) fn raise(&self) {
        if !self.raised.swap(true, Ordering::AcqRel) {
            let _ = self.event.write(1); // fails only when it is raised already
        }
    }

    /// Before the messages are taken, so that one that comes meanwhile raises it again.
    fn lower(&self) {
        let _ = self.event.read();
        self.raised.swap(false, Ordering::AcqRel);
    }
}

pub(super) struct Pipe {
    pub(super) fd: OwnedFd,
    pub(super) origin: Origin,
    pub(super) splitter: Splitter,
}

/// Tells the core loop that the thread has ended, also by a panic.
struct Farewell(Arc<Shared>, Wake);

impl Drop for Farewell {
    fn drop(&mut self) {
        self.0.lost.store(true, Ordering::Release);
        self.1.wake();
    }
}

/// The thread's own.
pub(super) struct Drain {
    epoll: Epoll,
    queue: Receiver<Message>,
    signal: Arc<Signal>,
    pub(super) pipes: HashMap<u64, Pipe>,
    next_token: u64,
    buffer: Vec<u8>,
    intake: Intake,
    wake: Wake,
}

impl Drain {
    pub(super) fn start(
        shared: Arc<Shared>,
        console: Console,
        wake: Wake,
        queue: Receiver<Message>,
        signal: Arc<Signal>,
    ) -> io::Result<()> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        epoll.add(
            &signal.event,
            EpollEvent::new(EpollFlags::EPOLLIN, MESSAGES),
        )?;
        let farewell = Farewell(Arc::clone(&shared), wake.clone());
        let drain = Drain {
            epoll,
            queue,
            signal,
            pipes: HashMap::new(),
            next_token: MESSAGES + 1,
            buffer: vec![0; BUFFER],
            intake: Intake::new(shared, console),
            wake,
        };
        thread::Builder::new()
            .name("output".into())
            .stack_size(STACK)
            .spawn(move || {
                let _farewell = farewell;
                crate::threads::never_preempt();
                drain.run();
            })?;
        Ok(())
    }

    fn run(mut self) {
        let mut events = [EpollEvent::empty(); BATCH];
        loop {
            let count = match self.epoll.wait(&mut events, self.timeout()) {
                Ok(count) => count,
                Err(Errno::EINTR) => 0,
                Err(errno) => {
                    // A defect: without the thread, programs wait when their pipes are full.
                    tracing::error!(%errno, "output: epoll_wait failed; nothing is taken in any more");
                    return;
                }
            };
            for event in &events[..count] {
                match event.data() {
                    MESSAGES => {
                        if !self.take_messages() {
                            return;
                        }
                    }
                    token => self.read(token),
                }
            }
            self.intake.settle(Instant::now());
            if self.intake.take_stored() {
                self.wake.wake();
            }
        }
    }

    /// Not for ever while something is left to be said at the end of a window.
    fn timeout(&self) -> EpollTimeout {
        if !self.intake.owes() {
            return EpollTimeout::NONE;
        }
        EpollTimeout::try_from(WINDOW).unwrap_or(EpollTimeout::NONE)
    }

    /// False when nobody is left to send any.
    fn take_messages(&mut self) -> bool {
        self.signal.lower();
        for _ in 0..MESSAGE_BATCH {
            match self.queue.try_recv() {
                Ok(message) => self.take(message),
                Err(TryRecvError::Empty) => return true,
                Err(TryRecvError::Disconnected) => return false,
            }
        }
        self.signal.raise(); // there may be more
        true
    }

    fn take(&mut self, message: Message) {
        match message {
            Message::Attach(captured) => self.attach(captured),
            Message::Component(line) => self.intake.component(line),
            Message::Forget(id) => {
                for token in self.intake.forget(id) {
                    self.pipes.remove(&token);
                }
            }
            Message::Pause(answer, go_on) => {
                self.flush();
                if answer.send(self.pipes_left()).is_ok() {
                    let _ = go_on.recv();
                }
            }
            Message::TakeOver(label, pipe) => self.take_over(label, pipe),
            #[cfg(test)]
            Message::Panic => panic!("asked for by a test"),
            Message::Flush(done) => {
                self.flush();
                let _ = done.send(());
            }
        }
    }

    fn attach(&mut self, captured: Captured) {
        let Captured {
            id,
            label,
            incarnation,
            stdout,
            stderr,
        } = captured;
        self.intake.greet(id, label);
        for (source, fd) in [(Source::Stdout, stdout), (Source::Stderr, stderr)] {
            let origin = Origin {
                id,
                incarnation,
                source,
            };
            if let Err(errno) = self.watch(origin, fd, Splitter::default()) {
                tracing::error!(%id, %errno, "output: a pipe cannot be watched; it is closed");
            }
        }
        self.close_surplus(id);
    }

    fn take_over(&mut self, label: Arc<str>, pipe: LeftPipe) {
        self.intake.greet(pipe.id, label);
        let origin = Origin {
            id: pipe.id,
            incarnation: pipe.incarnation,
            source: match pipe.is_stderr {
                true => Source::Stderr,
                false => Source::Stdout,
            },
        };
        let splitter = pipe.splitter();
        if let Err(errno) = self.watch(origin, pipe.fd, splitter) {
            tracing::error!(id = %origin.id, %errno, "output: a pipe cannot be watched; it is closed");
        }
    }

    fn watch(&mut self, origin: Origin, fd: OwnedFd, splitter: Splitter) -> nix::Result<()> {
        let token = self.next_token;
        self.next_token += 1; // 2^64 pipes are out of reach
        self.epoll
            .add(&fd, EpollEvent::new(EpollFlags::EPOLLIN, token))?;
        if let Some(talker) = self.intake.talkers.get_mut(&origin.id) {
            talker.pipes.push(token);
        }
        self.pipes.insert(
            token,
            Pipe {
                fd,
                origin,
                splitter,
            },
        );
        Ok(())
    }

    fn close_surplus(&mut self, id: Id) {
        while let Some(oldest) = self
            .intake
            .talkers
            .get(&id)
            .filter(|talker| talker.pipes.len() > MAX_PIPES)
            .and_then(|talker| talker.pipes.first().copied())
        {
            self.close(oldest);
        }
    }

    fn close(&mut self, token: u64) {
        let Some(Pipe {
            origin,
            mut splitter,
            ..
        }) = self.pipes.remove(&token)
        else {
            return;
        };
        self.intake.begin();
        splitter.end(|line| self.intake.line(origin, line));
        if let Some(talker) = self.intake.talkers.get_mut(&origin.id) {
            talker.pipes.retain(|known| *known != token);
        }
    }

    fn read(&mut self, token: u64) {
        let _ = self.read_once(token);
    }

    /// Takes one buffer of a pipe; how much that was.
    fn read_once(&mut self, token: u64) -> usize {
        let Some(pipe) = self.pipes.get_mut(&token) else {
            return 0;
        };
        match nix::unistd::read(&pipe.fd, &mut self.buffer) {
            Ok(length @ 1..) => {
                self.intake.begin();
                let origin = pipe.origin;
                pipe.splitter.feed(&self.buffer[..length], |line| {
                    self.intake.line(origin, line)
                });
                length
            }
            Err(Errno::EAGAIN | Errno::EINTR) => 0,
            // Nobody can write any more.
            Ok(0) | Err(_) => {
                self.close(token);
                0
            }
        }
    }

    /// Everything that lies in the pipes, but of one that is filled all the time only so much.
    fn flush(&mut self) {
        let tokens: Vec<u64> = self.pipes.keys().copied().collect();
        for token in tokens {
            let mut left = LAST_WORDS;
            while let read @ 1.. = self.read_once(token) {
                left = left.saturating_sub(read);
                if left == 0 {
                    break;
                }
            }
        }
        self.intake.settle(Instant::now() + WINDOW);
    }
}
