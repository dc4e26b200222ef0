//! What of `permissions` and `soma` the running kernel cannot enforce, so that the Card is refused at load.

use std::collections::BTreeSet;

use arje_card::{Card, Filesystem, Mounts, Namespaces, Networking, Soma};

use super::Kernel;
use crate::enforce::json;

/// Most mounts of one Card: a plan's most, less what a `/dev` of its own and the namespaces take.
const MAX_OWN_MOUNTS: usize = ente_spawn::MAX_MOUNTS - 32;

/// Every field that cannot be enforced, each as `FIELD: VALUE, but REASON; REMEDY`.
pub(crate) fn refusals(card: &Card, kernel: &Kernel) -> Vec<String> {
    let mut refused = Vec::new();
    check_permissions(card, kernel, &mut refused);
    check_namespaces(card.soma.namespaces, kernel, &mut refused);
    check_user(&card.soma, kernel, &mut refused);
    check_cpus(&card.soma, kernel, &mut refused);
    check_mounts(&card.soma.mounts, kernel, &mut refused);
    refused
}

fn check_permissions(card: &Card, kernel: &Kernel, refused: &mut Vec<String>) {
    let permissions = &card.permissions;
    for (field, found, unconfined, narrower) in [
        (
            "networking",
            json(&permissions.networking),
            "\"full\"",
            permissions.networking != Networking::Full,
        ),
        (
            "filesystem",
            json(&permissions.filesystem),
            "\"read-write\"",
            permissions.filesystem != Filesystem::ReadWrite,
        ),
        (
            "processes",
            json(&permissions.processes),
            "true",
            !permissions.processes,
        ),
    ] {
        if let Some(missing) = narrower.then(|| missing(field, card, kernel)).flatten() {
            refused.push(format!(
                "permissions.{field}: {found}, but {missing}, or say {unconfined}"
            ));
        }
    }
}

/// What is missing for a permission that is narrower than all: the reason and its remedy.
fn missing(field: &str, card: &Card, kernel: &Kernel) -> Option<&'static str> {
    let networking = card.permissions.networking;
    let own_network = field == "networking" && networking < Networking::Outbound;
    if !kernel.root {
        Some("only user 0 can confine a process so; run the init as root")
    } else if !kernel.seccomp {
        Some("this kernel has no seccomp filters (CONFIG_SECCOMP_FILTER); use one that does")
    } else if !kernel.mount_attributes || !kernel.namespaces.contains("mnt") {
        Some("this kernel has no mount_setattr(2); use Linux 5.12 or later")
    } else if own_network && !kernel.namespaces.contains("net") {
        Some("this kernel has no network namespaces (CONFIG_NET_NS); use one that does")
    } else if field == "networking" && networking == Networking::Outbound && !(kernel.port_filter)()
    {
        Some("this kernel cannot forbid ports by cgroup (CONFIG_CGROUP_BPF); use one that does")
    } else if field == "filesystem" && kernel.landlock.is_none() {
        Some("this kernel runs without landlock; add it to lsm= on the kernel command line")
    } else {
        None
    }
}

fn check_namespaces(namespaces: Namespaces, kernel: &Kernel, refused: &mut Vec<String>) {
    // Taken apart by name, so that a new field does not go unnoticed.
    let Namespaces {
        mount,
        pid,
        net,
        uts,
        ipc,
        user,
        cgroup,
    } = namespaces;
    for (field, file, wanted) in [
        ("mount", "mnt", mount),
        ("pid", "pid", pid),
        ("net", "net", net),
        ("uts", "uts", uts),
        ("ipc", "ipc", ipc),
        ("user", "user", user),
        ("cgroup", "cgroup", cgroup),
    ] {
        if wanted && !kernel.root {
            refused.push(format!(
                "soma.namespaces.{field}: true, but only user 0 can make it; run the init as root, or remove it"
            ));
        } else if wanted && !kernel.namespaces.contains(file) {
            refused.push(format!(
                "soma.namespaces.{field}: true, but this kernel has no such namespace; remove it"
            ));
        }
    }
}

