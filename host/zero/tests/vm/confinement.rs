//! Permissions and bodies of native Entes, tried for real on the machine's own kernel, which is older than the one that
//! the tests of arje-native run on.

use crate::machine::{Booted, card, folder, native, restart, seed, shell, tree_with};
use initrd_builder::Program;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;
use tables::{NOT_OUTBOUND, OUTBOUND, REFUSED, WAYS_OUT};

#[path = "../../../native/tests/probe/tables.rs"]
mod tables;

/// The program of arje-native's tests that tries what it is told.
fn probe(folder: &Path) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../native/tests/probe/probe.c");
    let program = folder.join("probe");
    let status = Command::new("cc")
        .args(["-static", "-O1", "-w", "-o"])
        .args([&program, &source])
        .status()
        .unwrap();
    assert!(status.success());
    program
}

/// A Card that makes attempts, with what becomes of each.
struct Attempts {
    card: Value,
    expected: Vec<(&'static str, &'static str)>,
}

impl Attempts {
    /// And these.
    fn also(&mut self, expected: &[(&'static str, &'static str)]) {
        let argv = &mut self.card["payload"]["Native"]["argv"];
        let more = expected.iter().map(|(attempt, _)| json!(attempt));
        argv.as_array_mut().unwrap().extend(more);
        self.expected.extend_from_slice(expected);
    }
}

/// Each call that is refused, as an attempt.
fn calls() -> Vec<(&'static str, &'static str)> {
    let attempt = |number: i64| -> &'static str { format!("call:{number}").leak() };
    REFUSED.map(|number| (attempt(number), "EPERM")).into()
}

fn attempts(
    label: &str,
    permissions: Value,
    soma: Value,
    expected: &[(&'static str, &'static str)],
) -> Attempts {
    let argv: Vec<&str> = expected.iter().map(|(attempt, _)| *attempt).collect();
    let mut card = native(label, "/bin/probe", &argv, json!("OneShot"));
    card["permissions"] = permissions;
    card["soma"] = soma;
    Attempts {
        card,
        expected: expected.to_vec(),
    }
}

/// Boots with these Cards and waits for what each attempt came to.
fn try_all(all: &[Attempts], others: Vec<Value>) -> Booted {
    let inputs = folder();
    let programs = vec![Program {
        dest: "/bin/probe".into(),
        source: probe(inputs.path()),
    }];
    let mut genesis = vec![shell()];
    genesis.extend(all.iter().map(|attempts| attempts.card.clone()));
    genesis.extend(others);
    let tree = tree_with(inputs.path(), &seed(genesis), |options| {
        options.programs = programs
    });
    let booted = Booted::with_tree(folder(), &tree, |_| {});
    for attempts in all {
        let label = attempts.card["label"].as_str().unwrap();
        // What one Ente prints comes in order.
        if let Some((last, _)) = attempts.expected.last() {
            booted.line(&format!("{label}: {last} "));
        }
        let console = booted.printed();
        let missing: Vec<String> = attempts
            .expected
            .iter()
            .map(|(attempt, answer)| format!("{label}: {attempt} {answer}"))
            .filter(|line| {
                !console
                    .lines()
                    .any(|found| found.trim_end().ends_with(line))
            })
            .collect();
        assert!(missing.is_empty(), "missing: {missing:#?}\n{console}");
    }
    booted
}

fn everything() -> Value {
    json!({"networking": "full", "filesystem": "read-write", "processes": true})
}

