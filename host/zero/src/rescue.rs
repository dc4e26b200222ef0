//! The rescue path: an interactive shell on the console when the core cannot go on.
//!
//! It uses as little as possible: no supervisor, no components, no thread until the machine is to
//! end. PID 1 stays PID 1, reaps, and starts the shell again when it ends.

use crate::down::Outcome;
use crate::lastwords::{go_on, record, say};
use crate::poller::{Poller, Ready};
use crate::watchdog::{self, Watchdog};
use crate::{down, poweroff};
use arje_native::active_console;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::signal::{Signal, kill};
use nix::sys::termios::{InputFlags, LocalFlags, OutputFlags, SetArg, tcgetattr, tcsetattr};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use std::ffi::CString;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Pause before a shell that ended is started again.
const PAUSE: Duration = Duration::from_secs(1);

/// What the killed get to be gone; whoever sleeps uninterruptibly stays.
const TO_DIE: Duration = Duration::from_secs(1);

/// How long the reason stays on the screen when there is no shell.
const TO_READ: Duration = Duration::from_secs(10);

/// Where a shell may be.
const SHELLS: &[&str] = &["/bin/sh", "/usr/bin/sh", "/bin/busybox", "/sbin/sh"];

/// Whether the command line forbids a shell. Kept, since `/proc` may be out of reach when it is asked for.
static FORBIDDEN: AtomicBool = AtomicBool::new(false);

/// From now on nothing in this process opens a shell.
pub fn forbid() {
    FORBIDDEN.store(true, Ordering::Relaxed);
}

/// Replaces this process by itself in rescue mode. Whatever broke in memory is gone with it.
///
/// Does not return; if even that fails, goes on in place.
pub fn exec(reason: &str) -> ! {
    let arguments: Vec<CString> = ["ente-zero", "--rescue", reason]
        .into_iter()
        .map(|text| CString::new(text.replace('\0', " ")).unwrap_or_default())
        .collect();
    let _ = nix::unistd::execv(c"/proc/self/exe", &arguments);
    in_place(reason)
}

/// Goes on in this process, after the machine could not be ended: a helper may be stuck in a call
/// that nothing ends, and execve(2) would wait for it.
pub fn in_place(reason: &str) -> ! {
    if FORBIDDEN.load(Ordering::Relaxed) {
        reboot(reason)
    }
    run(reason)
}

/// Kills what the lost core had started, tells why, and runs shells for ever.
pub fn run(reason: &str) -> ! {
    let _ = nix::sys::prctl::set_name(c"ente-zero"); // after the exec of a link it would be "exe"
    kill_all();
    record(&format!("rescue: {reason}"));
    let watchdog = quiet_watchdog();
    let Some(shell) = SHELLS.iter().map(Path::new).find(|path| path.exists()) else {
        say("rescue: there is no shell in this image");
        sleep(TO_READ);
        end(Outcome::Reboot, watchdog);
    };
    say("rescue: starting a shell; `reboot` and `poweroff` end the machine");
    let mut keeper = Keeper {
        poller: Poller::new()
            .map_err(|error| say(&format!("rescue: {error}")))
            .ok(),
        watchdog,
    };
    loop {
        match start_shell(shell) {
            Ok(pid) => keeper.wait_for(pid),
            Err(error) => say(&format!(
                "rescue: cannot start {}: {error}",
                shell.display()
            )),
        }
        keeper.pause();
    }
}

/// Tells why and reboots, for machines where a rescue shell is forbidden or impossible.
pub fn reboot(reason: &str) -> ! {
    record(&format!("rescue: {reason}; rebooting"));
    end(Outcome::Reboot, None)
}

/// Kills everybody but PID 1: their supervisor is gone, and some may hold the console. A terminal
/// forgets what it was told when its session ends, so the reason is told after that.
fn kill_all() {
    let _ = kill(Pid::from_raw(-1), Signal::SIGKILL);
    let until = Instant::now() + TO_DIE;
    while !reaped(Pid::from_raw(0), false) && Instant::now() < until {
        sleep(TO_DIE / 100);
    }
}

/// Ends the machine as a shutdown does, without Entes to stop before.
fn end(outcome: Outcome, watchdog: Option<Watchdog>) -> ! {
    let watchdog = poweroff::settle(Instant::now() + down::DEFAULT, watchdog, &say);
    say(&format!("rescue: {outcome}"));
    let reason = poweroff::end_machine(outcome, watchdog);
    say(&format!("rescue: {reason}"));
    // PID 1 must not end, and there is nothing left to do.
    loop {
        sleep(TO_READ);
    }
}

/// What PID 1 does while a shell runs.
struct Keeper {
    /// Without it no signal is heard, but shells still run.
    poller: Option<Poller>,
    /// Only one that cannot be disarmed.
    watchdog: Option<Watchdog>,
}

impl Keeper {
    /// Reaps everything until this process has ended.
    fn wait_for(&mut self, shell: Pid) {
        while !reaped(shell, self.poller.is_none()) {
            self.turn(None);
        }
    }

