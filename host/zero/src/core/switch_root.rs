//! Moving the machine to another root (`docs/handover.md`): all Entes end in order, the root is
//! exchanged, and the `ente-zero` of the new root goes on with its seed.

use super::{Core, Mode};
use crate::bodies::Bodies;
use crate::switch_root::{Failed, Plan};
use arje_card::Id;
use arje_supervisor::{Command, EventKind, Millis, State};
use nix::sys::signal::{SigHandler, SigSet, SigmaskHow, Signal, kill, signal, sigprocmask};
use nix::unistd::Pid;
use std::convert::Infallible;
use std::ffi::CString;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// How long all Entes may take to stop before they are killed; as long as for a shutdown by default.
const STOP_MS: u64 = 25_000;

/// How long after that the move waits for their ends before it is given up.
const KILL_MS: u64 = 5_000;

/// A move under way.
pub(super) struct Moving {
    plan: Plan,
    /// Who is started again if it is given up.
    stopped: Vec<Id>,
    killed: bool,
    deadline: Millis,
}

impl Core {
    /// Moves the machine to the root that is mounted at `new_root`, and goes on there with `init` (by
    /// default its `ente-zero`, else its `/sbin/init`). Returns at once; the move is made when all
    /// Entes have ended, within 30 s.
    ///
    /// # Errors
    ///
    /// Nothing has changed: another end is under way, or the move cannot be made.
    pub fn request_switch_root(
        &mut self,
        new_root: &Path,
        init: Option<&Path>,
    ) -> Result<(), String> {
        if self.mode != Mode::Machine {
            return Err("switch-root: dev mode has no root of its own".to_owned());
        }
        self.refuse_second_end("switch-root")?;
        let plan = Plan::check(new_root, init)?;
        self.console.line(format!(
            "switch-root: stopping all Entes; then {} in {}",
            plan.init().display(),
            new_root.display()
        ));
        let running = self.supervisor.statuses().filter(|status| {
            let over = matches!(status.state, State::Done | State::Failed | State::Declared);
            let card = self.supervisor.card(status.id);
            status.wanted && !over && card.is_some_and(|card| Bodies::runs(card))
        });
        let stopped: Vec<Id> = running.map(|status| status.id).collect();
        self.moving = Some(Moving {
            plan,
            stopped: stopped.clone(),
            killed: false,
            deadline: self.now().plus(STOP_MS),
        });
        self.command_all(stopped, Command::Stop);
        Ok(())
    }

    /// When a move waits no longer.
    pub(super) fn move_deadline(&self) -> Option<Millis> {
        self.moving.as_ref().map(|moving| moving.deadline)
    }

    /// Makes the move when it is time.
    ///
    /// # Errors
    ///
    /// The machine is between two roots.
    pub(super) fn go_on_with_move(&mut self) -> io::Result<()> {
        if self.moving.is_none() {
            return Ok(());
        }
        let nobody_left = self.lives().next().is_none();
        let now = self.now();
        let due = |moving: &mut Moving| nobody_left || now >= moving.deadline;
        let Some(mut moving) = self.moving.take_if(due) else {
            return Ok(());
        };
        if nobody_left {
            return self.move_root(moving).map_err(io::Error::other);
        }
        if moving.killed {
            self.give_up_move(moving, "switch-root: not everybody ended");
            return Ok(());
        }
        moving.killed = true;
        moving.deadline = now.plus(KILL_MS);
        self.moving = Some(moving);
        let left = self.lives().map(|who| who.id).collect();
        self.command_all(left, Command::Kill);
        Ok(())
    }

    fn give_up_move(&mut self, moving: Moving, why: &str) {
        self.console.line(format!("{why}; going on"));
        self.command_all(moving.stopped, Command::Start);
    }

    fn command_all(&mut self, ids: Vec<Id>, command: Command) {
        for id in ids {
            self.feed(EventKind::Command { id, command });
        }
    }

    /// From here on nothing is waited for. Comes back only if the old root goes on.
    fn move_root(&mut self, moving: Moving) -> Result<(), String> {
        // Whoever is left belongs to no Ente, and would live on in a root that is no more.
        let _ = kill(Pid::from_raw(-1), Signal::SIGKILL);
        match moving.plan.perform() {
            Ok(()) => {}
            Err(Failed::Undone(why)) => {
                self.give_up_move(moving, &why);
                return Ok(());
            }
            Err(Failed::Halfway(why)) => return Err(why),
        }
        let init = moving.plan.init();
        let Err(error) = match moving.plan.is_ours() {
            true => self.replace_image(init, true),
            false => self.become_foreign(init),
        };
        Err(format!("switch-root: {error}"))
    }

    /// Becomes an init that knows nothing of us. Returns only if it fails.
    fn become_foreign(&self, init: &Path) -> Result<Infallible, String> {
        let path = CString::new(init.as_os_str().as_bytes()).map_err(|error| error.to_string())?;
        self.flush_console();
        // As the kernel starts an init: nothing blocked, nothing ignored.
        sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None)
            .map_err(|errno| errno.to_string())?;
        // SAFETY: the default action is no function of ours.
        let _ = unsafe { signal(Signal::SIGPIPE, SigHandler::SigDfl) };
        nix::unistd::execv(&path, &[&path])
            .map_err(|errno| format!("cannot execute {}: {errno}", init.display()))
    }
}
