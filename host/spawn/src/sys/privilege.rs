//! System calls that take privileges away.

use core::ptr;

use ente_spawn::{INSTRUCTION_BYTES, Ids};

use super::{EINVAL, plain, syscall};

const SYS_SETGROUPS: usize = 116;
const SYS_SETRESUID: usize = 117;
const SYS_SETRESGID: usize = 119;
const SYS_CAPGET: usize = 125;
const SYS_CAPSET: usize = 126;
const SYS_PRCTL: usize = 157;
const SYS_SCHED_SETAFFINITY: usize = 203;
const SYS_LANDLOCK_CREATE_RULESET: usize = 444;
const SYS_LANDLOCK_ADD_RULE: usize = 445;
const SYS_LANDLOCK_RESTRICT_SELF: usize = 446;

const PR_SET_DUMPABLE: usize = 4;
const PR_SET_SECCOMP: usize = 22;
const PR_CAPBSET_DROP: usize = 24;
const PR_SET_NO_NEW_PRIVS: usize = 38;
const PR_CAP_AMBIENT: usize = 47;
const PR_CAP_AMBIENT_CLEAR_ALL: usize = 4;
const SECCOMP_MODE_FILTER: usize = 2;
const LANDLOCK_RULE_PATH_BENEATH: usize = 1;
/// `_LINUX_CAPABILITY_VERSION_3`
const CAPABILITY_VERSION: u32 = 0x2008_0522;

/// `CAP_KILL`
pub(crate) const CAP_KILL: u64 = 1 << 5;

fn prctl(option: usize, a: usize, b: usize) -> Result<(), i32> {
    // All five arguments are given: some options refuse anything but zero in those they do not use.
    plain(SYS_PRCTL, option, a, b).map(drop)
}

/// `PR_SET_NO_NEW_PRIVS` of `prctl(2)`.
pub(crate) fn set_no_new_privileges() -> Result<(), i32> {
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0)
}

/// `PR_SET_DUMPABLE` of `prctl(2)`: no core, and nobody without `CAP_SYS_PTRACE` looks into this process.
pub(crate) fn set_undumpable() -> Result<(), i32> {
    prctl(PR_SET_DUMPABLE, 0, 0)
}

/// `sched_setaffinity(2)`.
pub(crate) fn set_affinity(mask: &[u8]) -> Result<(), i32> {
    let args = [0, mask.len(), mask.as_ptr() as usize, 0, 0, 0];
    // SAFETY: the call reads as many bytes as the slice has.
    unsafe { syscall(SYS_SCHED_SETAFFINITY, args) }.map(drop)
}

/// Takes every capability out of the bounding set but these, and all out of the ambient and inheritable ones
/// (`capabilities(7)`). What the process has now it keeps until it executes something or changes its user.
pub(crate) fn bound_capabilities(kept: u64) -> Result<(), i32> {
    for capability in (0..64).filter(|capability| kept & 1 << capability == 0) {
        match prctl(PR_CAPBSET_DROP, capability, 0) {
            // The kernel has no capability of this number, and none above it.
            Err(EINVAL) => break,
            result => result?,
        }
    }
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0)?;
    let [effective, permitted, _] = capabilities()?;
    set_capabilities(effective, permitted, 0)
}

/// Leaves this process no capability but these.
pub(crate) fn keep_capabilities(kept: u64) -> Result<(), i32> {
    let [_, permitted, _] = capabilities()?;
    let kept = permitted & kept;
    set_capabilities(kept, kept, 0)
}

/// `capget(2)`: effective, permitted, inheritable.
fn capabilities() -> Result<[u64; 3], i32> {
    let header = [CAPABILITY_VERSION, 0];
    let mut sets = [0u32; 6];
    let args = [
        header.as_ptr() as usize,
        sets.as_mut_ptr() as usize,
        0,
        0,
        0,
        0,
    ];
    // SAFETY: the call reads the header and writes two times three words, as version 3 has them.
    unsafe { syscall(SYS_CAPGET, args) }?;
    let [a, b, c, d, e, f] = sets.map(u64::from);
    Ok([a | d << 32, b | e << 32, c | f << 32])
}

