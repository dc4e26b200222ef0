//! `reexec` of `ente-zero` in dev mode: the same hand-over as PID 1's, tried without a machine. What
//! only PID 1 has is tried in `vm/reexec.rs`.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test may panic; helpers outside of test functions, too"
)]

use arje_bus::{Client, ClientError, EnteState, EnteSummary, Request};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// No test waits longer for anything.
const DEADLINE: Duration = Duration::from_secs(120);

fn card(n: u32, label: &str, payload: Value) -> Value {
    json!({
        "schema_version": 1, "id": format!("01J000000000000000{n:08}"), "label": label,
        "payload": payload,
        "supervision": {"Restart": {"initial": 20, "max": 200}},
        "start_limit": {"burst": 1000, "interval_ms": 1},
    })
}

/// A process that says its number when it is sent SIGUSR1, and that is killed when its parent dies: for the kernel, that
/// is the thread that made it, and not the process (PR_SET_PDEATHSIG(2const)).
fn native(n: u32, label: &str) -> Value {
    let script = "trap 'echo here $$' USR1; echo up $$; while :; do sleep 0.05; done";
    let argv = json!(["--pdeathsig", "KILL", "/bin/sh", "-c", script]);
    let payload = json!({"Native": {"exec": "/usr/bin/setpriv", "argv": argv}});
    let mut card = card(n, label, payload);
    card["permissions"] =
        json!({"networking": "full", "filesystem": "read-write", "processes": true});
    card
}

/// Five processes, a component, a process that needs the component, and a component that serves HTTP on
/// a socket in `folder`.
fn seed(folder: &Path) -> Value {
    let web = arje_guest_artifacts::guest("web").pin();
    let web = json!({"Wasm": {"module_sha256": web, "entry": "http"}});
    let mut web = card(8, "web", web);
    web["listen"] = json!([{"name": "web", "unix": folder.join("web.sock")}]);
    let pin = arje_guest_artifacts::guest("hello").pin();
    let mut hello = card(
        1,
        "hello",
        json!({"Wasm": {"module_sha256": pin, "entry": "service"}}),
    );
    hello["provides"] = json!(["Journal"]);
    let mut needs = native(2, "needs-hello");
    needs["requires"] = json!(["Journal"]);
    let mut genesis: Vec<Value> = (3..8).map(|n| native(n, &format!("native-{n}"))).collect();
    genesis.extend([hello, needs, web]);
    let mut seed = card(9, "seed", json!("Virtual"));
    seed["supervision"] = json!("Delegate");
    seed["genesis"] = genesis.into();
    seed
}

/// A program that is built by itself: from the environment, else beside ente-zero.
fn helper(variable: &str, name: &str) -> PathBuf {
    let zero = PathBuf::from(env!("CARGO_BIN_EXE_ente-zero"));
    std::env::var_os(variable).map_or_else(|| zero.with_file_name(name), PathBuf::from)
}

/// To be held while a program is written or started: a child of another test that is between fork and
/// exec would hold it open for writing, and nobody could execute it (`ETXTBSY`).
fn one_at_a_time() -> MutexGuard<'static, ()> {
    static LOCK: Mutex<()> = Mutex::new(());
    LOCK.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A running instance. Its program is a copy, so that a test can change it.
struct Zero {
    child: Child,
    lines: Receiver<String>,
    folder: TempDir,
}

