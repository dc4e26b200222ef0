//! What the compiler may still do once it reads the module: compute, take memory up to a limit,
//! read descriptor 0, write descriptors 1 and 2, and end.
//!
//! No namespaces are entered, because nothing is left for them to hide: none of the system calls
//! in [`ALLOWED`] takes a path, makes a descriptor, or names another process. For the same reason
//! the user is not changed. The process stays single-threaded (no `clone`).

use std::collections::BTreeMap;
use std::fmt;
use std::io;

use arje_store::MAX_ARTIFACT_BYTES;
use arje_store::compiler::protocol::Limits;
use nix::sys::prctl;
use nix::sys::resource::{Resource, rlim_t, setrlimit};
use nix::sys::signal::Signal;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch,
};

/// Native stack of the compiler, in bytes: what Linux gives by default. Fixed here, so that the
/// depth at which a nested module is refused does not depend on the caller's limits.
const STACK_BYTES: u64 = 8 << 20;

/// The step of [`enter`] that failed. Nothing has been read then, and nothing must be.
#[derive(Debug)]
pub struct SandboxError {
    /// What was being done.
    step: &'static str,
    /// What the kernel, or the filter's compiler, answered.
    cause: String,
}

impl fmt::Display for SandboxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "sandbox: {}: {}; the module was not read",
            self.step, self.cause
        )
    }
}

impl std::error::Error for SandboxError {}

fn at<E: fmt::Display>(step: &'static str) -> impl FnOnce(E) -> SandboxError {
    move |error| SandboxError {
        step,
        cause: error.to_string(),
    }
}

/// Puts the calling process into the sandbox, for good.
///
/// # Errors
///
/// [`SandboxError`] names the step that failed. The caller must then end without reading input.
pub fn enter(limits: &Limits) -> Result<(), SandboxError> {
    forget_backtraces();
    volunteer_for_oom();
    close_inherited()?;
    // If the caller dies, nobody wants the artifact any more.
    prctl::set_pdeathsig(Signal::SIGKILL).map_err(at("parent death signal"))?;
    // No core file, and /proc/PID belongs to root: another process of this user cannot read it.
    prctl::set_dumpable(false).map_err(at("dumpable"))?;
    for (name, resource, soft, hard) in rlimits(limits) {
        setrlimit(resource, soft, hard).map_err(at(name))?;
    }
    prctl::set_no_new_privs().map_err(at("no new privileges"))?;
    let filter = filter().map_err(at("building the system call filter"))?;
    seccompiler::apply_filter(&filter).map_err(at("installing the system call filter"))
}

/// With `RUST_BACKTRACE` set, std would open the program's own file to report exhausted memory, and
/// die by SIGSYS instead.
fn forget_backtraces() {
    // SAFETY: the process has a single thread, so nobody reads the environment meanwhile.
    unsafe { std::env::remove_var("RUST_BACKTRACE") };
}

/// When the machine runs out of memory, the compiler is the one to kill. Without `/proc` there is
/// nothing to write to, and RLIMIT_AS alone bounds the harm.
fn volunteer_for_oom() {
    let _ = std::fs::write("/proc/self/oom_score_adj", "1000");
}

/// Closes every descriptor but the three standard ones.
fn close_inherited() -> Result<(), SandboxError> {
    // SAFETY: this program opened none of these descriptors, so nothing in it owns one.
    let result = unsafe { libc::close_range(3, libc::c_uint::MAX, 0) };
    if result == 0 {
        Ok(())
    } else {
        Err(at("closing descriptors")(io::Error::last_os_error()))
    }
}

/// The resource limits: name, resource, soft and hard value.
fn rlimits(limits: &Limits) -> [(&'static str, Resource, rlim_t, rlim_t); 8] {
    let cpu = limits.cpu_seconds;
    let memory = limits.memory_bytes;
    [
        ("RLIMIT_AS", Resource::RLIMIT_AS, memory, memory),
        (
            "RLIMIT_STACK",
            Resource::RLIMIT_STACK,
            STACK_BYTES,
            STACK_BYTES,
        ),
        // SIGXCPU at the soft limit says what happened; SIGKILL a second later cannot be evaded.
        (
            "RLIMIT_CPU",
            Resource::RLIMIT_CPU,
            cpu,
            cpu.saturating_add(1),
        ),
        (
            "RLIMIT_FSIZE",
            Resource::RLIMIT_FSIZE,
            MAX_ARTIFACT_BYTES,
            MAX_ARTIFACT_BYTES,
        ),
        // Descriptors 0, 1 and 2.
        ("RLIMIT_NOFILE", Resource::RLIMIT_NOFILE, 3, 3),
        ("RLIMIT_NPROC", Resource::RLIMIT_NPROC, 0, 0),
        ("RLIMIT_MEMLOCK", Resource::RLIMIT_MEMLOCK, 0, 0),
        ("RLIMIT_CORE", Resource::RLIMIT_CORE, 0, 0),
    ]
}

/// A condition on one argument of a system call.
#[derive(Clone, Copy, Debug)]
pub enum When {
    /// Argument number .0 is .1.
    Is(u8, u64),
    /// Of the bits .1 in argument number .0 none is set.
    Without(u8, u64),
    /// Of the bits .1 in argument number .0 all are set.
    With(u8, u64),
    /// Argument number .0 is the caller's own process id.
    Own(u8),
}

/// One line of the filter.
#[derive(Clone, Copy, Debug)]
pub struct Allowed {
    /// The system call's name, for the reader.
    pub name: &'static str,
    /// Its number on x86-64.
    pub number: libc::c_long,
    /// Alternatives, each a list of conditions that must all hold; empty means always.
    pub when: &'static [&'static [When]],
}