fn check_user(soma: &Soma, kernel: &Kernel, refused: &mut Vec<String>) {
    if let Some(user) = &soma.run_as {
        let found = json(user);
        if !kernel.root {
            refused.push(format!(
                "soma.run_as: {found}, but only user 0 can start processes of others; run the init as root, or \
                 remove it"
            ));
        }
        // One less than fits a map, which holds the user's own group and root's, too.
        if user.groups.len() + 2 > ente_spawn::MAX_GROUPS {
            refused.push(format!(
                "soma.run_as.groups: {} groups, but at most {} are taken; name fewer",
                user.groups.len(),
                ente_spawn::MAX_GROUPS - 2
            ));
        }
    }
    let is_root = soma
        .run_as
        .as_ref()
        .map_or(kernel.root, |user| user.uid == 0);
    if let Some(nproc) = soma.rlimits.nproc.filter(|_| is_root) {
        // kernel/fork.c: the limit counts the processes of a user, and user 0 is exempt.
        refused.push(format!(
            "soma.rlimits.nproc: {nproc}, but the kernel does not apply this limit to user 0, as whom the Card runs; \
             name another user in soma.run_as, or use soma.cgroup.pids_max"
        ));
    }
}

fn check_cpus(soma: &Soma, kernel: &Kernel, refused: &mut Vec<String>) {
    let Some(wanted) = &soma.cpu_affinity else {
        return;
    };
    let absent: Vec<_> = wanted
        .iter()
        .filter(|cpu| !kernel.cpus.contains(cpu))
        .collect();
    if !absent.is_empty() {
        refused.push(format!(
            "soma.cpu_affinity: {}, but of these the machine does not have {}; it has {}",
            json(wanted),
            json(&absent),
            json(&kernel.cpus)
        ));
    }
}

fn check_mounts(mounts: &Mounts, kernel: &Kernel, refused: &mut Vec<String>) {
    if !mounts.any() {
        return;
    }
    if !kernel.mount_attributes {
        refused.push(
            "soma.mounts: set, but this kernel has no mount_setattr(2); use Linux 5.12 or later"
                .into(),
        );
    }
    let found = mounts.binds.len() + mounts.tmpfs.len();
    if found > MAX_OWN_MOUNTS {
        refused.push(format!(
            "soma.mounts: {found} mounts, but at most {MAX_OWN_MOUNTS} are made; name fewer"
        ));
    }
    let sources = mounts.binds.iter().map(|bind| ("source", &bind.source));
    let targets = mounts.binds.iter().map(|bind| ("target", &bind.target));
    let tmpfs = mounts.tmpfs.iter().map(|tmpfs| ("target", &tmpfs.target));
    let mut seen = BTreeSet::new();
    for (field, path) in sources.chain(targets).chain(tmpfs) {
        if let Some(problem) = path_problem(path, field == "target") {
            refused.push(format!("soma.mounts: {field} {path:?} {problem}"));
        } else if field == "target" && !seen.insert(path) {
            refused.push(format!(
                "soma.mounts: target {path:?} is named twice; the first mount would be hidden, remove one"
            ));
        }
    }
}

