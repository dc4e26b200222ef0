//! The system calls that are refused to confined Cards.
//!
//! Refused means an error, not the end of the process: C libraries and runtimes try many of these and go on without.
//! `ENOSYS` where a library then uses an older call that a filter can look into.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use arje_card::{Card, Filesystem, Networking, Readiness};
use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition,
    SeccompFilter, SeccompRule, TargetArch, sock_filter,
};

/// Rules of one filter: system call, and the alternatives under which it is refused; none means always.
type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// Ways out of a confinement, and around it: other processes' memory, mounts and namespaces, the kernel itself, and
/// system calls that do what others are refused for.
#[rustfmt::skip]
const WAYS_OUT: [i64; 49] = [
    // Other processes.
    libc::SYS_ptrace, libc::SYS_process_vm_readv, libc::SYS_process_vm_writev, libc::SYS_process_madvise,
    libc::SYS_kcmp, libc::SYS_pidfd_getfd,
    // Mounts, and files by other ways than their path.
    libc::SYS_mount, libc::SYS_umount2, libc::SYS_pivot_root, libc::SYS_move_mount, libc::SYS_open_tree,
    libc::SYS_fsopen, libc::SYS_fsconfig, libc::SYS_fsmount, libc::SYS_fspick, libc::SYS_mount_setattr,
    libc::SYS_open_by_handle_at, libc::SYS_quotactl, libc::SYS_quotactl_fd,
    // Namespaces of others.
    libc::SYS_setns,
    // The kernel's code, and what runs in it.
    libc::SYS_init_module, libc::SYS_finit_module, libc::SYS_delete_module, libc::SYS_kexec_load,
    libc::SYS_kexec_file_load, libc::SYS_bpf, libc::SYS_perf_event_open, libc::SYS_userfaultfd,
    libc::SYS_iopl, libc::SYS_ioperm, libc::SYS_lookup_dcookie, libc::SYS_syslog,
    // A second way to do nearly everything, past this filter.
    libc::SYS_io_uring_setup, libc::SYS_io_uring_enter, libc::SYS_io_uring_register,
    // Keys are shared by all processes of a user.
    libc::SYS_add_key, libc::SYS_request_key, libc::SYS_keyctl,
    // The machine.
    libc::SYS_reboot, libc::SYS_swapon, libc::SYS_swapoff, libc::SYS_acct, libc::SYS_vhangup,
    libc::SYS_sethostname, libc::SYS_setdomainname,
    libc::SYS_settimeofday, libc::SYS_clock_settime, libc::SYS_clock_adjtime, libc::SYS_adjtimex,
];

/// The flags of `clone(2)` and `unshare(2)` that make namespaces: mount, cgroup, UTS, IPC, user, PID, net, time.
const NAMESPACE_FLAGS: [u64; 8] = [
    0x0002_0000,
    0x0200_0000,
    0x0400_0000,
    0x0800_0000,
    0x1000_0000,
    0x2000_0000,
    0x4000_0000,
    0x0000_0080,
];

/// `ioctl(2)` requests that type into a terminal: `TIOCSTI` and `TIOCLINUX`.
const TYPING: [u64; 2] = [0x5412, 0x541c];

/// Address families that stay inside a network namespace, or are looked after otherwise. The others, such as
/// `AF_VSOCK`, know no namespaces, or are reached by nobody's permission.
const FAMILIES: [i32; 4] = [
    libc::AF_UNIX,
    libc::AF_INET,
    libc::AF_INET6,
    libc::AF_NETLINK,
];

/// Transports that take their ports past the filter of ports: DCCP, SCTP, MPTCP.
const OTHER_TRANSPORTS: [u64; 3] = [33, 132, 262];

/// What a set of filters depends on.
#[derive(Clone, Copy)]
struct Profile {
    networking: Networking,
    processes: bool,
    unix: bool,
}

