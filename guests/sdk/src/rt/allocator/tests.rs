use super::*;
use std::vec::Vec;

/// A block that somebody holds, filled with its own mark.
struct Held {
    block: *mut u8,
    layout: Layout,
    mark: u8,
}

impl Held {
    fn new(block: *mut u8, layout: Layout, mark: u8) -> Self {
        assert_eq!(block.addr() % layout.align(), 0, "{layout:?}");
        // SAFETY: the allocator gave this block for this layout.
        unsafe { block.write_bytes(mark, layout.size()) };
        Self {
            block,
            layout,
            mark,
        }
    }

    /// That nobody else wrote into the first bytes.
    fn check(&self, bytes: usize) {
        // SAFETY: the block is held, and `new` wrote all of it.
        let content = unsafe { core::slice::from_raw_parts(self.block, bytes) };
        assert!(content.iter().all(|&byte| byte == self.mark), "overlap");
    }
}

/// Numbers that only look random (Knuth's multiplier), so that a failure comes back.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (self.0 >> 33) as usize % end
    }

    fn layout(&mut self) -> Layout {
        // Mostly small, now and then larger than a page.
        let most = 2 << self.below(16);
        let size = 1 + self.below(most);
        Layout::from_size_align(size, 1 << self.below(5)).unwrap()
    }
}

#[test]
fn blocks_are_aligned_disjoint_and_keep_their_content() {
    for seed in 0..20 {
        let allocator = Allocator::empty();
        let mut numbers = Numbers(seed);
        let mut held: Vec<Held> = Vec::new();
        for turn in 0..2_000_u32 {
            let mark = turn as u8;
            match numbers.below(3) {
                0 if !held.is_empty() => {
                    let gone = held.swap_remove(numbers.below(held.len()));
                    gone.check(gone.layout.size());
                    // SAFETY: it came from `alloc` or `realloc` with this layout.
                    unsafe { allocator.dealloc(gone.block, gone.layout) };
                }
                1 if !held.is_empty() => {
                    let old = held.swap_remove(numbers.below(held.len()));
                    let size = numbers.layout().size();
                    let layout = Layout::from_size_align(size, old.layout.align()).unwrap();
                    // SAFETY: as above; the new size is not zero.
                    let block = unsafe { allocator.realloc(old.block, old.layout, size) };
                    Held { block, ..old }.check(size.min(old.layout.size()));
                    held.push(Held::new(block, layout, mark));
                }
                _ if held.len() < 20 => {
                    let layout = numbers.layout();
                    // SAFETY: the layout is not empty.
                    let block = unsafe { allocator.alloc(layout) };
                    held.push(Held::new(block, layout, mark));
                }
                _ => {}
            }
        }
        held.iter()
            .for_each(|block| block.check(block.layout.size()));
        // The next seed starts on an empty allocator over the same memory.
    }
}

#[test]
fn what_was_freed_serves_again() {
    let allocator = Allocator::empty();
    let large = Layout::from_size_align(PAGE, 8).unwrap();
    let small = Layout::from_size_align(PAGE / 4, 8).unwrap();
    // Far more than there is, were it not given back.
    for _ in 0..memory::MOST * 4 {
        // SAFETY: layouts are not empty, and each block goes back with the layout it came with.
        unsafe {
            let block = allocator.alloc(large);
            allocator.dealloc(block, large);
        }
    }
    // A large free block is split for small ones.
    // SAFETY: as above.
    let parts: Vec<*mut u8> = (0..4).map(|_| unsafe { allocator.alloc(small) }).collect();
    // SAFETY: as above.
    let whole = unsafe { allocator.alloc(large) };
    for part in parts {
        assert!(part.addr() < whole.addr());
    }
}

#[test]
#[should_panic(expected = "out of memory")]
fn a_refused_page_ends_the_component() {
    let allocator = Allocator::empty();
    let layout = Layout::from_size_align(PAGE, 8).unwrap();
    for _ in 0..=memory::MOST {
        // SAFETY: the layout is not empty.
        unsafe { allocator.alloc(layout) };
    }
}

#[test]
#[should_panic(expected = "out of memory")]
fn what_can_never_fit_ends_the_component() {
    let layout = Layout::from_size_align(1 << 40, 8).unwrap();
    // SAFETY: the layout is not empty.
    unsafe { Allocator::empty().alloc(layout) };
}

#[test]
fn sizes_round_up_to_powers_of_two() {
    assert_eq!(class(&Layout::from_size_align(1, 1).unwrap()), 4);
    assert_eq!(class(&Layout::from_size_align(16, 1).unwrap()), 4);
    assert_eq!(class(&Layout::from_size_align(17, 1).unwrap()), 5);
    assert_eq!(class(&Layout::from_size_align(1, 64).unwrap()), 6);
    // SAFETY: as the canonical ABI asks; an empty block is never used.
    let empty = unsafe { cabi_realloc(ptr::null_mut(), 0, 8, 0) };
    assert_eq!(empty.addr(), 8);
}
