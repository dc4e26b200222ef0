//! Each field of `soma`, found in force by a program that looks for it. These tests need user 0.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test program: its helpers fail the test that calls them"
)]

#[path = "common/attempts.rs"]
mod attempts;
mod common;

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use arje_card::{Bind, Card, RunAs, Tmpfs};
use arje_native::StepKind;
use attempts::{denies, finds, probing, start, tries};
use common::failure;
use nix::errno::Errno;

/// Somebody without rights.
fn nobody() -> RunAs {
    RunAs {
        uid: 4711,
        gid: 4712,
        groups: vec![4713, 4714],
    }
}

#[test]
fn run_as_is_user_and_groups_and_nothing_more() {
    let card = probing(|card| card.soma.run_as = Some(nobody()));
    finds(
        &card,
        &[
            ("id", "4711/4712,4713,4714"),
            ("setuid:0", "EPERM"),
            ("setgid:0", "EPERM"),
            ("capabilities", "0000000000000000"),
            ("status:CapBnd", "0000000000000000"),
            ("status:CapPrm", "0000000000000000"),
            ("status:NoNewPrivs", "1"),
            ("status:Uid", "4711\t4711\t4711\t4711"),
        ],
    );
    denies(
        &probing(|_| {}),
        &card,
        &[
            ("kill:1:0", "EPERM"),
            ("chown:/proc/self/oom_score_adj:0", "EPERM"),
        ],
    );
}

#[test]
fn an_unconfined_card_stays_as_it_was() {
    let own = fs::read_to_string("/proc/self/status").unwrap();
    let field = |name: &str| {
        let line = own.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_once('\t').unwrap().1.to_owned()
    };
    let links = ["mnt", "pid", "net", "uts", "ipc", "user", "cgroup"]
        .map(|name| format!("link:/proc/self/ns/{name}"));
    let links: Vec<&str> = links.iter().map(String::as_str).collect();
    let found = tries(
        &probing(|_| {}),
        &[
            &links[..],
            &["status:CapEff", "status:NoNewPrivs", "status:Seccomp"],
        ]
        .concat(),
    );
    for link in links {
        let path = link.strip_prefix("link:").unwrap();
        let expected = fs::read_link(path).unwrap();
        assert_eq!(found[link], expected.to_str().unwrap());
    }
    assert_eq!(found["status:CapEff"], field("CapEff"));
    assert_eq!(found["status:NoNewPrivs"], "0");
    assert_eq!(found["status:Seccomp"], "0");
}

#[test]
fn affinity_is_the_cpus_named() {
    let card = probing(|card| card.soma.cpu_affinity = Some(vec![0]));
    finds(&card, &[("status:Cpus_allowed_list", "0")]);
}

#[test]
fn nproc_holds_for_another_user() {
    let limited = probing(|card| {
        // A user nobody else uses: the limit counts all processes of one.
        card.soma.run_as = Some(RunAs {
            uid: 4720,
            ..nobody()
        });
        card.soma.rlimits.nproc = Some(8);
    });
    let free = probing(|card| card.soma.run_as = Some(nobody()));
    denies(&free, &limited, &[("forks:16", "EAGAIN")]);
}

#[test]
fn memory_and_descriptors_are_limited() {
    let limited = probing(|card| {
        card.soma.rlimits.mem_bytes = Some(64 << 20);
        card.soma.rlimits.nofile = Some(16);
    });
    denies(
        &probing(|_| {}),
        &limited,
        &[("memory:0x8000000", "ENOMEM"), ("open-files:20", "EMFILE")],
    );
}

type Change = fn(&mut Card);

#[test]
fn each_namespace_is_another_one() {
    let cases: [(&str, Change); 7] = [
        ("mnt", |card| card.soma.namespaces.mount = true),
        ("pid", |card| card.soma.namespaces.pid = true),
        ("net", |card| card.soma.namespaces.net = true),
        ("uts", |card| card.soma.namespaces.uts = true),
        ("ipc", |card| card.soma.namespaces.ipc = true),
        ("user", |card| card.soma.namespaces.user = true),
        ("cgroup", |card| {
            card.soma.namespaces.cgroup = true;
        }),
    ];
    for (name, change) in cases {
        let path = format!("/proc/self/ns/{name}");
        let attempt = format!("link:{path}");
        if name == "cgroup" && !fs::exists("/sys/fs/cgroup/cgroup.controllers").unwrap() {
            // Its own hierarchy is mounted there: this host has another one.
            continue;
        }
        let found = tries(&probing(change), &[&attempt]);
        let own = fs::read_link(&path).unwrap();
        assert_ne!(found[&attempt], own.to_str().unwrap());
        assert!(found[&attempt].starts_with(name));
    }
}

