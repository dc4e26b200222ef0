//! `ente start`, `stop`, `restart`, `kill`: what is to become of one Ente.

use std::time::{Duration, Instant};

use arje_bus::{Client, ClientError, Filter, KillEnte, Request, StopEnte, Subscribe, Target};
use clap::Args;
use ente::wait::{Goal, Progress, judge};
use ente::words;

use super::bus::{self, BusArguments};
use super::{Failure, Outcome};

/// Which Ente, and how long to wait.
#[derive(Args)]
pub struct Arguments {
    /// Label or id
    #[arg(value_name = "ENTE")]
    ente: String,
    #[command(flatten)]
    wait: Wait,
}

/// How long to wait.
#[derive(Args)]
pub struct Wait {
    /// Wait at most so long until it has come about
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    timeout: u64,
    /// Do not wait
    #[arg(long, conflicts_with = "timeout")]
    no_wait: bool,
}

/// Which Ente, how fast, and how long to wait.
#[derive(Args)]
pub struct StopArguments {
    /// At once: no grace, and no waiting for what depends on it
    #[arg(long)]
    now: bool,
    #[command(flatten)]
    common: Arguments,
}

/// Which Ente, and what to send.
#[derive(Args)]
pub struct KillArguments {
    /// Label or id
    #[arg(value_name = "ENTE")]
    ente: String,
    /// The signal, by name or number
    #[arg(long, short, default_value = "TERM", value_parser = words::signal)]
    signal: u8,
}

impl Arguments {
    pub fn start(self, bus: &BusArguments) -> Result<Outcome, Failure> {
        self.perform(bus, Request::Start, |_| Goal::Up(None))
    }

    pub fn restart(self, bus: &BusArguments) -> Result<Outcome, Failure> {
        self.perform(bus, Request::Restart, |life| Goal::Up(Some(life)))
    }

    fn perform(
        self,
        bus: &BusArguments,
        request: impl Fn(Target) -> Request,
        goal: impl Fn(u64) -> Goal,
    ) -> Result<Outcome, Failure> {
        let mut client = bus.connect()?;
        let target = Target::of(&self.ente);
        if self.wait.no_wait {
            bus::command(&mut client, request(target))?;
            return Ok(Outcome::Done);
        }
        // Subscribed before the request, so that nothing is missed between.
        let before = bus::status(&mut client, &target)?.summary;
        let target = Target::id(before.id);
        subscribe(&mut client, &target)?;
        bus::command(&mut client, request(target.clone()))?;
        let goal = goal(before.incarnation);
        self.wait.wait(&mut client, &target, &before.label, goal)
    }
}

impl Wait {
    /// Waits as it was asked to: not at all, or until the goal is reached or out of reach. Events of the Ente have to
    /// come on this connection.
    pub fn wait(
        &self,
        client: &mut Client,
        target: &Target,
        label: &str,
        goal: Goal,
    ) -> Result<Outcome, Failure> {
        if self.no_wait {
            return Ok(Outcome::Done);
        }
        wait(
            client,
            target,
            label,
            goal,
            Duration::from_secs(self.timeout),
        )
    }
}

/// Looks at the Ente after each of its events, until the goal is reached or out of reach.
fn wait(
    client: &mut Client,
    target: &Target,
    label: &str,
    goal: Goal,
    timeout: Duration,
) -> Result<Outcome, Failure> {
    let deadline = Instant::now() + timeout;
    let mut over = false;
    loop {
        let refused = |text: String| Err(Failure::Refused(format!("Ente `{label}`: {text}")));
        let why = match judge(goal, &bus::status(client, target)?) {
            Progress::Reached => return Ok(Outcome::Done),
            Progress::Hopeless(why) => return refused(why),
            Progress::NotYet(why) => why,
        };
        // Looked at after the time was over: what holds it back changes without an event of its own.
        if over {
            let seconds = timeout.as_secs();
            return refused(format!(
                "after {seconds} s {why}; `ente status {label}` tells more"
            ));
        }
        match client.next_event(Some(deadline)) {
            Ok(_) => {}
            Err(ClientError::TimedOut) => over = true,
            Err(error) => return Err(error.into()),
        }
    }
}

/// How long an Ente may be starting or stopping when it is to be something else.
const SETTLES: Duration = Duration::from_secs(60);

/// Waits while an Ente is starting or stopping, in which nothing can be changed about it.
pub fn settle(client: &mut Client, target: &Target, label: &str) -> Result<(), Failure> {
    if judge(Goal::Settled, &bus::status(client, target)?) == Progress::Reached {
        return Ok(());
    }
    subscribe(client, target)?;
    wait(client, target, label, Goal::Settled, SETTLES).map(|_| ())
}

/// Has the events of one Ente sent.
fn subscribe(client: &mut Client, target: &Target) -> Result<(), Failure> {
    let filter = Filter {
        target: Some(target.clone()),
        kinds: None,
    };
    bus::command(client, Request::Subscribe(Subscribe { filter }))
}

impl StopArguments {
    pub fn run(self, bus: &BusArguments) -> Result<Outcome, Failure> {
        let now = self.now;
        self.common.perform(
            bus,
            |target| Request::Stop(StopEnte { target, now }),
            |_| Goal::Down,
        )
    }
}

impl KillArguments {
    pub fn run(self, bus: &BusArguments) -> Result<Outcome, Failure> {
        let target = Target::of(&self.ente);
        let signal = self.signal;
        let kill = KillEnte { target, signal };
        bus::command(&mut bus.connect()?, Request::KillEnte(kill))?;
        Ok(Outcome::Done)
    }
}
