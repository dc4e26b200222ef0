//! Holding what runs against the components at hand.

use std::collections::{BTreeMap, BTreeSet};
use std::mem::take;
use std::time::{Duration, Instant};

use arje_bus::EnteSummary;
use arje_card::Pin;

use super::deploys::Next;
use super::running::{Running, newest};
use super::{Session, Trouble};
use crate::dev::plan::{self, Runs};

/// When a system that did not say what runs is asked again.
const LATER: Duration = Duration::from_secs(1);

impl Session<'_> {
    /// Components may have changed, or packages were saved: what differs from what runs is to be deployed, and of the rest
    /// of what was saved is said what runs.
    pub(super) fn compare_components(&mut self) -> Result<(), Trouble> {
        let is_leaving = self.system.as_ref().is_some_and(|system| system.leaving);
        if is_leaving {
            return Ok(()); // it starts with them
        }
        if self.system.is_some() && !self.is_up() {
            self.look = true;
            return Ok(());
        }
        let at_hand = plan::at_hand(&self.settings.components);
        if self.system.is_none() {
            self.start |= !self.saved.is_empty() || at_hand != self.at_hand;
            self.at_hand = at_hand;
            return Ok(());
        }
        let running = self.running();
        if let Some(system) = &mut self.system {
            system.ask_again = running.is_err().then(|| Instant::now() + LATER);
        }
        let running = match running {
            Ok(running) => running,
            Err(why) => {
                self.look = true; // its end may be about to be told, too
                let line =
                    format!("the system does not say what runs, so nothing is deployed: {why}");
                return Ok(self.screen.bad(line)?);
            }
        };
        let saved = take(&mut self.saved);
        let queue = self.differences(&at_hand, &running, &saved);
        self.settle_what_runs(&at_hand, &running);
        self.say_of_the_others(&at_hand, &running, &saved, &queue)?;
        self.at_hand = at_hand;
        self.enqueue(queue)
    }

    /// What is to be deployed. What somebody has undone, and what was refused, is left alone until it is saved.
    fn differences(
        &mut self,
        at_hand: &BTreeMap<String, Pin>,
        running: &Running,
        saved: &BTreeSet<usize>,
    ) -> Vec<Next> {
        let all_build = !self.settings.packages.iter().any(|package| package.broken);
        let held = if all_build {
            take(&mut self.held)
        } else {
            BTreeSet::new()
        };
        let entes = self.plan.iter().flat_map(|plan| &plan.entes).enumerate();
        let next = entes.filter_map(|(at, ente)| {
            let pin = *at_hand.get(&ente.module)?;
            let runs = running.get(&ente.id)?.pin.map(Pin);
            let wanted = pin != ente.pin || held.contains(&at) || self.is_saved(ente, saved);
            let again = false;
            (wanted && runs != Some(pin)).then_some(Next { at, pin, again })
        });
        next.collect()
    }

    /// What runs has had its turn: if somebody undoes it, that is left alone, too.
    fn settle_what_runs(&mut self, at_hand: &BTreeMap<String, Pin>, running: &Running) {
        let entes = self.plan.iter_mut().flat_map(|plan| &mut plan.entes);
        for ente in entes {
            let runs = running.get(&ente.id).and_then(|now| now.pin).map(Pin);
            if let Some(pin) = at_hand.get(&ente.module)
                && runs == Some(*pin)
            {
                ente.pin = *pin;
            }
        }
    }

    fn is_saved(&self, ente: &Runs, saved: &BTreeSet<usize>) -> bool {
        saved.iter().any(|package| self.is_of(ente, *package))
    }

    /// Of each package that was saved, what runs, unless something is going to be said of it.
    fn say_of_the_others(
        &mut self,
        at_hand: &BTreeMap<String, Pin>,
        running: &Running,
        saved: &BTreeSet<usize>,
        queue: &[Next],
    ) -> Result<(), Trouble> {
        let entes = self.plan.iter().flat_map(|plan| &plan.entes).enumerate();
        let meant: Vec<_> = entes
            .filter(|(_, ente)| self.is_saved(ente, saved))
            .map(|(at, ente)| (at, ente.clone()))
            .collect();
        for package in saved {
            let name = &self.settings.packages[*package].name;
            if !meant.iter().any(|(_, ente)| self.is_of(ente, *package)) {
                let line = format!("{name}: no Ente of the seed runs it; what runs goes on");
                self.screen.bad(line)?;
            }
        }
        let others = meant
            .iter()
            .filter(|(at, _)| !queue.iter().any(|next| next.at == *at));
        for (_, ente) in others {
            let label = &ente.label;
            let line = match (running.get(&ente.id), at_hand.get(&ente.module)) {
                (Some(now), Some(_)) => format!("{label} has not changed: {}", newest(now)),
                (Some(now), None) => missing(now, ente),
                (None, _) => format!("{label} is not there any more: somebody has removed it"),
            };
            self.screen.good(line)?;
        }
        Ok(())
    }

    fn enqueue(&mut self, mut queue: Vec<Next>) -> Result<(), Trouble> {
        let stays = |next: &Next| self.ente(next.at).is_some_and(|ente| !ente.can_be_replaced);
        if let Some(next) = queue.iter().copied().find(stays) {
            let label = self.ente(next.at).map(|ente| ente.label.clone());
            let line = format!(
                "{} has a body or runs once, and cannot be replaced while it lives: restarting the system with what was \
                 built, and nothing of what its Entes knew is kept",
                label.unwrap_or_default()
            );
            if self.restart(&line)? {
                return Ok(());
            }
            let (stay, go) = queue
                .into_iter()
                .partition(|next| self.ente(next.at).is_some_and(|ente| !ente.can_be_replaced));
            let stay: Vec<Next> = stay;
            stay.into_iter().for_each(|next| self.settle(next));
            queue = go;
        }
        if let Some(system) = &mut self.system {
            // Those that wait since an earlier save, if nothing newer is to be deployed instead.
            let waits = take(&mut system.queue).into_iter();
            let waits = waits.filter(|it| !queue.iter().any(|next| next.at == it.at));
            let waits: Vec<_> = waits.collect();
            system.queue = waits.into_iter().chain(queue).collect();
        }
        Ok(())
    }
}

fn missing(now: &EnteSummary, ente: &Runs) -> String {
    format!("there is no {}.wasm: {}", ente.module, newest(now))
}
