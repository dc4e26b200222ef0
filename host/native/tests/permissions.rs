//! Each permission, found in force by a program that tries what it forbids. These tests need user 0.
//!
//! What could harm the machine, should it be let through, is tried in confinement only.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test program: its helpers fail the test that calls them"
)]

#[path = "common/attempts.rs"]
mod attempts;
mod common;
#[path = "probe/tables.rs"]
mod tables;

use std::fs;
use std::net::TcpListener;
use std::os::fd::AsFd;
use std::os::unix::net::UnixListener;

use arje_card::{Bind, Card, Filesystem, Networking, Readiness, Tmpfs};
use arje_native::{ExitStatus, StartCause, StartRequest, enforceable};
use attempts::{
    Cgroup, agree, confined, denies, filesystem, finds, free, networking, permit, probing, start,
    tries, tries_in, without_processes,
};
use common::{end, launcher, read_all};
use tables::{NOT_OUTBOUND, OUTBOUND};

#[test]
fn a_card_says_what_is_enforced() {
    for card in confined() {
        assert_eq!(enforceable(&card), Ok(()));
    }
}

#[test]
fn no_network_reaches_nothing() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = server.local_addr().unwrap().port();
    let connect = format!("connect:tcp:127.0.0.1:{port}");
    denies(
        &free(),
        &networking(Networking::None),
        &[
            (&connect, "ENETUNREACH"),
            ("connect:udp:127.0.0.1:53", "ENETUNREACH"),
            ("socket:inet:raw:1", "EPERM"),
            ("socket:packet:raw", "EAFNOSUPPORT"),
            ("socket:vsock", "EAFNOSUPPORT"),
        ],
    );
    finds(&networking(Networking::None), &[("interface:lo", "down")]);
}

#[test]
fn loopback_is_its_own() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = server.local_addr().unwrap().port();
    let connect = format!("connect:tcp:127.0.0.1:{port}");
    let card = networking(Networking::Loopback);
    denies(
        &free(),
        &card,
        &[
            (&connect, "ECONNREFUSED"),
            ("socket:inet:raw:1", "EPERM"),
            ("socket:vsock", "EAFNOSUPPORT"),
        ],
    );
    finds(
        &card,
        &[
            ("interface:lo", "up"),
            ("converse:80", "ok"),
            ("connect:udp:192.0.2.1:53", "ENETUNREACH"),
        ],
    );
}

#[test]
fn outbound_connects_and_never_listens() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = server.local_addr().unwrap().port();
    let connect = format!("connect:tcp:127.0.0.1:{port}");
    let cgroup = Cgroup::new("outbound");
    let folder = cgroup.open();
    let mut expected = [
        &NOT_OUTBOUND[..],
        &[
            ("socket:inet:tcp:262", "EPROTONOSUPPORT"),
            ("socket:packet:raw", "EAFNOSUPPORT"),
            ("socket:vsock", "EAFNOSUPPORT"),
            (connect.as_str(), "ok"),
        ],
    ]
    .concat();
    expected.extend(OUTBOUND.map(|attempt| (attempt, "ok")));
    let attempts: Vec<&str> = expected.iter().map(|(attempt, _)| *attempt).collect();
    let ok: Vec<_> = attempts.iter().map(|attempt| (*attempt, "ok")).collect();
    agree(&tries(&free(), &attempts), &ok, "without confinement");
    let card = networking(Networking::Outbound);
    let found = tries_in(&card, &attempts, Some(folder.as_fd()));
    agree(&found, &expected, "with confinement");
}

#[test]
fn outbound_without_a_cgroup_does_not_start() {
    let card = networking(Networking::Outbound);
    let error = launcher().start(&StartRequest::new(&card, 1)).unwrap_err();
    assert!(
        matches!(&error.cause, StartCause::Unenforceable(reasons) if reasons[0].starts_with("permissions.networking")),
        "{error}"
    );
}

#[test]
fn read_only_reads_everything_and_writes_what_it_was_given() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    for name in ["rw", "ro", "tmp"] {
        fs::create_dir(at(name)).unwrap();
    }
    for name in ["file", "rw/file", "ro/file"] {
        fs::write(at(name), "x").unwrap();
    }
    let bind = |name: &str, ro| Bind {
        source: at(name),
        target: at(name),
        ro,
    };
    let give = |card: &mut Card| {
        card.soma.namespaces.mount = true;
        card.soma.mounts.binds = vec![bind("rw", false), bind("ro", true)];
        card.soma.mounts.tmpfs = vec![Tmpfs {
            target: at("tmp"),
            size_bytes: None,
        }];
    };
    let mut card = filesystem(Filesystem::ReadOnly);
    give(&mut card);
    let of = |name: &str, path: &str| format!("{name}:{}", at(path));
    let refused = [
        (of("open-write", "file"), "EROFS"),
        (of("truncate", "file"), "EROFS"),
        (of("chmod", "file"), "EROFS"),
        (of("chown", "file:1"), "EROFS"),
        (of("utime", "file"), "EROFS"),
        (of("make", "new"), "EROFS"),
        (of("mkdir", "new-folder"), "EROFS"),
        (of("unlink", "file"), "EROFS"),
        (
            "open-write:/proc/sys/kernel/core_pattern".to_owned(),
            "EROFS",
        ),
        ("open-write:/proc/self/oom_score_adj".to_owned(), "EROFS"),
    ];
    let refused: Vec<(&str, &str)> = refused.iter().map(|(a, b)| (a.as_str(), *b)).collect();
    denies(&free(), &card, &refused);
    fs::write(at("file"), "x").unwrap();
    let allowed = [
        (of("read", "file"), "ok"),
        (of("write", "rw/file"), "ok"),
        (of("make", "rw/new"), "ok"),
        (of("unlink", "rw/new"), "ok"),
        (of("make", "tmp/new"), "ok"),
        (of("read", "ro/file"), "ok"),
        (of("open-write", "ro/file"), "EROFS"),
        ("read:/etc/passwd".to_owned(), "ok"),
        ("list:/".to_owned(), "ok"),
        ("write:/dev/null".to_owned(), "ok"),
        ("read:/dev/urandom".to_owned(), "ok"),
        ("exists:/dev/mem".to_owned(), "ENOENT"),
        ("make:/dev/new".to_owned(), "EROFS"),
        ("count:/dev".to_owned(), "10"),
    ];
    let allowed: Vec<(&str, &str)> = allowed.iter().map(|(a, b)| (a.as_str(), *b)).collect();
    finds(&card, &allowed);
}