/// Shortens the table: the name and the number are the same word.
macro_rules! allow {
    ($name:ident, $number:ident $(, [$($when:expr),+])*) => {
        Allowed {
            name: stringify!($name),
            number: libc::$number,
            when: &[$(&[$($when),+]),*],
        }
    };
}

const EXEC: u64 = libc::PROT_EXEC as u64;
const ANONYMOUS: u64 = libc::MAP_ANONYMOUS as u64;
const ABORT: u64 = libc::SIGABRT as u64;

/// Every system call that remains. Any other kills the process (`SIGSYS`).
#[rustfmt::skip]
pub const ALLOWED: &[Allowed] = &[
    // The module in, the artifact and one line of text out.
    allow!(read,           SYS_read,           [When::Is(0, 0)]),
    allow!(write,          SYS_write,          [When::Is(0, 1)], [When::Is(0, 2)]),
    // Memory, of which none is ever executable: the artifact is data here.
    allow!(brk,            SYS_brk),
    allow!(mmap,           SYS_mmap,           [When::Without(2, EXEC), When::With(3, ANONYMOUS)]),
    allow!(mprotect,       SYS_mprotect,       [When::Without(2, EXEC)]),
    allow!(mremap,         SYS_mremap),
    allow!(madvise,        SYS_madvise),
    allow!(munmap,         SYS_munmap),
    // std: seeds of hash maps, clocks where the vDSO has none, locks.
    allow!(getrandom,      SYS_getrandom),
    allow!(clock_gettime,  SYS_clock_gettime),
    allow!(futex,          SYS_futex),
    // The end, also abort(3) when memory is exhausted, which must not look like an attack.
    allow!(sigaltstack,    SYS_sigaltstack),
    allow!(rt_sigreturn,   SYS_rt_sigreturn),
    allow!(rt_sigaction,   SYS_rt_sigaction),
    allow!(rt_sigprocmask, SYS_rt_sigprocmask),
    allow!(getpid,         SYS_getpid),
    allow!(gettid,         SYS_gettid),
    allow!(tgkill,         SYS_tgkill,         [When::Own(0), When::Is(2, ABORT)]),
    allow!(exit,           SYS_exit),
    allow!(exit_group,     SYS_exit_group),
];

/// Compiles [`ALLOWED`] for the kernel.
fn filter() -> Result<BpfProgram, seccompiler::BackendError> {
    let mut rules = BTreeMap::new();
    for allowed in ALLOWED {
        let alternatives = allowed
            .when
            .iter()
            .map(|all| {
                let conditions: Result<Vec<_>, _> = all.iter().copied().map(condition).collect();
                SeccompRule::new(conditions?)
            })
            .collect::<Result<Vec<_>, _>>()?;
        rules.insert(allowed.number, alternatives);
    }
    SeccompFilter::new(
        rules,
        SeccompAction::KillProcess,
        SeccompAction::Allow,
        TargetArch::x86_64,
    )?
    .try_into()
}

fn condition(when: When) -> Result<SeccompCondition, seccompiler::BackendError> {
    // Descriptors, protections, flags, signals and process ids are ints: the kernel looks at the
    // lower half of the register only, and so must the filter.
    let (argument, operator, value) = match when {
        When::Is(argument, value) => (argument, SeccompCmpOp::Eq, value),
        When::Without(argument, bits) => (argument, SeccompCmpOp::MaskedEq(bits), 0),
        When::With(argument, bits) => (argument, SeccompCmpOp::MaskedEq(bits), bits),
        When::Own(argument) => (argument, SeccompCmpOp::Eq, u64::from(std::process::id())),
    };
    SeccompCondition::new(argument, SeccompCmpArgLen::Dword, operator, value)
}
