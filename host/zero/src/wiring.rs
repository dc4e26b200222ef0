//! Puts the parts together, for PID 1 and for dev mode alike.

use crate::bodies::{Bodies, MakeHost};
use crate::console::Console;
use crate::natives::Natives;
use crate::poller::Poller;
use arje_native::{Launcher, Output, Program};
use arje_store::{Sha256, Store};
use arje_wasm::{Host, HostConfig};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where things are.
#[derive(Debug, Clone)]
pub struct Places {
    /// The store's folder.
    pub store: PathBuf,
    /// `ente-spawn`.
    pub executor: PathBuf,
    /// Where native Entes without a console print.
    pub output: PathBuf,
    /// The terminal for Cards that ask for the active console.
    pub terminal: Option<PathBuf>,
}

/// The parts that run payloads.
///
/// # Errors
///
/// The launcher cannot be made.
pub fn bodies(places: &Places, console: &Console, poller: &Poller) -> Result<Bodies, String> {
    let launcher = Launcher::new(
        Program::Path(places.executor.clone()),
        Output::Device(places.output.clone()),
    )
    .map_err(|errno| format!("cannot prepare starting processes: {errno}"))?;
    let natives = Natives::new(launcher, places.terminal.clone());
    Ok(Bodies::new(
        natives,
        make_host(&places.store, console, poller),
    ))
}

fn make_host(store: &Path, console: &Console, poller: &Poller) -> MakeHost {
    let (store, console, wake) = (store.to_owned(), console.clone(), poller.wake_handle());
    Box::new(move || {
        let wake = wake.clone();
        Host::new(HostConfig {
            store: Store::open(&store).map_err(|error| error.to_string())?,
            lines: Arc::new(console.clone()),
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
