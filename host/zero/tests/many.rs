//! Many native Entes that start at once, and none of which is let run.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test may panic; helpers outside of test functions, too"
)]

mod common;

use arje_bus::{Client, EnteSummary, Request, StopEnte, Target};
use common::{DEADLINE, Dev, card, folder};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Enough that a bound on starts under way would show.
const HERD: u32 = 48;

fn native(n: u32) -> Value {
    let sleep = json!({"Native": {"exec": "/bin/sleep", "argv": ["600"]}});
    let mut card = card(&format!("native-{n}"), sleep, json!("OneShot"));
    card["permissions"] =
        json!({"networking": "full", "filesystem": "read-write", "processes": true});
    card
}

struct Zero(Dev);

impl Zero {
    fn start() -> Zero {
        let herd: Vec<Value> = (1..=HERD).map(native).collect();
        let folder = folder();
        let run_dir = folder.path().join("run");
        Zero(Dev::start(folder, &herd, |command| {
            command.arg("--forever").arg("--run-dir").arg(run_dir);
        }))
    }

    fn socket(&self) -> PathBuf {
        self.0.folder.path().join("run/ente-bus.sock")
    }

    fn entes(&self) -> Vec<EnteSummary> {
        let all = Client::connect(&self.socket()).unwrap().list().unwrap();
        let herd = all.into_iter();
        herd.filter(|one| one.label.starts_with("native")).collect()
    }

    /// Waits until this is so of all Entes.
    fn wait(&self, wanted: impl Fn(&EnteSummary) -> bool) {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let entes = self.entes();
            if entes.iter().all(&wanted) {
                return;
            }
            assert!(Instant::now() < deadline, "{entes:#?}");
            std::thread::yield_now();
        }
    }

    /// Each request in turn, so that each is answered before the next.
    fn request_each(&self, request: impl Fn(Target) -> Request) {
        let mut client = Client::connect(&self.socket()).unwrap();
        for n in 1..=HERD {
            let target = Target::Label(format!("native-{n}"));
            client.request(request(target)).unwrap();
        }
    }

    /// The cgroup in which those of its Entes are; `None` where it could make none.
    fn cgroup(&self) -> Option<PathBuf> {
        let pid = self.0.child.id();
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        // proc_pid_mountinfo(5): the mount point is the fifth field, the type follows the dash.
        let mount = mounts.lines().find(|line| line.contains(" - cgroup2 "))?;
        let mount = mount.split(' ').nth(4)?;
        let own = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
        let own = own.lines().find_map(|line| line.strip_prefix("0::/"))?;
        let path = Path::new(mount).join(own).join(format!("ente-{pid}"));
        path.exists().then_some(path)
    }
}

impl Drop for Zero {
    fn drop(&mut self) {
        // In order, so that nothing is left of its cgroup.
        let _ = kill(Pid::from_raw(self.0.child.id() as i32), Signal::SIGTERM);
        let _ = self.0.child.wait();
    }
}

/// Those whose first process has been made.
fn begun(cgroup: &Path) -> usize {
    let leaves = fs::read_dir(cgroup).unwrap().flatten();
    let leaves = leaves.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    leaves
        .filter(|leaf| {
            let members = fs::read_to_string(leaf.path().join("cgroup.procs"));
            members.is_ok_and(|members| !members.is_empty())
        })
        .count()
}

fn stop(target: Target) -> Request {
    Request::Stop(StopEnte { target, now: true })
}

/// No child runs while the cgroup of all is frozen, so none gets to its exec: all starts are under way. The loop waits for
/// none of them: it answers each request. One of them can be stopped, and when the others go on, they start, none of
/// them having failed.
#[test]
fn starts_that_are_held_up_hold_up_nobody() {
    let zero = Zero::start();
    let deadline = Instant::now() + DEADLINE;
    while Client::connect(&zero.socket()).is_err() {
        assert!(Instant::now() < deadline, "no bus");
        std::thread::yield_now();
    }
    zero.wait(|one| one.pid.is_some());
    let Some(cgroup) = zero.cgroup() else {
        return; // nothing to freeze here
    };
    zero.request_each(stop);
    zero.wait(|one| one.pid.is_none());
    let freeze = cgroup.join("cgroup.freeze");
    fs::write(&freeze, "1").unwrap();
    zero.request_each(Request::Start);
    assert_eq!(begun(&cgroup), HERD as usize);
    let last = Target::Label(format!("native-{HERD}"));
    Client::connect(&zero.socket())
        .unwrap()
        .request(stop(last))
        .unwrap();
    fs::write(&freeze, "0").unwrap();
    let last = format!("native-{HERD}");
    zero.wait(|one| one.pid.is_some() == (one.label != last));
    for one in zero.entes() {
        assert_eq!((one.incarnation, one.restarts), (2, 0), "{}", one.label);
    }
}
