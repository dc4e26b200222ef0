//! The steps with what they need.

use core::ffi::CStr;

use crate::decode::DecodeError;
use crate::format::{
    INSTRUCTION_BYTES, MAX_CPU_BYTES, MAX_GROUPS, MAX_HOST_NAME_BYTES, MAX_INSTRUCTIONS,
    MAX_PASSED, Resource, Rlimit,
};
use crate::kind::StepKind;
use crate::mounts::Mounts;
use crate::namespaces::Namespaces;
use crate::reader::{Ids, Reader, Strings};
use crate::rules::PathRules;

/// One step with what it needs.
#[derive(Clone, Copy, Debug)]
pub enum Step<'a> {
    /// `setsid(2)`.
    Session,
    /// `umask(2)` with this mask.
    Umask(u32),
    /// `unshare(2)`; with a mount namespace, nothing propagates into it or out of it.
    Namespaces(Namespaces),
    /// `sethostname(2)`.
    HostName(&'a CStr),
    /// `SIOCSIFFLAGS` on `lo`.
    Loopback,
    /// These mounts, in order.
    Mounts(Mounts<'a>),
    /// `CLONE_NEWUSER`, in which these ids stand for themselves and all others for nobody.
    UserNamespace {
        /// User ids.
        users: Ids<'a>,
        /// Group ids.
        groups: Ids<'a>,
    },
    /// `fork(2)`: the parent stays as the init of its PID namespace, the child goes on, in a session of its own.
    Init,
    /// `TIOCSCTTY` on standard input.
    Terminal,
    /// `chdir(2)`.
    WorkingDirectory(&'a CStr),
    /// Pass this many descriptors, close all others beyond 0-2.
    Descriptors {
        /// How many lie at [`FIRST_PASSED_FD`](crate::FIRST_PASSED_FD) and after.
        passed: u32,
    },
    /// `sched_setaffinity(2)` with this mask, whole 64-bit words.
    Affinity(&'a [u8]),
    /// `prlimit(2)`.
    Rlimit(Rlimit),
    /// `PR_SET_NO_NEW_PRIVS`.
    NoNewPrivileges,
    /// `landlock_restrict_self(2)`.
    Landlock {
        /// What is refused where no rule allows it (`LANDLOCK_ACCESS_FS_*`).
        handled: u64,
        /// The same for the network (`LANDLOCK_ACCESS_NET_*`); nothing is allowed again.
        network: u64,
        /// What does not reach beyond its own processes (`LANDLOCK_SCOPE_*`).
        scoped: u64,
        /// What is allowed.
        paths: PathRules<'a>,
    },
    /// `PR_CAPBSET_DROP` of every capability whose bit is not set here; none inheritable or ambient.
    Capabilities(u64),
    /// `setgroups(2)`, `setresgid(2)`, `setresuid(2)`.
    Credentials {
        /// User id.
        user: u32,
        /// Group id.
        group: u32,
        /// Supplementary groups.
        groups: Ids<'a>,
    },
    /// `PR_SET_SECCOMP` with these instructions (`struct sock_filter`).
    Seccomp(&'a [u8]),
    /// `execve(2)`.
    Exec {
        /// Path of the program.
        program: &'a CStr,
        /// Its arguments, the program's name first.
        argv: Strings<'a>,
        /// Its whole environment, as `KEY=VALUE`. A `KEY` alone is to become `KEY=` and the program's own process
        /// id (`LISTEN_PID`, `WATCHDOG_PID`).
        envp: Strings<'a>,
    },
}

impl<'a> Step<'a> {
    /// Which step this is.
    #[must_use]
    pub fn kind(&self) -> StepKind {
        match self {
            Step::Session => StepKind::Session,
            Step::Umask(_) => StepKind::Umask,
            Step::Namespaces(_) => StepKind::Namespaces,
            Step::HostName(_) => StepKind::HostName,
            Step::Loopback => StepKind::Loopback,
            Step::Mounts(_) => StepKind::Mounts,
            Step::UserNamespace { .. } => StepKind::UserNamespace,
            Step::Init => StepKind::Init,
            Step::Terminal => StepKind::Terminal,
            Step::WorkingDirectory(_) => StepKind::WorkingDirectory,
            Step::Descriptors { .. } => StepKind::Descriptors,
            Step::Affinity(_) => StepKind::Affinity,
            Step::Rlimit(_) => StepKind::Rlimit,
            Step::NoNewPrivileges => StepKind::NoNewPrivileges,
            Step::Landlock { .. } => StepKind::Landlock,
            Step::Capabilities(_) => StepKind::Capabilities,
            Step::Credentials { .. } => StepKind::Credentials,
            Step::Seccomp(_) => StepKind::Seccomp,
            Step::Exec { .. } => StepKind::Exec,
        }
    }

    /// Place in the order; the second part orders the limits among each other.
    pub(crate) fn rank(&self) -> (StepKind, u8) {
        let within = match self {
            Step::Rlimit(rlimit) => rlimit.resource as u8,
            _ => 0,
        };
        (self.kind(), within)
    }

    /// Whether it may stand in a plan more than once.
    pub(crate) fn repeats(&self) -> bool {
        matches!(self, Step::Seccomp(_))
    }

    pub(crate) fn parse(kind: StepKind, body: &'a [u8]) -> Result<Step<'a>, DecodeError> {
        let mut body = Reader(body);
        let step = match kind {
            StepKind::Plan | StepKind::Executor => {
                return Err(DecodeError::UnknownStep(kind as u8));
            }
            StepKind::Session => Step::Session,
            StepKind::Umask => Step::Umask(body.u32()?),
            StepKind::Namespaces => {
                Step::Namespaces(Namespaces::from_bits(body.u8()?).ok_or(DecodeError::Body(kind))?)
            }
            StepKind::HostName => Step::HostName(body.path()?),
            StepKind::Loopback => Step::Loopback,
            StepKind::Mounts => Step::Mounts(Mounts::parse(body.rest())?),
            StepKind::UserNamespace => Step::UserNamespace {
                users: body.ids()?,
                groups: body.ids()?,
            },
            StepKind::Init => Step::Init,
            StepKind::Terminal => Step::Terminal,
            StepKind::WorkingDirectory => Step::WorkingDirectory(body.path()?),
            StepKind::Descriptors => Step::Descriptors {
                passed: body.u32()?,
            },
            StepKind::Affinity => Step::Affinity(body.rest()),
            StepKind::Rlimit => Step::Rlimit(Rlimit {
                resource: Resource::from_number(body.u8()?).ok_or(DecodeError::Body(kind))?,
                limit: body.u64()?,
            }),
            StepKind::NoNewPrivileges => Step::NoNewPrivileges,
            StepKind::Landlock => Step::Landlock {
                handled: body.u64()?,
                network: body.u64()?,
                scoped: body.u64()?,
                paths: PathRules::parse(body.rest())?,
            },
            StepKind::Capabilities => Step::Capabilities(body.u64()?),
            StepKind::Credentials => Step::Credentials {
                user: body.u32()?,
                group: body.u32()?,
                groups: body.ids()?,
            },
            StepKind::Seccomp => Step::Seccomp(body.rest()),
            StepKind::Exec => Step::Exec {
                program: body.path()?,
                argv: body.strings()?,
                envp: body.strings()?,
            },
        };
        if !body.0.is_empty() || !step.within_bounds() {
            return Err(DecodeError::Body(kind));
        }
        Ok(step)
    }

    fn within_bounds(&self) -> bool {
        match self {
            Step::Umask(mask) => *mask <= 0o777,
            Step::HostName(name) => (1..=MAX_HOST_NAME_BYTES).contains(&name.count_bytes()),
            Step::UserNamespace { users, groups } => {
                (1..=MAX_GROUPS).contains(&users.count())
                    && (1..=MAX_GROUPS).contains(&groups.count())
            }
            Step::WorkingDirectory(path) => path.to_bytes().starts_with(b"/"),
            Step::Descriptors { passed } => *passed <= MAX_PASSED,
            Step::Affinity(mask) => {
                (1..=MAX_CPU_BYTES).contains(&mask.len()) && mask.len().is_multiple_of(8)
            }
            Step::Credentials { groups, .. } => groups.count() <= MAX_GROUPS,
            Step::Seccomp(filter) => {
                (1..=MAX_INSTRUCTIONS * INSTRUCTION_BYTES).contains(&filter.len())
                    && filter.len().is_multiple_of(INSTRUCTION_BYTES)
            }
            Step::Exec { program, argv, .. } => {
                program.to_bytes().starts_with(b"/") && argv.count() > 0
            }
            Step::Session
            | Step::Namespaces(_)
            | Step::Loopback
            | Step::Mounts(_)
            | Step::Init
            | Step::Terminal
            | Step::Rlimit(_)
            | Step::NoNewPrivileges
            | Step::Landlock { .. }
            | Step::Capabilities(_) => true,
        }
    }
}
