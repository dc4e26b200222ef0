//! The state of the system in the words of the protocol.

use arje_bus::limits::{MAX_PAGE, MAX_PAGE_BYTES, MAX_PROVIDES, MAX_TEXT};
use arje_bus::{
    EntePage, EnteState, EnteStatus, EnteSummary, Exit, ExitKind, PayloadKind, Target, Telemetry,
    Transition,
};
use arje_card::{Card, CardKind, Id, Payload, Readiness};
use arje_supervisor::{
    self as supervisor, Cause, ExitStatus, Hold, Incarnation, Millis, State, StopReason, Supervisor,
};
use nix::sys::signal::Signal;

/// What the running payloads know about an Ente.
pub trait Running {
    /// The process id of its current incarnation.
    fn pid(&self, id: Id) -> Option<u32>;
    /// What it uses of the machine, as far as that is known. `restarts` is not this trait's to fill.
    fn usage(&self, card: &Card) -> Telemetry;
    /// What this incarnation says of itself.
    fn says(&self, _id: Id, _incarnation: Incarnation) -> Option<String> {
        None
    }
}

/// The system, at one moment, for reading.
pub struct View<'a> {
    /// The lives.
    pub supervisor: &'a Supervisor,
    /// The bodies.
    pub running: &'a dyn Running,
    /// The moment.
    pub now: Millis,
    /// The user of this program.
    pub owner_uid: u32,
}

impl View<'_> {
    /// The Ente that is meant.
    #[must_use]
    pub fn find(&self, target: &Target) -> Option<Id> {
        match target {
            Target::Id(bytes) => {
                let id = Id::from_bytes(*bytes);
                self.supervisor.card(id).map(|card| card.id)
            }
            Target::Label(label) => self.supervisor.id_of(label),
        }
    }

    /// The page of the list that begins after this id.
    #[must_use]
    pub fn page(&self, after: Option<Id>) -> EntePage {
        let mut entes = Vec::new();
        let mut bytes = 0;
        for status in self.supervisor.statuses_after(after) {
            let Some(summary) = self.summary(&status) else {
                continue;
            };
            bytes += size(&summary);
            // The first one is taken whatever its size, so that every page gets somewhere.
            if entes.len() == MAX_PAGE || (bytes > MAX_PAGE_BYTES && !entes.is_empty()) {
                return EntePage { entes, more: true };
            }
            entes.push(summary);
        }
        EntePage { entes, more: false }
    }

    /// Everything about one Ente.
    #[must_use]
    pub fn status(&self, id: Id) -> Option<EnteStatus> {
        let status = self.supervisor.status(id)?;
        Some(EnteStatus {
            summary: self.summary(&status)?,
            starts: status.starts,
            started_ms: status.started_at.map(|at| self.now.since(at)),
            ready_after_ms: status.ready_after_ms,
            last_exit: status.last_exit.map(exit),
            next_in_ms: status.next.map(|at| at.since(self.now)),
            history: status
                .history
                .iter()
                .map(|one| self.transition(one))
                .collect(),
            says: self.running.says(id, status.incarnation),
        })
    }

    /// What an Ente uses of the machine.
    #[must_use]
    pub fn telemetry(&self, id: Id) -> Telemetry {
        let card = self.supervisor.card(id);
        let restarts = self.supervisor.status(id).map(|status| status.restarts);
        Telemetry {
            restarts: restarts.unwrap_or_default(),
            ..card.map_or_else(Telemetry::default, |card| self.running.usage(card))
        }
    }

    fn summary(&self, status: &supervisor::EnteStatus<'_>) -> Option<EnteSummary> {
        let card = self.supervisor.card(status.id)?;
        let provides = card.provides.iter().take(MAX_PROVIDES);
        Some(EnteSummary {
            id: status.id,
            label: status.label.to_owned(),
            parent: status.parent,
            payload: payload(&card.payload),
            state: state(status.state),
            since_ms: self.now.since(status.since),
            wanted: status.wanted,
            incarnation: status.incarnation,
            restarts: status.restarts,
            pid: self.running.pid(status.id),
            pin: match &card.payload {
                Payload::Wasm(wasm) => Some(*wasm.module_sha256.as_bytes()),
                _ => None,
            },
            held_by: note(self.supervisor, status).map(short),
            provides: provides.map(|cap| short(cap.to_string())).collect(),
            // A Card file has at most 4 MiB, so this never cuts.
            provides_total: card.provides.len() as u32,
        })
    }

    fn transition(&self, transition: &supervisor::Transition) -> Transition {
        Transition {
            ago_ms: self.now.since(transition.at),
            incarnation: transition.incarnation,
            from: state(transition.from),
            to: state(transition.to),
            cause: short(cause_text(self.supervisor, &transition.cause)),
        }
    }
}

