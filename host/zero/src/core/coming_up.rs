//! What is said while the seed comes up: that it is, or who failed, and in dev mode what the others wait for.

use super::{Core, Mode};
use crate::bus::note;
use crate::down::some_of;
use arje_card::{Card, Id, Payload};
use arje_supervisor::{Millis, Prospect, State};
use std::collections::BTreeSet;

/// Devices come without being asked, some a while after the kernel is up. An Ente that needs one is waited for so
/// long after the start before it counts as one that waits for nothing.
const DEVICES_BY: Millis = Millis(10_000);

/// The Entes of a seed of which has not been said yet how they came up.
#[derive(Default)]
pub(super) struct ComingUp {
    /// How they came up has not been said yet.
    pending: bool,
    /// Those that have not come up yet.
    pub ids: BTreeSet<Id>,
    /// Those of them of which the developer was told what they wait for.
    told_to_wait: BTreeSet<Id>,
    /// One that was on its way when they were last looked at: while it is, the others need not be.
    witness: Id,
    /// Only a device can bring the rest up, until then.
    due: Option<Millis>,
}

impl ComingUp {
    /// All Entes of this seed that have something to run.
    pub fn of(seed: &Card) -> Self {
        let bodies = seed
            .walk()
            .filter(|visit| visit.card.payload != Payload::Virtual);
        Self::those(bodies.map(|visit| visit.card.id))
    }

    /// These Entes.
    pub fn those(ids: impl Iterator<Item = Id>) -> Self {
        let ids: BTreeSet<Id> = ids.collect();
        Self {
            pending: !ids.is_empty(),
            ids,
            ..Self::default()
        }
    }

    /// When to look again although nothing happens.
    pub fn due(&self) -> Option<Millis> {
        self.due
    }

    /// Whether one of them is so. Begins with the one that was last time, and goes around, so that a large seed is not
    /// looked through each time that one of it came up.
    fn any(&mut self, is_so: impl Fn(Id) -> bool) -> bool {
        let from = self.witness;
        let around = self.ids.range(from..).chain(self.ids.range(..from));
        let found = around.copied().find(|id| is_so(*id));
        self.witness = found.unwrap_or(from);
        found.is_some()
    }
}

impl Core {
    /// An Ente is up, or has ended.
    pub(super) fn came_up(&mut self, id: Id) {
        self.coming_up.ids.remove(&id);
    }

    /// Says once how the seed came up: when all have, or when those that have not wait for what nobody is about to
    /// bring. Also to the kernel's log, whose time stamps tell how long that took since the kernel started `/init`.
    pub(super) fn tell_how_it_came_up(&mut self) {
        self.coming_up.due = None;
        let replaced = self.handover.is_some() || self.moving.is_some();
        if !self.coming_up.pending || self.down.is_some() || replaced {
            return;
        }
        let (supervisor, now) = (&self.supervisor, self.now());
        let prospect = |id| supervisor.prospect(id).unwrap_or(Prospect::Settled);
        if self.coming_up.any(|id| prospect(id) == Prospect::Moving) {
            return;
        }
        let needs_device = Prospect::Stuck { names_device: true };
        if now < DEVICES_BY && self.coming_up.any(|id| prospect(id) == needs_device) {
            self.coming_up.due = Some(DEVICES_BY);
            return;
        }
        let stuck = |id: &&Id| matches!(prospect(**id), Prospect::Stuck { .. });
        let waiting = self.coming_up.ids.iter().filter(stuck);
        let waiting: Vec<String> = waiting.filter_map(|id| self.waits(*id)).collect();
        let all = self.supervisor.statuses();
        let with_body = all.filter(|status| {
            let card = self.supervisor.card(status.id);
            card.is_some_and(|card| card.payload != Payload::Virtual)
        });
        let states = with_body.map(|status| (status.label, status.state));
        let text = outcome(states, &waiting, now.0);
        if self.mode == Mode::Machine {
            let _ = std::fs::write("/dev/kmsg", format!("<6>ente-zero: {text}\n"));
        }
        self.console.line(text);
        self.coming_up = ComingUp::default();
    }

    /// Who waits for what.
    fn waits(&self, id: Id) -> Option<String> {
        let label = &self.supervisor.card(id)?.label;
        let hold = self.hold_of(id)?;
        Some(format!("{label} {hold}"))
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
        if self.coming_up.ids.iter().any(on_its_way) {
            return;
        }
        let untold = self.coming_up.ids.difference(&self.coming_up.told_to_wait);
        let untold = untold.copied();
        let waiting = untold.filter(|id| matches!(state(id), Some(State::Waiting | State::Parked)));
        for id in waiting.collect::<Vec<Id>>() {
            self.coming_up.told_to_wait.insert(id);
            if let (Some(hold), Some(card)) = (self.hold_of(id), self.supervisor.card(id)) {
                let label = &card.label;
                self.console.line(format!("Ente {label} waits: {hold}"));
            }
        }
    }
}

/// How the seed has come up, `ms` after its start; `waiting` are those that will not, and why.
fn outcome<'a>(
    states: impl Iterator<Item = (&'a str, State)>,
    waiting: &[String],
    ms: u64,
) -> String {
    let states: Vec<(&str, State)> = states.collect();
    let failed = states.iter().filter(|(_, state)| *state == State::Failed);
    let failed: Vec<&str> = failed.map(|(label, _)| *label).collect();
    let mut reasons = Vec::new();
    if !failed.is_empty() {
        let (count, all) = (failed.len(), states.len());
        let labels = some_of(failed.into_iter());
        reasons.push(format!("{count} of {all} Entes failed ({labels})"));
    }
    if !waiting.is_empty() {
        let verb = if waiting.len() == 1 { "waits" } else { "wait" };
        let who = some_of(waiting.iter().map(String::as_str));
        reasons.push(format!("{} {verb} ({who})", waiting.len()));
    }
    match reasons.is_empty() {
        true => format!("the seed is up, {ms} ms after its start"),
        false => format!(
            "the seed is not up: {}, {ms} ms after its start",
            reasons.join(", ")
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_failed_or_waits_is_not_up() {
        let up = [
            ("a", State::Ready),
            ("b", State::Done),
            ("c", State::Backoff),
        ];
        assert_eq!(
            outcome(up.into_iter(), &[], 7),
            "the seed is up, 7 ms after its start"
        );
        let failed = [
            ("a", State::Failed),
            ("b", State::Done),
            ("c", State::Failed),
            ("d", State::Waiting),
        ];
        assert_eq!(
            outcome(failed.into_iter(), &[], 7),
            "the seed is not up: 2 of 4 Entes failed (a, c), 7 ms after its start"
        );
        assert_eq!(
            outcome(failed.into_iter(), &["d needs Spawn".to_owned()], 7),
            "the seed is not up: 2 of 4 Entes failed (a, c), 1 waits (d needs Spawn), 7 ms after its start"
        );
    }
}
