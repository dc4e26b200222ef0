//! The server of the bus with a core behind it, and clients that do whatever the input says.
//!
//! Sockets, buffers, quotas, decisions, the table of calls and the lives of Entes are the very code of PID 1. What stands
//! in is whatever would touch the machine: an Ente that is started runs, one that is told to stop has ended, a component
//! answers when the input says so.

mod client;
mod core;
mod script;

use self::core::Core;
use client::Client;
use script::{Step, Steps};

/// Clients at once; the input names them by four bits.
const CLIENTS: usize = 16;

/// Memory that the server and its clients use for nothing: the Entes, and what each connection may hold.
const MEMORY: usize = 8 << 20;

/// After this long no call waits any more, and no client is late with anything: two hours.
const LONG_MS: u64 = 7_200_000;

/// A script of steps, as [`script`] reads it.
pub fn check(input: &[u8]) {
    let (sent, used) = crate::peak(|| Run::new().play(input));
    // A Card is a hundred times its shortest text, and is written again when it is judged; whatever else is sent is
    // held by the reader, in the frame that is taken, and in the one that goes on to a provider.
    let most = MEMORY + 1024 * input.len() + 4 * sent;
    assert!(
        used <= most,
        "{used} bytes of memory, at most {most} may be"
    );
}

struct Run {
    core: Core,
    clients: Vec<Client>,
}

impl Run {
    fn new() -> Self {
        Self {
            core: Core::new(),
            clients: Vec::new(),
        }
    }

    /// The bytes that the clients sent.
    fn play(mut self, input: &[u8]) -> usize {
        for (which, step) in Steps::of(input) {
            self.step(which, step);
            self.turn();
        }
        self.finish()
    }

    fn step(&mut self, which: usize, step: Step<'_>) {
        match step {
            Step::Connect(who) if self.clients.len() < CLIENTS => {
                let index = self.clients.len() as u32;
                self.clients.push(self.core.connect(index, who));
            }
            Step::Pass(ms) => self.core.pass(ms),
            Step::End(which) => self.core.end(which),
            Step::Late => self.core.answer_late(),
            Step::Turns(more) => (0..more).for_each(|_| self.turn()),
            step => {
                let count = self.clients.len().max(1);
                if let Some(client) = self.clients.get_mut(which % count) {
                    client.step(step);
                }
            }
        }
    }

    fn turn(&mut self) {
        self.core.turn();
        for client in &mut self.clients {
            client.drain(false);
        }
    }

    /// Everything comes to an end: each request has its one answer, and nothing is left behind.
    fn finish(mut self) -> usize {
        self.core.answer_all();
        self.settle();
        self.core.pass(LONG_MS);
        self.settle();
        for (index, client) in self.clients.iter().enumerate() {
            let asked = self
                .core
                .asked
                .iter()
                .filter(|((of, _), _)| *of == index as u32);
            for ((_, serial), count) in asked {
                let answers = client.answers.get(serial).copied().unwrap_or_default();
                assert!(
                    answers <= *count,
                    "client {index}: {answers} answers to {count} of {serial}"
                );
                let owed = client.is_honest() && !self.core.garbled.contains(&(index as u32));
                assert!(
                    !owed || answers == *count,
                    "client {index}: no answer to {serial}"
                );
            }
            let unasked = client
                .answers
                .keys()
                .find(|serial| !self.core.asked.contains_key(&(index as u32, **serial)));
            assert_eq!(unasked, None, "client {index}: an answer to nothing");
        }
        let sent = self.clients.iter().map(|client| client.sent).sum();
        self.clients.clear();
        self.core.turns(8);
        self.core.assert_empty();
        sent
    }

    /// Turns until everybody has read what there is, the slow ones too.
    fn settle(&mut self) {
        loop {
            self.core.turn();
            let read: Vec<bool> = self
                .clients
                .iter_mut()
                .map(|client| client.drain(true))
                .collect();
            if !read.contains(&true) && !self.core.has_more() {
                return;
            }
        }
    }
}

/// Scripts with each request from each kind of caller, calls that are answered, and the ways to go away.
pub fn seeds() -> Vec<Vec<u8>> {
    script::seeds()
}
