//! Components that asked for a body: each lives in a process of its own, `ente-worker`, which is
//! started like a native Ente and talks to the Wasm host like a component (docs/worker.md).
//!
//! Its end is told twice: by the process, which is reaped, and by what the host heard from it. The
//! supervisor is told once, when both are known.

use crate::natives::Who;
use arje_card::{Card, Id, Payload};
use arje_supervisor::{ExitStatus, TrapKind};
use arje_wasm::End;
use std::collections::HashMap;
use std::path::Path;

/// Running workers; as many as there are incarnations of such Cards.
pub struct Workers {
    program: String,
    lives: HashMap<Id, Life>,
}

/// What is known of the end of one of them.
struct Life {
    who: Who,
    said: Option<End>,
    exited: Option<ExitStatus>,
}

/// Whether the Card's component gets a process of its own.
#[must_use]
pub fn has_body(card: &Card) -> bool {
    matches!(card.payload, Payload::Wasm(_)) && !card.soma.is_off()
}

impl Workers {
    /// With this program.
    #[must_use]
    pub fn new(program: &Path) -> Workers {
        Workers {
            program: program.to_string_lossy().into_owned(),
            lives: HashMap::new(),
        }
    }

    /// `ente-worker`.
    #[must_use]
    pub fn program(&self) -> &str {
        &self.program
    }

    /// A process was started.
    pub fn began(&mut self, who: Who) {
        let life = Life {
            who,
            said: None,
            exited: None,
        };
        // An Ente has one incarnation at a time; the supervisor waits for the end of the last one.
        self.lives.insert(who.id, life);
    }

    /// Whether this incarnation is in a worker.
    #[must_use]
    pub fn has(&self, who: Who) -> bool {
        self.lives.get(&who.id).is_some_and(|life| life.who == who)
    }

    /// The host has heard the last word; how it ended, if the process has ended, too.
    pub fn said(&mut self, who: Who, end: End) -> Option<ExitStatus> {
        self.note(who, |life| life.said = Some(end))
    }

    /// The process was reaped; how the Ente ended, if the host has heard the last word.
    pub fn exited(&mut self, who: Who, status: ExitStatus) -> Option<ExitStatus> {
        self.note(who, |life| life.exited = Some(status))
    }

    fn note(&mut self, who: Who, note: impl FnOnce(&mut Life)) -> Option<ExitStatus> {
        let life = self.lives.get_mut(&who.id).filter(|life| life.who == who)?;
        note(life);
        if life.said.is_none() || life.exited.is_none() {
            return None;
        }
        let life = self.lives.remove(&who.id)?;
        Some(outcome(life.said?, life.exited?))
    }
}

/// How the Ente ended: as its worker said, else as its process did.
fn outcome(said: End, exited: ExitStatus) -> ExitStatus {
    match (said, exited) {
        (End::Lost, ExitStatus::Code(code)) => ExitStatus::Trap {
            kind: TrapKind::Host,
            detail: format!(
                "the worker process exited with code {code} and did not say how its component ended"
            ),
        },
        (End::Lost, exited) => exited,
        (said, _) => crate::bodies::exit_status(said),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn who(incarnation: u64) -> Who {
        Who {
            id: Id::from_bytes([1; 16]),
            incarnation,
        }
    }

    fn ended(said: End, exited: ExitStatus) -> ExitStatus {
        let (mut one, mut other) = (Workers::new(Path::new("/w")), Workers::new(Path::new("/w")));
        for workers in [&mut one, &mut other] {
            workers.began(who(1));
        }
        assert_eq!(one.said(who(1), said.clone()), None);
        let first = one.exited(who(1), exited.clone()).unwrap();
        assert_eq!(other.exited(who(1), exited), None);
        assert_eq!(
            other.said(who(1), said),
            Some(first.clone()),
            "in any order"
        );
        assert!(!one.has(who(1)) && !other.has(who(1)));
        first
    }

    #[test]
    fn an_end_is_told_once_and_in_the_component_words() {
        let killed = ExitStatus::Signal(9);
        assert_eq!(ended(End::Lost, killed.clone()), killed);
        assert_eq!(ended(End::Exited(3), killed.clone()), ExitStatus::Code(3));
        let status = ended(End::Failed("no".into()), ExitStatus::Code(0));
        assert_eq!(status, ExitStatus::Error("no".into()));
        let silent = ended(End::Lost, ExitStatus::Code(0));
        assert!(!silent.success(), "{silent}");
        let broken = ended(End::Broken("an empty frame".into()), killed);
        assert!(broken.to_string().contains("an empty frame"), "{broken}");
    }

    #[test]
    fn words_of_an_earlier_life_are_not_taken() {
        let mut workers = Workers::new(Path::new("/w"));
        workers.began(who(2));
        assert!(!workers.has(who(1)));
        assert_eq!(workers.said(who(1), End::Exited(0)), None);
        assert_eq!(workers.exited(who(2), ExitStatus::Code(0)), None);
        assert!(workers.has(who(2)));
    }
}
