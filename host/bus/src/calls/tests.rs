//! The table against a list of calls, under random events.

use super::*;
use std::cell::RefCell;
use std::collections::BTreeSet;

/// xorshift64 (Marsaglia 2003), so that a run can be had again from its seed.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn id(&mut self) -> CallId {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.next().to_le_bytes());
        bytes[8..].copy_from_slice(&self.next().to_le_bytes());
        CallId(bytes)
    }
}

const MAILBOX: usize = 4;

fn provider(number: u64) -> Id {
    Id::from_parts(number + 1, [0; 10])
}

fn wit(minor: u64) -> Capability {
    Capability::Wit(format!("acme:kv/store@1.{minor}.0").parse().unwrap())
}

/// The table, and beside it what is true.
#[derive(Default)]
struct World {
    calls: Calls<u64>,
    open: Vec<(CallId, Pending<u64>)>,
    /// Waiters that were told an end, or whose caller went away.
    over: BTreeSet<u64>,
    placed: u64,
    refused: u64,
}

impl World {
    /// These waiters were told; they must be exactly those for whom this holds.
    fn told(&mut self, told: &[u64], which: impl Fn(&CallId, &Pending<u64>) -> bool) {
        let mut expected = BTreeSet::new();
        self.open.retain(|(id, call)| {
            let ends = which(id, call);
            if ends {
                expected.insert(call.waiter);
            }
            !ends
        });
        assert_eq!(told.len(), expected.len(), "nobody is told twice");
        assert_eq!(told.iter().copied().collect::<BTreeSet<_>>(), expected);
        for waiter in expected {
            assert!(self.over.insert(waiter), "{waiter} ended twice");
        }
    }

    fn place(&mut self, random: &mut Random, now: u64) {
        let to = random.below(4);
        let waiting = self.open.iter();
        let waiting = waiting.filter(|(_, call)| call.provider == provider(to));
        let room = waiting.count() < MAILBOX;
        assert_eq!(self.calls.room(provider(to), MAILBOX).is_ok(), room);
        if !room {
            self.refused += 1;
            return;
        }
        let call = Pending {
            provider: provider(to),
            // A provider has two connections, one of which is its callers' too.
            connection: 10 * to + random.below(2),
            capability: wit(random.below(3)),
            caller: match random.below(3) {
                0 => Asked::By(provider(random.below(4))),
                _ => Asked::On(10 * random.below(4)),
            },
            deadline: now + random.below(40),
            waiter: self.placed,
        };
        self.placed += 1;
        let id = random.id();
        self.open.push((id, call.clone()));
        self.calls.insert(id, call);
    }

    fn answer(&mut self, random: &mut Random) {
        let known = (!self.open.is_empty())
            .then(|| self.open[random.below(self.open.len() as u64) as usize].clone());
        let (id, right) =
            known.map_or_else(|| (random.id(), 0), |(id, call)| (id, call.connection));
        // On another connection, then with an id that nobody was given, then as it should be, then again.
        assert_eq!(self.calls.answer(id, right + 1), None);
        assert_eq!(self.calls.answer(random.id(), right), None);
        let told: Vec<u64> = self.calls.answer(id, right).into_iter().collect();
        self.told(&told, |open, _| *open == id);
        assert_eq!(self.calls.answer(id, right), None);
    }

    fn disconnect(&mut self, random: &mut Random) {
        let of = random.below(4);
        let connection = 10 * of + random.below(2);
        let told = self.calls.disconnected(connection);
        // Who went away is told nothing, also of calls to itself.
        self.open.retain(|(_, call)| {
            let gone = call.caller == Asked::On(connection);
            if gone {
                assert!(self.over.insert(call.waiter));
            }
            !gone
        });
        self.told(&told, |_, call| call.connection == connection);
    }

    /// A component ends: those of its calls that are of an even number go with it, and nobody else is looked at.
    fn forget(&mut self, random: &mut Random) {
        let of = provider(random.below(4));
        let its = self
            .open
            .iter()
            .filter(|(_, call)| call.caller == Asked::By(of));
        let its: BTreeSet<u64> = its.map(|(_, call)| call.waiter).collect();
        let looked_at = RefCell::new(BTreeSet::new());
        self.calls.forget(of, |waiter| {
            assert!(looked_at.borrow_mut().insert(*waiter), "{waiter} again");
            waiter % 2 == 0
        });
        assert_eq!(looked_at.into_inner(), its);
        self.open.retain(|(_, call)| {
            let gone = its.contains(&call.waiter) && call.waiter % 2 == 0;
            if gone {
                assert!(self.over.insert(call.waiter));
            }
            !gone
        });
    }

    fn earliest(&self) -> Option<u64> {
        self.open.iter().map(|(_, call)| call.deadline).min()
    }

    fn pass(&mut self, now: u64) {
        let told = self.calls.expire(now);
        self.told(&told, |_, call| call.deadline <= now);
        let due = self.calls.next_deadline();
        assert!(
            due.is_none_or(|due| due > now),
            "whoever waits until then waits"
        );
    }

    fn step(&mut self, random: &mut Random, now: u64) {
        match random.below(12) {
            0..6 => self.place(random, now),
            6..9 => self.answer(random),
            9 => self.disconnect(random),
            10 => {
                let (of, minor) = (provider(random.below(4)), random.below(3));
                let told = self.calls.withdraw(of, &wit(minor));
                self.told(&told, |_, call| {
                    call.provider == of && wit(minor).satisfies(&call.capability)
                });
            }
            _ if random.below(4) == 0 => self.forget(random),
            _ if random.below(4) == 0 => {
                let of = provider(random.below(4));
                let told = self.calls.ended(of);
                self.told(&told, |_, call| call.provider == of);
            }
            _ => self.pass(now),
        }
        assert_eq!(self.calls.len(), self.open.len());
        assert_eq!(self.calls.next_deadline(), self.earliest());
    }
}

#[test]
fn every_call_ends_exactly_once() {
    let (mut placed, mut refused) = (0, 0);
    for seed in 1..200 {
        let mut random = Random(seed);
        let mut world = World::default();
        for now in 0..600 {
            world.step(&mut random, now);
        }
        placed += world.placed;
        refused += world.refused;
        world.pass(u64::MAX);
        assert_eq!(world.over.len() as u64, world.placed, "seed {seed}");
        // And nothing of them is left.
        let calls = world.calls;
        assert!(calls.is_empty() && calls.counts.is_empty() && calls.index.is_empty());
    }
    // Both happened often.
    assert!(placed > 40_000 && refused > 100, "{placed} {refused}");
}

#[test]
fn all_providers_together_are_bounded() {
    let mut random = Random(7);
    let mut calls = Calls::default();
    let mut first = random.id();
    for waiter in 0..MAX_CALLS as u64 {
        let to = provider(waiter);
        assert_eq!(calls.room(to, 1), Ok(()));
        let call = Pending {
            provider: to,
            connection: waiter,
            capability: Capability::Journal,
            caller: Asked::By(to),
            deadline: 1,
            waiter,
        };
        let id = random.id();
        first = if waiter == 0 { id } else { first };
        calls.insert(id, call);
    }
    let other = provider(u64::from(u32::MAX));
    assert_eq!(calls.room(other, 1), Err(CallError::Overloaded));
    assert!(calls.answer(first, 0).is_some());
    assert_eq!(calls.room(other, 1), Ok(()));
}