/// `capset(2)`.
fn set_capabilities(effective: u64, permitted: u64, inheritable: u64) -> Result<(), i32> {
    let header = [CAPABILITY_VERSION, 0];
    let low = [effective, permitted, inheritable].map(|set| set as u32);
    let high = [effective, permitted, inheritable].map(|set| (set >> 32) as u32);
    let sets = [low, high];
    let args = [header.as_ptr() as usize, sets.as_ptr() as usize, 0, 0, 0, 0];
    // SAFETY: the call reads the header and two times three words, as version 3 has them.
    unsafe { syscall(SYS_CAPSET, args) }.map(drop)
}

/// `setgroups(2)`.
pub(crate) fn set_groups(groups: Ids<'_>) -> Result<(), i32> {
    let mut list = [0u32; ente_spawn::MAX_GROUPS];
    for (slot, group) in list.iter_mut().zip(groups.iter()) {
        *slot = group;
    }
    let args = [groups.count(), list.as_ptr() as usize, 0, 0, 0, 0];
    // SAFETY: the call reads as many numbers as are given, and the decoder refuses more than the list has.
    unsafe { syscall(SYS_SETGROUPS, args) }.map(drop)
}

/// `setresgid(2)`: real, effective and saved group.
pub(crate) fn set_group(group: u32) -> Result<(), i32> {
    let group = group as usize;
    plain(SYS_SETRESGID, group, group, group).map(drop)
}

/// `setresuid(2)`: real, effective and saved user.
pub(crate) fn set_user(user: u32) -> Result<(), i32> {
    let user = user as usize;
    plain(SYS_SETRESUID, user, user, user).map(drop)
}

/// `struct sock_fprog`.
#[repr(C)]
struct Filter {
    length: u16,
    instructions: *const u8,
}

/// `PR_SET_SECCOMP` of `prctl(2)`.
pub(crate) fn set_filter(instructions: &[u8]) -> Result<(), i32> {
    let filter = Filter {
        // The decoder refuses more than BPF_MAXINSNS.
        length: (instructions.len() / INSTRUCTION_BYTES) as u16,
        instructions: instructions.as_ptr(),
    };
    let place = ptr::from_ref(&filter) as usize;
    let args = [PR_SET_SECCOMP, SECCOMP_MODE_FILTER, place, 0, 0, 0];
    // SAFETY: the call reads the structure and as many instructions as it says, which the slice has.
    unsafe { syscall(SYS_PRCTL, args) }.map(drop)
}

/// `landlock_create_ruleset(2)`. An older kernel takes the longer structure if what it does not know is zero.
pub(crate) fn landlock_rules(handled: u64, network: u64, scoped: u64) -> Result<i32, i32> {
    let attributes = [handled, network, scoped];
    let length = if scoped != 0 {
        size_of_val(&attributes)
    } else if network != 0 {
        16
    } else {
        8
    };
    let args = [attributes.as_ptr() as usize, length, 0, 0, 0, 0];
    // SAFETY: the call reads so many bytes of the structure.
    unsafe { syscall(SYS_LANDLOCK_CREATE_RULESET, args) }.map(|fd| fd as i32)
}

/// `struct landlock_path_beneath_attr`
#[repr(C, packed)]
struct PathBeneath {
    access: u64,
    parent: i32,
}

/// `landlock_add_rule(2)`.
pub(crate) fn landlock_allow(rules: i32, place: i32, access: u64) -> Result<(), i32> {
    let rule = PathBeneath {
        access,
        parent: place,
    };
    let args = [
        rules as usize,
        LANDLOCK_RULE_PATH_BENEATH,
        ptr::from_ref(&rule) as usize,
        0,
        0,
        0,
    ];
    // SAFETY: the call reads one such structure.
    unsafe { syscall(SYS_LANDLOCK_ADD_RULE, args) }.map(drop)
}

/// `landlock_restrict_self(2)`.
pub(crate) fn landlock_restrict(rules: i32) -> Result<(), i32> {
    plain(SYS_LANDLOCK_RESTRICT_SELF, rules as usize, 0, 0).map(drop)
}