impl Zero {
    fn start() -> Zero {
        let _guard = one_at_a_time();
        let folder = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::copy(env!("CARGO_BIN_EXE_ente-zero"), path("ente-zero")).unwrap();
        fs::write(path("seed.card.json"), seed(folder.path()).to_string()).unwrap();
        let mut child = Command::new(path("ente-zero"))
            .arg("--forever")
            .arg("--run-dir")
            .arg(path("run"))
            .arg("--store")
            .arg(path("store"))
            .arg("--components")
            .arg(arje_guest_artifacts::components())
            .arg(path("seed.card.json"))
            .env("ARJE_ENTE_SPAWN", helper("ARJE_ENTE_SPAWN", "ente-spawn"))
            .env(
                "ARJE_ENTE_COMPILE",
                helper("ARJE_ENTE_COMPILE", "ente-compile"),
            )
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let (send, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                println!("{line}");
                if send.send(line).is_err() {
                    return;
                }
            }
        });
        Zero {
            child,
            lines,
            folder,
        }
    }

    /// What becomes of another instance in the same run directory, should nobody refuse it after a while.
    fn second(&self) -> Output {
        let _guard = one_at_a_time();
        let mut second = Command::new(self.program());
        second.args(["--for", "60", "--run-dir"]);
        second.arg(self.folder.path().join("run"));
        second.env("ARJE_ENTE_SPAWN", helper("ARJE_ENTE_SPAWN", "ente-spawn"));
        second.output().unwrap()
    }

    /// Waits for a line that contains this text.
    fn wait(&self, text: &str) -> String {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) if line.contains(text) => return line,
                Ok(_) => {}
                Err(error) => panic!("{error} while waiting for {text:?}"),
            }
        }
    }

    /// Waits until every process can be sent signals: until then they would end it.
    fn up(&self) {
        let mut missing: BTreeSet<String> = (3..8).map(|n| format!("native-{n}")).collect();
        missing.insert("needs-hello".to_owned());
        while !missing.is_empty() {
            let line = self.wait(": up ");
            missing.remove(line.split(':').next().unwrap());
        }
    }

    fn program(&self) -> PathBuf {
        self.folder.path().join("ente-zero")
    }

    fn client(&self) -> Client {
        Client::connect(&self.folder.path().join("run/ente-bus.sock")).unwrap()
    }

    fn request(&self, request: Request) -> Result<(), ClientError> {
        self.client().request(request).map(drop)
    }

    fn reexec(&self, image: u32) {
        self.request(Request::Reexec).unwrap();
        self.wait(&format!("reexec: image {image} took over"));
    }

    fn entes(&self) -> BTreeMap<String, EnteSummary> {
        let all = self.client().list().unwrap();
        all.into_iter()
            .map(|one| (one.label.clone(), one))
            .collect()
    }

    /// Waits until all Entes are Ready, and this one has begun so many lives.
    fn settled(&self, label: &str, incarnation: u64) -> BTreeMap<String, EnteSummary> {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let entes = self.entes();
            let ready = |one: &EnteSummary| one.state == EnteState::Ready;
            if entes.values().all(ready) && entes[label].incarnation >= incarnation {
                return entes;
            }
            assert!(Instant::now() < deadline, "{entes:#?}");
            std::thread::yield_now();
        }
    }

    fn descriptors(&self) -> usize {
        let path = format!("/proc/{}/fd", self.child.id());
        fs::read_dir(path).unwrap().count()
    }

    fn stop(mut self) {
        kill(Pid::from_raw(self.child.id() as i32), Signal::SIGTERM).unwrap();
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Zero {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn pids(entes: &BTreeMap<String, EnteSummary>) -> Vec<(&String, u32, u64)> {
    let natives = entes.values().filter(|one| one.pid.is_some());
    natives
        .map(|one| (&one.label, one.pid.unwrap(), one.incarnation))
        .collect()
}

#[test]
fn processes_stay_components_return_and_nothing_is_forgotten() {
    let zero = Zero::start();
    zero.up();
    let victim = zero.settled("hello", 1)["native-3"].pid.unwrap();
    kill(Pid::from_raw(victim as i32), Signal::SIGKILL).unwrap();
    let before = zero.settled("native-3", 2);
    assert_eq!(pids(&before).len(), 6);

    zero.reexec(1);
    let after = zero.settled("hello", 2);
    assert_eq!(
        pids(&after),
        pids(&before),
        "also the one that needs `hello`"
    );
    assert_eq!(after["native-3"].restarts, 1);
    assert_eq!(after["hello"].restarts, 0, "that was no crash");

    // The run directory is still this one's.
    let refused = zero.second();
    assert_eq!(refused.status.code(), Some(2), "{refused:?}");
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(
        said.contains(&format!("of process {};", zero.child.id())),
        "{said}"
    );

    // Its pipe is still read, and its end is still noticed.
    let pid = after["native-4"].pid.unwrap();
    kill(Pid::from_raw(pid as i32), Signal::SIGUSR1).unwrap();
    zero.wait(&format!("native-4: here {pid}"));
    kill(Pid::from_raw(pid as i32), Signal::SIGKILL).unwrap();
    let restarted = zero.settled("native-4", 2);
    assert_ne!(restarted["native-4"].pid, Some(pid));
    assert_eq!(restarted["native-4"].restarts, 1);

    // One that ends in between is not missed either: nobody reaps while the image is replaced.
    let pid = restarted["native-5"].pid.unwrap();
    zero.request(Request::Reexec).unwrap();
    kill(Pid::from_raw(pid as i32), Signal::SIGKILL).unwrap();
    zero.wait("reexec: image 2 took over");
    assert_ne!(zero.settled("native-5", 2)["native-5"].pid, Some(pid));

    zero.settled("hello", 3);
    let descriptors = zero.descriptors();
    for image in 3..23 {
        zero.reexec(image);
        zero.settled("hello", u64::from(image) + 1);
    }
    // Fewer when processes of the killed ones have let go of their pipes meanwhile; one more for as
    // long as this test's last connection is being closed. A leak would be twenty.
    let deadline = Instant::now() + DEADLINE;
    while zero.descriptors() > descriptors {
        assert!(Instant::now() < deadline, "{}", zero.descriptors());
        std::thread::yield_now();
    }
    zero.stop();
}

#[test]
fn sockets_of_components_stay() {
    let zero = Zero::start();
    zero.up();
    zero.settled("web", 1);
    let path = zero.folder.path().join("web.sock");
    let file = fs::metadata(&path).unwrap().ino();
    zero.request(Request::Reexec).unwrap();
    // Whoever connects, whenever that is, is answered: by the old component, or by the new one.
    for n in 0..20 {
        let mut client = UnixStream::connect(&path).unwrap();
        let request = format!("GET /{n} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        client.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        assert!(answer.contains(&format!("GET /{n}\n")), "{answer}");
    }
    zero.wait("reexec: image 1 took over");
    zero.settled("web", 2);
    assert_eq!(fs::metadata(&path).unwrap().ino(), file);
    zero.stop();
    assert!(!path.exists());
}

#[test]
fn what_cannot_take_over_is_refused_and_nothing_has_changed() {
    let zero = Zero::start();
    zero.up();
    let before = zero.settled("hello", 1);
    // A new file at the place: the running program cannot be written to.
    let replace = |content: &Path| {
        let _guard = one_at_a_time();
        fs::remove_file(zero.program()).unwrap();
        fs::copy(content, zero.program()).unwrap();
    };
    replace(Path::new("/bin/sh"));
    let error = zero.request(Request::Reexec).unwrap_err().to_string();
    assert!(error.contains("is no ente-zero"), "{error}");
    assert_eq!(zero.entes()["hello"].incarnation, 1);

    // It looks right and cannot be executed: found out at the very end, and everything goes on.
    let mut broken = fs::read(env!("CARGO_BIN_EXE_ente-zero")).unwrap();
    broken[..4].fill(0);
    {
        let _guard = one_at_a_time();
        fs::write(zero.program(), broken).unwrap();
    }
    zero.request(Request::Reexec).unwrap();
    zero.wait("going on");
    let after = zero.settled("hello", 2);
    assert_eq!(pids(&after), pids(&before));
    assert_eq!(after["hello"].restarts, 0);

    // Nothing at its place: the image that runs takes over from itself.
    fs::remove_file(zero.program()).unwrap();
    zero.reexec(1);
    assert_eq!(pids(&zero.settled("hello", 3)), pids(&before));
    zero.stop();
}

#[test]
fn a_state_that_cannot_be_believed_ends_with_the_reason() {
    for (number, reason) in [
        ("77", "reexec: descriptor 77 is not open"),
        ("0", "reexec: descriptor 0 is a standard stream"),
    ] {
        let _guard = one_at_a_time();
        let output = Command::new(env!("CARGO_BIN_EXE_ente-zero"))
            .args(["--resume", number])
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(2));
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(error.contains(reason), "{error}");
    }
}