fn path_problem(path: &str, target: bool) -> Option<&'static str> {
    let mut parts = path.split('/').skip(1);
    if path == "/" {
        target.then_some("is the root, which cannot be mounted over; name a folder in it")
    } else if parts.any(|part| matches!(part, "" | "." | "..")) {
        Some("has empty parts, \".\" or \"..\" in it; write the plain path")
    } else if path.len() >= 4096 {
        Some("is longer than 4095 bytes, the kernel's limit; shorten it")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arje_card::{Bind, Id, NativePayload, Payload, Permissions, RunAs, Supervision, Tmpfs};

    type Change<T> = fn(&mut T);

    fn card() -> Card {
        let payload = Payload::Native(NativePayload::default());
        let mut card = Card::new(Id::from_bytes([1; 16]), "x", payload, Supervision::OneShot);
        card.permissions = Permissions {
            networking: Networking::Full,
            filesystem: Filesystem::ReadWrite,
            processes: true,
            ..Permissions::default()
        };
        card
    }

    fn refused(kernel: &Kernel, change: impl FnOnce(&mut Card)) -> Vec<String> {
        let mut card = card();
        change(&mut card);
        refusals(&card, kernel)
    }

    fn everything(card: &mut Card) {
        card.permissions = Permissions::default();
        card.soma.namespaces = Namespaces {
            mount: true,
            pid: true,
            net: true,
            uts: true,
            ipc: true,
            user: true,
            cgroup: true,
        };
        card.soma.run_as = Some(RunAs {
            uid: 7,
            ..RunAs::default()
        });
        card.soma.cpu_affinity = Some(vec![1]);
        card.soma.rlimits.nproc = Some(10);
        card.soma.mounts.binds = vec![Bind {
            source: "/".into(),
            target: "/mnt".into(),
            ro: true,
        }];
        card.soma.mounts.tmpfs = vec![Tmpfs {
            target: "/mnt/tmp".into(),
            size_bytes: None,
        }];
    }

    #[test]
    fn a_complete_kernel_refuses_nothing_sound() {
        let nothing: Vec<String> = Vec::new();
        assert_eq!(refused(&Kernel::complete(), everything), nothing);
        assert_eq!(
            refused(&Kernel::complete(), |card| {
                card.permissions.networking = Networking::Outbound;
            }),
            nothing
        );
    }

    #[test]
    fn what_the_kernel_lacks_is_named_with_a_remedy() {
        let cases: [(Change<Kernel>, Change<Card>, &str); 8] = [
            (
                |k| k.landlock = None,
                |c| c.permissions.filesystem = Filesystem::ReadOnly,
                "permissions.filesystem: \"read-only\", but this kernel runs without landlock; add it to lsm= on the \
                 kernel command line, or say \"read-write\"",
            ),
            (
                |k| k.seccomp = false,
                |c| c.permissions.processes = false,
                "permissions.processes: false, but this kernel has no seccomp filters (CONFIG_SECCOMP_FILTER); use one \
                 that does, or say true",
            ),
            (
                |k| k.port_filter = || false,
                |c| c.permissions.networking = Networking::Outbound,
                "permissions.networking: \"outbound\", but this kernel cannot forbid ports by cgroup \
                 (CONFIG_CGROUP_BPF); use one that does, or say \"full\"",
            ),
            (
                |k| {
                    k.namespaces.remove("net");
                },
                |c| c.permissions.networking = Networking::None,
                "permissions.networking: \"none\", but this kernel has no network namespaces (CONFIG_NET_NS); use one \
                 that does, or say \"full\"",
            ),
            (
                |k| k.root = false,
                |c| c.permissions.networking = Networking::Loopback,
                "permissions.networking: \"loopback\", but only user 0 can confine a process so; run the init as root, \
                 or say \"full\"",
            ),
            (
                |k| {
                    k.namespaces.remove("user");
                },
                |c| c.soma.namespaces.user = true,
                "soma.namespaces.user: true, but this kernel has no such namespace; remove it",
            ),
            (
                |_| {},
                |c| c.soma.cpu_affinity = Some(vec![0, 7]),
                "soma.cpu_affinity: [0,7], but of these the machine does not have [7]; it has [0,1]",
            ),
            (
                |k| k.mount_attributes = false,
                |c| {
                    c.soma.mounts.tmpfs = vec![Tmpfs {
                        target: "/x".into(),
                        size_bytes: None,
                    }];
                },
                "soma.mounts: set, but this kernel has no mount_setattr(2); use Linux 5.12 or later",
            ),
        ];
        for (lack, want, expected) in cases {
            let mut kernel = Kernel::complete();
            lack(&mut kernel);
            assert_eq!(refused(&kernel, want), [expected]);
        }
    }

    #[test]
    fn an_ordinary_user_is_refused_field_by_field() {
        let kernel = Kernel {
            root: false,
            ..Kernel::complete()
        };
        let fields: Vec<String> = refused(&kernel, everything)
            .iter()
            .map(|reason| reason.split(':').next().unwrap().to_owned())
            .collect();
        let namespaces = ["mount", "pid", "net", "uts", "ipc", "user", "cgroup"];
        let expected: Vec<String> = ["networking", "filesystem", "processes"]
            .map(|field| format!("permissions.{field}"))
            .into_iter()
            .chain(namespaces.map(|field| format!("soma.namespaces.{field}")))
            .chain(["soma.run_as".to_owned()])
            .collect();
        assert_eq!(fields, expected);
    }

    #[test]
    fn unsound_mounts_are_refused() {
        let bind = |source: &str, target: &str| Bind {
            source: source.into(),
            target: target.into(),
            ro: false,
        };
        for (binds, problem) in [
            (vec![bind("/a", "/")], "is the root"),
            (vec![bind("/a/../b", "/c")], "has empty parts"),
            (vec![bind("/a", "/c//d")], "has empty parts"),
            (vec![bind("/a", "/c"), bind("/b", "/c")], "named twice"),
            (
                vec![bind("/a", &format!("/{}", "c/".repeat(2100)))],
                "has empty parts",
            ),
            (
                vec![bind("/a", &format!("/{}", "c".repeat(4096)))],
                "is longer",
            ),
            (
                (0..=MAX_OWN_MOUNTS)
                    .map(|number| bind("/a", &format!("/{number}")))
                    .collect(),
                "mounts, but at most",
            ),
        ] {
            let reasons = refused(&Kernel::complete(), |card| card.soma.mounts.binds = binds);
            assert!(
                reasons.len() == 1 && reasons[0].contains(problem),
                "{problem}: {reasons:?}"
            );
        }
    }
}
