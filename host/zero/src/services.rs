//! What the host does for an Ente beyond starting it: keeps its listening sockets; and if it is a
//! process, takes in its output and tells it where to say that it is ready.

use crate::handover::{Keep, ListenRecord};
use crate::logs::{Captured, Logs};
use crate::natives::start_failed;
use arje_card::{Card, Fake, Id, Payload, Readiness};
use arje_native::{LISTEN_PID, ListenSockets, OutputPipes};
use arje_supervisor::{ExitStatus, Incarnation};
use std::collections::HashMap;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

/// The variable that names whom `WATCHDOG_USEC` is for (sd_watchdog_enabled(3)).
const WATCHDOG_PID: &str = "WATCHDOG_PID";

/// The services of all Entes.
pub struct Services {
    logs: Logs,
    /// Where notifications are taken, if anywhere.
    notify: Option<PathBuf>,
    /// Where the folders for credentials are.
    credentials: PathBuf,
    /// From before an Ente's first start until it is removed.
    sockets: HashMap<Id, ListenSockets>,
}

/// What one incarnation is given.
#[derive(Debug, Default)]
pub struct Given {
    /// Its standard output and error; none for an Ente with a console.
    pub pipes: Option<OutputPipes>,
    /// Variables for its environment.
    pub environment: Vec<(String, String)>,
    /// Variables that hold its own process id.
    pub own_pid: Vec<&'static str>,
    /// Where its credentials are mounted.
    pub credentials: Option<PathBuf>,
}

impl Services {
    /// With this place for what they print, this socket for what they say of themselves, and this
    /// folder for the mount points of their credentials.
    #[must_use]
    pub fn new(logs: Logs, notify: Option<PathBuf>, credentials: PathBuf) -> Services {
        Services {
            logs,
            notify,
            credentials,
            sockets: HashMap::new(),
        }
    }

    /// Makes the listening sockets of a whole tree, before anything in it starts: so nobody finds
    /// nothing to connect to, whoever starts first. Returns what failed; the start of that Ente tries
    /// again and fails, and is told as its failure.
    pub fn open_sockets(&mut self, root: &Card) -> Vec<String> {
        let mut problems = Vec::new();
        for visit in root.walk() {
            let problem = self.open_sockets_of(visit.card).err();
            problems.extend(problem.map(|error| format!("Card `{}`: {error}", visit.card.label)));
        }
        problems
    }

    fn open_sockets_of(&mut self, card: &Card) -> Result<(), String> {
        if card.listen.is_empty() || self.sockets.contains_key(&card.id) {
            return Ok(());
        }
        let sockets = ListenSockets::open(card).map_err(|error| error.to_string())?;
        self.sockets.insert(card.id, sockets);
        Ok(())
    }

    /// What the next incarnation gets.
    ///
    /// # Errors
    ///
    /// Something that its Card wants cannot be had; it must not start without.
    pub fn give(&mut self, card: &Card) -> Result<Given, ExitStatus> {
        let mut given = Given {
            pipes: OutputPipes::of(card).map_err(|errno| start_failed("make its pipes", errno))?,
            ..Given::default()
        };
        self.open_sockets_of(card)
            .map_err(|error| start_failed("make its sockets", error))?;
        // A component is handed them otherwise.
        if let Some(sockets) = self.sockets.get(&card.id)
            && !matches!(card.payload, Payload::Wasm(_))
        {
            sockets
                .reset()
                .map_err(|errno| start_failed("make its sockets", errno))?;
            given.environment.extend(sockets.environment());
            given.own_pid.push(LISTEN_PID);
        }
        self.tell_notify_socket(card, &mut given)?;
        if !card.credentials.is_empty() {
            let folder = self.credentials_of(card.id);
            make_mount_point(&folder)
                .map_err(|error| start_failed("make the folder for its credentials", error))?;
            given.credentials = Some(folder);
        }
        Ok(given)
    }

