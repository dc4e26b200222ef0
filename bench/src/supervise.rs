//! What an event costs the supervisor, by how many Entes there are. It is a pure function, so this needs
//! neither components nor processes: a service dies, is started again and reports that it is up.

use std::time::{Duration, Instant};

use arje_card::{Capability, Card, Id, InterfaceId, NativePayload, Payload, Supervision};
use arje_supervisor::limits::MAX_HISTORY;
use arje_supervisor::{
    Action, Event, EventKind, ExitStatus, Incarnation, Millis, Report, Supervisor,
};

use crate::error::Error;
use crate::plan::Plan;
use crate::stats::{Samples, Time, significant};
use crate::table::Table;

/// Services that require what one other service provides.
const DEPENDENTS: usize = 9;

/// How long a service lives, on the supervisor's clock: longer than its delay, so that it comes back at
/// once, and long enough that its start limit is never reached.
const LIFE_MS: u64 = 60_000;

/// Lives after which a history is full: each adds Backoff, Starting and Ready.
const LIVES_TO_FILL: usize = MAX_HISTORY.div_ceil(3);

/// The start of an incarnation and its end, as the supervisor sees them.
const SUPERVISION: Supervision = Supervision::Restart {
    initial: 1,
    max: 1_000,
};

/// One population.
#[derive(Debug)]
struct Population {
    entes: usize,
    /// Taking all of them in.
    adoption: Duration,
    /// One step, each sample the mean of a batch.
    step: Samples,
}

/// What was measured.
#[derive(Debug, Default)]
pub struct Supervisors {
    populations: Vec<Population>,
}

/// Measures each population.
///
/// # Errors
/// The supervisor refuses a tree or an event, which would be a defect.
pub fn measure(plan: &Plan) -> Result<Supervisors, Error> {
    let populations = plan.supervised.iter();
    let populations = populations
        .map(|entes| population(*entes, plan))
        .collect::<Result<_, _>>()?;
    Ok(Supervisors { populations })
}

fn population(entes: usize, plan: &Plan) -> Result<Population, Error> {
    let mut world = World::default();
    let begin = Instant::now();
    world.adopt(entes)?;
    let adoption = begin.elapsed();
    world.fill_histories()?;
    let mut step = Samples::default();
    for batch in 0..plan.batches {
        // To know who dies next costs memory of its own.
        let lives = 0..plan.lives;
        let next: Vec<_> = lives
            .map(|life| world.pick(batch * plan.lives + life))
            .collect();
        let begin = Instant::now();
        let mut steps = 0;
        for mortal in next {
            steps += world.one_life(mortal)?;
        }
        step.push(begin.elapsed() / steps.max(1));
    }
    Ok(Population {
        entes,
        adoption,
        step,
    })
}

/// A supervisor, its clock, and the services that die.
#[derive(Default)]
struct World {
    supervisor: Supervisor,
    now: u64,
    /// Each with its incarnation, which whoever reports an end knows.
    mortals: Vec<(Id, Incarnation)>,
}

impl World {
    /// Takes in so many Entes and brings all of them up.
    fn adopt(&mut self, entes: usize) -> Result<(), Error> {
        let cards: Vec<Card> = (0..entes).map(card).collect();
        let of_groups = cards.iter().enumerate();
        self.mortals = of_groups
            .filter(|(n, _)| n % (DEPENDENTS + 1) != 0)
            .map(|(_, card)| (card.id, 1))
            .collect();
        let adopted = self.step(EventKind::Adopt {
            parent: None,
            cards,
        })?;
        self.bring_up(adopted)
    }

    /// Reports for each start that it went well, until nothing more is to be started.
    fn bring_up(&mut self, actions: Vec<Action>) -> Result<(), Error> {
        let mut todo = actions;
        while let Some(action) = todo.pop() {
            if let Action::Start { id, incarnation } = action {
                todo.extend(self.step(EventKind::Report {
                    id,
                    incarnation,
                    report: Report::Started,
                })?);
            }
        }
        Ok(())
    }

    /// Lets all die until their histories are full. Few Entes get there within the samples by themselves and
    /// many do not, and steps that make a history longer allocate memory where others do not.
    fn fill_histories(&mut self) -> Result<(), Error> {
        for number in 0..self.mortals.len() * LIVES_TO_FILL {
            let mortal = self.pick(number);
            self.one_life(mortal)?;
        }
        Ok(())
    }

