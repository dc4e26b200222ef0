//! The executor of the simulation: carries out actions as faithfully as `ente-zero` must, but in the
//! order and at the time that the schedule says.

use std::collections::{BTreeMap, VecDeque};

use arje_card::{Card, Id, Payload, Pin, Readiness, Supervision};
use arje_supervisor::{
    Action, Command, Event, EventKind, ExitStatus, Incarnation, Millis, ReadyBy, Report,
    Supervisor, TrapKind,
};

use crate::check::Checker;
use crate::invariants::Failure;
use crate::plan::{self, HOST_CAPS, Op};
use crate::rng::Rng;
use crate::trace::brief;

/// Enough for every rule to matter and few enough to look at all of them after every step.
const MAX_ENTES: usize = 40;
/// Incarnations remembered in order to report on them when they are long gone.
const GRAVES: usize = 16;

/// One started payload.
struct Life {
    incarnation: Incarnation,
    stage: Stage,
    stop: bool,
    kill: bool,
    /// Ends only when killed.
    stubborn: bool,
    /// Does not even end then (a process in uninterruptible sleep), until the schedule is over.
    stuck: bool,
}

#[derive(Clone, Copy, PartialEq)]
enum Stage {
    Begun,
    Started,
    Ready,
}

pub struct World {
    pub supervisor: Supervisor,
    pub steps: u64,
    pub now: u64,
    pub timer: Option<Millis>,
    lives: BTreeMap<Id, Life>,
    /// Those that are to take an Ente's place, and whether they were killed.
    pub successors: BTreeMap<Id, (Incarnation, bool)>,
    graves: VecDeque<(Id, Incarnation)>,
    removed: Vec<Id>,
    serial: u64,
    /// The schedule is over: all that is left to do is done, and well.
    healing: bool,
    pub checker: Checker,
    /// Print events and actions.
    pub trace: bool,
}

impl World {
    pub fn new() -> Self {
        Self {
            supervisor: Supervisor::new(),
            steps: 0,
            now: 1000,
            timer: None,
            lives: BTreeMap::new(),
            successors: BTreeMap::new(),
            graves: VecDeque::new(),
            removed: Vec::new(),
            serial: 0,
            healing: false,
            checker: Checker::new(),
            trace: false,
        }
    }

    /// Carries out one operation.
    pub fn apply(&mut self, op: &Op) -> Result<(), Failure> {
        match op {
            Op::Adopt { seed, under } => self.adopt(*seed, *under),
            Op::Answer { pick, how } => self.answer(*pick, *how),
            Op::Die { pick, how } => self.die(*pick, *how),
            Op::Command { pick, command } => self.command(*pick, *command),
            Op::Host { cap, on } => {
                let n = *cap as usize % HOST_CAPS;
                let cap = vec![plan::capability(n)];
                let (adds, removes) = if *on {
                    (cap, Vec::new())
                } else {
                    (Vec::new(), cap)
                };
                self.step(EventKind::HostCapabilities { adds, removes })
            }
            Op::Succeed { pick, module } => match self.pick_ente(*pick) {
                Some(id) => self.step(EventKind::Succeed {
                    id,
                    module: Pin([*module; 32]),
                }),
                None => Ok(()),
            },
            Op::Successor { pick, takes_over } => self.successor(*pick, *takes_over),
            Op::Dynamic { pick, cap, add } => self.dynamic(*pick, *cap, *add),
            Op::Alive { pick } => self.say(*pick, Report::Alive),
            Op::NotAlive { pick } => self.say(*pick, Report::NotAlive),
            Op::Liveness { pick, ms } => self.say(*pick, Report::Liveness { ms: *ms }),
            Op::MoreTime { pick, ms } => self.say(*pick, Report::MoreTime { ms: *ms }),
            Op::Stale { pick, how } => self.stale(*pick, *how),
            Op::Pass { ms } => self.pass(*ms),
            Op::Back { ms } => {
                let at = Millis(self.now.saturating_sub(*ms));
                self.step_at(at, EventKind::Timer)
            }
            Op::Reexec { seed } => self.reexec(*seed),
            Op::Shutdown { ms } => self.step(EventKind::Shutdown { deadline_ms: *ms }),
        }
    }

