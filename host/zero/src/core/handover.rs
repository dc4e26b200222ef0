//! Handing over to another image of this program, and taking over from one (`docs/handover.md`).
//!
//! The loop goes on while components stop: it reaps, restarts processes and keeps time. Only at the
//! very end, when nothing is left to wait for, is the image replaced; and if that fails, it goes on as if
//! nothing had been asked for.

use super::Core;
use crate::bodies::{Bodies, News};
use crate::devices::Changes;
use crate::handover::{Inventory, Keep, Kept, Next, Parcel, PipeRecord};
use crate::logs::LeftPipe;
use crate::natives::Who;
use arje_card::{Capability, Card, CardKind, DeviceClass, Id, Payload};
use arje_supervisor::{EventKind, Millis, Report, StopReason, Supervisor};
use nix::time::{ClockId, clock_gettime};
use std::collections::BTreeSet;
use std::convert::Infallible;
use std::ffi::{CString, OsStr, OsString};
use std::fs::File;
use std::os::fd::{OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long components may take to stop, all together. They start again a moment later, so a long
/// wait would only prolong the time without them.
const GRACE_MS: u64 = 5_000;

/// How long the last lines may take to get to the console. It ends the old image's life; whoever
/// waits on the other side of the console is not waited for.
const FLUSH: Duration = Duration::from_millis(500);

/// The image that runs now, whatever lies at its path by now.
const SELF: &str = "/proc/self/exe";

/// A hand-over under way.
pub(super) struct Handover {
    program: PathBuf,
    /// Components that have not stopped yet.
    waits: BTreeSet<Id>,
    deadline: Millis,
}

/// How a system begins.
pub enum Beginning {
    /// With a seed.
    Seed(Card),
    /// Where another image left off.
    Left(Left),
}

impl Beginning {
    /// The socket for notifications, if it was left.
    ///
    /// # Errors
    ///
    /// It was named and not left.
    pub fn take_notify(&mut self) -> Result<Option<OwnedFd>, String> {
        let Beginning::Left(Left { parcel, kept }) = self else {
            return Ok(None);
        };
        let taken = parcel.inventory.notify.map(|number| kept.take(number));
        taken.transpose()
    }

    /// The socket of the bus, if it was left.
    ///
    /// # Errors
    ///
    /// It was named and not left.
    pub fn take_bus(&mut self) -> Result<Option<UnixListener>, String> {
        let Beginning::Left(Left { parcel, kept }) = self else {
            return Ok(None);
        };
        let taken = parcel.inventory.bus.map(|number| kept.take(number));
        Ok(taken.transpose()?.map(UnixListener::from))
    }
}

/// What another image left.
pub struct Left {
    /// The state.
    pub parcel: Parcel,
    /// The descriptors.
    pub kept: Kept,
}

impl Left {
    /// Reads what the old image left under this descriptor. To be called before this image opens
    /// anything.
    ///
    /// # Errors
    ///
    /// It cannot be believed; the text says why.
    pub fn open(number: RawFd) -> Result<Left, String> {
        let parcel = Parcel::open(number)?;
        let kept = Kept::inherit(&parcel.inventory.descriptors)?;
        Ok(Left { parcel, kept })
    }
}

impl Core {
    /// Replaces this image by `program`, or by what lies at its own place now, in place: processes, their descriptors and all
    /// that is known of Entes stay. Components are stopped and started again. Returns at once; the
    /// image is replaced when the components have stopped, within five seconds.
    ///
    /// # Errors
    ///
    /// Nothing has changed: another end is under way, or the program cannot take over.
    pub fn request_reexec(&mut self, program: Option<PathBuf>) -> Result<(), String> {
        if self.down.is_some() {
            return Err("reexec: everything is being stopped".to_owned());
        }
        if self.handover.is_some() {
            return Err("reexec: it is under way already".to_owned());
        }
        let program = match program.or_else(program_at_own_place) {
            Some(program) => {
                check_program(&program)?;
                program
            }
            // Gone from there, and still this one.
            None => SELF.into(),
        };
        let mut waits = BTreeSet::new();
        for who in self.lives() {
            if let Some(card) = self.supervisor.card(who.id)
                && Bodies::is_component(card)
            {
                let restart = StopReason::Command(arje_supervisor::Command::Restart);
                self.bodies.stop(card, who.incarnation, &restart);
                waits.insert(who.id);
            }
        }
        self.handover = Some(Handover {
            program,
            waits,
            deadline: self.now().plus(GRACE_MS),
        });
        Ok(())
    }

    /// When a hand-over waits no longer.
    pub(super) fn handover_deadline(&self) -> Option<Millis> {
        self.handover.as_ref().map(|handover| handover.deadline)
    }

    /// During a hand-over, what components tell counts no longer: their lives are over for the
    /// supervisor when the next image, or this one if it fails, says so. Returns whether this was such
    /// news.
    pub(super) fn ends_with_image(&mut self, news: &News) -> bool {
        let card = self.supervisor.card(news.who.id);
        if !card.is_some_and(|card| Bodies::is_component(card)) {
            return false;
        }
        let Some(handover) = &mut self.handover else {
            return false;
        };
        if matches!(news.report, Report::Exited(_)) {
            handover.waits.remove(&news.who.id);
        }
        true
    }

    /// Whether a component that is to start now has to wait for the next image.
    pub(super) fn starts_in_next_image(&self, id: Id) -> bool {
        let card = self.supervisor.card(id);
        self.handover.is_some() && card.is_some_and(|card| Bodies::is_component(card))
    }

    /// Replaces the image when it is time.
    pub(super) fn go_on_with_handover(&mut self) {
        let now = self.now();
        let due = |handover: &mut Handover| handover.waits.is_empty() || now >= handover.deadline;
        let Some(handover) = self.handover.take_if(due) else {
            return;
        };
        let Err(error) = self.replace_image(&handover.program);
        self.console.line(format!("reexec: {error}; going on"));
        self.interrupt_the_gone();
    }

    /// Gives up on a hand-over, if there is one, because everything ends.
    pub(super) fn abandon_handover(&mut self) {
        if self.handover.take().is_some() {
            self.interrupt_the_gone();
        }
    }

    /// Returns only if it fails; then nothing has changed.
    fn replace_image(&self, program: &Path) -> Result<Infallible, String> {
        // Whoever prints meanwhile is heard by the next image.
        let paused = self
            .bodies
            .pause_output(FLUSH)
            .ok_or("the thread that takes in output does not answer")?;
        let mut keep = Keep::default();
        let mut inventory = Inventory::new(self.generation + 1);
        let components = self.components();
        for who in self.lives().filter(|who| components.contains(&who.id)) {
            if let Some(card) = self.supervisor.card(who.id) {
                self.bodies.kill(card, who.incarnation);
            }
        }
        inventory.natives = self.bodies.leave(&components, &mut keep);
        inventory.listening = self.bodies.leave_sockets(&mut keep);
        inventory.notify = self.notify.socket().map(|socket| keep.add(socket));
        let pipes = paused.pipes.iter();
        inventory.pipes = pipes.map(|pipe| pipe_record(pipe, &mut keep)).collect();
        inventory.bus = self.bus.as_ref().map(|bus| keep.add(bus.listener()));
        inventory.descriptors = keep.numbers();
        let now = self.now();
        inventory.clock_ms = now.0;
        inventory.monotonic_ns = monotonic_ns()?;
        inventory.leave_at_ms = self.leave_at.map(|at| at.0);
        inventory.coming_up = self.coming_up.iter().copied().collect();
        let parcel = Parcel {
            inventory,
            supervisor: self.supervisor.snapshot(now),
        };
        let state = parcel.seal().map_err(|error| error.to_string())?;
        let mut keep_state = Keep::default();
        let number = keep_state.add(&state);
        self.console.line(format!(
            "reexec: {} Entes, {} processes stay",
            self.supervisor.usage().entes,
            parcel.inventory.natives.len()
        ));
        self.console.flush(FLUSH);
        let open = || Ok::<_, nix::Error>((keep.open()?, keep_state.open()?));
        let _open = open().map_err(|errno| format!("cannot keep descriptors: {errno}"))?;
        exec(program, number)
    }

    /// Begins with a seed, or with what another image left.
    ///
    /// # Errors
    ///
    /// The supervisor refuses the seed, for example because of a cycle; or what was left cannot be true.
    pub fn begin(mut self, beginning: Beginning) -> Result<Core, String> {
        match beginning {
            Beginning::Seed(card) => self.adopt(card).map_err(|refusal| refusal.to_string())?,
            Beginning::Left(left) => self
                .resume(left)
                .map_err(|reason| format!("reexec: {reason}"))?,
        }
        Ok(self)
    }

    /// Goes on where another image left off. What cannot be true has led to nothing.
    fn resume(&mut self, left: Left) -> Result<(), String> {
        let Left { parcel, mut kept } = left;
        let Parcel {
            inventory,
            supervisor,
        } = parcel;
        self.generation = inventory.generation;
        self.began = began(&inventory)?;
        self.leave_at = inventory.leave_at_ms.map(Millis);
        self.coming_up = inventory.coming_up.iter().copied().collect();
        let restored = Supervisor::restore(supervisor, Millis(inventory.clock_ms));
        let (supervisor, actions) = restored.map_err(|error| error.to_string())?;
        self.supervisor = supervisor;
        let lives: BTreeSet<Who> = self.lives().collect();
        self.bodies
            .take_over(inventory.natives, &mut kept, &lives, &mut self.poller)?;
        self.take_over_cgroups(&lives);
        for record in &inventory.listening {
            // An Ente that was removed has no sockets.
            let card = self.supervisor.card(record.id).cloned();
            let card = card.ok_or("sockets of an unknown Ente were left")?;
            self.bodies.take_over_sockets(&card, record, &mut kept)?;
        }
        for pipe in inventory.pipes {
            self.take_over_pipe(pipe, &mut kept)?;
        }
        for action in actions {
            self.carry_out(action);
        }
        self.look_at_devices_anew();
        self.interrupt_the_gone();
        // Whoever ended in between has left a SIGCHLD, or one that stands for several.
        self.reap_again = true;
        self.poller.wake_handle().wake();
        self.console.line(format!(
            "reexec: image {} took over after {} ms",
            self.generation,
            self.now().since(Millis(inventory.clock_ms))
        ));
        self.feed(EventKind::Timer);
        Ok(())
    }

    /// Those of the processes that go on; those of Entes that have none are not needed any more.
    fn take_over_cgroups(&mut self, lives: &BTreeSet<Who>) {
        for who in lives {
            if let Some(card) = self.supervisor.card(who.id) {
                self.bodies.take_over_cgroup(card, *who);
            }
        }
        self.bodies.sweep_cgroups();
    }

    /// Devices may have come and gone while nobody listened.
    fn look_at_devices_anew(&mut self) {
        let Changes { adds, .. } = self.machine.hardware.changes();
        let all = DeviceClass::ALL.map(|class| Capability::Device { class });
        let removes = all.into_iter().filter(|class| !adds.contains(class));
        let removes = removes.collect();
        self.feed(EventKind::HostCapabilities { adds, removes });
    }

    fn take_over_pipe(&self, pipe: PipeRecord, kept: &mut Kept) -> Result<(), String> {
        let fd = kept.take(pipe.fd)?;
        // Whoever printed may have been removed since.
        if let Some(card) = self.supervisor.card(pipe.id) {
            let pipe = LeftPipe {
                id: pipe.id,
                incarnation: pipe.incarnation,
                is_stderr: pipe.is_stderr,
                fd,
                partial: pipe.partial,
                cut: pipe.cut,
            };
            self.bodies.take_over_output(card, pipe);
        }
        Ok(())
    }

    /// Tells the supervisor of the lives that ended with the image that they ran in.
    fn interrupt_the_gone(&mut self) {
        let components = self.components();
        let gone = self
            .lives()
            .filter(|who| components.contains(&who.id) || !self.bodies.outlives_image(*who));
        let gone: Vec<Who> = gone.collect();
        for who in gone {
            if let Some(card) = self.supervisor.card(who.id) {
                // After a failed hand-over it may not have come to its end yet.
                self.bodies.kill(card, who.incarnation);
            }
            self.feed(EventKind::Report {
                id: who.id,
                incarnation: who.incarnation,
                report: Report::Interrupted,
            });
        }
    }

    /// All Entes that end with the image that they run in.
    fn components(&self) -> BTreeSet<Id> {
        let all = self.supervisor.statuses().map(|status| status.id);
        let is_component = |id: &Id| {
            let card = self.supervisor.card(*id);
            card.is_some_and(|card| Bodies::is_component(card))
        };
        all.filter(is_component).collect()
    }

    /// The incarnations that the supervisor holds to be alive. Containers have nothing that lives.
    fn lives(&self) -> impl Iterator<Item = Who> {
        let live = self.supervisor.statuses();
        let live = live.filter(|status| status.state.is_live());
        live.filter_map(|status| {
            let card = self.supervisor.card(status.id)?;
            let runs = card.payload != Payload::Virtual && card.kind != CardKind::Data;
            runs.then_some(Who {
                id: status.id,
                incarnation: status.incarnation,
            })
        })
    }
}

fn pipe_record<'fd>(pipe: &'fd LeftPipe, keep: &mut Keep<'fd>) -> PipeRecord {
    PipeRecord {
        id: pipe.id,
        incarnation: pipe.incarnation,
        is_stderr: pipe.is_stderr,
        fd: keep.add(&pipe.fd),
        partial: pipe.partial.clone(),
        cut: pipe.cut,
    }
}

