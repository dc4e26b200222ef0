//! From `permissions` and `soma` to the steps that enforce them: what surrounds a program, and what is taken away.
//!
//! Nothing here acts on the running process. What comes out is a [`Confinement`], which travels in the spawn plan and is
//! performed by the executor. What each permission means is written down in `docs/confinement.md`.

mod capabilities;
mod kernel;
mod landlock;
mod mounts;
mod ports;
mod refuse;
mod seccomp;
mod worker;

use std::collections::BTreeSet;
use std::ffi::CString;

use arje_card::{Card, Filesystem, Networking, Permissions, RunAs};
use ente_spawn::{Confinement, Credentials, IdMaps, MAX_HOST_NAME_BYTES, Namespaces};

pub(crate) use kernel::Kernel;
pub(crate) use landlock::READ;
pub(crate) use ports::forbid_chosen_ports;
pub(crate) use refuse::refusals;
pub(crate) use worker::{worker_confinement, worker_refusals};

/// Whether a Card may do less than an unconfined process: then all the steps against ways out are in its plan.
pub(crate) fn is_confined(permissions: &Permissions) -> bool {
    permissions.networking != Networking::Full
        || permissions.filesystem != Filesystem::ReadWrite
        || !permissions.processes
}

/// The steps that enforce the permissions and the body of a Card whose program is `program`. [`refusals`] has passed
/// the Card.
///
/// # Errors
/// A text of the Card that no plan can hold, or a filter that cannot be compiled.
pub(crate) fn confinement(
    card: &Card,
    program: &str,
    kernel: &Kernel,
) -> Result<Confinement, String> {
    let confined = is_confined(&card.permissions);
    let init = has_init(card, kernel);
    let namespaces = namespaces(card, init);
    let user = card.soma.run_as.as_ref();
    let changes_user = user.is_some_and(|user| user.uid != 0);
    Ok(Confinement {
        namespaces,
        host_name: namespaces.uts.then(|| host_name(&card.label)).flatten(),
        loopback: namespaces.net && card.permissions.networking != Networking::None,
        mounts: mounts::mounts(card, init)?,
        user_namespace: card.soma.namespaces.user.then(|| id_maps(user)),
        init,
        affinity: card.soma.cpu_affinity.as_deref().map(cpu_mask),
        no_new_privileges: confined || changes_user,
        landlock: landlock::landlock(card, program, kernel.landlock)?,
        capabilities: capabilities::kept(card),
        credentials: user.map(credentials),
        seccomp: if confined {
            seccomp::filters(card)?
        } else {
            Vec::new()
        },
    })
}

/// Whether the Card has a PID namespace. A confined one needs it where landlock cannot keep its signals inside: user 0
/// would end other Entes, and reboot the machine with a signal to process 1.
fn has_init(card: &Card, kernel: &Kernel) -> bool {
    card.soma.namespaces.pid
        || is_confined(&card.permissions) && !landlock::keeps_signals(kernel.landlock)
}

/// Those that the Card names, those that its permissions need, and a mount namespace for the others' mounts: a PID
/// namespace without its own `/proc`, or a cgroup namespace without its own hierarchy, would show what is outside.
fn namespaces(card: &Card, init: bool) -> Namespaces {
    let own = card.soma.namespaces;
    Namespaces {
        mount: own.mount || init || own.cgroup || is_confined(&card.permissions),
        net: own.net || card.permissions.networking < Networking::Outbound,
        uts: own.uts,
        ipc: own.ipc,
        cgroup: own.cgroup,
    }
}

/// The label, if it can be a host name: letters, digits, hyphens and dots (`hostname(7)`). Otherwise the host's
/// name stays.
fn host_name(label: &str) -> Option<CString> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.';
    let sound = |part: &str| !part.is_empty() && !part.starts_with('-') && !part.ends_with('-');
    let valid = label.len() <= MAX_HOST_NAME_BYTES
        && label.bytes().all(allowed)
        && label.split('.').all(sound);
    valid.then(|| CString::new(label).ok()).flatten()
}

/// Root, and whom the Ente runs as, stand for themselves; everybody else is nobody.
fn id_maps(user: Option<&RunAs>) -> IdMaps {
    let users = BTreeSet::from_iter([0].into_iter().chain(user.map(|user| user.uid)));
    let groups = user.map_or(Vec::new(), |user| {
        [&[user.gid], user.groups.as_slice()].concat()
    });
    let groups = BTreeSet::from_iter([0].into_iter().chain(groups));
    IdMaps {
        users: users.into_iter().collect(),
        groups: groups.into_iter().collect(),
    }
}

fn credentials(user: &RunAs) -> Credentials {
    Credentials {
        user: user.uid,
        group: user.gid,
        groups: user.groups.clone(),
    }
}

/// One bit for each CPU, whole 64-bit words, as `sched_setaffinity(2)` takes it.
fn cpu_mask(cpus: &[u32]) -> Vec<u8> {
    let highest = cpus.iter().copied().max().unwrap_or(0) as usize;
    let mut mask = vec![0; (highest / 64 + 1) * 8];
    for cpu in cpus {
        if let Some(byte) = mask.get_mut(*cpu as usize / 8) {
            *byte |= 1 << (cpu % 8);
        }
    }
    mask
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_becomes_a_host_name_where_it_can() {
        for label in ["web", "web-1.example", "3com", "A"] {
            assert_eq!(host_name(label), Some(CString::new(label).unwrap()));
        }
        let long = "a".repeat(65);
        for label in [
            "", "-web", "web-", "a..b", ".a", "web 1", "web_1", "wéb", &long,
        ] {
            assert_eq!(host_name(label), None, "{label}");
        }
    }

    #[test]
    fn an_old_landlock_brings_an_init_to_confined_cards_only() {
        use arje_card::{Id, NativePayload, Payload, Supervision};
        let payload = Payload::Native(NativePayload::default());
        let mut card = Card::new(Id::from_bytes([1; 16]), "x", payload, Supervision::OneShot);
        let init = |card: &Card, landlock| {
            let kernel = Kernel {
                landlock,
                ..Kernel::complete()
            };
            confinement(card, "/bin/x", &kernel).unwrap().init
        };
        assert_eq!(
            [None, Some(5), Some(6)].map(|landlock| init(&card, landlock)),
            [true, true, false]
        );
        card.permissions = Permissions {
            networking: Networking::Full,
            filesystem: Filesystem::ReadWrite,
            processes: true,
            ..Permissions::default()
        };
        assert!(!init(&card, None));
        assert_eq!(
            confinement(&card, "/bin/x", &Kernel::complete()).unwrap(),
            Confinement::default()
        );
    }

    #[test]
    fn ids_are_mapped_once() {
        let user = RunAs {
            uid: 7,
            gid: 9,
            groups: vec![9, 0, 3],
        };
        let maps = id_maps(Some(&user));
        assert_eq!((maps.users, maps.groups), (vec![0, 7], vec![0, 3, 9]));
        assert_eq!(id_maps(None).users, [0]);
    }

    #[test]
    fn masks_are_whole_words() {
        assert_eq!(cpu_mask(&[0, 9]), [1, 2, 0, 0, 0, 0, 0, 0]);
        let mask = cpu_mask(&[64]);
        assert_eq!((mask.len(), mask[8]), (16, 1));
    }
}
