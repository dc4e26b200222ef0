//! Killing the core on purpose, to see that the machine takes it as documented.
//!
//! Armed by `ente.debug=` on the kernel's command line and by nothing else, then triggered by
//! SIGQUIT to PID 1. Without the word PID 1 does not even take that signal.

use std::hint::black_box;
use std::thread;
use std::time::Duration;

/// A way for the core to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Crash {
    /// A panic.
    Panic,
    /// abort(3).
    Abort,
    /// A write to an address that nothing is mapped at.
    Segv,
    /// Recursion without end.
    Stack,
    /// An allocation that cannot succeed.
    Memory,
    /// Nothing is ever done again.
    Hang,
}

impl Crash {
    /// Reads the value of `ente.debug=`.
    #[must_use]
    pub fn parse(word: &str) -> Option<Crash> {
        Some(match word {
            "crash-panic" => Crash::Panic,
            "crash-abort" => Crash::Abort,
            "crash-segv" => Crash::Segv,
            "crash-stack" => Crash::Stack,
            "crash-memory" => Crash::Memory,
            "hang" => Crash::Hang,
            _ => return None,
        })
    }

    /// Does it.
    #[expect(clippy::panic, reason = "it was asked for on the command line")]
    pub fn perform(self) {
        match self {
            Crash::Panic => panic!("ente.debug=crash-panic"),
            Crash::Abort => std::process::abort(),
            Crash::Segv => {
                // SAFETY: not sound, and meant to be: the lowest page is never mapped
                // (vm.mmap_min_addr), so the processor faults before anything is written.
                unsafe { black_box(std::ptr::without_provenance_mut::<u64>(8)).write_volatile(0) }
            }
            Crash::Stack => {
                black_box(dig(black_box(1)));
            }
            Crash::Memory => {
                let most = isize::MAX as usize;
                drop(black_box(Vec::<u8>::with_capacity(black_box(most))));
            }
            Crash::Hang => loop {
                thread::sleep(Duration::from_secs(3600));
            },
        }
    }
}

/// Goes deeper than any stack.
#[expect(unconditional_recursion, reason = "that is its purpose")]
fn dig(depth: u64) -> u64 {
    let room = black_box([depth; 128]);
    dig(depth + 1) + room[0]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_documented_words_arm_it() {
        assert_eq!(Crash::parse("crash-panic"), Some(Crash::Panic));
        for word in ["", "1", "crash", "panic", "crash-panic ", "HANG"] {
            assert_eq!(Crash::parse(word), None, "{word:?}");
        }
    }
}