    /// After the schedule: whoever has something to do does it, nobody dies, and time passes until
    /// nothing is left. Then everybody who can be Ready must be.
    pub fn heal(&mut self) -> Result<(), Failure> {
        self.healing = true;
        for life in self.lives.values_mut() {
            life.stuck = false;
            // Whoever gave the wrong sign gives the right one now.
            if life.stage == Stage::Ready {
                life.stage = Stage::Started;
            }
        }
        // Whoever asked for a rhythm that nobody could keep asks for another one.
        self.all_watched(&Report::Liveness { ms: 1000 })?;
        for _ in 0..20_000 {
            if !self.successors.is_empty() {
                self.successor(0, true)?;
            } else if self.has_job() {
                self.answer(0, 0)?;
            } else if let Some(at) = self.timer {
                // Signs of life keep a hearty Ente's timer going for ever.
                if self.only_liveness() {
                    return self.checker.settled(&self.supervisor);
                }
                self.all_alive()?;
                // No longer than any `liveness_ms`.
                self.pass(at.since(Millis(self.now)).min(50))?;
            } else {
                return self.checker.settled(&self.supervisor);
            }
        }
        Err(Failure::new(
            "settles",
            "still busy after 20,000 steps without disturbance",
        ))
    }

    fn all_alive(&mut self) -> Result<(), Failure> {
        self.all_watched(&Report::Alive)
    }

    fn all_watched(&mut self, report: &Report) -> Result<(), Failure> {
        let watched: Vec<_> = self
            .life_ids()
            .filter(|(id, _)| self.is_watched(*id))
            .collect();
        for (id, incarnation) in watched {
            self.report(id, incarnation, report.clone())?;
        }
        Ok(())
    }

    fn only_liveness(&self) -> bool {
        let statuses = self.supervisor.statuses();
        let mut timed = statuses.filter(|status| status.next.is_some());
        timed.all(|status| status.state == arje_supervisor::State::Ready)
            && !self.supervisor.is_shutting_down()
    }

    fn step(&mut self, kind: EventKind) -> Result<(), Failure> {
        self.step_at(Millis(self.now), kind)
    }

    fn step_at(&mut self, at: Millis, kind: EventKind) -> Result<(), Failure> {
        self.steps += 1;
        if kind == EventKind::Timer {
            self.timer = None;
        }
        self.checker.before(&self.supervisor, self.now, &kind);
        let text = self.trace.then(|| brief(&kind));
        let result = self.supervisor.step(Event::new(at, kind));
        if let Some(text) = text {
            eprintln!("{at}: {text}");
            self.print(&result);
        }
        if let Ok(actions) = &result {
            for action in actions {
                self.carry_out(action);
            }
        }
        self.checker.after(&self.supervisor, result, self.timer)
    }

    fn carry_out(&mut self, action: &Action) {
        match action {
            Action::Start { id, incarnation } => {
                let mut rng = Rng::new(id.to_bytes()[5] as u64 ^ *incarnation << 8);
                let life = Life {
                    incarnation: *incarnation,
                    stage: Stage::Begun,
                    stop: false,
                    kill: false,
                    stubborn: rng.chance(15),
                    stuck: rng.chance(2),
                };
                self.lives.insert(*id, life);
            }
            Action::Stop {
                id, incarnation, ..
            } => {
                if let Some(life) = self.lives.get_mut(id) {
                    life.stop |= life.incarnation == *incarnation;
                }
            }
            Action::StartBeside {
                id, incarnation, ..
            } => {
                self.successors.insert(*id, (*incarnation, false));
            }
            Action::Kill { id, incarnation } => {
                if let Some((number, killed)) = self.successors.get_mut(id) {
                    *killed |= number == incarnation;
                }
                if let Some(life) = self.lives.get_mut(id) {
                    life.kill |= life.incarnation == *incarnation;
                }
            }
            Action::Removed { id } => self.removed.push(*id),
            Action::SetTimer { at } => self.timer = *at,
            _ => {}
        }
    }

    fn pick_ente(&self, pick: u32) -> Option<Id> {
        let all: Vec<Id> = self.supervisor.statuses().map(|status| status.id).collect();
        (!all.is_empty()).then(|| all[pick as usize % all.len()])
    }

