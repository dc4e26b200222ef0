//! One run of `ente dev`. It waits in one place for signals, ends of children and changes of files, and does one thing at
//! a time: builds what has changed, then starts the system, or deploys into it what came of that.

mod builds;
mod compare;
mod deploys;
mod ending;
mod events;
mod running;
mod system;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use arje_card::Pin;
use arje_store::Sha256;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

use self::builds::Job;
use self::system::System;
use super::plan::{self, Plan};
use super::project::Package;
use super::screen::Screen;
use super::sources::Change;
use super::watch::Watch;

/// What a session ends with, if not because it was asked to.
#[derive(Debug)]
pub enum Trouble {
    /// Nobody reads what it prints any more.
    Output(io::Error),
    /// Something that it cannot do without.
    Unusable(String),
}

impl From<io::Error> for Trouble {
    /// The one thing that is done with `?` on an [`io::Error`] is printing.
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

impl From<String> for Trouble {
    fn from(why: String) -> Self {
        Self::Unusable(why)
    }
}

/// What a session works on.
#[derive(Debug)]
pub struct Settings {
    /// What is built, in this order.
    pub packages: Vec<Package>,
    /// What runs.
    pub seed: PathBuf,
    /// Where components are; it exists.
    pub components: PathBuf,
    /// The store of the system.
    pub store: PathBuf,
    /// Where the sockets of the system are; else in a folder that is removed with the session.
    pub run_dir: Option<PathBuf>,
}

/// One run of `ente dev`.
pub struct Session<'w> {
    settings: Settings,
    screen: Screen<'w>,
    scratch: Scratch,
    watch: Watch,
    signals: SignalFd,
    /// What was in the seed when it was last looked at.
    seed_known: Option<Sha256>,
    seed_changed: bool,
    /// The packages to build, by their place in the settings.
    to_build: BTreeSet<usize>,
    /// Whether components may have changed.
    look: bool,
    /// The packages that were saved, of which it is still to be said what runs.
    saved: BTreeSet<usize>,
    /// The Entes, by their place in the plan, whose components wait until every package builds.
    held: BTreeSet<usize>,
    /// The components when they were last looked at.
    at_hand: BTreeMap<String, Pin>,
    /// Whether the system is to be started.
    start: bool,
    job: Option<Job>,
    system: Option<System>,
    /// What the system was started with, and what was deployed since.
    plan: Option<Plan>,
    /// How often it was asked to end.
    interrupts: u32,
}

impl<'w> Session<'w> {
    /// Takes signals in from now on, and watches everything.
    ///
    /// # Errors
    /// Something cannot be watched, or there is no place for what is between the programs.
    pub fn new(mut settings: Settings, screen: Screen<'w>) -> Result<Self, String> {
        let signals = take_signals().map_err(|error| format!("signalfd: {error}"))?;
        let scratch = Scratch::new(settings.run_dir.take())?;
        let watch = Watch::new()?;
        watch_places(&settings, &scratch, &watch)?;
        for package in &mut settings.packages {
            package.change(&watch, false)?;
        }
        Ok(Self {
            to_build: (0..settings.packages.len()).collect(),
            seed_known: digest(&settings.seed),
            at_hand: plan::at_hand(&settings.components),
            settings,
            screen,
            scratch,
            watch,
            signals,
            seed_changed: false,
            look: false,
            saved: BTreeSet::new(),
            held: BTreeSet::new(),
            start: true,
            job: None,
            system: None,
            plan: None,
            interrupts: 0,
        })
    }

    /// Goes on until it is asked to end. Nothing of what it started is left then.
    ///
    /// # Errors
    /// [`Trouble`].
    pub fn run(mut self) -> Result<(), Trouble> {
        let result = self.go_on();
        self.end_now();
        result
    }

    fn go_on(&mut self) -> Result<(), Trouble> {
        loop {
            self.advance()?;
            if self.is_over() {
                return Ok(());
            }
            self.wait()?;
        }
    }

    /// Begins what is next, if nothing is under way.
    fn advance(&mut self) -> Result<(), Trouble> {
        if self.interrupts > 0 {
            self.end_in_order();
            return Ok(());
        }
        if self.job.is_some() {
            return Ok(());
        }
        if let Some(next) = self.to_build.pop_first() {
            return self.build(next);
        }
        if std::mem::take(&mut self.seed_changed) {
            self.take_in_seed()?;
        }
        if std::mem::take(&mut self.look) {
            self.compare_components()?;
        }
        if self.system.is_some() {
            return self.deploy_next();
        }
        let all_built = self.settings.packages.iter().all(|package| package.built);
        if all_built && std::mem::take(&mut self.start) {
            self.start_system()?;
        }
        Ok(())
    }

