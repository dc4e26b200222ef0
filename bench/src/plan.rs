//! How much is measured.

use std::time::Duration;

/// Numbers of rounds. The full run takes some four minutes, the quick one is for trying things out.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Rounds of loading and spawning, which take turns.
    pub rounds: usize,
    /// Components in a round that were never loaded before, for each of two ways to start them.
    pub cold: usize,
    /// Repetitions in a round of everything else.
    pub repeats: usize,
    /// Calls of each size.
    pub calls: usize,
    /// How long the neighbour of a hostile component is called.
    pub neighbour: Duration,
    /// Rounds of whole one-shots, in the host and as processes.
    pub oneshot_rounds: usize,
    /// Entes under a supervisor, at each of which the cost of an event is measured.
    pub supervised: &'static [usize],
    /// Batches of so many lives for each of them.
    pub batches: usize,
    /// Lives in a batch.
    pub lives: usize,
    /// Boots of each image.
    pub boots: usize,
    /// How many idle services live at once.
    pub populations: &'static [usize],
    /// Whether `wasmtime` is built when it is not there; that takes minutes.
    pub build_peer: bool,
}

impl Plan {
    /// For the numbers in the documentation.
    pub const FULL: Plan = Plan {
        rounds: 12,
        cold: 5,
        repeats: 50,
        calls: 100_000,
        neighbour: Duration::from_secs(2),
        oneshot_rounds: 40,
        supervised: &[100, 1_000, 10_000, 60_000],
        batches: 50,
        lives: 500,
        boots: 3,
        populations: &[100, 1_000, 10_000],
        build_peer: true,
    };

    /// Ends within three minutes.
    pub const QUICK: Plan = Plan {
        rounds: 3,
        cold: 4,
        repeats: 20,
        calls: 5_000,
        neighbour: Duration::from_millis(300),
        oneshot_rounds: 6,
        supervised: &[100, 10_000],
        batches: 10,
        lives: 200,
        boots: 1,
        populations: &[100, 1_000],
        build_peer: false,
    };
}
