//! What a program is given beside its arguments: its own process id, its credentials.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test program: its helpers fail the test that calls them"
)]

mod common;

use std::fs;
use std::os::fd::AsFd;
use std::path::Path;

use arje_card::{Card, Credential, Filesystem, RunAs};
use arje_native::{ExecOutcome, ExitStatus, StartRequest};
use common::{card, end, failure, ignored, launcher, outcome, payload, read_all};
use nix::fcntl::OFlag;
use nix::unistd::{geteuid, pipe2};
use tempfile::TempDir;

fn run(card: &Card, own_pid: &[&'static str], credentials: Option<&Path>) -> String {
    let (reader, writer) = pipe2(OFlag::O_CLOEXEC).unwrap();
    let mut request = StartRequest::new(card, 1);
    request.output = Some([writer.as_fd(); 2]);
    request.own_pid = own_pid;
    request.credentials = credentials;
    let started = launcher().start(&request).unwrap();
    drop(writer);
    let text = read_all(reader);
    assert_eq!(outcome(&started), ExecOutcome::Started, "{text}");
    assert_eq!(end(&started), ExitStatus::Code(0), "{text}");
    text
}

fn shell(script: &str) -> Card {
    card("/bin/sh", &["-c", script])
}

#[test]
fn variables_hold_the_programs_own_process_id() {
    let mut card = shell("echo $LISTEN_PID $WATCHDOG_PID $$");
    payload(&mut card).envp.0 = vec![("LISTEN_PID".into(), "1".into())];
    let own_pid = ["LISTEN_PID", "WATCHDOG_PID"];
    let text = run(&card, &own_pid, None);
    let pids: Vec<&str> = text.split_whitespace().collect();
    assert_eq!(pids.len(), 3);
    assert!(pids.iter().all(|pid| *pid == pids[2]), "{text}");
    if geteuid().is_root() {
        card.soma.namespaces.pid = true;
        assert_eq!(run(&card, &own_pid, None), "2 2 2\n");
    }
}

/// A Card with these credentials, and the folder of its own that they are for.
fn with(mut card: Card, folder: &TempDir, names: &[&str]) -> Card {
    let credential = |name: &&str| Credential {
        name: (*name).into(),
        source: folder.path().join(name).to_string_lossy().into(),
    };
    card.credentials = names.iter().map(credential).collect();
    card
}

fn folder() -> Option<TempDir> {
    if !geteuid().is_root() {
        ignored("only user 0 can hand over credentials");
        return None;
    }
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("mounted")).unwrap();
    fs::set_permissions(
        folder.path(),
        std::os::unix::fs::PermissionsExt::from_mode(0o755),
    )
    .unwrap();
    fs::write(folder.path().join("password"), "hunter2\n").unwrap();
    fs::set_permissions(
        folder.path().join("password"),
        std::os::unix::fs::PermissionsExt::from_mode(0o600),
    )
    .unwrap();
    fs::write(folder.path().join("largest"), vec![b'x'; 1 << 20]).unwrap();
    fs::write(folder.path().join("too-large"), vec![b'x'; (1 << 20) + 1]).unwrap();
    Some(folder)
}

fn mounted(folder: &TempDir) -> std::path::PathBuf {
    folder.path().join("mounted")
}

#[test]
fn credentials_are_the_entes_own_and_gone_with_it() {
    let Some(folder) = folder() else { return };
    let script = "cd $CREDENTIALS_DIRECTORY && cat password && wc -c <largest && stat -c '%a %u %g %n' . * && \
                  for try in 'touch x' 'rm -f password' 'chmod 700 .' 'eval echo x >password'; do \
                  $try 2>/dev/null && echo could $try; done; grep -c ramfs /proc/self/mounts";
    let mut card = with(shell(script), &folder, &["password", "largest"]);
    card.soma.run_as = Some(RunAs {
        uid: 1234,
        gid: 4321,
        groups: Vec::new(),
    });
    let mount_point = mounted(&folder);
    let text = run(&card, &[], Some(&mount_point));
    let expected =
        "hunter2\n1048576\n500 1234 4321 .\n400 1234 4321 largest\n400 1234 4321 password\n1\n";
    assert_eq!(text, expected);
    // Nobody else ever saw anything there.
    assert_eq!(fs::read_dir(&mount_point).unwrap().count(), 0);
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
    assert!(!mounts.contains(&*mount_point.to_string_lossy()));
}

#[test]
fn whoever_may_read_no_files_reads_its_credentials() {
    let Some(folder) = folder() else { return };
    let mount_point = mounted(&folder);
    let password = mount_point.join("password");
    let cat = card("/bin/cat", &[&password.to_string_lossy()]);
    let mut card = with(cat, &folder, &["password"]);
    card.permissions.filesystem = Filesystem::None;
    if let Err(reasons) = arje_native::enforceable(&card) {
        ignored(format!("not on this kernel: {reasons:?}"));
        return;
    }
    let text = run(&card, &[], Some(&mount_point));
    assert_eq!(text, "hunter2\n");
}

#[test]
fn a_source_that_cannot_be_handed_over_is_named() {
    let Some(folder) = folder() else { return };
    let mount_point = mounted(&folder);
    nix::unistd::mkfifo(&folder.path().join("fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    for (name, reason) in [
        ("too-large", "EFBIG"),
        ("missing", "ENOENT"),
        ("mounted", "EINVAL"),
        ("fifo", "EINVAL"),
    ] {
        let card = with(shell("echo never"), &folder, &["password", name]);
        let started = launcher()
            .start(&StartRequest {
                credentials: Some(Path::new(&mount_point)),
                ..StartRequest::new(&card, 1)
            })
            .unwrap();
        let text = failure(&started).to_string();
        let source = folder.path().join(name);
        assert!(
            text.contains(reason) && text.contains(&*source.to_string_lossy()),
            "{name}: {text}"
        );
    }
}

#[test]
fn without_a_folder_there_is_no_start() {
    let Some(folder) = folder() else { return };
    let card = with(shell("echo never"), &folder, &["password"]);
    let error = launcher().start(&StartRequest::new(&card, 1)).unwrap_err();
    assert!(error.to_string().contains("credentials"), "{error}");
}