    fn pick_life(&self, pick: u32) -> Option<(Id, Incarnation)> {
        let n = pick as usize % self.lives.len().max(1);
        let (id, life) = self.lives.iter().nth(n)?;
        Some((*id, life.incarnation))
    }

    fn adopt(&mut self, seed: u64, under: Option<u32>) -> Result<(), Failure> {
        if self.supervisor.usage().entes > MAX_ENTES {
            return Ok(());
        }
        let mut rng = Rng::new(seed);
        let (serial, removed) = (&mut self.serial, &mut self.removed);
        let mut next_id = |rng: &mut Rng| {
            *serial += 1;
            // Sometimes an id comes back; it may even still be taken.
            let old = if rng.chance(20) { removed.pop() } else { None };
            (
                old.unwrap_or_else(|| Id::from_parts(*serial, [7; 10])),
                *serial,
            )
        };
        let mut card = plan::tree(&mut rng, &mut next_id, 0, 0);
        if rng.chance(1) {
            let copy = card.clone();
            card.genesis.push(copy);
        }
        let parent = under.and_then(|pick| self.pick_ente(pick));
        self.step(EventKind::Adopt {
            parent,
            cards: vec![card],
        })
    }

    fn command(&mut self, pick: u32, command: Command) -> Result<(), Failure> {
        match self.pick_ente(pick) {
            Some(id) => self.step(EventKind::Command { id, command }),
            None => Ok(()),
        }
    }

    /// Everything that was started and has not ended.
    pub fn life_ids(&self) -> impl Iterator<Item = (Id, Incarnation)> {
        self.lives.iter().map(|(id, life)| (*id, life.incarnation))
    }

    pub fn report(
        &mut self,
        id: Id,
        incarnation: Incarnation,
        report: Report,
    ) -> Result<(), Failure> {
        if matches!(report, Report::Exited(_) | Report::Interrupted) {
            self.lives.remove(&id);
            self.graves.push_back((id, incarnation));
            if self.graves.len() > GRAVES {
                self.graves.pop_front();
            }
        }
        self.step(EventKind::Report {
            id,
            incarnation,
            report,
        })
    }

    fn has_job(&self) -> bool {
        self.lives
            .iter()
            .any(|(id, life)| self.job(*id, life, 0).is_some())
    }

    /// What the executor has to report next about a life, if anything.
    fn job(&self, id: Id, life: &Life, how: u32) -> Option<Report> {
        let card = self.supervisor.card(id)?;
        if life.kill && !life.stuck {
            return Some(Report::Exited(ExitStatus::Signal(9)));
        }
        if life.stop {
            let polite = !life.stubborn && !life.stuck;
            return polite.then_some(Report::Exited(ExitStatus::Signal(15)));
        }
        match life.stage {
            Stage::Begun => Some(Report::Started),
            Stage::Started => Some(Report::Ready {
                by: ready_by(card, how, self.healing),
            }),
            Stage::Ready => {
                let ends =
                    card.readiness == Readiness::Exit || card.supervision == Supervision::OneShot;
                let status = if how.is_multiple_of(4) {
                    ExitStatus::Code(0)
                } else {
                    status(how)
                };
                ends.then_some(Report::Exited(status))
            }
        }
    }

    fn answer(&mut self, pick: u32, how: u32) -> Result<(), Failure> {
        let all = self.lives.iter();
        let jobs: Vec<_> = all
            .filter_map(|(id, life)| Some((*id, life.incarnation, self.job(*id, life, how)?)))
            .collect();
        if jobs.is_empty() {
            return Ok(());
        }
        let (id, incarnation, report) = jobs[pick as usize % jobs.len()].clone();
        if let Some(life) = self.lives.get_mut(&id) {
            life.stage = match report {
                Report::Started => Stage::Started,
                Report::Ready { .. } => Stage::Ready,
                _ => life.stage,
            };
        }
        self.report(id, incarnation, report)
    }

    fn die(&mut self, pick: u32, how: u32) -> Result<(), Failure> {
        match self.pick_life(pick) {
            Some((id, incarnation)) => self.report(id, incarnation, Report::Exited(status(how))),
            None => Ok(()),
        }
    }

