//! The allocator of components without `std`: small code first.
//!
//! Blocks are powers of two. A freed block goes to the list of its class and serves later
//! allocations of that class; a smaller allocation may split it; blocks are never merged. So an
//! allocation wastes at most half, and a service with a steady pattern of allocations reaches a
//! steady size. What asks for much memory in changing sizes should use `std`.
//!
//! Memory that cannot be had ends the component with a log line and a trap, `try_reserve` included.

use core::alloc::{GlobalAlloc, Layout};
use core::cell::UnsafeCell;
use core::ptr::{self, NonNull};

/// Smallest block, bytes: room for the link of a free list, and the alignment of any scalar.
const SMALLEST: usize = 16;
/// One past the greatest class: blocks of 2^31 bytes are the last that fit in 32 bits.
const CLASSES: usize = 32;
/// WebAssembly's page, bytes.
const PAGE: usize = 65_536;

struct State {
    /// First free block of each power of two; a free block's first word is the next one.
    free: [*mut u8; CLASSES],
    /// The memory between these was never handed out.
    fresh: usize,
    end: usize,
}

/// The global allocator of a component; [`freestanding!`](crate::freestanding!) declares it.
pub struct Allocator(UnsafeCell<State>);

// SAFETY: `wasm32-wasip2` has one thread per instance.
unsafe impl Sync for Allocator {}

impl Allocator {
    /// An allocator that has no memory yet.
    #[must_use]
    pub const fn empty() -> Self {
        Self(UnsafeCell::new(State {
            free: [ptr::null_mut(); CLASSES],
            fresh: 0,
            end: 0,
        }))
    }
}

/// The exponent of the block that holds this layout.
fn class(layout: &Layout) -> usize {
    let size = layout.size().max(layout.align()).max(SMALLEST);
    (usize::BITS - (size - 1).leading_zeros()) as usize
}

impl State {
    /// A block of 2^class bytes.
    fn take(&mut self, class: usize) -> NonNull<u8> {
        let Some(from) = (class..CLASSES).find(|&c| !self.first(c).is_null()) else {
            return self.carve(1 << class);
        };
        let Some(block) = NonNull::new(*self.first(from)) else {
            out_of_memory();
        };
        // SAFETY: a block on a free list begins with the link written by `put`, and nobody else
        // has it.
        *self.first(from) = unsafe { block.cast::<*mut u8>().read() };
        for half in (class..from).rev() {
            // SAFETY: the block has 2^(half+1) bytes; its upper half starts inside it, is ours,
            // and is large enough for a link (half >= 4).
            unsafe { self.put(block.add(1 << half).as_ptr(), half) };
        }
        block
    }

    /// Puts a block on its list.
    ///
    /// # Safety
    /// The block must have 2^class bytes that nobody uses.
    unsafe fn put(&mut self, block: *mut u8, class: usize) {
        let next = *self.first(class);
        // SAFETY: by the caller; a block is at least SMALLEST bytes and aligned to 16.
        unsafe { block.cast::<*mut u8>().write(next) };
        *self.first(class) = block;
    }

    /// The list of a class. There is none for what can never fit.
    fn first(&mut self, class: usize) -> &mut *mut u8 {
        match self.free.get_mut(class) {
            Some(first) => first,
            None => out_of_memory(),
        }
    }

    /// Fresh memory, aligned to its size (at most to a page); what alignment skips is lost.
    fn carve(&mut self, size: usize) -> NonNull<u8> {
        if self.end == 0 {
            (self.fresh, self.end) = memory::bounds();
        }
        let align = size.min(PAGE);
        // Sizes are at most 2^31 and `fresh` is inside the memory, so only the end can overflow.
        let start = (self.fresh + align - 1) & !(align - 1);
        let Some(end) = start.checked_add(size) else {
            out_of_memory();
        };
        if end > self.end {
            let pages = (end - self.end).div_ceil(PAGE);
            if !memory::grow(pages) {
                out_of_memory();
            }
            self.end += pages * PAGE;
        }
        self.fresh = end;
        match NonNull::new(start as *mut u8) {
            Some(block) => block,
            None => out_of_memory(),
        }
    }
}

/// Says so, and traps: there is no caller who could do better.
#[cold]
#[inline(never)]
fn out_of_memory() -> ! {
    crate::log(crate::Level::Error, "out of memory", &[]);
    memory::give_up()
}

/// The component's memory.
#[cfg(target_family = "wasm")]
mod memory {
    use core::arch::wasm32;

    /// First address that may be used, and the end of what there is.
    pub(super) fn bounds() -> (usize, usize) {
        unsafe extern "C" {
            /// Set by the linker: its address is where the heap may begin.
            static __heap_base: u8;
        }
        let start = (&raw const __heap_base) as usize;
        (start, wasm32::memory_size(0) * super::PAGE)
    }

    /// Adds pages at the end; false when the host refuses.
    pub(super) fn grow(pages: usize) -> bool {
        wasm32::memory_grow(0, pages) != usize::MAX
    }

    pub(super) fn give_up() -> ! {
        wasm32::unreachable()
    }
}

#[cfg(test)]
mod memory;
#[cfg(test)]
mod tests;

// SAFETY: blocks are disjoint, as large as their class, and aligned to the smaller of their size
// and a page (a component asks for no larger alignment: the canonical ABI stops at 8).
unsafe impl GlobalAlloc for Allocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: one thread, and `take` calls nothing that allocates (lowering a log line
        // without fields does not).
        unsafe { &mut *self.0.get() }.take(class(&layout)).as_ptr()
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: one thread; the block came from `alloc` with this layout, hence this class.
        unsafe { (*self.0.get()).put(block, class(&layout)) };
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: the trait demands that size and alignment of the new layout are valid.
        let wanted = unsafe { Layout::from_size_align_unchecked(new_size, layout.align()) };
        if class(&wanted) == class(&layout) {
            return block;
        }
        // SAFETY: `wanted` is valid and not empty, as the trait demands of `new_size`.
        let moved = unsafe { self.alloc(wanted) };
        // SAFETY: both blocks hold the smaller of the two sizes, and are disjoint.
        unsafe { ptr::copy_nonoverlapping(block, moved, layout.size().min(new_size)) };
        // SAFETY: the block is the caller's to give back.
        unsafe { self.dealloc(block, layout) };
        moved
    }
}

/// The canonical ABI's `realloc`, with which the host makes room for what it passes in.
///
/// # Safety
/// As the component model's canonical ABI says: `old` is null or came from here with `old_size`
/// and `align`.
pub unsafe fn cabi_realloc(old: *mut u8, old_size: usize, align: usize, size: usize) -> *mut u8 {
    if size == 0 {
        return align as *mut u8;
    }
    // SAFETY: the ABI passes powers of two, and sizes below 2^31.
    unsafe {
        if old_size == 0 {
            alloc::alloc::alloc(Layout::from_size_align_unchecked(size, align))
        } else {
            alloc::alloc::realloc(
                old,
                Layout::from_size_align_unchecked(old_size, align),
                size,
            )
        }
    }
}