/// What keeps an Ente from being up: what holds it back, or the sign of readiness that it owes.
#[must_use]
pub fn note(supervisor: &Supervisor, status: &supervisor::EnteStatus<'_>) -> Option<String> {
    if let Some(hold) = &status.held_by {
        return Some(hold_text(supervisor, hold));
    }
    let card = supervisor.card(status.id)?;
    let has_body = card.payload != Payload::Virtual && card.kind != CardKind::Data;
    if status.state != State::Starting || !has_body {
        return None;
    }
    let sign = match card.readiness {
        Readiness::Notify => "waits for READY=1 (readiness: notify)",
        Readiness::Announce => "waits to be announced (readiness: announce)",
        Readiness::Started | Readiness::Exit => return None,
    };
    Some(sign.to_owned())
}

/// Why a state changed, with labels instead of ids.
#[must_use]
pub fn cause_text(supervisor: &Supervisor, cause: &Cause) -> String {
    let id = match cause {
        Cause::ChildMissing(id)
        | Cause::Stop(StopReason::Lost(Hold::Parent(id) | Hold::Child { id, .. })) => id,
        _ => return cause.to_string(),
    };
    labelled(supervisor, cause.to_string(), *id)
}

/// What holds an Ente back, with labels instead of ids.
#[must_use]
pub fn hold_text(supervisor: &Supervisor, hold: &Hold) -> String {
    let (Hold::Parent(id) | Hold::Child { id, .. }) = hold else {
        return hold.to_string();
    };
    labelled(supervisor, hold.to_string(), *id)
}

/// The text with the label of this Ente instead of its id.
fn labelled(supervisor: &Supervisor, text: String, id: Id) -> String {
    match supervisor.card(id) {
        Some(card) => text.replacen(&id.to_string(), &format!("`{}`", card.label), 1),
        None => text,
    }
}

/// Bytes that a summary takes in a frame, at most: its texts, and everything else.
fn size(summary: &EnteSummary) -> usize {
    let texts = summary.provides.iter().chain(&summary.held_by);
    160 + summary.label.len() + texts.map(|text| text.len() + 2).sum::<usize>()
}

/// A text cut to what goes along with an answer.
#[must_use]
pub fn short(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(MAX_TEXT));
    text
}

/// A state in the words of the protocol.
#[must_use]
pub const fn state(state: State) -> EnteState {
    match state {
        State::Declared => EnteState::Declared,
        State::Waiting => EnteState::Waiting,
        State::Starting => EnteState::Starting,
        State::Ready => EnteState::Ready,
        State::Stopping => EnteState::Stopping,
        State::Done => EnteState::Done,
        State::Backoff => EnteState::Backoff,
        State::Parked => EnteState::Parked,
        State::Failed => EnteState::Failed,
    }
}

const fn payload(payload: &Payload) -> PayloadKind {
    match payload {
        Payload::Virtual => PayloadKind::Virtual,
        Payload::Wasm(_) => PayloadKind::Wasm,
        Payload::Native(_) => PayloadKind::Native,
        Payload::Legacy(_) => PayloadKind::Legacy,
    }
}

/// An end in the words of the protocol.
#[must_use]
pub fn exit(status: &ExitStatus) -> Exit {
    let (kind, number) = match status {
        ExitStatus::Code(code) => (ExitKind::Code, *code),
        ExitStatus::Signal(signal) => (ExitKind::Signal, *signal),
        ExitStatus::Killed(_) => (ExitKind::Signal, Signal::SIGKILL as i32),
        ExitStatus::Trap { .. } => (ExitKind::Trap, 0),
        ExitStatus::Error(_) => (ExitKind::Error, 0),
        ExitStatus::StartFailed { .. } => (ExitKind::StartFailed, 0),
    };
    Exit {
        kind,
        number,
        text: short(status.to_string()),
    }
}
