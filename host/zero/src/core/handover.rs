//! Handing over to another image of this program (`docs/handover.md`).
//!
//! The loop goes on while components stop: it reaps, restarts processes and keeps time. Only at the
//! very end, when nothing is left to wait for, is the image replaced; and if that fails, it goes on as if
//! nothing had been asked for.

use super::Core;
use crate::bodies::{Bodies, News};
use crate::handover::{Inventory, Keep, Next, Parcel, PipeRecord};
use crate::logs::LeftPipe;
use crate::natives::Who;
use arje_card::Id;
use arje_supervisor::{EventKind, Millis, Report, StopReason};
use nix::time::{ClockId, clock_gettime};
use std::collections::BTreeSet;
use std::convert::Infallible;
use std::ffi::{CString, OsStr, OsString};
use std::fs::File;
use std::os::fd::RawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

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

impl Core {
    /// Replaces this image by `program`, or by what lies at its own place now, in place: processes, their descriptors and all
    /// that is known of Entes stay. Components are stopped and started again. Returns at once; the
    /// image is replaced when the components have stopped, within five seconds.
    ///
    /// # Errors
    ///
    /// Nothing has changed: another end is under way, or the program cannot take over.
    pub fn request_reexec(&mut self, program: Option<PathBuf>) -> Result<(), String> {
        self.refuse_second_end("reexec")?;
        let program = match program.or_else(program_at_own_place) {
            Some(program) => {
                check_program(&program)?;
                program
            }
            // Gone from there, and still this one.
            None => SELF.into(),
        };
        let components = self.components();
        let lives: Vec<Who> = self.lives().collect();
        let mut waits = BTreeSet::new();
        for who in lives {
            if !components.contains(&who.id) {
                continue; // it stays
            }
            if let Some(card) = self.supervisor.card(who.id) {
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

    /// Only one end of this image can be under way.
    pub(super) fn refuse_second_end(&self, what: &str) -> Result<(), String> {
        let other = match (&self.down, &self.handover, &self.moving) {
            (Some(_), _, _) => "everything is being stopped",
            (_, Some(_), _) => "ente-zero is being replaced",
            (_, _, Some(_)) => "the machine is moving to another root",
            (None, None, None) => return Ok(()),
        };
        Err(format!("{what}: {other} already"))
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
        let Err(error) = self.replace_image(&handover.program, false);
        self.console.line(format!("reexec: {error}; going on"));
        self.interrupt_the_gone();
    }

    /// Gives up on a hand-over, if there is one, because everything ends.
    pub(super) fn abandon_handover(&mut self) {
        self.moving = None;
        if self.handover.take().is_some() {
            self.interrupt_the_gone();
        }
    }

    /// Lets the last lines get to the console.
    pub(super) fn flush_console(&self) {
        self.console.flush(FLUSH);
    }

    /// Returns only if it fails; then nothing has changed. In a new root no Ente is left, and the next
    /// image reads the seed there.
    pub(super) fn replace_image(
        &self,
        program: &Path,
        new_root: bool,
    ) -> Result<Infallible, String> {
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
        if !new_root {
            inventory.natives = self.bodies.leave(&components, &mut keep);
            inventory.listening = self.bodies.leave_sockets(&mut keep);
        }
        inventory.notify = self.notify.socket().map(|socket| keep.add(socket));
        let pipes = paused.pipes.iter();
        inventory.pipes = pipes.map(|pipe| pipe_record(pipe, &mut keep)).collect();
        inventory.bus = self.bus.as_ref().map(|bus| keep.add(bus.listener()));
        inventory.descriptors = keep.numbers();
        let now = self.now();
        inventory.clock_ms = now.0;
        inventory.monotonic_ns = monotonic_ns()?;
        inventory.leave_at_ms = self.leave_at.map(|at| at.0);
        inventory.coming_up = self.coming_up.ids.iter().copied().collect();
        inventory.new_root = new_root;
        if !new_root {
            let is_known = |id| self.supervisor.card(id).is_some();
            inventory.brought = self.brought.records(is_known);
        }
        let mut supervisor = self.supervisor.snapshot(now);
        if new_root {
            supervisor.forget_entes();
        }
        let parcel = Parcel {
            inventory,
            supervisor,
        };
        let state = parcel.seal().map_err(|error| error.to_string())?;
        let mut keep_state = Keep::default();
        let number = keep_state.add(&state);
        self.console.line(match new_root {
            true => format!("switch-root: going on with {}", program.display()),
            false => format!(
                "reexec: {} Entes, {} processes stay",
                self.supervisor.usage().entes,
                parcel.inventory.natives.len()
            ),
        });
        self.console.flush(FLUSH);
        let open = || Ok::<_, nix::Error>((keep.open()?, keep_state.open()?));
        let _open = open().map_err(|errno| format!("cannot keep descriptors: {errno}"))?;
        exec(program, number)
    }

    /// Tells the supervisor of the lives that ended with the image that they ran in.
    pub(super) fn interrupt_the_gone(&mut self) {
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
    pub(super) fn lives(&self) -> impl Iterator<Item = Who> {
        let live = self.supervisor.statuses();
        let live = live.filter(|status| status.state.is_live());
        live.filter_map(|status| {
            let card = self.supervisor.card(status.id)?;
            Bodies::runs(card).then_some(Who {
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
    // Whatever it is, opening it must not wait: it may be a FIFO.
    let mut options = File::options();
    options.read(true).custom_flags(libc::O_NONBLOCK);
    match Next::of(&mut options.open(program).map_err(failed)?).map_err(failed)? {
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

pub(super) fn monotonic_ns() -> Result<u64, String> {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).map_err(|errno| errno.to_string())?;
    Ok(Duration::from(now).as_nanos() as u64)
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
}