/// What lies where this program was started from.
fn program_at_own_place() -> Option<PathBuf> {
    let path = std::fs::read_link(SELF).ok()?;
    // What the kernel appends when the file was removed or replaced (proc_pid_exe(5)).
    let text = path.as_os_str().as_bytes();
    let text = text.strip_suffix(b" (deleted)").unwrap_or(text);
    let path = PathBuf::from(OsStr::from_bytes(text));
    path.exists().then_some(path)
}

/// Looks at a program before anything is stopped for its sake.
fn check_program(program: &Path) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("reexec: {}: {error}", program.display());
    if !program.is_absolute() {
        return Err(failed(std::io::Error::other("is not an absolute path")));
    }
    match Next::of(&mut File::open(program).map_err(failed)?).map_err(failed)? {
        Next::Ours => Ok(()),
        Next::Other(version) => Err(failed(std::io::Error::other(format!(
            "takes over version {version} only; reboot instead"
        )))),
        Next::Foreign => Err(failed(std::io::Error::other("is no ente-zero"))),
    }
}

/// Returns only if it fails. All threads but this one end (execve(2)); signals stay blocked and pending.
fn exec(program: &Path, state: RawFd) -> Result<Infallible, String> {
    let path = c_string(program.as_os_str())?;
    let arguments = arguments(std::env::args_os(), state);
    let arguments: Result<Vec<CString>, String> =
        arguments.iter().map(|word| c_string(word)).collect();
    let failed = |errno: nix::Error| format!("cannot execute {}: {errno}", program.display());
    nix::unistd::execv(&path, &arguments?).map_err(failed)
}