#[test]
fn no_files_are_the_program_and_its_libraries() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    fs::create_dir(at("given")).unwrap();
    fs::write(at("given/file"), "x").unwrap();
    fs::write(at("file"), "x").unwrap();
    let mut card = filesystem(Filesystem::None);
    card.soma.namespaces.mount = true;
    card.soma.mounts.binds = vec![Bind {
        source: at("given"),
        target: at("given"),
        ro: true,
    }];
    let of = |name: &str, path: &str| format!("{name}:{}", at(path));
    let socket = at("socket");
    let _listener = UnixListener::bind(&socket).unwrap();
    let connect = format!("connect-unix:{socket}");
    let refused = [
        (of("read", "file"), "EACCES"),
        (of("list", ""), "EACCES"),
        ("read:/etc/passwd".to_owned(), "EACCES"),
        ("list:/".to_owned(), "EACCES"),
        ("list:/dev".to_owned(), "EACCES"),
        ("read:/proc/self/status".to_owned(), "EACCES"),
        (of("make", "new"), "EROFS"),
        (connect.clone(), "EAFNOSUPPORT"),
    ];
    let refused: Vec<(&str, &str)> = refused.iter().map(|(a, b)| (a.as_str(), *b)).collect();
    denies(&free(), &card, &refused);
    let allowed = [
        (of("read", "given/file"), "ok"),
        (of("open-write", "given/file"), "EROFS"),
        ("list:/usr/lib".to_owned(), "ok"),
        ("write:/dev/null".to_owned(), "ok"),
        ("read:/dev/urandom".to_owned(), "ok"),
    ];
    let allowed: Vec<(&str, &str)> = allowed.iter().map(|(a, b)| (a.as_str(), *b)).collect();
    finds(&card, &allowed);
}

#[test]
fn a_dynamic_program_and_a_script_run_without_files() {
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("script");
    common::write_program(&script, "#!/bin/sh\nexit 7\n", 0o755);
    for (program, code) in [("/bin/true", 0), (script.to_str().unwrap(), 7)] {
        let mut card = filesystem(Filesystem::None);
        common::payload(&mut card).exec = program.into();
        let (started, output) = start(&card, &[]);
        let text = read_all(output);
        assert_eq!(end(&started), ExitStatus::Code(code), "{program}: {text}");
    }
}

#[test]
fn read_write_is_files_and_not_the_kernel() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let of = |name: &str, path: &str| format!("{name}:{}", at(path));
    let expected = [
        (of("make", "new"), "ok"),
        (of("chmod", "new"), "ok"),
        (of("chown", "new:4711"), "ok"),
        (of("mkdir", "folder"), "ok"),
        (format!("rename:{}:{}", at("new"), at("folder/new")), "ok"),
        (of("block-device", "device"), "EACCES"),
        (
            "open-write:/proc/sys/kernel/core_pattern".to_owned(),
            "EROFS",
        ),
        ("open-write:/proc/sysrq-trigger".to_owned(), "EROFS"),
        ("open-write:/sys/kernel/uevent_helper".to_owned(), "EROFS"),
        ("open-write:/proc/self/oom_score_adj".to_owned(), "ok"),
    ];
    let expected: Vec<(&str, &str)> = expected
        .iter()
        .map(|(a, b)| (a.as_str(), *b))
        .filter(|(attempt, _)| {
            let path = attempt.split(':').nth(1).unwrap();
            !path.starts_with("/sys") && !path.starts_with("/proc/sysrq")
                || fs::exists(path).unwrap()
        })
        .collect();
    finds(&networking(Networking::Loopback), &expected);
}

#[test]
fn without_processes_there_are_threads_only() {
    denies(
        &free(),
        &without_processes(),
        &[
            ("fork", "EPERM"),
            ("old-fork", "EPERM"),
            ("vfork", "EPERM"),
            ("clone3", "ENOSYS"),
            ("thread", "ok"),
        ],
    );
    // Another program in the same process is not another process.
    let (started, output) = start(&without_processes(), &["exec:/bin/true", "unreached"]);
    assert_eq!(read_all(output), "");
    assert_eq!(end(&started), ExitStatus::Code(0));
}

#[test]
fn with_processes_a_confined_card_can_start_them() {
    finds(
        &networking(Networking::None),
        &[
            ("fork", "ok"),
            ("vfork", "ok"),
            ("thread", "ok"),
            ("clone3", "ENOSYS"),
        ],
    );
}

#[test]
fn sockets_in_the_file_system_are_left_to_who_talks_to_the_host() {
    let narrow = |card: &mut Card| permit(card, Networking::None, Filesystem::None, false);
    denies(
        &free(),
        &probing(narrow),
        &[("socket:unix", "EAFNOSUPPORT")],
    );
    // Not through `start`: whether this version serves notifications is not the matter here.
    let mut notifying = probing(narrow);
    notifying.readiness = Readiness::Notify;
    if enforceable(&notifying).is_ok() {
        finds(&notifying, &[("socket:unix", "ok")]);
    }
}