#[test]
fn permissions_hold() {
    let free = attempts(
        "free",
        everything(),
        json!({}),
        &[
            ("fork", "ok"),
            ("clone3", "ok"),
            ("socket:unix", "ok"),
            ("socket:inet:raw:1", "ok"),
            ("list:/", "ok"),
            ("open-write:/proc/sys/kernel/core_pattern", "ok"),
            ("open-write:/ente/seed.card.json", "ok"),
            ("capabilities", "000001ffffffffff"),
            ("status:NoNewPrivs", "0"),
            ("interface:lo", "down"),
            ("kill:1:0", "ok"),
        ],
    );
    let mut narrow = attempts(
        "narrow",
        json!({}),
        json!({}),
        &[
            ("fork", "EPERM"),
            ("vfork", "EPERM"),
            ("clone3", "ENOSYS"),
            ("thread", "ok"),
            ("interface:lo", "down"),
            ("connect:tcp:127.0.0.1:80", "ENETUNREACH"),
            ("socket:inet:raw:1", "EPERM"),
            ("socket:packet:raw", "EAFNOSUPPORT"),
            ("socket:vsock", "EAFNOSUPPORT"),
            ("socket:unix", "EAFNOSUPPORT"),
            ("read:/ente/seed.card.json", "EACCES"),
            ("list:/", "EACCES"),
            ("read:/proc/self/status", "EACCES"),
            ("truncate:/ente/seed.card.json", "EROFS"),
            ("chmod:/ente/seed.card.json", "EROFS"),
            ("make:/tmp/new", "EROFS"),
            ("write:/dev/null", "ok"),
            ("read:/dev/urandom", "ok"),
            ("capabilities", "0000000000000000"),
            ("setuid:1", "EPERM"),
        ],
    );
    narrow.also(&WAYS_OUT);
    narrow.also(&calls());
    let reader = attempts(
        "reader",
        json!({"networking": "full", "filesystem": "read-only", "processes": true}),
        json!({
            "namespaces": {"mount": true},
            "mounts": {"tmpfs": [{"target": "/tmp", "size_bytes": 1048576}]},
        }),
        &[
            ("read:/ente/seed.card.json", "ok"),
            ("open-write:/ente/seed.card.json", "EROFS"),
            ("truncate:/ente/seed.card.json", "EROFS"),
            ("utime:/ente/seed.card.json", "EROFS"),
            // Nobody else's: what is there is refused with EEXIST.
            ("make:/run/reader", "EROFS"),
            ("size:/tmp", "1048576"),
            ("make:/tmp/new", "ok"),
            ("open-write:/proc/sys/kernel/core_pattern", "EROFS"),
            ("count:/dev", "10"),
            ("exists:/dev/mem", "ENOENT"),
            ("fork", "ok"),
            ("mount:/tmp", "EPERM"),
        ],
    );
    let local = attempts(
        "local",
        json!({"networking": "loopback", "filesystem": "read-write", "processes": true}),
        json!({}),
        &[
            ("interface:lo", "up"),
            ("converse:80", "ok"),
            ("connect:udp:192.0.2.1:53", "ENETUNREACH"),
            ("make:/run/local", "ok"),
            ("open-write:/proc/sys/kernel/core_pattern", "EROFS"),
            ("open-write:/proc/sysrq-trigger", "EROFS"),
            ("make:/sys/fs/cgroup/new", "EROFS"),
            ("open-write:/sys/fs/cgroup/cgroup.procs", "EROFS"),
            // This kernel's landlock does not keep signals inside, so there is a PID namespace.
            ("pid", "2"),
            ("mount:/tmp", "EPERM"),
        ],
    );
    let mut booted = try_all(&[free, narrow, reader, local], Vec::new());
    // What was mounted and unshared concerns nobody else.
    booted.run("touch /tmp/x /run/x && test -e /run/local && test ! -e /tmp/new");
}

