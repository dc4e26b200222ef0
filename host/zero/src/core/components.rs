//! What components tell and ask, at most so much in one turn of the loop.

use super::Core;
use crate::bodies::FromWasm;
use arje_wasm::{Ask, Wish};

/// Events of components taken in one turn, so that a busy one cannot keep the loop from reaping.
const WASM_BATCH: usize = 256;

impl Core {
    /// Takes what has come, and comes back for the rest after everybody else had a turn.
    pub(super) fn take_wasm_events(&mut self) {
        let next = |core: &mut Core| core.bodies.next_wasm();
        if take_some(self, next, Core::take_wasm_event) {
            self.poller.wake_handle().wake();
        }
    }

    fn take_wasm_event(&mut self, event: FromWasm) {
        match event {
            FromWasm::News(news) => self.tell(news),
            FromWasm::Asks(who, ask) => self.answer_component(who, ask),
            FromWasm::TookOver(who, paused) => self.took_over(who, paused),
        }
    }
}

/// Takes events until enough is done for one turn; whether there may be more.
fn take_some<C>(
    core: &mut C,
    next: impl Fn(&mut C) -> Option<FromWasm>,
    take: impl Fn(&mut C, FromWasm),
) -> bool {
    for _ in 0..WASM_BATCH {
        let Some(event) = next(core) else {
            return false;
        };
        let is_last = takes_long(&event);
        take(core, event);
        if is_last {
            break;
        }
    }
    true
}

/// A Card of 1 MiB may be milliseconds of work.
fn takes_long(event: &FromWasm) -> bool {
    let wish = match event {
        FromWasm::Asks(_, Ask::Tend { wish, .. }) => wish,
        _ => return false,
    };
    matches!(wish, Wish::Spawn(_))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::natives::Who;
    use arje_card::Id;
    use std::collections::VecDeque;
    use std::time::Duration;
    use tokio::sync::oneshot;

    const WHO: Who = Who {
        id: Id::NIL,
        incarnation: 1,
    };

    fn wants(wish: Wish) -> FromWasm {
        let (reply, _) = oneshot::channel();
        FromWasm::Asks(WHO, Ask::Tend { wish, reply })
    }

    fn other() -> FromWasm {
        FromWasm::TookOver(WHO, Duration::ZERO)
    }

    /// How many events are taken in each turn, until there are no more.
    fn turns(events: impl IntoIterator<Item = FromWasm>) -> Vec<usize> {
        let mut world = (VecDeque::from_iter(events), 0);
        let mut turns = Vec::new();
        loop {
            world.1 = 0;
            let next = |world: &mut (VecDeque<FromWasm>, usize)| world.0.pop_front();
            let more = take_some(&mut world, next, |world, _| world.1 += 1);
            turns.push(world.1);
            if !more {
                return turns;
            }
        }
    }

    #[test]
    fn a_card_that_a_component_brings_is_the_last_of_its_turn() {
        let spawn = || wants(Wish::Spawn("{}".into()));
        let events = [
            other(),
            spawn(),
            other(),
            other(),
            spawn(),
            spawn(),
            other(),
        ];
        assert_eq!(turns(events), [2, 3, 1, 1]);
        // What takes no time ends no turn.
        let events = [other(), wants(Wish::Unsubscribe), other()];
        assert_eq!(turns(events), [3]);
    }

    #[test]
    fn so_many_events_are_taken_in_a_turn() {
        let events = (0..WASM_BATCH + 5).map(|_| other());
        assert_eq!(turns(events), [WASM_BATCH, 5]);
    }
}
