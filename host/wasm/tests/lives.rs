//! What the lives of a component leave behind in the host: nothing. A test program of its own, with one test, since it
//! counts what the whole program has allocated.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may panic; helpers outside of test functions, too"
)]
#[path = "guests/place.rs"]
mod place;
#[expect(
    dead_code,
    reason = "uses a part of what the tests of the guests share"
)]
#[path = "guests/rig.rs"]
mod rig;

use arje_card::Supervision;
use arje_wasm::EventKind;
use rig::{Rig, card};
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicI64, Ordering};

/// Blocks that are allocated, by size; the last one for all that are larger.
static BLOCKS: [AtomicI64; 4097] = [const { AtomicI64::new(0) }; 4097];

struct Counting;

fn of(layout: Layout) -> &'static AtomicI64 {
    &BLOCKS[layout.size().min(BLOCKS.len() - 1)]
}

// SAFETY: the system's allocator; counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        of(layout).fetch_add(1, Ordering::Relaxed);
        // SAFETY: the same contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        of(layout).fetch_sub(1, Ordering::Relaxed);
        // SAFETY: the same contract.
        unsafe { System.dealloc(block, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Lives that are counted; as many before them fill whatever is kept for the next one.
const LIVES: usize = 500;

fn mappings() -> usize {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    maps.lines().count()
}

#[test]
fn a_life_leaves_nothing_behind() {
    let rig = Rig::new();
    // Says nothing: the rig keeps what is said.
    let mut comes_back = card("service_counts_calls", "service");
    // The worker that saw its end stays awake for the next one, and unmaps the old one after that.
    comes_back.supervision = Supervision::Restart { initial: 0, max: 0 };
    let mut ends = card("service_counts_calls", "service");
    ends.supervision = Supervision::OneShot;
    let live = || {
        for card in [&comes_back, &ends] {
            for _ in 0..LIVES {
                rig.start(card);
                rig.wait(card, |kind| matches!(kind, EventKind::Started { .. }));
                rig.kill(card).unwrap();
                rig.end_of(card);
            }
        }
    };
    live();
    let count = || {
        BLOCKS
            .each_ref()
            .map(|blocks| blocks.load(Ordering::Relaxed))
    };
    let (before, mapped) = (count(), mappings());
    live();
    let (after, still_mapped) = (count(), mappings());
    assert!(
        still_mapped < mapped + LIVES / 10,
        "{mapped} mappings before, {still_mapped} after"
    );
    for (size, (before, after)) in before.iter().zip(&after).enumerate() {
        // What threads keep for themselves comes and goes.
        assert!(
            after - before < LIVES as i64 / 10,
            "blocks of {size} bytes: {before} before, {after} after {LIVES} lives"
        );
    }
}