    /// A successor gets on. One that was killed can only end; the incarnation that is replaced ends soon after, which is
    /// reported late or never.
    fn successor(&mut self, pick: u32, takes_over: bool) -> Result<(), Failure> {
        let n = pick as usize % self.successors.len().max(1);
        let Some((id, (incarnation, killed))) = self.successors.iter().nth(n) else {
            return Ok(());
        };
        let (id, incarnation, killed) = (*id, *incarnation, *killed);
        self.successors.remove(&id);
        if killed || !takes_over {
            self.graves.push_back((id, incarnation));
            return self.step(EventKind::Report {
                id,
                incarnation,
                report: Report::Exited(status(pick)),
            });
        }
        if let Some(life) = self.lives.get_mut(&id) {
            self.graves.push_back((id, life.incarnation));
            life.incarnation = incarnation;
        }
        self.step(EventKind::Report {
            id,
            incarnation,
            report: Report::TookOver,
        })
    }

    fn dynamic(&mut self, pick: u32, cap: u32, add: bool) -> Result<(), Failure> {
        let Some((id, incarnation)) = self.pick_life(pick) else {
            return Ok(());
        };
        let cap = vec![plan::capability(cap as usize % plan::CAPS)];
        let (adds, removes) = if add {
            (cap, Vec::new())
        } else {
            (Vec::new(), cap)
        };
        self.report(id, incarnation, Report::Capabilities { adds, removes })
    }

    /// One of those that have a reason to say so, if there are any; else anybody.
    fn say(&mut self, pick: u32, report: Report) -> Result<(), Failure> {
        let all: Vec<_> = self.life_ids().collect();
        let meant = all.iter().filter(|(id, _)| match &report {
            Report::MoreTime { .. } => self.lives[id].stop,
            Report::Alive | Report::Liveness { .. } => self.is_watched(*id),
            _ => true,
        });
        let meant: Vec<_> = meant.copied().collect();
        let from = if meant.is_empty() { all } else { meant };
        match from.get(pick as usize % from.len().max(1)) {
            Some((id, incarnation)) => self.report(*id, *incarnation, report),
            None => Ok(()),
        }
    }

    fn is_watched(&self, id: Id) -> bool {
        let card = self.supervisor.card(id);
        card.is_some_and(|card| card.liveness_ms.is_some())
    }

    fn stale(&mut self, pick: u32, how: u32) -> Result<(), Failure> {
        let n = pick as usize % self.graves.len().max(1);
        let Some((id, incarnation)) = self.graves.get(n).copied() else {
            return Ok(());
        };
        let report = match how % 7 {
            0 => Report::Started,
            1 => Report::Ready {
                by: ReadyBy::Notify,
            },
            2 => Report::Alive,
            3 => Report::NotAlive,
            4 => Report::Liveness { ms: 1 },
            5 => Report::MoreTime { ms: 60_000 },
            _ => Report::Exited(status(how)),
        };
        self.step(EventKind::Report {
            id,
            incarnation,
            report,
        })
    }

    /// Time passes, with a timer event at every deadline on the way.
    fn pass(&mut self, ms: u64) -> Result<(), Failure> {
        let end = self.now + ms;
        while let Some(at) = self.timer
            && at.0 <= end
        {
            self.now = self.now.max(at.0);
            self.step(EventKind::Timer)?;
        }
        self.now = end;
        Ok(())
    }
}

/// The sign of readiness: mostly the one that its Card waits for.
fn ready_by(card: &Card, how: u32, healing: bool) -> ReadyBy {
    let right = match card.readiness {
        Readiness::Notify => ReadyBy::Notify,
        Readiness::Announce => ReadyBy::Announce,
        _ if matches!(card.payload, Payload::Wasm(_)) => ReadyBy::Start,
        _ => ReadyBy::Notify,
    };
    match how % 16 {
        1 if !healing => ReadyBy::Notify,
        2 if !healing => ReadyBy::Announce,
        _ => right,
    }
}

fn status(how: u32) -> ExitStatus {
    match how / 16 % 6 {
        0 => ExitStatus::Code(0),
        1 => ExitStatus::Code(1),
        2 => ExitStatus::Signal(11),
        3 => ExitStatus::Error("no".into()),
        4 => ExitStatus::Trap {
            kind: TrapKind::Unreachable,
            detail: "in run".into(),
        },
        _ => ExitStatus::StartFailed {
            step: "execve".into(),
            message: "not there".into(),
        },
    }
}
