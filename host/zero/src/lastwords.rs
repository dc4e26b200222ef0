//! Telling something without the console's thread: before it exists, after it is gone, and from a
//! panic.
//!
//! A console may take no bytes (a serial line without a reader), and nobody may wait for it here.
//! What it does not take goes to the kernel's log, whose way to the console knows no waiting.

use nix::sys::termios::{InputFlags, SetArg, tcgetattr, tcsetattr};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::panic;

/// Says a line, now or never; does not block.
pub fn say(text: &str) {
    if to_console(text).is_err() {
        to_kernel(text);
    }
}

/// Says a line that has to be found later, too: it goes to the kernel's log in any case.
pub fn record(text: &str) {
    to_kernel(text);
    let _ = to_console(text); // said already
}

fn to_kernel(text: &str) {
    // 2 is "critical": shown even with `quiet` on the command line.
    let _ = fs::write("/dev/kmsg", format!("<2>ente-zero: {text}\n"));
}

fn to_console(text: &str) -> io::Result<()> {
    let mut console = open_console()?;
    let _ = go_on(&console); // some consoles are no terminals
    console.write_all(format!("{text}\n").as_bytes())
}

/// Lets the console go on if somebody stopped it, so that what waits for it is seen.
pub fn unstop_console() {
    let _ = open_console().map(|console| go_on(&console)); // as above
}

/// A descriptor of its own, since being non-blocking is a property that all its copies share.
fn open_console() -> io::Result<File> {
    OpenOptions::new()
        .write(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
        .open("/dev/console")
}

/// Lets a terminal go on that was stopped with Ctrl-S: taking that key away does so (tty_ioctl(4)).
/// Its modes are what they were.
pub fn go_on(terminal: &File) -> nix::Result<()> {
    let modes = tcgetattr(terminal)?;
    let mut without = modes.clone();
    without.input_flags.remove(InputFlags::IXON);
    tcsetattr(terminal, SetArg::TCSANOW, &without)?;
    tcsetattr(terminal, SetArg::TCSANOW, &modes)
}

/// Sends the messages of panics this way instead of to standard error, which is the console and
/// may block.
pub fn take_panics() {
    panic::set_hook(Box::new(|panic| {
        let thread = std::thread::current();
        record(&format!("thread {}: {panic}", thread.name().unwrap_or("?")));
    }));
}
