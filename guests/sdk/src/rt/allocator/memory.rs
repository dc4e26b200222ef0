//! A memory for the allocator's tests: one per thread, of bounded size.

use super::PAGE;
use core::cell::Cell;
use std::vec::Vec;

/// Pages at the start, and pages the "host" grants at most.
pub(super) const FIRST: usize = 2;
pub(super) const MOST: usize = 64;
/// Where the heap begins in the first page: nowhere round, like behind a component's statics.
const BASE: usize = 1_043;

std::thread_local! {
    static MEMORY: Vec<u8> = std::vec![0; (MOST + 1) * PAGE];
    static PAGES: Cell<usize> = const { Cell::new(FIRST) };
}

pub(super) fn bounds() -> (usize, usize) {
    let start = MEMORY.with(|memory| memory.as_ptr().addr().next_multiple_of(PAGE));
    (start + BASE, start + PAGES.get() * PAGE)
}

pub(super) fn grow(pages: usize) -> bool {
    let granted = PAGES.get() + pages <= MOST;
    if granted {
        PAGES.set(PAGES.get() + pages);
    }
    granted
}

pub(super) fn give_up() -> ! {
    panic!("out of memory")
}
