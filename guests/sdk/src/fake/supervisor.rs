//! The fake host's supervisor: it knows the Entes that it was given, and writes down what it was asked for.

use super::{Host, state};
use crate::supervisor::{EnteState, EnteStatus, SupervisorError, Target};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// What a component asked of the supervisor.
#[derive(Debug, Clone, PartialEq)]
pub enum Asked {
    /// [`supervisor::spawn`](crate::supervisor::spawn), with the Card.
    Spawn(String),
    /// [`supervisor::start`](crate::supervisor::start)
    Start(Target),
    /// [`supervisor::stop`](crate::supervisor::stop)
    Stop(Target),
    /// [`supervisor::restart`](crate::supervisor::restart)
    Restart(Target),
    /// [`supervisor::kill`](crate::supervisor::kill)
    Kill(Target, u8),
    /// [`supervisor::remove`](crate::supervisor::remove)
    Remove(Target),
    /// [`supervisor::subscribe`](crate::supervisor::subscribe)
    Subscribe(Option<Target>),
    /// [`supervisor::unsubscribe`](crate::supervisor::unsubscribe)
    Unsubscribe,
}

impl Host {
    /// What was asked of the supervisor since this was called last.
    #[must_use]
    pub fn take_asked(&self) -> Vec<Asked> {
        state(|s| core::mem::take(&mut s.asked))
    }
}

/// The functions a component would import.
pub(crate) mod imports {
    use super::*;
    pub(crate) use crate::fake::bus::imports::list_entes as list;

    fn ask(asked: Asked) -> Result<(), SupervisorError> {
        state(|s| s.asked.push(asked));
        Ok(())
    }

    /// Does something to an Ente that is there.
    fn ask_of(target: &Target, asked: fn(Target) -> Asked) -> Result<(), SupervisorError> {
        status(target)?;
        ask(asked(target.clone()))
    }

    pub(crate) fn status(target: &Target) -> Result<EnteStatus, SupervisorError> {
        let found = list(None).into_iter().find(|ente| match target {
            Target::Id(id) => ente.id == *id,
            Target::Label(label) => ente.label == *label,
        });
        let ente =
            found.ok_or_else(|| SupervisorError::UnknownEnte(format!("no Ente {target:?}")))?;
        Ok(EnteStatus {
            id: ente.id,
            label: ente.label,
            since_ms: 0,
            wanted: !matches!(ente.state, EnteState::Declared),
            state: ente.state,
            incarnation: ente.incarnation,
            restarts: 0,
            pid: ente.pid,
            pin: ente.pin,
            held_by: None,
            last_exit: None,
        })
    }

    pub(crate) fn spawn(card: &str) -> Result<(), SupervisorError> {
        ask(Asked::Spawn(card.into()))
    }

    pub(crate) fn start(target: &Target) -> Result<(), SupervisorError> {
        ask_of(target, Asked::Start)
    }

    pub(crate) fn stop(target: &Target) -> Result<(), SupervisorError> {
        ask_of(target, Asked::Stop)
    }

    pub(crate) fn restart(target: &Target) -> Result<(), SupervisorError> {
        ask_of(target, Asked::Restart)
    }

    pub(crate) fn kill(target: &Target, signal: u8) -> Result<(), SupervisorError> {
        status(target)?;
        ask(Asked::Kill(target.clone(), signal))
    }

    pub(crate) fn remove(target: &Target) -> Result<(), SupervisorError> {
        ask_of(target, Asked::Remove)
    }

    pub(crate) fn subscribe(of: Option<&Target>) -> Result<(), SupervisorError> {
        of.map_or(Ok(()), |target| status(target).map(drop))?;
        ask(Asked::Subscribe(of.cloned()))
    }

    pub(crate) fn unsubscribe() {
        let _ = ask(Asked::Unsubscribe); // it takes everything
    }
}
