//! PID 1: from the kernel's hand-over to the core loop, and from its end to power-off.

use crate::args::Args;
use crate::cmdline::Cmdline;
use crate::console::{self, Console};
use crate::core::{Beginning, Core, Ended, Left, MachineParts, Mode};
use crate::hardware::Hardware;
use crate::logs::Logs;
use crate::mounts::mount_api_filesystems;
use crate::poller::Poller;
use crate::poweroff;
use crate::rescue;
use crate::seed::{self, Seed};
use crate::wiring::{self, Cgroups, Places};
use crate::{down, lastwords, watchdog};
use arje_card::Card;
use arje_native::cgroup::Support;
use arje_wasm::Level;
use nix::errno::Errno;
use nix::sys::reboot::set_cad_enabled;
use nix::sys::signal::Signal;
use nix::sys::termios::tcdrain;
use std::convert::Infallible;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The first milestone; the only line that also goes to the kernel's log.
const AWAKE: &str = "ente-zero despierta como PID 1";

/// Memory mappings that PID 1 may have: an idle Wasm Ente takes up to seven, and the kernel's
/// default of 65,530 (Documentation/admin-guide/sysctl/vm) would end at some 9,000 of them.
const MAX_MAPPINGS: &str = "1048576";

/// Datagrams that may wait in a unix socket made from now on (unix(7)), as with systemd: with the
/// kernel's default of 10, Entes that come up at once would wait for PID 1 in order to say so.
const MAX_DATAGRAMS: &str = "512";

/// How long the last lines may take to get to the console.
const FLUSH: Duration = Duration::from_secs(2);

/// The same when the deadline of a shutdown is over.
const LAST_FLUSH: Duration = Duration::from_millis(200);

/// Where the image has things.
const STORE: &str = "/ente";
/// Where systemd has it, for programs that do not look at `NOTIFY_SOCKET`.
const NOTIFY: &str = "/run/systemd/notify";
const CREDENTIALS: &str = "/run/credentials";
const EXECUTOR: &str = "/usr/lib/ente/ente-spawn";
const WORKER: &str = "/usr/lib/ente/ente-worker";

/// Boots the machine. PID 1 does not return: it ends the machine, or becomes a rescue shell.
pub fn main(args: Args, problems: &[String]) -> ! {
    if let Some(reason) = args.rescue {
        // A fault comes here directly, so this is the one place that all ways to rescue pass.
        if Cmdline::read().rescue_off {
            rescue::reboot(&reason);
        }
        rescue::run(&reason);
    }
    lastwords::take_panics();
    let caught = crate::faults::catch();
    let booted = catch_unwind(AssertUnwindSafe(|| boot(&args, problems, caught)));
    let reason = match booted {
        Ok(Err(reason)) => reason,
        Ok(Ok(never)) => match never {},
        Err(_) => "the core of ente-zero panicked; its message is above".to_owned(),
    };
    rescue::exec(&reason)
}

