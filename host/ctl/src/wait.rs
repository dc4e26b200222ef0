//! When a command for an Ente has come about.

use arje_bus::{EnteState, EnteStatus};

/// What is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Goal {
    /// It is up: ready, or done with what it had to do. With a number: in a later life than this one.
    Up(Option<u64>),
    /// It is down.
    Down,
    /// It is neither starting nor stopping.
    Settled,
}

/// How far it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// There.
    Reached,
    /// It will not come about; why.
    Hopeless(String),
    /// Not yet; what it waits for, as far as that is known.
    NotYet(String),
}

/// Judges an Ente by what it is now.
#[must_use]
pub fn judge(goal: Goal, status: &EnteStatus) -> Progress {
    let summary = &status.summary;
    let not_yet = || {
        let held = summary.held_by.as_ref();
        Progress::NotYet(held.map_or_else(
            || format!("it is {}", summary.state),
            |hold| format!("it is {}: {hold}", summary.state),
        ))
    };
    match (goal, summary.state) {
        (Goal::Settled, EnteState::Starting | EnteState::Stopping) => not_yet(),
        (Goal::Settled, _) => Progress::Reached,
        (Goal::Down, EnteState::Declared) => Progress::Reached,
        (Goal::Down, _) if summary.wanted => {
            Progress::Hopeless("somebody wants it up again".to_owned())
        }
        (Goal::Up(Some(before)), _) if summary.incarnation <= before && summary.wanted => {
            match not_yet() {
                Progress::NotYet(why) => Progress::NotYet(format!("{why}, in life {before} still")),
                other => other,
            }
        }
        (Goal::Up(_), EnteState::Ready | EnteState::Done) => Progress::Reached,
        (Goal::Up(_), EnteState::Failed) => Progress::Hopeless(match &status.last_exit {
            Some(exit) => format!("it failed: {}", exit.text),
            None => "it failed".to_owned(),
        }),
        (Goal::Up(_), _) if !summary.wanted => {
            Progress::Hopeless("somebody stopped it meanwhile".to_owned())
        }
        _ => not_yet(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arje_bus::{EnteSummary, Exit, ExitKind, PayloadKind};
    use arje_card::Id;

    fn status(state: EnteState, wanted: bool, incarnation: u64) -> EnteStatus {
        EnteStatus {
            summary: EnteSummary {
                id: Id::from_bytes([1; 16]),
                label: "web".into(),
                parent: None,
                payload: PayloadKind::Native,
                state,
                since_ms: 0,
                wanted,
                incarnation,
                restarts: 0,
                pid: None,
                pin: None,
                held_by: None,
                provides: Vec::new(),
                provides_total: 0,
            },
            starts: incarnation,
            started_ms: None,
            ready_after_ms: None,
            last_exit: None,
            next_in_ms: None,
            history: Vec::new(),
            says: None,
        }
    }

    #[test]
    fn up_is_ready_or_done_and_failed_is_hopeless() {
        use EnteState::{Backoff, Declared, Done, Failed, Parked, Ready, Starting, Waiting};
        let up = Goal::Up(None);
        for state in [Ready, Done] {
            assert_eq!(judge(up, &status(state, true, 1)), Progress::Reached);
        }
        for state in [Waiting, Starting, Backoff, Parked] {
            let progress = judge(up, &status(state, true, 1));
            assert_eq!(progress, Progress::NotYet(format!("it is {state}")));
        }
        let mut failed = status(Failed, true, 1);
        failed.last_exit = Some(Exit {
            kind: ExitKind::Code,
            number: 3,
            text: "exited with code 3".into(),
        });
        let why = "it failed: exited with code 3".to_owned();
        assert_eq!(judge(up, &failed), Progress::Hopeless(why));
        let stopped = judge(up, &status(Declared, false, 1));
        assert!(matches!(stopped, Progress::Hopeless(_)));
    }

    #[test]
    fn a_restart_needs_another_life() {
        let goal = Goal::Up(Some(4));
        let old = judge(goal, &status(EnteState::Ready, true, 4));
        assert!(matches!(old, Progress::NotYet(_)));
        let new = judge(goal, &status(EnteState::Ready, true, 5));
        assert_eq!(new, Progress::Reached);
    }

    #[test]
    fn down_is_declared_and_not_wanted_again() {
        let down = |state, wanted| judge(Goal::Down, &status(state, wanted, 1));
        assert_eq!(down(EnteState::Declared, false), Progress::Reached);
        assert!(matches!(
            down(EnteState::Stopping, false),
            Progress::NotYet(_)
        ));
        assert!(matches!(
            down(EnteState::Starting, true),
            Progress::Hopeless(_)
        ));
    }

    #[test]
    fn settled_is_between_two_lives_or_in_one() {
        for state in [EnteState::Starting, EnteState::Stopping] {
            let progress = judge(Goal::Settled, &status(state, true, 1));
            assert_eq!(progress, Progress::NotYet(format!("it is {state}")));
        }
        for state in [
            EnteState::Ready,
            EnteState::Backoff,
            EnteState::Failed,
            EnteState::Declared,
        ] {
            assert_eq!(
                judge(Goal::Settled, &status(state, false, 1)),
                Progress::Reached
            );
        }
    }

    #[test]
    fn what_holds_it_back_is_said() {
        let mut held = status(EnteState::Waiting, true, 0);
        held.summary.held_by = Some("needs Power".into());
        let said = Progress::NotYet("it is waiting: needs Power".into());
        assert_eq!(judge(Goal::Up(None), &held), said);
    }
}
