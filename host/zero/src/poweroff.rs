//! The last phase of PID 1: everything that was supervised has ended, or had its time. What is left
//! is killed, disks are put to rest, and reboot(2) is called.
//!
//! It is a loop like the core's, with one deadline over everything, and it blocks on nothing but
//! its poller: the calls that may never return are made by threads (see `disks.rs`).

use crate::disks::{Rest, Said, Step};
use crate::down::{Notice, Outcome, waits_for};
use crate::poller::{Poller, Ready};
use crate::watchdog::Watchdog;
use nix::sys::reboot::{RebootMode, reboot};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

/// What processes that nobody supervises get to end after SIGTERM; at most a quarter of what is
/// left of the deadline. Entes had their grace before, so this is for daemons that left theirs.
const TERM_GRACE: Duration = Duration::from_secs(2);

/// How long killed processes may take to be gone. Only one in uninterruptible sleep takes longer,
/// and that one may take for ever.
const KILL_GRACE: Duration = Duration::from_secs(2);

/// The least that a call on a disk may take before it counts as stuck; else a quarter of what is
/// left of the deadline, so that three more can be tried.
const MIN_STEP: Duration = Duration::from_millis(500);

/// Children reaped in one go. A storm of forks makes orphans as fast as they are reaped, until it is
/// killed, and meanwhile there are other things to look at.
const REAP_BATCH: usize = 1024;

/// Threads that may be left behind, each stuck in one call. Beyond that many the whole storage
/// is gone, and there is no reason to go on.
const MAX_STUCK: usize = 16;

/// What disks get even if the deadline is over already, because the machine itself stood still: to
/// lose what could have been written within two seconds helps nobody.
const LEAST: Duration = Duration::from_secs(2);

/// What disks get after somebody at the keyboard hurried the shutdown.
const HURRIED: Duration = Duration::from_secs(5);

/// How long reboot(2) may take to stop all drivers.
const REBOOT_GRACE: Duration = Duration::from_secs(10);

/// Processes named when some do not end.
const MAX_NAMED: usize = 8;

/// Stack of a helper thread: it reads a few files of `/proc` and makes system calls.
const STACK: usize = 128 * 1024;

/// From the end of the core loop to the end of the machine.
struct LastPhase<'a> {
    poller: Poller,
    deadline: Instant,
    watchdog: Option<Watchdog>,
    notice: Notice,
    say: &'a dyn Fn(&str),
}

/// What reaping found.
#[derive(PartialEq, Eq)]
enum Children {
    /// Nobody is left.
    None,
    /// Some live.
    Alive,
    /// More may have ended.
    More,
}

/// Why a wait ended.
enum Woken {
    /// A child may have ended.
    Child,
    /// A helper said something.
    Helper,
    /// The time given is over.
    Late,
}

/// Ends everything that still runs, and puts the disks to rest. Returns at the deadline at the
/// latest (but see `LEAST`), with the watchdog, armed and just petted. `say` must not block.
pub fn settle(
    deadline: Instant,
    watchdog: Option<Watchdog>,
    say: &dyn Fn(&str),
) -> Option<Watchdog> {
    let poller = match Poller::new() {
        Ok(poller) => poller,
        Err(error) => {
            // Out of descriptors, which cannot be after everything has ended. The least that has
            // to be done needs none; it may block, and the watchdog bounds it.
            say(&format!("shutdown: cannot wait for anything: {error}"));
            signal_all(Signal::SIGKILL);
            nix::unistd::sync();
            return watchdog;
        }
    };
    let mut phase = LastPhase {
        poller,
        deadline: deadline.max(Instant::now() + LEAST),
        watchdog,
        notice: Notice::new(Instant::now()),
        say,
    };
    phase.end_processes();
    phase.rest_disks();
    if let Some(watchdog) = &mut phase.watchdog {
        watchdog.pet(Instant::now());
    }
    phase.watchdog
}

