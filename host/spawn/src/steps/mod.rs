//! One function per step of a plan. The order, and why it is this one, is in `docs/native.md`.

mod init;
mod landlock;
mod mounts;
mod namespaces;
mod own_pid;

use core::ffi::CStr;
use core::ptr;
use core::sync::atomic::{AtomicI32, Ordering};

use ente_spawn::{FIRST_PASSED_FD, Ids, Step, Strings};

use crate::sys::{self, privilege};

/// First descriptor number that the program sees beyond its standard streams (`sd_listen_fds(3)`).
const FIRST_PROGRAM_FD: i32 = 3;

/// What the steps share.
pub(crate) struct Executor<'a> {
    /// Where the status pipe is now.
    pub(crate) status: &'a AtomicI32,
    /// This process's folder in the `/proc` of its parent, for plans with a user namespace.
    pub(crate) own_proc: Option<i32>,
}

/// Why a step failed.
pub(crate) struct Fault<'a> {
    pub(crate) errno: i32,
    /// What it was about, such as a path; empty where the step says it all.
    pub(crate) subject: &'a CStr,
}

impl From<i32> for Fault<'_> {
    fn from(errno: i32) -> Self {
        let subject = c"";
        Fault { errno, subject }
    }
}

/// Says what an error is about.
fn about<'a>(subject: &'a CStr) -> impl FnOnce(i32) -> Fault<'a> {
    move |errno| Fault { errno, subject }
}

impl Executor<'_> {
    /// Performs one step. `Exec` returns only when it failed.
    pub(crate) fn perform<'a>(&self, step: Step<'a>) -> Result<(), Fault<'a>> {
        match step {
            Step::Session => sys::setsid()?,
            Step::Umask(mask) => sys::umask(mask)?,
            Step::Namespaces(namespaces) => namespaces::enter(namespaces)?,
            Step::HostName(name) => {
                sys::namespace::set_host_name(name).map_err(about(name))?;
            }
            Step::Loopback => sys::namespace::loopback_up()?,
            Step::Mounts(mounts) => mounts::make(mounts)?,
            Step::UserNamespace { users, groups } => {
                namespaces::enter_user(self.own_proc, users, groups)?;
            }
            Step::Init => init::split(self.status)?,
            Step::Terminal => take_terminal()?,
            Step::WorkingDirectory(path) => sys::chdir(path).map_err(about(path))?,
            Step::Descriptors { passed } => place_descriptors(passed as i32, self.status)?,
            Step::Affinity(mask) => privilege::set_affinity(mask)?,
            Step::Rlimit(rlimit) => sys::set_limit(rlimit)?,
            Step::NoNewPrivileges => privilege::set_no_new_privileges()?,
            Step::Landlock {
                handled,
                network,
                scoped,
                paths,
            } => landlock::restrict([handled, network, scoped], paths)?,
            Step::Capabilities(kept) => privilege::bound_capabilities(kept)?,
            Step::Credentials {
                user,
                group,
                groups,
            } => set_credentials(user, group, groups)?,
            Step::Seccomp(filter) => privilege::set_filter(filter)?,
            Step::Exec {
                program,
                argv,
                envp,
            } => exec(program, argv, envp).map_err(about(program))?,
        }
        Ok(())
    }
}

/// Groups first: without its user, the process may no longer change them.
fn set_credentials(user: u32, group: u32, groups: Ids<'_>) -> Result<(), i32> {
    privilege::set_groups(groups)?;
    privilege::set_group(group)?;
    privilege::set_user(user)
}

/// Without force: a terminal that controls another session is not taken away from it. Only then are its modes reset,
/// because the session before may have been killed while it had switched off echo or signals.
fn take_terminal() -> Result<(), i32> {
    sys::take_terminal(0)?;
    sys::reset_terminal(0)
}

/// Moves what is passed down to 3 and after, then closes everything but 0-2, that, and the status pipe, which closes
/// itself at `execve`.
fn place_descriptors(passed: i32, status: &AtomicI32) -> Result<(), i32> {
    // Out of the way of both the old places and the new ones. The plan is mapped: its descriptor is not needed.
    let pipe = sys::duplicate_cloexec(status.load(Ordering::Relaxed), FIRST_PASSED_FD + passed)?;
    status.store(pipe, Ordering::Relaxed);
    for index in 0..passed {
        // Upwards, and each target lies below its source: no source is overwritten before it was moved.
        sys::move_to(FIRST_PASSED_FD + index, FIRST_PROGRAM_FD + index)?;
    }
    sys::close_range((FIRST_PROGRAM_FD + passed) as u32, (pipe - 1) as u32)?;
    sys::close_range((pipe + 1) as u32, u32::MAX)
}

/// Pointers for which no memory is asked of the kernel: those of most programs.
const FEW: usize = 64;

fn exec(program: &CStr, argv: Strings<'_>, envp: Strings<'_>) -> Result<(), i32> {
    let slots = argv.count() + 1 + envp.count() + 1;
    let mut few = [ptr::null(); FEW];
    let table = match few.get_mut(..slots) {
        Some(few) => few,
        None => sys::pointer_table(slots)?,
    };
    // Either is all null, so both lists already end in a null pointer.
    let (arguments, environment) = table
        .split_at_mut_checked(argv.count() + 1)
        .ok_or(sys::EBADMSG)?;
    fill(arguments, argv);
    fill(environment, envp);
    own_pid::fill(environment, envp)?;
    // SAFETY: each list has one slot more than strings, and that slot is null; the strings lie in the mapped plan.
    unsafe { sys::execve(program, arguments, environment) }
}

fn fill(slots: &mut [*const i8], strings: Strings<'_>) {
    // One slot more than strings: the last stays null.
    for (slot, string) in slots.iter_mut().zip(strings.iter()) {
        *slot = string.as_ptr();
    }
}