    /// Files have changed.
    fn changed(&mut self) -> Result<(), Trouble> {
        watch_places(&self.settings, &self.scratch, &self.watch)?;
        let seed = digest(&self.settings.seed);
        let mut any = seed != self.seed_known;
        self.seed_changed |= any;
        self.seed_known = seed;
        let built_now = self.job.as_ref().and_then(Job::builds);
        for (at, package) in self.settings.packages.iter_mut().enumerate() {
            let is_built_now = built_now == Some(at);
            match package.change(&self.watch, is_built_now)? {
                Change::Edited => {
                    self.to_build.insert(at);
                    any = true;
                }
                // It would become what it is already. But that need not be what runs.
                Change::Saved if !is_built_now && !package.broken => {
                    self.saved.insert(at);
                }
                Change::Saved | Change::Untouched => {}
            }
        }
        if any {
            // What one that does not build needs from elsewhere is not known.
            let packages = self.settings.packages.iter().enumerate();
            let broken = packages.filter(|(_, package)| package.broken);
            self.to_build.extend(broken.map(|(at, _)| at));
        }
        self.look = true;
        Ok(())
    }
}

/// The signals that are waited for instead of being obeyed.
fn take_signals() -> nix::Result<SignalFd> {
    let mut set = SigSet::empty();
    for signal in [
        Signal::SIGCHLD,
        Signal::SIGINT,
        Signal::SIGTERM,
        Signal::SIGHUP,
    ] {
        set.add(signal);
    }
    set.thread_block()?;
    SignalFd::with_flags(&set, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)
}

fn watch_places(settings: &Settings, scratch: &Scratch, watch: &Watch) -> Result<(), String> {
    let seed = settings.seed.parent().unwrap_or(Path::new("/"));
    for place in [seed, &settings.components, &scratch.run] {
        watch.folder(place)?;
    }
    Ok(())
}

fn digest(file: &Path) -> Option<Sha256> {
    fs::read(file).ok().map(|bytes| Sha256::of(&bytes))
}

/// A folder for what is between the programs: the seed with its pins, what children print, and the run directory, unless
/// that is to be elsewhere. It is removed with the value.
struct Scratch {
    folder: PathBuf,
    run: PathBuf,
    /// Whether the run directory was not there before.
    made_run: bool,
}

impl Scratch {
    fn new(run: Option<PathBuf>) -> Result<Self, String> {
        let below = std::env::var_os("XDG_RUNTIME_DIR");
        let below = below.map_or_else(std::env::temp_dir, PathBuf::from);
        let template = below.join("ente-dev-XXXXXX");
        let folder = nix::unistd::mkdtemp(&template)
            .map_err(|error| format!("{}: {error}", template.display()))?;
        let mut scratch = Self {
            run: run.unwrap_or_else(|| folder.join("run")),
            folder,
            made_run: false,
        };
        let failed = |path: &Path, error| format!("{}: {error}", path.display());
        let passable = Permissions::from_mode(mode());
        fs::set_permissions(&scratch.folder, passable).map_err(|e| failed(&scratch.folder, e))?;
        scratch.made_run = match DirBuilder::new().mode(mode()).create(&scratch.run) {
            Ok(()) => true,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => false,
            Err(error) => return Err(failed(&scratch.run, error)),
        };
        if UnixStream::connect(scratch.socket()).is_ok() {
            return Err(format!(
                "{}: a system runs there; stop that one first, or choose another directory with --run-dir",
                scratch.run.display()
            ));
        }
        Ok(scratch)
    }

    fn socket(&self) -> PathBuf {
        self.run.join("ente-bus.sock")
    }

    /// What a child printed.
    fn said(&self) -> PathBuf {
        self.folder.join("said")
    }

    /// What a child complained of.
    fn errors(&self) -> PathBuf {
        self.folder.join("errors")
    }
}

/// As dev mode's own: others pass through to the sockets that their Entes may use.
fn mode() -> u32 {
    match nix::unistd::geteuid().is_root() {
        true => 0o711,
        false => 0o700,
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Nobody is left who could be told that something of it stays.
        let _ = fs::remove_dir_all(&self.folder);
        if self.made_run {
            // What somebody else has put there is theirs.
            let _ = fs::remove_dir(&self.run);
        }
    }
}