#[test]
fn a_network_namespace_has_its_loopback_up_and_nothing_else() {
    let card = probing(|card| card.soma.namespaces.net = true);
    finds(
        &card,
        &[
            ("interface:lo", "up"),
            ("converse:4000", "ok"),
            ("connect:udp:192.0.2.1:53", "ENETUNREACH"),
        ],
    );
}

#[test]
fn a_uts_namespace_has_the_label_as_its_name() {
    let host_name = || fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    let host = host_name();
    let card = probing(|card| {
        card.soma.namespaces.uts = true;
        card.label = "probe-1".into();
    });
    finds(
        &card,
        &[
            ("hostname", "probe-1"),
            ("sethostname:other", "ok"),
            ("hostname:again", "other"),
        ],
    );
    let odd = probing(|card| {
        card.soma.namespaces.uts = true;
        card.label = "no name".into();
    });
    finds(&odd, &[("hostname", host.trim())]);
    assert_eq!(host_name(), host);
}

#[test]
fn a_user_namespace_knows_root_and_the_ente_only() {
    let card = probing(|card| {
        card.soma.namespaces.user = true;
        card.soma.run_as = Some(nobody());
    });
    finds(
        &card,
        &[
            ("id", "4711/4712,4713,4714"),
            (
                "line:/proc/self/uid_map",
                "         0          0          1",
            ),
        ],
    );
    let root = probing(|card| card.soma.namespaces.user = true);
    // Root there has all capabilities, and none of them reaches anything that is not its namespace's own.
    let chown = "chown:/proc/self/oom_score_adj:4711";
    denies(&probing(|_| {}), &root, &[(chown, "EINVAL")]);
    finds(
        &root,
        &[
            ("settime", "EPERM"),
            ("mount:/tmp", "EPERM"),
            ("sethostname:x", "EPERM"),
        ],
    );
}

#[test]
fn a_pid_namespace_hides_everybody_else() {
    let stranger = std::process::Command::new("/bin/sleep")
        .arg("1000")
        .spawn()
        .unwrap();
    let number = stranger.id();
    let kill = format!("kill:{number}:0");
    let card = probing(|card| card.soma.namespaces.pid = true);
    let free = tries(&probing(|_| {}), &[&kill]);
    let found = tries(
        &card,
        &[
            &kill,
            "pid",
            "parent",
            "session",
            "exists:/proc/3",
            "link:/proc/self",
        ],
    );
    end_stranger(stranger);
    assert_eq!(free[&kill], "ok");
    assert_eq!(found[&kill], "ESRCH");
    assert_eq!(found["pid"], "2");
    assert_eq!(found["parent"], "1");
    assert_eq!(found["session"], "2");
    assert_eq!(found["link:/proc/self"], "2");
    assert_eq!(found["exists:/proc/3"], "ENOENT");
}

fn end_stranger(mut stranger: std::process::Child) {
    stranger.kill().unwrap();
    stranger.wait().unwrap();
}

#[test]
fn mounts_are_private_and_as_described() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    for name in ["source/inner", "ro", "rw", "tmp"] {
        fs::create_dir_all(at(name)).unwrap();
    }
    fs::write(at("source/file"), "x").unwrap();
    fs::write(at("single"), "y").unwrap();
    let bind = |source: &str, target: &str, ro: bool| Bind {
        source: at(source),
        target: at(target),
        ro,
    };
    let mounts = |card: &mut Card| {
        card.soma.namespaces.mount = true;
        card.soma.mounts.binds = vec![
            bind("source", "ro", true),
            bind("source", "rw", false),
            bind("source", "tmp/made/here", true),
            bind("single", "tmp/file", false),
        ];
        card.soma.mounts.tmpfs = vec![Tmpfs {
            target: at("tmp"),
            size_bytes: Some(1 << 20),
        }];
    };
    let card = probing(mounts);
    let attempt = |name: &str, path: &str| format!("{name}:{}", at(path));
    let cases = [
        (attempt("read", "ro/file"), "ok"),
        (attempt("write", "ro/file"), "EROFS"),
        (attempt("make", "ro/new"), "EROFS"),
        (attempt("chmod", "ro/file"), "EROFS"),
        (attempt("write", "rw/file"), "ok"),
        (attempt("make", "rw/inner/new"), "ok"),
        (attempt("read", "tmp/made/here/file"), "ok"),
        (attempt("make", "tmp/made/here/new"), "EROFS"),
        (attempt("make", "tmp/made/new"), "ok"),
        (attempt("read", "tmp/file"), "ok"),
        (attempt("block-device", "tmp/device"), "ok"),
        (attempt("read", "tmp/device"), "EACCES"), // nodev
        (attempt("size", "tmp"), "1048576"),
        (attempt("mode", "tmp"), "1777"),
        (attempt("flags", "tmp"), "nosuid,nodev"),
        (attempt("mount", "rw"), "ok"),
    ];
    let expected: Vec<(&str, &str)> = cases.iter().map(|(a, b)| (a.as_str(), *b)).collect();
    finds(&card, &expected);
    // Outside, only what was written by way of the writable bind is to be seen.
    assert!(fs::exists(at("source/inner/new")).unwrap());
    for name in ["tmp", "ro", "rw"] {
        assert_eq!(fs::read_dir(at(name)).unwrap().count(), 0, "{name}");
    }
}

