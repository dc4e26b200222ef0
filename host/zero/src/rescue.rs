//! The rescue path: an interactive shell on the console when the core cannot go on.
//!
//! It uses as little as possible: no threads, no heap beyond what starting a process needs, no
//! supervisor. PID 1 stays PID 1, reaps, and starts the shell again when it ends.

use arje_native::active_console;
use nix::sys::signal::{SigSet, SigmaskHow, Signal, kill, sigprocmask};
use nix::sys::wait::{WaitStatus, wait};
use nix::unistd::{Pid, sync};
use std::ffi::CString;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

/// Pause before a shell that ended at once is started again.
const PAUSE: Duration = Duration::from_secs(1);

/// Where a shell may be.
const SHELLS: &[&str] = &["/bin/sh", "/usr/bin/sh", "/bin/busybox", "/sbin/sh"];

/// Replaces this process by itself in rescue mode. Whatever broke in memory is gone with it.
///
/// Does not return; if even that fails, goes on in place.
pub fn exec(reason: &str) -> ! {
    let arguments: Vec<CString> = ["ente-zero", "--rescue", reason]
        .into_iter()
        .map(|text| CString::new(text.replace('\0', " ")).unwrap_or_default())
        .collect();
    let _ = nix::unistd::execv(c"/proc/self/exe", &arguments);
    run(reason)
}

/// Kills what the lost core had started, tells why, and runs shells for ever.
pub fn run(reason: &str) -> ! {
    let _ = nix::sys::prctl::set_name(c"ente-zero"); // after the exec of a link it would be "exe"
    let _ = sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None);
    // Their supervisor is gone, and some may hold the console. -1 is everybody but PID 1.
    let _ = kill(Pid::from_raw(-1), Signal::SIGKILL);
    say(&format!("rescue: {reason}"));
    let Some(shell) = SHELLS.iter().map(Path::new).find(|path| path.exists()) else {
        say("rescue: there is no shell in this image");
        sleep(Duration::from_secs(10)); // for somebody to read it
        reboot(reason);
    };
    say("rescue: starting a shell; `reboot -f` leaves");
    loop {
        match start_shell(shell) {
            Ok(pid) => reap_until(pid),
            Err(error) => say(&format!(
                "rescue: cannot start {}: {error}",
                shell.display()
            )),
        }
        sleep(PAUSE);
    }
}

/// Tells why and reboots, for machines where a rescue shell is forbidden or impossible.
pub fn reboot(reason: &str) -> ! {
    say(&format!("rescue: {reason}; rebooting"));
    sync();
    let _ = nix::sys::reboot::reboot(nix::sys::reboot::RebootMode::RB_AUTOBOOT);
    // Only reached without the right to reboot. PID 1 must not end.
    loop {
        sleep(PAUSE);
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

/// Reaps everything until this process has ended.
fn reap_until(shell: Pid) {
    loop {
        match wait() {
            Ok(WaitStatus::Exited(pid, _) | WaitStatus::Signaled(pid, _, _)) if pid == shell => {
                return;
            }
            Ok(_) => {}
            Err(_) => return,
        }
    }
}

/// The device behind `/dev/console`, since that one cannot become a controlling terminal.
fn console() -> io::Result<File> {
    let device =
        active_console(Path::new("/sys")).unwrap_or_else(|_| PathBuf::from("/dev/console"));
    OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(libc::O_NOCTTY)
        .open(device)
}

fn say(text: &str) {
    // The console may be gone; then there is nobody to tell.
    if let Ok(console) = io::stdout().as_fd().try_clone_to_owned() {
        let _ = writeln!(File::from(console), "{text}");
    }
}