impl Profile {
    fn of(card: &Card) -> Profile {
        let permissions = &card.permissions;
        Profile {
            networking: permissions.networking,
            processes: permissions.processes,
            unix: permissions.filesystem != Filesystem::None || talks_to_host(card),
        }
    }

    /// Number of the profile, below [`PROFILES`].
    fn index(self) -> usize {
        self.networking as usize + 4 * usize::from(self.processes) + 8 * usize::from(self.unix)
    }
}

const PROFILES: usize = 16;

/// Sockets in the file system are files, so a Card without files has none; but the host's own are such sockets, too.
fn talks_to_host(card: &Card) -> bool {
    matches!(card.readiness, Readiness::Notify | Readiness::Announce)
        || card.liveness_ms.is_some()
        || !card.permissions.ipc.allow.is_empty()
}

/// The filters of a confined Card, as the plan takes them. There are few different ones, so each is compiled once.
pub(super) fn filters(card: &Card) -> Result<Vec<Vec<u8>>, String> {
    static COMPILED: [OnceLock<Vec<Vec<u8>>>; PROFILES] = [const { OnceLock::new() }; PROFILES];
    let profile = Profile::of(card);
    let place = COMPILED.get(profile.index());
    if let Some(filters) = place.and_then(OnceLock::get) {
        return Ok(filters.clone());
    }
    let filters = compile(profile)
        .map_err(|error| format!("the system call filter cannot be compiled: {error}"))?;
    if let Some(place) = place {
        // Somebody else's are the same.
        let _ = place.set(filters.clone());
    }
    Ok(filters)
}

/// One filter for each error number, since a filter has one.
fn compile(profile: Profile) -> Result<Vec<Vec<u8>>, BackendError> {
    let mut filters = vec![bytes(&other_interfaces())];
    for (errno, rules) in [
        (libc::EPERM, refused(profile)?),
        (libc::ENOSYS, unreadable()),
        (libc::EAFNOSUPPORT, families(profile)?),
        (libc::EPROTONOSUPPORT, transports(profile)?),
    ] {
        if !rules.is_empty() {
            filters.push(bytes(&filter(errno, rules)?));
        }
    }
    Ok(filters)
}

fn filter(errno: i32, rules: Rules) -> Result<BpfProgram, BackendError> {
    SeccompFilter::new(
        rules,
        SeccompAction::Allow,
        SeccompAction::Errno(errno as u32),
        TargetArch::x86_64,
    )?
    .try_into()
}

fn refused(profile: Profile) -> Result<Rules, BackendError> {
    let mut rules: Rules = WAYS_OUT
        .into_iter()
        .map(|call| (call, Vec::new()))
        .collect();
    let mut clone = Vec::new();
    let mut unshare = Vec::new();
    for flag in NAMESPACE_FLAGS {
        // The lowest byte of clone's flags is a signal number, so a time namespace cannot be asked for there.
        if flag > 0xff {
            clone.push(rule(&[(0, SeccompCmpOp::MaskedEq(flag), flag)])?);
        }
        unshare.push(rule(&[(0, SeccompCmpOp::MaskedEq(flag), flag)])?);
    }
    if !profile.processes {
        let thread = libc::CLONE_THREAD as u64;
        clone.push(rule(&[(0, SeccompCmpOp::MaskedEq(thread), 0)])?);
        rules.insert(libc::SYS_fork, Vec::new());
        rules.insert(libc::SYS_vfork, Vec::new());
    }
    rules.insert(libc::SYS_clone, clone);
    rules.insert(libc::SYS_unshare, unshare);
    let mut typing = Vec::new();
    for request in TYPING {
        typing.push(rule(&[(1, SeccompCmpOp::Eq, request)])?);
    }
    rules.insert(libc::SYS_ioctl, typing);
    if profile.networking == Networking::Outbound {
        rules.insert(libc::SYS_listen, Vec::new());
    }
    Ok(rules)
}