/// The arguments of this image, with another state.
fn arguments(current: impl Iterator<Item = OsString>, state: RawFd) -> Vec<OsString> {
    let mut current = current;
    let name = current.next().unwrap_or_else(|| "ente-zero".into());
    let mut arguments = vec![name, "--resume".into(), state.to_string().into()];
    while let Some(word) = current.next() {
        if word == "--resume" {
            current.next();
        } else {
            arguments.push(word);
        }
    }
    arguments
}

fn c_string(text: &OsStr) -> Result<CString, String> {
    CString::new(text.as_bytes()).map_err(|error| error.to_string())
}

fn monotonic_ns() -> Result<u64, String> {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).map_err(|errno| errno.to_string())?;
    Ok(Duration::from(now).as_nanos() as u64)
}

/// The beginning of the clock of the events, which goes on as if nothing had happened.
fn began(inventory: &Inventory) -> Result<Instant, String> {
    let between = monotonic_ns()?.checked_sub(inventory.monotonic_ns);
    let age = between.and_then(|between| {
        Duration::from_millis(inventory.clock_ms).checked_add(Duration::from_nanos(between))
    });
    age.and_then(|age| Instant::now().checked_sub(age))
        .ok_or_else(|| "the state is of another boot, or its clock is wrong".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_stay_and_the_state_is_the_last_one() {
        let of = |words: &[&str]| {
            let words: Vec<OsString> = words.iter().map(OsString::from).collect();
            arguments(words.into_iter(), 9)
        };
        assert_eq!(of(&["/init", "quiet"]), ["/init", "--resume", "9", "quiet"]);
        assert_eq!(
            of(&["ente-zero", "--resume", "7", "--forever", "seed"]),
            ["ente-zero", "--resume", "9", "--forever", "seed"]
        );
        assert_eq!(of(&[]), ["ente-zero", "--resume", "9"]);
    }

    #[test]
    fn the_clock_goes_on() {
        let mut inventory = Inventory::new(1);
        inventory.clock_ms = 5_000;
        inventory.monotonic_ns = monotonic_ns().unwrap();
        let before = Instant::now();
        let began = began(&inventory).unwrap();
        assert!(before.duration_since(began) >= Duration::from_millis(4_990));
        inventory.monotonic_ns = u64::MAX;
        assert!(super::began(&inventory).is_err());
    }
}
