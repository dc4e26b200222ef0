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
pub(crate) const VERSION: u16 = 3;

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

/// Longest file that is copied as a secret, as for credentials of systemd (`systemd.exec(5)`).
pub const MAX_SECRET_BYTES: u64 = 1 << 20;

/// Most mounts in one plan. The executor holds one descriptor for each bind while it makes them, and PID 1's own limit of
/// open files, which it inherits, is 1024 where nobody raised it.
pub const MAX_MOUNTS: usize = 256;

/// Most paths in one landlock rule set: the mounts, and a few dozen that every program needs.
pub const MAX_PATHS: usize = 512;

/// Most supplementary groups, and most ids in one map of a user namespace. The kernel takes 65,536 groups and 340 lines
/// of a map (`user_namespaces(7)`); each group is a line here.
pub const MAX_GROUPS: usize = 300;

/// Longest mask of CPUs in bytes: 8,192 CPUs, the most that Linux can be built for on x86-64 (`CONFIG_NR_CPUS`).
pub const MAX_CPU_BYTES: usize = 1024;

/// Longest seccomp filter in instructions (`BPF_MAXINSNS`).
pub const MAX_INSTRUCTIONS: usize = 4096;

/// Length of one instruction of a seccomp filter in bytes (`struct sock_filter`).
pub const INSTRUCTION_BYTES: usize = 8;

/// Longest host name in bytes (`sethostname(2)`).
pub const MAX_HOST_NAME_BYTES: usize = 64;

/// Descriptor on which the executor finds the sealed plan.
pub const PLAN_FD: i32 = 3;

/// Descriptor of the status pipe: a [`Failure`](crate::Failure) or end of file.
pub const STATUS_FD: i32 = 4;

/// Where the executor finds the descriptors to pass; the program gets them from 3 on (`sd_listen_fds(3)`).
pub const FIRST_PASSED_FD: i32 = 5;

/// A resource that can be limited. The number is the kernel's (`asm-generic/resource.h`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Resource {
    /// `RLIMIT_DATA`: private writable memory of one process, in bytes.
    Data = 2,
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
        use Resource::{AddressSpace, Data, Files, Processes};
        [Data, Processes, Files, AddressSpace]
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