/// Everything up to the end of the machine.
fn boot(args: &Args, problems: &[String], caught: nix::Result<()>) -> Result<Infallible, String> {
    // Before anything is opened or done, so that what cannot be believed has changed nothing.
    let left = args.resume.map(Left::open).transpose();
    let left = left.map_err(|reason| format!("reexec: {reason}"))?;
    // Before the first thread; how large the table is shows only in the time that it takes.
    let _ = arje_native::make_room_for_descriptors();
    let mut warnings = mount_api_filesystems();
    // Blocks the signals it takes, so it comes before the first thread: one thread with a signal
    // unblocked is enough for that signal to end PID 1. The kernel protects init from signals
    // without a handler, but not when its first thread has them blocked.
    let mut poller =
        Poller::new().map_err(|error| format!("cannot make the core loop: {error}"))?;
    let cmdline = Cmdline::read();
    if cmdline.rescue_off {
        rescue::forbid();
    }
    if cmdline.debug.is_some() {
        poller
            .take_also(Signal::SIGQUIT)
            .map_err(|error| format!("ente.debug: {error}"))?;
    }
    let level = log_level(&cmdline);
    let console = open_console(level)?;
    console::trace_to(&console, level);
    if left.is_none() {
        console.line(AWAKE);
        let _ = fs::write("/dev/kmsg", format!("<6>{AWAKE}\n")); // a courtesy to dmesg readers
    }
    warnings.extend(
        caught
            .err()
            .map(|errno| format!("cannot catch faults: {errno}")),
    );
    warnings.extend(prepare_process());
    warnings.extend(
        problems
            .iter()
            .map(|problem| format!("ente-zero: {problem}")),
    );
    warnings.extend(
        cmdline
            .unknown
            .iter()
            .map(|word| format!("kernel command line: {word:?} is not known; ignored")),
    );
    for warning in &warnings {
        tracing::warn!("{warning}");
    }
    if cmdline.rescue_now && left.is_none() {
        console.flush(FLUSH);
        return Err("asked for on the kernel command line".to_owned());
    }
    match run(args, &cmdline, &console, poller, left) {
        Ok(ended) => end(ended, &console),
        Err(reason) => {
            console.flush(FLUSH);
            Err(reason)
        }
    }
}

/// All Entes have ended, or had their time; now the rest of the machine.
fn end(ended: Ended, console: &Console) -> ! {
    let outcome = ended.outcome;
    let say = |text: &str| console.line(text);
    lastwords::unstop_console();
    let watchdog = poweroff::settle(ended.deadline, ended.watchdog, &say);
    console.line(format!("shutdown: {outcome}"));
    let left = ended.deadline.saturating_duration_since(Instant::now());
    console.flush(left.clamp(LAST_FLUSH, FLUSH));
    let reason = poweroff::end_machine(outcome, watchdog);
    rescue::in_place(&reason)
}

fn run(
    args: &Args,
    cmdline: &Cmdline,
    console: &Console,
    mut poller: Poller,
    left: Option<Left>,
) -> Result<Ended, String> {
    let cgroups = Cgroups::of_the_machine();
    if let Some(problem) = &cgroups.problem {
        tracing::warn!("no cgroups for Entes: {problem}");
    }
    let mut beginning = match left {
        Some(left) => {
            let seed = left.parcel.inventory.new_root.then(|| {
                // What the kernel was told may have been about the initramfs.
                let named = cmdline.seed.clone().filter(|path| path.exists());
                load_seed(named, args, cmdline, &cgroups.support, console)
            });
            Beginning::Left(Box::new(left), seed.transpose()?.map(Box::new))
        }
        None => Beginning::Seed(Box::new(load_seed(
            cmdline.seed.clone(),
            args,
            cmdline,
            &cgroups.support,
            console,
        )?)),
    };
    let places = Places {
        store: STORE.into(),
        executor: EXECUTOR.into(),
        worker: WORKER.into(),
        output: "/dev/console".into(),
        notify: NOTIFY.into(),
        credentials: CREDENTIALS.into(),
        terminal: arje_native::active_console(Path::new("/sys")).ok(),
    };
    let logs = Logs::start(console.clone(), poller.wake_handle())
        .map_err(|error| format!("cannot take in output: {error}"))?;
    let notify = wiring::notify(&places, beginning.take_notify()?, &mut poller);
    let mut bodies = wiring::bodies(&places, cgroups.leaves, &logs, &notify, &poller)?;
    let socket = Path::new(arje_bus::SOCKET);
    let left = beginning.take_bus()?;
    let bus = wiring::bus(socket, left, &mut bodies, (&logs, console), &mut poller);
    if let Some(card) = beginning.seed() {
        announce_genesis(console, card);
    }
    let timeout = cmdline.watchdog.unwrap_or(watchdog::DEFAULT);
    let machine = MachineParts {
        hardware: Hardware::new(&mut poller, (!timeout.is_zero()).then_some(timeout)),
        shutdown: cmdline.shutdown.unwrap_or(down::DEFAULT),
        crash: cmdline.debug,
        support: cgroups.support,
        cards: wiring::cards_folder(),
    };
    let mut core = Core::new(bodies, poller, console.clone(), Mode::Machine, machine);
    core.attach_notify(notify);
    core.attach_bus(bus);
    let core = core.begin(beginning)?;
    let ended = core.run();
    logs.flush(FLUSH);
    ended.map_err(|error| format!("the core loop failed: {error}"))
}

