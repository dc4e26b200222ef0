//! What is said while the seed comes up: that it is, or who failed, and in dev mode what the others wait for.

use super::{Core, Mode};
use crate::bus::note;
use crate::down::some_of;
use arje_card::{Id, Payload};
use arje_supervisor::State;

impl Core {
    /// Says once when the last Ente of the seed has come up, or will not; also to the kernel's
    /// log, whose time stamps tell how long that took since the kernel started `/init`.
    pub(super) fn came_up(&mut self, id: Id) {
        if !self.coming_up.remove(&id) || !self.coming_up.is_empty() {
            return;
        }
        let all = self.supervisor.statuses();
        let with_body = all.filter(|status| {
            let card = self.supervisor.card(status.id);
            card.is_some_and(|card| card.payload != Payload::Virtual)
        });
        let states = with_body.map(|status| (status.label, status.state));
        let text = outcome(states, self.now().0);
        if self.mode == Mode::Machine {
            let _ = std::fs::write("/dev/kmsg", format!("<6>ente-zero: {text}\n"));
        }
        self.console.line(text);
    }

    /// What keeps this Ente from being up.
    pub(super) fn hold_of(&self, id: Id) -> Option<String> {
        note(&self.supervisor, &self.supervisor.status(id)?)
    }

    /// In dev mode: once nothing of the seed is on its way up any more, says once of each that has not come up what it
    /// waits for. A developer has no other place to look, unless they ask for the bus.
    pub(super) fn tell_who_waits(&mut self) {
        if self.mode == Mode::Machine || self.down.is_some() {
            return;
        }
        let state = |id: &Id| self.supervisor.status(*id).map(|status| status.state);
        let on_its_way = |id: &Id| matches!(state(id), Some(State::Starting | State::Stopping));
        if self.coming_up.iter().any(on_its_way) {
            return;
        }
        let untold = self.coming_up.difference(&self.told_to_wait).copied();
        let waiting = untold.filter(|id| matches!(state(id), Some(State::Waiting | State::Parked)));
        for id in waiting.collect::<Vec<Id>>() {
            self.told_to_wait.insert(id);
            if let (Some(hold), Some(card)) = (self.hold_of(id), self.supervisor.card(id)) {
                let label = &card.label;
                self.console.line(format!("Ente {label} waits: {hold}"));
            }
        }
    }
}

/// How the seed has come up, `ms` after its start.
fn outcome<'a>(states: impl Iterator<Item = (&'a str, State)>, ms: u64) -> String {
    let states: Vec<(&str, State)> = states.collect();
    let failed = states.iter().filter(|(_, state)| *state == State::Failed);
    let failed: Vec<&str> = failed.map(|(label, _)| *label).collect();
    match failed.len() {
        0 => format!("the seed is up, {ms} ms after its start"),
        count => format!(
            "the seed is not up: {count} of {} Entes failed ({}), {ms} ms after its start",
            states.len(),
            some_of(failed.into_iter())
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_failed_is_not_up() {
        let up = [
            ("a", State::Ready),
            ("b", State::Done),
            ("c", State::Backoff),
        ];
        assert_eq!(
            outcome(up.into_iter(), 7),
            "the seed is up, 7 ms after its start"
        );
        let failed = [
            ("a", State::Failed),
            ("b", State::Done),
            ("c", State::Failed),
        ];
        assert_eq!(
            outcome(failed.into_iter(), 7),
            "the seed is not up: 2 of 3 Entes failed (a, c), 7 ms after its start"
        );
    }
}