    fn tell_notify_socket(&self, card: &Card, given: &mut Given) -> Result<(), ExitStatus> {
        if !notifies(card) {
            return Ok(());
        }
        let Some(path) = &self.notify else {
            let reason = "there is no socket for notifications; an earlier message says why";
            return Err(start_failed("tell it where to notify", reason));
        };
        let path = path.to_string_lossy().into_owned();
        given.environment.push(("NOTIFY_SOCKET".into(), path));
        if let Some(ms) = card.liveness_ms {
            let usec = ms.saturating_mul(1000).to_string();
            given.environment.push(("WATCHDOG_USEC".into(), usec));
            given.own_pid.push(WATCHDOG_PID);
        }
        Ok(())
    }

    fn credentials_of(&self, id: Id) -> PathBuf {
        self.credentials.join(id.to_string())
    }

    /// The listening sockets of a process, to be passed in this order.
    #[must_use]
    pub fn sockets(&self, card: &Card) -> Vec<BorrowedFd<'_>> {
        match self.sockets.get(&card.id) {
            Some(sockets) if !matches!(card.payload, Payload::Wasm(_)) => sockets.descriptors(),
            _ => Vec::new(),
        }
    }

    /// Duplicates of a component's listening sockets, in the order of its Card.
    ///
    /// # Errors
    ///
    /// They cannot be made; it must not start without.
    pub fn duplicates(&mut self, card: &Card) -> Result<Vec<OwnedFd>, ExitStatus> {
        self.open_sockets_of(card)
            .map_err(|error| start_failed("make its sockets", error))?;
        let sockets = self.sockets.get(&card.id);
        let sockets = sockets.map_or_else(Vec::new, ListenSockets::descriptors);
        let duplicates = sockets.iter().map(BorrowedFd::try_clone_to_owned);
        duplicates
            .collect::<io::Result<_>>()
            .map_err(|error| start_failed("pass its sockets", error))
    }

    /// The listening sockets of all Entes, for the next image.
    pub fn leave<'fd>(&'fd self, keep: &mut Keep<'fd>) -> Vec<ListenRecord> {
        let all = self.sockets.iter();
        let records = all.map(|(id, sockets)| ListenRecord {
            id: *id,
            sockets: {
                let descriptors = sockets.descriptors().into_iter();
                descriptors.map(|fd| keep.add_borrowed(fd)).collect()
            },
        });
        records.collect()
    }

    /// Goes on with the listening sockets that another image left for this Ente.
    ///
    /// # Errors
    ///
    /// They cannot be its.
    pub fn take_over(&mut self, card: &Card, descriptors: Vec<OwnedFd>) -> Result<(), String> {
        let sockets = ListenSockets::take_over(card, descriptors)
            .ok_or_else(|| format!("Ente `{}` has other sockets than were left", card.label))?;
        self.sockets.insert(card.id, sockets);
        Ok(())
    }

    /// An incarnation was started with what it was given.
    pub fn started(&self, card: &Card, incarnation: Incarnation, given: Given) {
        if let Some(pipes) = given.pipes {
            let [stdout, stderr] = pipes.readers;
            self.logs.attach(Captured {
                id: card.id,
                label: card.label.as_str().into(),
                incarnation,
                stdout,
                stderr,
            });
        }
    }

    /// An Ente is no more: its sockets are closed and their files removed.
    pub fn removed(&mut self, id: Id) {
        self.sockets.remove(&id);
        let _ = fs::remove_dir(self.credentials_of(id)); // most have none
    }
}

/// An empty folder. On it, in the Ente's own mount namespace, lies what the Ente sees there.
fn make_mount_point(folder: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true).mode(0o755).create(folder)
}

/// Whether its Card lets it say something of itself.
#[must_use]
pub fn notifies(card: &Card) -> bool {
    let fakes = match &card.payload {
        Payload::Legacy(legacy) => legacy.fakes.contains(&Fake::SystemdNotify),
        Payload::Native(_) => false,
        Payload::Wasm(_) | Payload::Virtual => return false,
    };
    fakes || card.readiness == Readiness::Notify || card.liveness_ms.is_some()
}