/// `clone3(2)` has its flags in memory, where no filter can look. C libraries then use `clone(2)`.
fn unreadable() -> Rules {
    BTreeMap::from([(libc::SYS_clone3, Vec::new())])
}

/// `socket(2)` of another family than those left.
fn families(profile: Profile) -> Result<Rules, BackendError> {
    let network = profile.networking != Networking::Full;
    if !network && profile.unix {
        return Ok(Rules::new());
    }
    let refused = if network {
        let kept = |family: &i32| profile.unix || *family != libc::AF_UNIX;
        let kept = FAMILIES.into_iter().filter(kept);
        let conditions: Vec<_> = kept
            .map(|family| (0, SeccompCmpOp::Ne, family as u64))
            .collect();
        rule(&conditions)?
    } else {
        rule(&[(0, SeccompCmpOp::Eq, libc::AF_UNIX as u64)])?
    };
    Ok(BTreeMap::from([(libc::SYS_socket, vec![refused])]))
}

fn transports(profile: Profile) -> Result<Rules, BackendError> {
    if profile.networking != Networking::Outbound {
        return Ok(Rules::new());
    }
    let of = |protocol| rule(&[(2, SeccompCmpOp::Eq, protocol)]);
    let refused = OTHER_TRANSPORTS
        .into_iter()
        .map(of)
        .collect::<Result<_, _>>()?;
    Ok(BTreeMap::from([(libc::SYS_socket, refused)]))
}

/// All conditions together: number of the argument, comparison, value. They look at its lower half: flags, families
/// and requests are 32-bit numbers, and the kernel ignores the rest of the register.
fn rule(conditions: &[(u8, SeccompCmpOp, u64)]) -> Result<SeccompRule, BackendError> {
    let conditions = conditions.iter().map(|(argument, comparison, value)| {
        SeccompCondition::new(
            *argument,
            SeccompCmpArgLen::Dword,
            comparison.clone(),
            *value,
        )
    });
    SeccompRule::new(conditions.collect::<Result<_, _>>()?)
}

/// Refuses the x32 interface, whose calls have numbers from 2^30 on that no other filter here knows. The interface for
/// 32-bit programs is another architecture, which every filter made by seccompiler kills.
fn other_interfaces() -> BpfProgram {
    let statement = |code, jt, jf, k| sock_filter { code, jt, jf, k };
    vec![
        statement(0x20, 0, 0, 0), // Load the number of the call (seccomp_data, offset 0).
        statement(0x35, 0, 1, 0x4000_0000), // Below 2^30: skip the next statement.
        statement(0x06, 0, 0, 0x0005_0000 | libc::ENOSYS as u32), // SECCOMP_RET_ERRNO
        statement(0x06, 0, 0, 0x7fff_0000), // SECCOMP_RET_ALLOW
    ]
}

/// `struct sock_filter` after `struct sock_filter`.
fn bytes(program: &[sock_filter]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(program.len() * ente_spawn::INSTRUCTION_BYTES);
    for instruction in program {
        bytes.extend_from_slice(&instruction.code.to_le_bytes());
        bytes.extend_from_slice(&[instruction.jt, instruction.jf]);
        bytes.extend_from_slice(&instruction.k.to_le_bytes());
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_profile_compiles_and_fits() {
        let mut seen = std::collections::BTreeSet::new();
        for networking in [
            Networking::None,
            Networking::Loopback,
            Networking::Outbound,
            Networking::Full,
        ] {
            for (processes, unix) in [(false, false), (false, true), (true, false), (true, true)] {
                let profile = Profile {
                    networking,
                    processes,
                    unix,
                };
                assert!(seen.insert(profile.index()) && profile.index() < PROFILES);
                for filter in compile(profile).unwrap() {
                    let length = filter.len() / ente_spawn::INSTRUCTION_BYTES;
                    assert!(length <= ente_spawn::MAX_INSTRUCTIONS);
                }
            }
        }
    }
}
