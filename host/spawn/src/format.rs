//! Constants of the plan format, shared by encoder and decoder.
//!
//! All integers are little-endian. A plan is a 16-byte header followed by records:
//!
//! ```text
//! header   magic "ENTEPLAN" (8) | version u16 | number of records u16 | length of the whole plan u32
//! record   step u8 | reserved u8 u8 u8 = 0    | length of the body u32 | body
//! ```

/// First bytes of every plan.
pub(crate) const MAGIC: [u8; 8] = *b"ENTEPLAN";

/// The only version there is. PID 1 and the executor come from one image, so no range is negotiated.
pub(crate) const VERSION: u16 = 1;

/// Length of the header in bytes.
pub(crate) const HEADER_BYTES: usize = 16;

/// Length of a record's head (step, reserved, body length) in bytes.
pub(crate) const RECORD_BYTES: usize = 8;

/// Largest plan in bytes. A Card file is at most 4 MiB; as much again is left for what PID 1 adds.
pub const MAX_PLAN_BYTES: usize = 8 << 20;

/// Most strings in one list (arguments, environment). The kernel refuses a list whose pointers and bytes pass 6 MiB
/// (`execve(2)`, "Limits on size of arguments and environment"); this bound keeps the executor's table of pointers
/// at 512 KiB.
pub const MAX_STRINGS: usize = 1 << 16;

/// Most descriptors passed to the program beyond 0-2. Socket activation needs a handful.
pub const MAX_PASSED: u32 = 64;

/// Descriptor on which the executor finds the sealed plan.
pub const PLAN_FD: i32 = 3;

/// Descriptor of the status pipe: a [`Failure`](crate::Failure) or end of file.
pub const STATUS_FD: i32 = 4;

/// Where the executor finds the descriptors to pass; the program gets them from 3 on (`sd_listen_fds(3)`).
pub const FIRST_PASSED_FD: i32 = 5;

/// The steps. The number is the tag in the plan, the step in a [`Failure`](crate::Failure) and the rank in the order:
/// a plan whose tags do not ascend is refused, so there is one order and no plan can ask for another.
///
/// The gaps are for the steps of confined bodies (namespaces, cgroup, mounts before `WorkingDirectory`; affinity
/// before, credentials, landlock and seccomp after `Rlimit`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum StepKind {
    /// Reading and checking the plan itself. Never a record; only in a failure.
    Plan = 0x00,
    /// Placing the executor's descriptors and executing it. Never a record; only in a failure, which the child itself
    /// reports.
    Executor = 0x04,
    /// Every signal to its default disposition, nothing blocked.
    Signals = 0x08,
    /// A session of its own.
    Session = 0x10,
    /// Standard input becomes the controlling terminal.
    Terminal = 0x18,
    /// File mode creation mask.
    Umask = 0x20,
    /// Working directory.
    WorkingDirectory = 0x40,
    /// Passed descriptors to their places, all others closed.
    Descriptors = 0x48,
    /// One resource limit; repeats, once per resource.
    Rlimit = 0x58,
    /// Replace the executor by the program.
    Exec = 0x7f,
}

impl StepKind {
    /// Every step, in order.
    pub const ALL: [StepKind; 10] = [
        StepKind::Plan,
        StepKind::Executor,
        StepKind::Signals,
        StepKind::Session,
        StepKind::Terminal,
        StepKind::Umask,
        StepKind::WorkingDirectory,
        StepKind::Descriptors,
        StepKind::Rlimit,
        StepKind::Exec,
    ];

    /// The step with this tag, if there is one.
    #[must_use]
    pub fn from_tag(tag: u8) -> Option<StepKind> {
        Self::ALL.into_iter().find(|kind| *kind as u8 == tag)
    }

    /// Name for messages.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            StepKind::Plan => "plan",
            StepKind::Executor => "executor",
            StepKind::Signals => "signals",
            StepKind::Session => "session",
            StepKind::Terminal => "controlling terminal",
            StepKind::Umask => "umask",
            StepKind::WorkingDirectory => "working directory",
            StepKind::Descriptors => "descriptors",
            StepKind::Rlimit => "rlimit",
            StepKind::Exec => "exec",
        }
    }
}

/// A resource that can be limited. The number is the kernel's (`asm-generic/resource.h`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Resource {
    /// `RLIMIT_NPROC`: processes of the real user id.
    Processes = 6,
    /// `RLIMIT_NOFILE`: one more than the highest descriptor number.
    Files = 7,
    /// `RLIMIT_AS`: address space of one process, in bytes.
    AddressSpace = 9,
}

impl Resource {
    /// The resource with this kernel number, if a plan may limit it.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Resource> {
        [Resource::Processes, Resource::Files, Resource::AddressSpace]
            .into_iter()
            .find(|resource| *resource as u8 == number)
    }
}

/// One resource limit, soft and hard at the same value: only a program with `CAP_SYS_RESOURCE` can raise it again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rlimit {
    /// What is limited.
    pub resource: Resource,
    /// The limit, in the resource's unit.
    pub limit: u64,
}