    fn pause(&mut self) {
        let until = Instant::now() + PAUSE;
        if self.poller.is_none() {
            return sleep(PAUSE);
        }
        while Instant::now() < until {
            self.turn(Some(until));
            let _ = reaped(Pid::from_raw(0), false); // nobody has this number
        }
    }

    /// Waits for a signal, or until then; pets the watchdog meanwhile.
    fn turn(&mut self, until: Option<Instant>) {
        let now = Instant::now();
        let pet = self.watchdog.as_mut().map(|watchdog| {
            watchdog.pet_if_due(now);
            watchdog.due()
        });
        let Some(poller) = &self.poller else {
            return;
        };
        let next = pet.into_iter().chain(until).min();
        let ready = poller
            .set_deadline(next.map(|at| at.saturating_duration_since(now)))
            .and_then(|()| poller.wait(None));
        if !ready.is_ok_and(|ready| ready.contains(&Ready::Signals)) {
            return;
        }
        while let Some(signal) = poller.next_signal() {
            if let Some(outcome) = Outcome::of_signal(signal) {
                end(outcome, self.watchdog.take());
            }
        }
    }
}

/// Reaps what has ended; whether this process was among it, or there is nobody left. With `block`
/// it waits for one to end.
fn reaped(shell: Pid, block: bool) -> bool {
    let flags = (!block).then_some(WaitPidFlag::WNOHANG);
    loop {
        match waitpid(None::<Pid>, flags) {
            Ok(WaitStatus::StillAlive) => return false,
            Ok(WaitStatus::Exited(pid, _) | WaitStatus::Signaled(pid, _, _)) if pid == shell => {
                return true;
            }
            Ok(_) | Err(nix::Error::EINTR) => {}
            Err(_) => return true, // ECHILD
        }
    }
}

fn start_shell(shell: &Path) -> io::Result<Pid> {
    let console = console()?;
    let mut command = Command::new(shell);
    if shell.ends_with("busybox") {
        command.arg("sh");
    }
    command
        .env_clear()
        .envs([
            ("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"),
            ("TERM", "linux"),
            ("HOME", "/"),
            ("PS1", "rescue# "),
        ])
        .current_dir("/")
        .stdin(console.try_clone()?)
        .stdout(console.try_clone()?)
        .stderr(console);
    // SAFETY: between fork and exec only async-signal-safe calls are made: setsid(2) and ioctl(2).
    unsafe {
        command.pre_exec(|| {
            nix::unistd::setsid()?;
            // SAFETY: descriptor 0 is the console, opened above; 1 takes it from whoever had it.
            libc::ioctl(0, libc::TIOCSCTTY, 1);
            Ok(()) // without a controlling terminal there is no job control, but there is a shell
        });
    }
    let child = command.spawn()?;
    Ok(Pid::from_raw(child.id().cast_signed()))
}

/// The device behind `/dev/console`, since that one cannot become a controlling terminal.
fn console() -> io::Result<File> {
    let device =
        active_console(Path::new("/sys")).unwrap_or_else(|_| PathBuf::from("/dev/console"));
    let console = OpenOptions::new()
        .read(true)
        .write(true)
        // Not to wait for a serial line's carrier; only for the time of opening.
        .custom_flags(libc::O_NOCTTY | libc::O_NONBLOCK)
        .open(device)?;
    fcntl(&console, FcntlArg::F_SETFL(OFlag::O_RDWR))?;
    let _ = refresh(&console); // some consoles are no terminals
    Ok(console)
}

/// Gives the terminal its usual modes back, whatever the last program left.
fn refresh(console: &File) -> nix::Result<()> {
    go_on(console)?;
    let mut modes = tcgetattr(console)?;
    modes
        .input_flags
        .insert(InputFlags::IXON | InputFlags::ICRNL);
    modes
        .output_flags
        .insert(OutputFlags::OPOST | OutputFlags::ONLCR);
    modes.local_flags.insert(
        LocalFlags::ISIG
            | LocalFlags::ICANON
            | LocalFlags::ECHO
            | LocalFlags::ECHOE
            | LocalFlags::ECHOK
            | LocalFlags::IEXTEN,
    );
    tcsetattr(console, SetArg::TCSANOW, &modes)
}

/// Disarms the watchdog that the lost core had armed: whoever repairs the machine takes longer
/// than it waits. One that cannot be disarmed is returned, to be petted.
fn quiet_watchdog() -> Option<Watchdog> {
    if !watchdog::is_active() {
        return None;
    }
    // Its time out stays as it is.
    let open = || Watchdog::open(Path::new(watchdog::DEVICE), None, Instant::now());
    let disarmed = open().and_then(Watchdog::disarm);
    if disarmed.is_ok() && !watchdog::is_active() {
        say("rescue: the hardware watchdog is disarmed");
        return None;
    }
    say("rescue: the hardware watchdog cannot be disarmed; it is petted instead");
    open()
        .map_err(|error| say(&format!("rescue: {}: {error}", watchdog::DEVICE)))
        .ok()
}