/// Reads and checks the seed; whatever is wrong with it is on the console.
fn load_seed(
    named: Option<PathBuf>,
    args: &Args,
    cmdline: &Cmdline,
    support: &Support,
    console: &Console,
) -> Result<Card, String> {
    let path = named
        .or_else(|| args.seed.clone())
        .unwrap_or_else(seed::find_in_image);
    let Seed {
        card,
        path,
        warnings,
    } = seed::load(&path, cmdline.session.as_deref(), support).map_err(|bad| {
        for line in &bad.0 {
            console.line(line.as_str());
        }
        format!("the seed {} cannot be booted", path.display())
    })?;
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    announce_seed(console, &path);
    Ok(card)
}

/// The milestone of a seed that was read; shared with dev mode.
pub fn announce_seed(console: &Console, path: &Path) {
    console.line(format!(
        "Tarjeta Semilla cargada y validada path={}",
        path.display()
    ));
}

/// The milestone of a seed that is about to come to life; shared with dev mode.
pub fn announce_genesis(console: &Console, card: &Card) {
    console.line(format!(
        "instanciando genesis seed={} count={}",
        card.label,
        card.walk().count() - 1
    ));
}

fn log_level(cmdline: &Cmdline) -> Level {
    cmdline
        .log
        .clone()
        .or_else(|| std::env::var("RUST_LOG").ok())
        .and_then(|filter| console::parse_level(&filter))
        .unwrap_or(Level::Info)
}

/// The console's device. It has been written to when the last byte has left it, and not when the driver has taken it: a
/// serial line is slower than a machine that powers off.
struct Terminal(File);

impl Write for Terminal {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        match tcdrain(&self.0) {
            Err(Errno::ENOTTY) => Ok(()),
            result => Ok(result?),
        }
    }
}

/// `/dev/console`, or whatever the kernel opened for us.
fn open_console(level: Level) -> Result<Console, String> {
    let device = OpenOptions::new().write(true).open("/dev/console");
    let started = match device {
        Ok(device) => Console::start(Terminal(device), level),
        Err(_) => Console::start(io::stdout(), level),
    };
    started
        .map(Console::of_machine)
        .map_err(|error| format!("cannot start the console's writer: {error}"))
}

/// What PID 1 wants of the kernel for itself; one line per thing that it did not get.
fn prepare_process() -> Vec<String> {
    let mut problems = Vec::new();
    let mut note = |what: &str, result: Result<(), String>| {
        problems.extend(result.err().map(|error| format!("{what}: {error}")));
    };
    note(
        "become child subreaper",
        nix::sys::prctl::set_child_subreaper(true).map_err(|errno| errno.to_string()),
    );
    // Ctrl-Alt-Del becomes SIGINT to PID 1 instead of a reset (reboot(2)).
    note(
        "take Ctrl-Alt-Del",
        set_cad_enabled(false).map_err(|errno| errno.to_string()),
    );
    note(
        "raise net.unix.max_dgram_qlen",
        fs::write("/proc/sys/net/unix/max_dgram_qlen", MAX_DATAGRAMS)
            .map_err(|error| error.to_string()),
    );
    note(
        "raise vm.max_map_count",
        fs::write("/proc/sys/vm/max_map_count", MAX_MAPPINGS).map_err(|error| error.to_string()),
    );
    problems
}