    /// Some other one each time, all over the table: who, and its incarnation.
    fn pick(&mut self, number: usize) -> (Id, Incarnation) {
        let place = number.wrapping_mul(7919) % self.mortals.len();
        let mortal = self.mortals[place];
        self.mortals[place].1 += 1;
        mortal
    }

    /// One service dies and comes back; returns how many steps that were.
    fn one_life(&mut self, (id, incarnation): (Id, Incarnation)) -> Result<u32, Error> {
        self.now += LIFE_MS;
        let actions = self.step(EventKind::Report {
            id,
            incarnation,
            report: Report::Exited(ExitStatus::Signal(9)),
        })?;
        let started = |it: &Action| matches!(it, Action::Start { id: who, .. } if *who == id);
        if !actions.iter().any(started) {
            return Err(Error::Tree(
                "an Ente that died did not come back at once".to_owned(),
            ));
        }
        self.bring_up(actions)?;
        Ok(2)
    }

    fn step(&mut self, kind: EventKind) -> Result<Vec<Action>, Error> {
        let event = Event::new(Millis(self.now), kind);
        self.supervisor.step(event).map_err(Error::tree)
    }
}

/// The first of each group provides what the others of it require.
fn card(n: usize) -> Card {
    let payload = Payload::Native(NativePayload {
        exec: "/bin/true".to_owned(),
        ..NativePayload::default()
    });
    let id = Id::from_parts(1 + n as u64, [3; 10]);
    let mut card = Card::new(id, format!("ente-{n}"), payload, SUPERVISION);
    let named = [capability(n / (DEPENDENTS + 1))].into_iter().collect();
    if n.is_multiple_of(DEPENDENTS + 1) {
        card.provides = named;
    } else {
        card.requires = named;
    }
    card
}

fn capability(group: usize) -> Capability {
    Capability::Endpoint {
        interface: InterfaceId((group as u128).to_be_bytes()),
        version: 1,
    }
}

impl Supervisors {
    /// What one step costs with the most Entes, as a multiple of what it costs with the fewest.
    #[must_use]
    pub fn growth(&self) -> Option<f64> {
        let cost = |it: &Population| it.step.median();
        let (few, many) = (self.populations.first()?, self.populations.last()?);
        crate::stats::ratio(cost(many)?, cost(few)?)
    }

    /// The table of this section.
    #[must_use]
    pub fn tables(&self) -> Vec<Table> {
        let head = [
            "Entes",
            "one step: median",
            "min",
            "max",
            "n",
            "steps in a second",
            "taking all in",
        ];
        let mut table = Table::new("What an event costs the supervisor", &head);
        for it in &self.populations {
            let Some(step) = it.step.summary() else {
                continue;
            };
            table.row([
                it.entes.to_string(),
                Time(step.median).to_string(),
                Time(step.min).to_string(),
                Time(step.max).to_string(),
                step.count.to_string(),
                significant(1.0 / step.median.as_secs_f64()),
                Time(it.adoption).to_string(),
            ]);
        }
        table.note(format!(
            "Groups of {}: one Ente provides what the others of its group require. One of the others dies, is to be \
             started again at once, and reports that it is up: two steps. All histories are full. A sample is the mean \
             of many; *taking all in* ends when all are up.",
            DEPENDENTS + 1
        ));
        vec![table]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_ente_that_dies_comes_back() {
        let mut world = World::default();
        world.adopt(40).unwrap();
        assert_eq!(world.supervisor.usage().live, 40);
        for number in 0..200 {
            let mortal = world.pick(number);
            assert_eq!(world.one_life(mortal).unwrap(), 2);
        }
        assert_eq!(world.supervisor.usage().live, 40);
    }

    #[test]
    fn histories_are_full_before_anything_is_measured() {
        let mut world = World::default();
        world.adopt(40).unwrap();
        world.fill_histories().unwrap();
        for (id, _) in &world.mortals {
            let history = world.supervisor.status(*id).unwrap().history;
            assert_eq!(history.len(), MAX_HISTORY);
        }
    }
}
