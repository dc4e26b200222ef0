//! What surrounds a program, through encoder and decoder.

use alloc::ffi::CString;
use alloc::vec::Vec;

use super::{PLAIN, recipe, strings};
use crate::{
    Confinement, Credentials, EncodeError, IdMaps, Landlock, MAX_GROUPS, MAX_MOUNTS, Mount,
    MountAction, Namespaces, PathRule, Plan, Recipe, Step, StepKind, encode,
};

/// Everything around the program.
pub(super) fn confinement() -> Confinement {
    let bind = MountAction::Bind {
        source: c"/from".into(),
        read_only: true,
    };
    let tmpfs = MountAction::Tmpfs {
        size: 1 << 20,
        mode: 0o1777,
        devices: true,
    };
    let mount = |action, target: &str, create_below| Mount {
        action,
        target: CString::new(target).unwrap(),
        create_below,
    };
    Confinement {
        namespaces: Namespaces {
            mount: true,
            net: true,
            uts: true,
            ipc: true,
            cgroup: true,
        },
        host_name: Some(c"box".into()),
        loopback: true,
        mounts: Vec::from([
            mount(MountAction::Proc { read_only: true }, "/proc", 0),
            mount(
                MountAction::Cgroup { read_only: false },
                "/sys/fs/cgroup",
                0,
            ),
            mount(MountAction::ReadOnly { recursive: true }, "/", 0),
            mount(tmpfs, "/dev", 0),
            mount(bind, "/dev/null", 4),
            mount(MountAction::Symlink(c"/proc/self/fd".into()), "/dev/fd", 4),
            mount(MountAction::Protect, "/sys", 0),
        ]),
        user_namespace: Some(IdMaps {
            users: Vec::from([0, 7]),
            groups: Vec::from([0]),
        }),
        init: true,
        affinity: Some(Vec::from([1, 0, 0, 0, 0, 0, 0, 0])),
        no_new_privileges: true,
        landlock: Some(Landlock {
            handled: 1,
            network: 2,
            scoped: 3,
            paths: Vec::from([PathRule {
                path: c"/lib".into(),
                access: 5,
                optional: true,
                program: false,
            }]),
        }),
        capabilities: Some(1 << 5),
        credentials: Some(Credentials {
            user: 7,
            group: 8,
            groups: Vec::from([9, 10]),
        }),
        seccomp: Vec::from([
            Vec::from([6, 0, 0, 0, 0, 0, 0xff, 0x7f]),
            Vec::from([0; 16]),
        ]),
    }
}

#[test]
fn what_surrounds_a_program_is_read_back() {
    let argv = strings(&["true"]);
    let whole = confinement();
    let bytes = encode(&Recipe {
        confinement: &whole,
        ..recipe(&argv)
    })
    .unwrap();
    let mut found = PLAIN.clone();
    for step in Plan::parse(&bytes).unwrap().steps() {
        match step.unwrap() {
            Step::Namespaces(namespaces) => found.namespaces = namespaces,
            Step::HostName(name) => found.host_name = Some(name.into()),
            Step::Loopback => found.loopback = true,
            Step::Mounts(mounts) => found.mounts = mounts.iter().map(owned_mount).collect(),
            Step::UserNamespace { users, groups } => {
                found.user_namespace = Some(IdMaps {
                    users: users.iter().collect(),
                    groups: groups.iter().collect(),
                });
            }
            Step::Init => found.init = true,
            Step::Affinity(mask) => found.affinity = Some(mask.into()),
            Step::NoNewPrivileges => found.no_new_privileges = true,
            Step::Landlock {
                handled,
                network,
                scoped,
                paths,
            } => {
                let owned = |rule: PathRule<&core::ffi::CStr>| PathRule {
                    path: rule.path.into(),
                    access: rule.access,
                    optional: rule.optional,
                    program: rule.program,
                };
                found.landlock = Some(Landlock {
                    handled,
                    network,
                    scoped,
                    paths: paths.iter().map(owned).collect(),
                });
            }
            Step::Capabilities(kept) => found.capabilities = Some(kept),
            Step::Credentials {
                user,
                group,
                groups,
            } => {
                found.credentials = Some(Credentials {
                    user,
                    group,
                    groups: groups.iter().collect(),
                });
            }
            Step::Seccomp(filter) => found.seccomp.push(filter.into()),
            _ => {}
        }
    }
    assert_eq!(found, whole);
}

fn owned_mount(mount: Mount<&core::ffi::CStr>) -> Mount<CString> {
    let action = match mount.action {
        MountAction::Bind { source, read_only } => MountAction::Bind {
            source: source.into(),
            read_only,
        },
        MountAction::Tmpfs {
            size,
            mode,
            devices,
        } => MountAction::Tmpfs {
            size,
            mode,
            devices,
        },
        MountAction::Proc { read_only } => MountAction::Proc { read_only },
        MountAction::Cgroup { read_only } => MountAction::Cgroup { read_only },
        MountAction::ReadOnly { recursive } => MountAction::ReadOnly { recursive },
        MountAction::Protect => MountAction::Protect,
        MountAction::Symlink(content) => MountAction::Symlink(content.into()),
        MountAction::Secrets(owner) => MountAction::Secrets(owner),
        MountAction::Secret { source, owner } => MountAction::Secret {
            source: source.into(),
            owner,
        },
    };
    Mount {
        action,
        target: mount.target.into(),
        create_below: mount.create_below,
    }
}

#[test]
fn a_confinement_that_the_format_cannot_hold_is_refused_by_step() {
    let argv = strings(&["true"]);
    type Change = fn(&mut Confinement);
    let cases: [(StepKind, Change); 11] = [
        (StepKind::HostName, |c| c.host_name = Some(c"".into())),
        (StepKind::HostName, |c| {
            c.host_name = Some(CString::new([b'a'; 65]).unwrap());
        }),
        (StepKind::Mounts, |c| {
            c.mounts = alloc::vec![c.mounts[0].clone(); MAX_MOUNTS + 1];
        }),
        (StepKind::Mounts, |c| c.mounts[0].target = c"proc".into()),
        (StepKind::Mounts, |c| c.mounts[0].create_below = 5),
        (StepKind::UserNamespace, |c| {
            c.user_namespace.as_mut().unwrap().users.clear();
        }),
        (StepKind::Affinity, |c| c.affinity = Some(Vec::from([1]))),
        (StepKind::Affinity, |c| c.affinity = Some(Vec::new())),
        (StepKind::Landlock, |c| {
            c.landlock.as_mut().unwrap().paths[0].path = c"lib".into();
        }),
        (StepKind::Credentials, |c| {
            c.credentials.as_mut().unwrap().groups = Vec::from([1; MAX_GROUPS + 1]);
        }),
        (StepKind::Seccomp, |c| c.seccomp[1].truncate(7)),
    ];
    for (step, change) in cases {
        let mut confinement = confinement();
        change(&mut confinement);
        let confined = Recipe {
            confinement: &confinement,
            ..recipe(&argv)
        };
        match encode(&confined) {
            Err(EncodeError::Confinement(found, _)) => assert_eq!(found, step),
            other => panic!("{step:?}: {other:?}"),
        }
    }
}