impl LastPhase<'_> {
    fn end_processes(&mut self) {
        if reap() == Children::None {
            return;
        }
        // Stopped ones take the signal only when they go on.
        signal_all(Signal::SIGTERM);
        signal_all(Signal::SIGCONT);
        if self.wait_for_children(TERM_GRACE.min(self.left() / 4)) {
            return;
        }
        signal_all(Signal::SIGKILL);
        if !self.wait_for_children(KILL_GRACE.min(self.left() / 4)) {
            let left = named(&processes(), MAX_NAMED);
            (self.say)(&format!("shutdown: these do not end: {left}"));
        }
    }

    /// True when all have ended. Whoever loses its parent becomes a child of PID 1, so no children
    /// means that there is nobody.
    fn wait_for_children(&mut self, at_most: Duration) -> bool {
        let until = Instant::now() + at_most;
        loop {
            let pause = match reap() {
                Children::None => return true,
                Children::Alive => until,
                Children::More => Instant::now() + Duration::from_millis(1),
            };
            let _ = self.wait(until.min(pause), &"processes that nobody supervises");
            if Instant::now() >= until {
                return false;
            }
        }
    }

    fn rest_disks(&mut self) {
        let mut stuck = BTreeSet::new();
        while stuck.len() < MAX_STUCK && self.left() > Duration::ZERO {
            let Ok(said) = self.start_helper(&stuck) else {
                // Without threads a blocking sync is the most that can be done, and the hardware
                // watchdog bounds it.
                nix::unistd::sync();
                return;
            };
            match self.listen(&said) {
                None => return,
                Some(step) => {
                    (self.say)(&format!("shutdown: gave up waiting for {step}"));
                    stuck.insert(step);
                }
            }
        }
    }

    fn start_helper(&self, stuck: &BTreeSet<Step>) -> io::Result<Receiver<Said>> {
        let (tell, said) = mpsc::channel();
        let (skip, wake) = (stuck.clone(), self.poller.wake_handle());
        let work = move || {
            Rest::run(&skip, &|word| {
                let _ = tell.send(word); // nobody listens to one that was left behind
                wake.wake();
            });
        };
        let builder = thread::Builder::new().name("disks".into());
        builder.stack_size(STACK).spawn(work)?;
        Ok(said)
    }

    /// Listens to a helper until it is done, `None`, or stuck at a step.
    fn listen(&mut self, said: &Receiver<Said>) -> Option<Step> {
        let mut step = Step::WriteBack;
        let mut until = self.step_ends();
        loop {
            while let Ok(word) = said.try_recv() {
                match word {
                    Said::At(next) => (step, until) = (next, self.step_ends()),
                    Said::Problem(text) => (self.say)(&format!("shutdown: {text}")),
                    Said::Done => return None,
                }
            }
            if let Woken::Late = self.wait(until, &step) {
                return Some(step);
            }
            until = until.min(self.deadline); // it may have been hurried
        }
    }

    fn step_ends(&self) -> Instant {
        Instant::now() + (self.left() / 4).max(MIN_STEP).min(self.left())
    }

    fn left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    /// Waits for whatever comes first. Meanwhile says now and then what it waits for, pets the
    /// watchdog, and listens to the keyboard.
    fn wait(&mut self, until: Instant, what: &dyn std::fmt::Display) -> Woken {
        loop {
            let now = Instant::now();
            let until = until.min(self.deadline);
            if now >= until {
                return Woken::Late;
            }
            if self.notice.is_due(now) {
                (self.say)(&waits_for(what, self.left()));
            }
            let mut next = until.min(self.notice.due());
            if let Some(watchdog) = &mut self.watchdog {
                watchdog.pet_if_due(now);
                next = next.min(watchdog.due());
            }
            let after = next.saturating_duration_since(now);
            let ready = self
                .poller
                .set_deadline(Some(after))
                .and_then(|()| self.poller.wait(None));
            let Ok(ready) = ready else {
                // Cannot happen to a poller that was made; waiting blindly would.
                return Woken::Late;
            };
            if let Some(woken) = self.woken_by(&ready) {
                return woken;
            }
        }
    }

    fn woken_by(&mut self, ready: &[Ready]) -> Option<Woken> {
        let mut woken = None;
        for ready in ready {
            match ready {
                Ready::Woken => woken = Some(Woken::Helper),
                Ready::Signals => {
                    while let Some(signal) = self.poller.next_signal() {
                        match signal {
                            Signal::SIGCHLD => woken = Some(Woken::Child),
                            Signal::SIGINT => self.hurry(),
                            _ => {} // it is going down already
                        }
                    }
                }
                Ready::Deadline | Ready::Watched(_) => {}
            }
        }
        woken
    }

    fn hurry(&mut self) {
        self.deadline = self.deadline.min(Instant::now() + HURRIED);
    }
}

