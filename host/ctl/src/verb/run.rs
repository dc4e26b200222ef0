//! `ente run`: a Card comes to life in the running system.

use std::path::PathBuf;

use arje_bus::{Request, RunCard, Subscribe, Target};
use arje_card::{Card, LoadError, Reading};
use arje_verify::{Findings, Machine, judge};
use clap::Args;

use super::bus::{self, BusArguments};
use super::life::Wait;
use super::{Failure, Outcome};
use ente::wait::Goal;

/// Bring a Card to life in the running system, and wait until it is up
///
/// It becomes a child of the Ente from which this is called, or a root. The system checks it as at boot, and refuses a
/// Card that may more than whoever brings it.
#[derive(Args)]
pub struct Arguments {
    /// A Card file (JSON, or TOML by extension)
    #[arg(value_name = "CARD")]
    card: PathBuf,
    #[command(flatten)]
    wait: Wait,
}

impl Arguments {
    pub fn run(self, bus: &BusArguments) -> Result<Outcome, Failure> {
        let card = self.read()?;
        let mut client = bus.connect()?;
        // Subscribed before the request, so that nothing is missed between.
        bus::command(&mut client, Request::Subscribe(Subscribe::default()))?;
        let text = serde_json::to_string(&card).map_err(Failure::unusable)?;
        bus::command(&mut client, Request::RunCard(RunCard { card: text }))?;
        let goal = Goal::Up(None);
        self.wait
            .wait(&mut client, &Target::id(card.id), &card.label, goal)
    }

    /// The Card, if nothing is wrong with it that shows on every machine.
    fn read(&self) -> Result<Card, Failure> {
        let file = self.card.display();
        let bad = |findings: &Findings| {
            let lines = findings.lines().join(&format!("\n{file}: "));
            Failure::Refused(format!("{file}: {lines}"))
        };
        match Reading::load(&self.card) {
            Ok(reading) => {
                let findings = judge(&reading, Machine::Any);
                match findings.problems.is_empty() {
                    true => Ok(reading.document.card),
                    false => Err(bad(&findings)),
                }
            }
            Err(LoadError::Invalid { report, .. }) => Err(bad(&Findings::of_report(&report))),
            Err(error) => Err(Failure::unusable(error)),
        }
    }
}
