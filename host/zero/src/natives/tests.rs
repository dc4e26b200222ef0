//! The end of an Ente with real processes, on a kernel that cannot kill a cgroup as a whole. These tests
//! need user 0.

use super::*;
use crate::console::Console;
use crate::logs::Logs;
use crate::poller::Ready;
use arje_card::{NativePayload, Payload, Permissions, Supervision};
use arje_native::cgroup::{CgroupTree, Controllers};
use arje_native::{Output, Program};
use arje_wasm::Level;
use nix::sys::wait::{WaitStatus, waitpid};
use std::fs;
use std::sync::mpsc;
use std::time::Duration;
use tempfile::TempDir;

/// A hang is a failure; this only bounds how long it takes to notice one.
const DEADLINE: Duration = Duration::from_secs(120);

struct Rig {
    natives: Natives,
    poller: Poller,
    /// The folder of all its cgroups.
    cgroups: PathBuf,
    folder: TempDir,
}

fn executor() -> PathBuf {
    let beside = || {
        std::env::current_exe()
            .unwrap()
            .with_file_name("../ente-spawn")
    };
    std::env::var_os("ARJE_ENTE_SPAWN").map_or_else(beside, PathBuf::from)
}

impl Rig {
    /// None, with a word on the console, where no cgroups can be made.
    fn new() -> Option<Rig> {
        let name = format!("arje-test-natives-{}", std::process::id());
        let tree = match CgroupTree::open(&name, Controllers::AsTheyAre) {
            Ok(tree) => tree.without_kill(),
            Err(error) => {
                eprintln!("not tried here: {error}");
                return None;
            }
        };
        let cgroups = tree.path().to_owned();
        let folder = tempfile::tempdir().unwrap();
        let poller = Poller::new().unwrap();
        let console = Console::start(std::io::sink(), Level::Error).unwrap();
        let logs = Logs::start(console, poller.wake_handle()).unwrap();
        let output = Output::Shared(fs::File::open("/dev/null").unwrap().into());
        let launcher = Launcher::new(Program::Path(executor()), output).unwrap();
        let services = Services::new(logs, None, folder.path().join("credentials"));
        Some(Rig {
            natives: Natives::new(launcher, services, Leaves::new(Some(tree), true), None),
            poller,
            cgroups,
            folder,
        })
    }

    /// Begins a life, and waits until it has said that it is ready.
    fn start(&mut self, card: &Arc<Card>, incarnation: Incarnation) -> Who {
        let started = self.natives.start(card, incarnation, &mut self.poller);
        assert_eq!(started, Ok(()));
        // Opening it waits for whoever writes.
        let said = fs::read_to_string(self.folder.path().join("said")).unwrap();
        assert_eq!(said, "ready\n");
        Who {
            id: card.id,
            incarnation,
        }
    }

    /// Waits, as the core loop does, until the end of an Ente is told.
    fn end(&mut self, who: Who) -> ExitStatus {
        let pid = self.natives.pid(who.id).unwrap().cast_signed();
        let (sender, ended) = mpsc::channel();
        std::thread::spawn(move || sender.send(waitpid(Pid::from_raw(pid), None)));
        let exit = match ended.recv_timeout(DEADLINE).unwrap().unwrap() {
            WaitStatus::Exited(_, code) => NativeExit::Code(code),
            WaitStatus::Signaled(_, signal, core_dumped) => NativeExit::Signal {
                number: signal as i32,
                core_dumped,
            },
            other => panic!("{other:?}"),
        };
        let mut told = self.natives.reaped(pid, exit, &mut self.poller);
        self.poller.set_deadline(Some(DEADLINE)).unwrap();
        loop {
            for told in told.drain(..) {
                if let Told::Ended(ended, status) = told {
                    assert_eq!(ended, who);
                    return status;
                }
            }
            for ready in self.poller.wait(None).unwrap() {
                match ready {
                    Ready::Watched(token) => told.extend(self.natives.watched(token, &self.poller)),
                    Ready::Deadline => panic!("some live on"),
                    _ => {}
                }
            }
        }
    }
}

/// A Card that is allowed everything, with a cgroup of this name.
fn card(name: &str, script: &str) -> Arc<Card> {
    let payload = Payload::Native(NativePayload {
        exec: "/bin/sh".into(),
        argv: vec!["-c".into(), script.into()],
        ..NativePayload::default()
    });
    let mut card = Card::new(Id::from_bytes([5; 16]), name, payload, Supervision::OneShot);
    card.permissions = Permissions {
        networking: arje_card::Networking::Full,
        filesystem: arje_card::Filesystem::ReadWrite,
        processes: true,
        ..Permissions::default()
    };
    card.soma.cgroup.path = Some(name.into());
    Arc::new(card)
}

#[test]
fn more_than_are_killed_in_one_turn_end_and_a_new_life_begins() {
    let Some(mut rig) = Rig::new() else { return };
    let said = rig.folder.path().join("said");
    nix::unistd::mkfifo(&said, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let (said, cgroup) = (said.display(), rig.cgroups.join("crowd"));
    // The first process leaves them for a cgroup of its own, which is looked at last.
    let script = format!(
        "trap '' TERM; setsid sleep 1000 & sh -c 'kill -STOP $$' & i=0; \
         while [ $i -lt 1200 ]; do sleep 1000 & i=$((i+1)); done; \
         mkdir {0}/inner && echo $$ >{0}/inner/cgroup.procs && echo ready >{said}; \
         while :; do (:) & done",
        cgroup.display()
    );
    let crowd = card("crowd", &script);
    let who = rig.start(&crowd, 1);
    rig.natives.signal(who, Signal::SIGKILL);
    assert_eq!(rig.end(who), ExitStatus::Signal(9));
    assert_eq!(fs::read_to_string(cgroup.join("cgroup.procs")).unwrap(), "");

    // What was frozen for the kill does not freeze the next one.
    let who = rig.start(&card("crowd", &format!("echo ready >{said}")), 2);
    assert_eq!(rig.end(who), ExitStatus::Code(0));
    rig.natives.retire(who.id);
}