/// Reaps some of what has ended.
fn reap() -> Children {
    for _ in 0..REAP_BATCH {
        match waitpid(None::<Pid>, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::StillAlive) => return Children::Alive,
            Ok(_) | Err(nix::Error::EINTR) => {}
            Err(_) => return Children::None, // ECHILD
        }
    }
    Children::More
}

/// Signals everybody but PID 1 and the kernel's threads (kill(2)).
fn signal_all(signal: Signal) {
    let _ = kill(Pid::from_raw(-1), signal); // ESRCH: nobody is left
}

/// Processes with a program, as `(pid, name)`.
fn processes() -> Vec<(u32, String)> {
    let pids = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let with_name = |pid: u32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        Some((pid, name_of(&stat)?.to_owned()))
    };
    pids.filter(|pid| *pid != 1).filter_map(with_name).collect()
}

/// The name in proc_pid_stat(5), unless it is that of a kernel thread: those descend from
/// kthreadd, which is number 2 and has no parent.
fn name_of(stat: &str) -> Option<&str> {
    let (before, after) = (stat.find('(')?, stat.rfind(')')?);
    let parent: u32 = stat
        .get(after + 1..)?
        .split_whitespace()
        .nth(1)?
        .parse()
        .ok()?;
    let kthread = parent == 2 || parent == 0;
    (!kthread).then(|| stat.get(before + 1..after))?
}

fn named(all: &[(u32, String)], at_most: usize) -> String {
    let mut text: Vec<String> = all
        .iter()
        .take(at_most)
        .map(|(pid, name)| format!("{pid} ({name})"))
        .collect();
    if all.len() > at_most {
        text.push(format!("and {} more", all.len() - at_most));
    }
    text.join(", ")
}

/// Ends the machine; returns, with the reason, only if the kernel does not do it. Threads may be left
/// then that nothing ends, so an execve(2), which waits for them, is no way out.
///
/// A thread makes the call. Where the hardware refuses, the kernel ends the calling thread
/// (`kernel/reboot.c`), and if that were the only one of PID 1, it would panic.
pub fn end_machine(outcome: Outcome, mut watchdog: Option<Watchdog>) -> String {
    let mode = match outcome {
        Outcome::PowerOff => RebootMode::RB_POWER_OFF,
        Outcome::Halt => RebootMode::RB_HALT_SYSTEM,
        Outcome::Reboot | Outcome::Leave => RebootMode::RB_AUTOBOOT,
    };
    // It would start a machine again that is to stay off. A reboot it only helps, so then it
    // stays open, and armed, to the end.
    if mode != RebootMode::RB_AUTOBOOT
        && let Some(watchdog) = watchdog.take()
    {
        let _ = watchdog.disarm();
    }
    let (tell, failed) = mpsc::channel();
    let call = move || {
        let Err(errno) = reboot(mode);
        let _ = tell.send(errno);
    };
    let builder = thread::Builder::new().name("reboot".into());
    if let Err(error) = builder.stack_size(STACK).spawn(call) {
        return format!("cannot start the thread that calls reboot(2): {error}");
    }
    match failed.recv_timeout(REBOOT_GRACE) {
        Ok(errno) => format!("reboot(2) failed: {}", errno.desc()),
        Err(_) => {
            if mode == RebootMode::RB_AUTOBOOT {
                // A driver hangs; this goes around them (Documentation/admin-guide/sysrq.rst).
                // For the other ends the kernel knows no such way.
                let _ = fs::write("/proc/sysrq-trigger", "b");
            }
            format!("reboot(2), for {outcome}, does not come to its end")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernel_threads_are_nobody() {
        assert_eq!(name_of("2 (kthreadd) S 0 0 0"), None);
        assert_eq!(name_of("9 (kworker/0:1) I 2 0 0"), None);
        assert_eq!(name_of("77 (a) b) D 1 77 77"), Some("a) b"));
        assert_eq!(name_of("77"), None);
    }

    #[test]
    fn only_so_many_are_named() {
        let all: Vec<_> = (5..8).map(|pid| (pid, format!("p{pid}"))).collect();
        assert_eq!(named(&all, 3), "5 (p5), 6 (p6), 7 (p7)");
        assert_eq!(named(&all, 2), "5 (p5), 6 (p6), and 1 more");
        assert_eq!(named(&[], 2), "");
    }
}