#[test]
fn bodies_hold() {
    let boxed = attempts(
        "boxed",
        everything(),
        json!({
            "namespaces": {"mount": true, "pid": true, "net": true, "uts": true, "ipc": true,
                "user": true, "cgroup": true},
            "run_as": {"uid": 4711, "gid": 4712, "groups": [4713]},
            "cpu_affinity": [0],
            "rlimits": {"mem_bytes": 67_108_864, "nofile": 16, "nproc": 16},
            "mounts": {
                "binds": [{"source": "/ente", "target": "/run/made/here", "ro": true}],
                "tmpfs": [{"target": "/run", "size_bytes": 1_048_576}],
            },
        }),
        &[
            ("id", "4711/4712,4713"),
            ("hostname", "boxed"),
            ("interface:lo", "up"),
            ("status:Cpus_allowed_list", "0"),
            ("status:CapBnd", "0000000000000000"),
            ("status:NoNewPrivs", "1"),
            ("setuid:0", "EPERM"),
            ("kill:1:0", "EPERM"),
            ("exists:/proc/40", "ENOENT"),
            ("memory:0x8000000", "ENOMEM"),
            ("forks:32", "EAGAIN"),
            ("size:/run", "1048576"),
            ("read:/run/made/here/seed.card.json", "ok"),
            ("utime:/run/made/here/seed.card.json", "EROFS"),
            ("make:/run/new", "ok"),
            ("list:/sys/fs/cgroup", "ok"),
            ("line:/proc/self/cgroup", "0::/"),
            // Leaves none for others, so it comes last.
            ("open-files:20", "EMFILE"),
        ],
    );
    let mut lost = native("lost", "/bin/probe", &[], json!("OneShot"));
    lost["soma"] = json!({
        "namespaces": {"mount": true},
        "mounts": {"binds": [{"source": "/ente", "target": "/run/no/such/place"}]},
    });
    let mut dies = native("dies", "/bin/probe", &["die:11"], json!("OneShot"));
    dies["soma"] = json!({"namespaces": {"pid": true}});
    let mut waits = native("waits", "/bin/probe", &["wait"], json!("OneShot"));
    waits["soma"] = json!({"namespaces": {"pid": true}});
    let mut booted = try_all(&[boxed], vec![lost, dies, waits]);
    booted.wait(
        "Ente lost: could not be started: mounts: soma.mounts.binds[0].target: \"/run/no/such/place\": No such file or directory; make it",
    );
    booted.wait("Ente dies: ended by signal 11");
    // Whoever kills the init kills all below it.
    booted.wait("waits: waiting");
    let begun = booted.line("Ente waits encarnado pid=");
    let (_, init) = begun.rsplit_once("pid=").unwrap();
    booted.run(&format!("kill -9 {init}"));
    booted.wait("Ente waits: ended by signal 9");
    // Of the others, one or the other may still be about to exit.
    booted.run("while grep -qsx probe /proc/[0-9]*/comm; do usleep 20000; done");
}

/// What comes to pass once: `script` has ended well.
fn milestone(label: &str, script: &str, provides: &Value) -> Value {
    let mut card = native(label, "/bin/sh", &["-c", script], json!("OneShot"));
    card["provides"] = json!([provides]);
    card
}

#[test]
fn outbound_connects_and_never_listens() {
    let network =
        json!({"Endpoint": {"interface": "00000000-0000-0000-0000-000000000001", "version": 1}});
    let mut allowed = vec![("connect:tcp:127.0.0.1:80", "ok")];
    allowed.extend(OUTBOUND.map(|attempt| (attempt, "ok")));
    let mut free = attempts("free", everything(), json!({}), &allowed);
    free.also(&NOT_OUTBOUND.map(|(attempt, _)| (attempt, "ok")));
    let permissions =
        json!({"networking": "outbound", "filesystem": "read-write", "processes": true});
    let mut outbound = attempts("outbound", permissions, json!({}), &allowed);
    outbound.also(&NOT_OUTBOUND);
    outbound.also(&[("socket:packet:raw", "EAFNOSUPPORT")]);
    let mut all = [free, outbound];
    for attempts in &mut all {
        attempts.card["requires"] = json!([network]);
    }
    let mut server = native("server", "/bin/sleep", &["100000"], restart());
    server["listen"] = json!([{"name": "web", "tcp": "127.0.0.1:80"}]);
    try_all(
        &all,
        vec![server, milestone("network", "ip link set lo up", &network)],
    );
}

#[test]
fn what_this_machine_cannot_enforce_is_refused_at_load() {
    let mut beyond = native("beyond", "/bin/sh", &[], json!("OneShot"));
    beyond["soma"] = json!({"cpu_affinity": [0, 77]});
    let mut counted = native("counted", "/bin/sh", &[], json!("OneShot"));
    counted["soma"] = json!({"rlimits": {"nproc": 5}});
    let container = card("container", json!("Virtual"), json!("Delegate"));
    let booted = Booted::with_seed(&seed(vec![beyond, counted, container]));
    booted.wait(
        "$.genesis[0].soma.cpu_affinity (Card \"beyond\"): [0,77], but of these the machine does not have [77]",
    );
    booted.wait(
        "$.genesis[1].soma.rlimits.nproc (Card \"counted\"): 5, but the kernel does not apply this limit to user 0",
    );
}
