//! A supervisor on a bench: Cards in one line, and what it does in short words.

use arje_card::{Capability, Card, Contract, Id, InterfaceId, NativePayload, Payload, Supervision};
use arje_supervisor::{
    Action, Command, Event, EventKind, ExitStatus, Hold, Millis, Refusal, Report, State, Supervisor,
};

pub const DAEMON: Supervision = Supervision::Restart {
    initial: 100,
    max: 800,
};

pub fn id(label: &str) -> Id {
    let mut random = [0; 10];
    for (to, from) in random.iter_mut().zip(label.bytes()) {
        *to = from;
    }
    Id::from_parts(1, random)
}

/// A capability named by a letter or digit.
pub fn cap(name: char) -> Capability {
    Capability::Endpoint {
        interface: InterfaceId([name as u8; 16]),
        version: 1,
    }
}

pub fn caps(names: &str) -> std::collections::BTreeSet<Capability> {
    names.chars().map(cap).collect()
}

/// A native daemon that provides and requires capabilities named by letters.
pub fn card(label: &str, provides: &str, requires: &str) -> Card {
    let exec = "/bin/true".to_owned();
    let payload = Payload::Native(NativePayload {
        exec,
        ..NativePayload::default()
    });
    let mut card = Card::new(id(label), label, payload, DAEMON);
    (card.provides, card.requires) = (caps(provides), caps(requires));
    card
}

pub fn with(mut card: Card, contract: Contract) -> Card {
    card.contracts.push(contract);
    card
}

pub fn container(label: &str, provides: &str, requires: &str, children: Vec<Card>) -> Card {
    Card {
        payload: Payload::Virtual,
        genesis: children,
        ..card(label, provides, requires)
    }
}

/// A supervisor, and a clock to move by hand.
#[derive(Default)]
pub struct Bench {
    pub supervisor: Supervisor,
    pub now: u64,
}

impl Bench {
    pub fn new(cards: Vec<Card>) -> Self {
        let mut bench = Self::default();
        bench.step(EventKind::Adopt {
            parent: None,
            cards,
        });
        bench
    }

    pub fn step(&mut self, kind: EventKind) -> Vec<Action> {
        self.try_step(kind).expect("accepted")
    }

    pub fn try_step(&mut self, kind: EventKind) -> Result<Vec<Action>, Refusal> {
        self.supervisor.step(Event::new(Millis(self.now), kind))
    }

    pub fn report(&mut self, label: &str, report: Report) -> Vec<Action> {
        let incarnation = self
            .supervisor
            .status(id(label))
            .expect("known")
            .incarnation;
        self.step(EventKind::Report {
            id: id(label),
            incarnation,
            report,
        })
    }

    /// Reports and returns what the executor is told, in short.
    pub fn started(&mut self, label: &str) -> String {
        let actions = self.report(label, Report::Started);
        self.brief(&actions)
    }

    pub fn exit(&mut self, label: &str, code: i32) -> String {
        let actions = self.report(label, Report::Exited(ExitStatus::Code(code)));
        self.brief(&actions)
    }

    pub fn command(&mut self, label: &str, command: Command) -> String {
        let actions = self.step(EventKind::Command {
            id: id(label),
            command,
        });
        self.brief(&actions)
    }

    pub fn at(&mut self, now: u64) -> String {
        self.now = now;
        let actions = self.step(EventKind::Timer);
        self.brief(&actions)
    }

    /// `+a` start, `-a` stop, `!a` kill, `~a` removed.
    pub fn brief(&self, actions: &[Action]) -> String {
        let words = actions.iter().filter_map(|action| match action {
            Action::Start { id, .. } => Some(('+', id)),
            Action::Stop { id, .. } => Some(('-', id)),
            Action::Kill { id, .. } => Some(('!', id)),
            Action::Removed { id } => Some(('~', id)),
            _ => None,
        });
        let words = words.map(|(sign, id)| {
            let bytes = id.to_bytes();
            let name = bytes[6..].iter().take_while(|byte| **byte != 0);
            let name: String = name.map(|byte| *byte as char).collect();
            format!("{sign}{name}")
        });
        words.collect::<Vec<_>>().join(" ")
    }

    pub fn state(&self, label: &str) -> State {
        self.supervisor.status(id(label)).expect("known").state
    }

    pub fn held(&self, label: &str) -> Option<Hold> {
        self.supervisor.status(id(label)).expect("known").held_by
    }

    /// Brings everybody who starts to Ready.
    pub fn all_started(&mut self) {
        loop {
            let mut all = self.supervisor.statuses();
            let next = all.find(|s| {
                let card = self.supervisor.card(s.id).expect("known");
                s.state == State::Starting && card.payload != Payload::Virtual
            });
            let Some(label) = next.map(|status| status.label.to_owned()) else {
                return;
            };
            drop(all);
            self.started(&label);
        }
    }
}
