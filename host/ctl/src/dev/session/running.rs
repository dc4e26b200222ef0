//! What really runs: the system is asked, since not only this program changes it. Somebody may have gone back to the module
//! before, or have stopped an Ente.

use std::collections::BTreeMap;
use std::time::Duration;

use arje_bus::{Client, EnteState, EnteSummary};
use arje_card::{Id, Pin};

use super::Session;
use crate::dev::plan::Runs;

/// How long the system may take to say it. It answers within milliseconds, and nothing else is done meanwhile.
const PATIENCE: Duration = Duration::from_secs(3);

/// The Entes of the system.
pub(super) type Running = BTreeMap<Id, EnteSummary>;

impl Session<'_> {
    /// Asks the system what runs.
    pub(super) fn running(&self) -> Result<Running, String> {
        let entes = Client::connect_within(&self.scratch.socket(), PATIENCE)
            .and_then(|mut client| client.list());
        let entes = entes.map_err(|error| error.to_string())?;
        Ok(entes.into_iter().map(|ente| (ente.id, ente)).collect())
    }

    /// What goes on although a package was saved, in words.
    pub(super) fn goes_on(&self, package: usize) -> String {
        let entes = self.plan.iter().flat_map(|plan| &plan.entes);
        let meant = entes.filter(|ente| self.is_of(ente, package));
        let running = self.running().unwrap_or_default();
        let known = meant.filter_map(|ente| Some((ente, running.get(&ente.id)?)));
        let lines: Vec<String> = known
            .map(|(ente, now)| format!("{}: {}", ente.label, still(now)))
            .collect();
        match lines.as_slice() {
            [] => "what runs goes on".to_owned(),
            lines => lines.join("; "),
        }
    }

    /// Whether an Ente runs the component of a package. Those that nobody builds may be of any whose component is not known.
    pub(super) fn is_of(&self, ente: &Runs, package: usize) -> bool {
        let packages = &self.settings.packages;
        let builds = |module: &Option<String>| module.as_ref() == Some(&ente.module);
        match packages.get(package).map(|package| &package.module) {
            Some(None) => !packages.iter().any(|package| builds(&package.module)),
            Some(module) => builds(module),
            None => false,
        }
    }
}

/// The component of an Ente that runs on, though there is a newer one.
pub(super) fn still(now: &EnteSummary) -> String {
    match is_alive(now) {
        true => format!("the older one still runs, sha256 {}", pin(now)),
        false => format!(
            "the older one is kept, sha256 {}, but {}",
            pin(now),
            idle(now)
        ),
    }
}

/// The component of an Ente that is the newest.
pub(super) fn newest(now: &EnteSummary) -> String {
    let pin = pin(now);
    match now.state {
        EnteState::Done => format!("sha256 {pin} ran to its end"),
        _ if is_alive(now) => format!("sha256 {pin} runs"),
        _ => format!("sha256 {pin} is what it starts with, but {}", idle(now)),
    }
}

fn is_alive(now: &EnteSummary) -> bool {
    use EnteState::{Ready, Starting, Stopping};
    matches!(now.state, Starting | Ready | Stopping)
}

/// Why nothing of it is alive, and what to do.
fn idle(now: &EnteSummary) -> String {
    let label = &now.label;
    let held = now.held_by.as_ref();
    let held = held.map_or_else(String::new, |why| format!(": {why}"));
    match now.state {
        EnteState::Declared => format!("it is stopped; `ente start {label}` starts it"),
        EnteState::Failed => {
            format!("it is failed; `ente status {label}` says why, `ente start {label}` starts it")
        }
        state => format!("it is {state}{held}"),
    }
}

fn pin(now: &EnteSummary) -> String {
    now.pin
        .map_or_else(|| "-".to_owned(), |pin| Pin(pin).short())
}
