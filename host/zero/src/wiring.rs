//! Puts the parts together, for PID 1 and for dev mode alike.

use crate::bodies::{Bodies, MakeHost};
use crate::bus::Bus;
use crate::console::Console;
use crate::leaves::Leaves;
use crate::logs::Logs;
use crate::natives::Natives;
use crate::notify::Notify;
use crate::poller::Poller;
use crate::services::Services;
use crate::workers::Workers;
use arje_native::cgroup::{CgroupTree, Controllers, Support};
use arje_native::{Launcher, Output, Program};
use arje_store::{Sha256, Store};
use arje_wasm::{Host, HostConfig};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where things are.
#[derive(Debug, Clone)]
pub struct Places {
    /// The store's folder.
    pub store: PathBuf,
    /// `ente-spawn`.
    pub executor: PathBuf,
    /// `ente-worker`, or a link of that name to this program.
    pub worker: PathBuf,
    /// Where the launcher lets a process print that is not captured.
    pub output: PathBuf,
    /// The socket for notifications.
    pub notify: PathBuf,
    /// The folder for credentials.
    pub credentials: PathBuf,
    /// The terminal for Cards that ask for the active console.
    pub terminal: Option<PathBuf>,
}

/// Where native Entes say that they are ready. Without it those that want to do not start; the others
/// do.
pub fn notify(places: &Places, left: Option<OwnedFd>, poller: &mut Poller) -> Notify {
    Notify::listen(&places.notify, left, poller).unwrap_or_else(|error| {
        tracing::error!("no notifications can be taken: {error}");
        Notify::default()
    })
}

/// The cgroups of native Entes, and which settings of Cards they can enforce.
pub struct Cgroups {
    /// Where they are; `None` where there are none.
    pub leaves: Leaves,
    /// What they can enforce.
    pub support: Support,
    /// Why there are none.
    pub problem: Option<String>,
}

impl Cgroups {
    /// Those of the machine's init.
    #[must_use]
    pub fn of_the_machine() -> Cgroups {
        Cgroups::new(CgroupTree::open("ente", Controllers::Enable), false)
    }

    /// Those of a developer's process, which are removed in the end. Its own cgroup is left as it is,
    /// so that there are no more controllers than somebody has switched on in it.
    #[must_use]
    pub fn of_a_process() -> Cgroups {
        let name = format!("ente-{}", std::process::id());
        Cgroups::new(CgroupTree::open(&name, Controllers::AsTheyAre), true)
    }

    fn new(tree: Result<CgroupTree, arje_native::cgroup::CgroupError>, tidy: bool) -> Cgroups {
        match tree {
            Ok(tree) => Cgroups {
                support: Support::of(&tree),
                leaves: Leaves::new(Some(tree), tidy),
                problem: None,
            },
            Err(error) => Cgroups {
                support: Support::none(format!("this host has no cgroups for Entes ({error})")),
                leaves: Leaves::new(None, tidy),
                problem: Some(error.to_string()),
            },
        }
    }
}

/// The parts that run payloads.
///
/// # Errors
///
/// The launcher cannot be made.
pub fn bodies(
    places: &Places,
    leaves: Leaves,
    logs: &Logs,
    notify: &Notify,
    poller: &Poller,
) -> Result<Bodies, String> {
    let launcher = Launcher::new(
        Program::Path(places.executor.clone()),
        Output::Device(places.output.clone()),
    )
    .map_err(|errno| format!("cannot prepare starting processes: {errno}"))?;
    // After the launcher has noted what Entes inherit.
    if let Err(errno) = arje_native::raise_descriptor_limit() {
        tracing::warn!("cannot raise the limit of descriptors: {errno}");
    }
    let services = Services::new(
        logs.clone(),
        notify.path().map(Path::to_owned),
        places.credentials.clone(),
    );
    let natives = Natives::new(launcher, services, leaves, places.terminal.clone());
    let workers = Workers::new(&places.worker);
    let make_host = make_host(&places.store, logs, poller);
    Ok(Bodies::new(natives, logs.clone(), workers, make_host))
}

/// The bus, at this path, or on the socket there that an earlier image left. A machine without it is poorer and still a machine, so it is no error: it
/// is said, and the rest goes on.
pub fn bus(
    path: &Path,
    left: Option<UnixListener>,
    bodies: &mut Bodies,
    (logs, console): (&Logs, &Console),
    poller: &mut Poller,
) -> Option<Bus> {
    let is_new = left.is_none();
    let bus = match left {
        Some(listener) => Bus::on(listener, logs.clone(), poller),
        None => Bus::listen(path, logs.clone(), poller),
    };
    match bus {
        Ok(bus) => {
            bodies.offer_bus(path);
            if is_new {
                console.line(format!("bus interno escuchando path={}", path.display()));
            }
            Some(bus)
        }
        Err(error) => {
            tracing::error!("no bus at {}: {error}; going on without it", path.display());
            None
        }
    }
}

fn make_host(store: &Path, logs: &Logs, poller: &Poller) -> MakeHost {
    let (store, logs, wake) = (store.to_owned(), logs.clone(), poller.wake_handle());
    Box::new(move |routes| {
        let wake = wake.clone();
        Host::new(HostConfig {
            store: Store::open(&store).map_err(|error| error.to_string())?,
            routes,
            lines: Arc::new(logs.clone()),
            wake: Arc::new(move || wake.wake()),
        })
        .map_err(|error| format!("cannot make the Wasm host: {error}"))
    })
}

/// The fingerprint of the engine in this program.
///
/// # Errors
///
/// The engine cannot be made.
pub fn fingerprint() -> Result<Sha256, String> {
    let engine =
        arje_engine::engine().map_err(|error| format!("cannot make the engine: {error}"))?;
    Ok(arje_engine::fingerprint(&engine).into())
}

/// The folder with Cards that can be spawned by the name of their file.
#[must_use]
pub fn cards_folder() -> PathBuf {
    std::env::var_os("ARJE_CARDS_DIR").map_or_else(|| "/etc/arje/cards.d".into(), PathBuf::from)
}