#[test]
fn read_only_is_what_is_mounted_below_as_well() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    fs::create_dir(at("all")).unwrap();
    let card = |ro| {
        probing(|card| {
            card.soma.namespaces.mount = true;
            card.soma.mounts.binds = vec![Bind {
                source: "/".into(),
                target: at("all"),
                ro,
            }];
        })
    };
    // Every machine has a file system of its own there.
    let below = at("all/dev/of-arje-test");
    let make = format!("make:{below}");
    let unlink = format!("unlink:{below}");
    finds(&card(false), &[(&make, "ok"), (&unlink, "ok")]);
    finds(&card(true), &[(&make, "EROFS"), (&unlink, "EROFS")]);
}

/// Leaves this thread, and what it starts, a capability that survives everything but being taken away.
fn raise_ambient() {
    const CHOWN: libc::c_ulong = 0; // CAP_CHOWN
    const VERSION_3: u32 = 0x2008_0522;
    let header = [VERSION_3, 0];
    let mut sets = [0_u32; 6];
    // SAFETY: the calls read the header, and write and read two times three words, as version 3 has them.
    let results = unsafe {
        let got = libc::syscall(libc::SYS_capget, header.as_ptr(), sets.as_mut_ptr());
        sets[2] |= 1 << CHOWN;
        let set = libc::syscall(libc::SYS_capset, header.as_ptr(), sets.as_ptr());
        (got, set)
    };
    assert_eq!(results, (0, 0));
    // SAFETY: takes numbers only.
    let raised = unsafe {
        libc::prctl(
            libc::PR_CAP_AMBIENT,
            libc::PR_CAP_AMBIENT_RAISE,
            CHOWN,
            0,
            0,
        )
    };
    assert_eq!(raised, 0);
}

#[test]
fn no_capability_is_inherited() {
    raise_ambient();
    finds(
        &probing(|_| {}),
        &[
            ("status:CapInh", "0000000000000001"),
            ("status:CapAmb", "0000000000000001"),
        ],
    );
    let confined = probing(|card| card.permissions.processes = false);
    let user = probing(|card| card.soma.run_as = Some(nobody()));
    for card in [confined, user] {
        finds(
            &card,
            &[
                ("status:CapInh", "0000000000000000"),
                ("status:CapAmb", "0000000000000000"),
            ],
        );
    }
}

#[test]
fn a_mount_that_cannot_be_made_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    fs::create_dir_all(at("folder")).unwrap();
    fs::write(at("file"), "").unwrap();
    symlink("/etc", at("link")).unwrap();
    let cases = [
        ("folder", "absent", Errno::ENOENT, "absent"),
        ("absent", "folder", Errno::ENOENT, "absent"),
        ("folder", "link", Errno::ELOOP, "link"),
        ("link", "folder", Errno::ELOOP, "link"),
        ("file", "folder", Errno::ENOTDIR, "folder"),
        ("folder", "file", Errno::ENOTDIR, "file"),
    ];
    for (source, target, errno, subject) in cases {
        let card = probing(|card| {
            card.soma.namespaces.mount = true;
            card.soma.mounts.binds = vec![Bind {
                source: at(source),
                target: at(target),
                ro: false,
            }];
        });
        let (started, _output) = start(&card, &["id"]);
        let failure = failure(&started);
        assert_eq!(
            (failure.step, failure.errno),
            (StepKind::Mounts, errno),
            "{source} {target}"
        );
        assert_eq!(failure.subject, at(subject));
    }
    let link = at("link");
    let card = probing(|card| {
        card.soma.namespaces.mount = true;
        card.soma.mounts.tmpfs = vec![Tmpfs {
            target: link.clone(),
            size_bytes: None,
        }];
    });
    let (started, _output) = start(&card, &["id"]);
    assert_eq!(
        failure(&started).reason(),
        format!("{link:?} leads over a symbolic link, and mounts follow none; name the real path")
    );
}

#[test]
fn files_of_others_stay_out_of_reach_of_another_user() {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let secret = folder.path().join("secret");
    fs::write(&secret, "x").unwrap();
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
    let attempt = format!("read:{}", secret.display());
    let user = probing(|card| card.soma.run_as = Some(nobody()));
    denies(&probing(|_| {}), &user, &[(&attempt, "EACCES")]);
}
