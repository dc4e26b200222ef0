//! Stacks of fibres. Those of ended components are kept for the next ones, so that a restart
//! neither maps nor faults one in.

use std::ffi::c_void;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::ptr::NonNull;
use std::sync::{Arc, Mutex, TryLockError};

use nix::sys::mman::{MapFlags, MmapAdvise, ProtFlags, madvise, mmap_anonymous, mprotect, munmap};
use wasmtime::{Result, StackCreator, StackMemory};

/// Stacks kept for the next fibre. Enough for the components that are between two incarnations,
/// and for the requests that one worker answers at a time.
const KEPT: usize = 16;

/// Bytes at its top that stay in memory while a stack is kept: what an instantiation touches. What
/// a deep recursion touched below is given back. So all kept stacks hold at most 256 KiB.
const KEPT_RESIDENT: usize = 16 << 10;

/// The page size of x86-64, which is also that of a guard.
const PAGE: usize = 4 << 10;

/// Makes stacks for wasmtime's fibres, out of those that came back.
#[derive(Debug, Default)]
pub(crate) struct Stacks {
    kept: Mutex<Vec<Mapping>>,
}

/// A stack, and whom it goes back to.
struct Stack {
    /// Taken out only when this is dropped.
    mapping: Option<Mapping>,
    stacks: Arc<Stacks>,
}

/// Memory with a guard page at its low end.
#[derive(Debug)]
struct Mapping {
    base: NonNull<c_void>,
    /// Of the whole, guard included; a multiple of the page size.
    bytes: NonZeroUsize,
}

// SAFETY: a `Mapping` is the only owner of its memory, and nothing about a mapping belongs to a thread.
unsafe impl Send for Mapping {}
// SAFETY: through a shared reference only its address and size can be had.
unsafe impl Sync for Mapping {}

/// [`Stacks`] as wasmtime takes them.
pub(crate) struct Creator(pub(crate) Arc<Stacks>);

// SAFETY: each stack is a mapping that nobody else has: it is new, or the fibre that had it is gone. It
// is aligned to pages and has a guard page below. It is not zeroed unless that is asked for: what an
// earlier fibre left is never read, since neither compiled Rust nor Cranelift's code reads stack slots
// that it has not written.
unsafe impl StackCreator for Creator {
    fn new_stack(&self, size: usize, zeroed: bool) -> Result<Box<dyn StackMemory>> {
        let bytes = size
            .checked_next_multiple_of(PAGE)
            .and_then(|size| size.checked_add(PAGE))
            .and_then(NonZeroUsize::new)
            .ok_or_else(|| wasmtime::format_err!("a stack of {size} bytes"))?;
        let kept = if zeroed { None } else { self.0.take(bytes) };
        let mapping = match kept {
            Some(mapping) => mapping,
            None => Mapping::new(bytes)?,
        };
        Ok(Box::new(Stack {
            mapping: Some(mapping),
            stacks: Arc::clone(&self.0),
        }))
    }
}

impl Stacks {
    fn take(&self, bytes: NonZeroUsize) -> Option<Mapping> {
        let mut kept = self.kept()?;
        let fits = kept.last().is_some_and(|mapping| mapping.bytes == bytes);
        if fits { kept.pop() } else { None }
    }

    fn keep(&self, mapping: Mapping) {
        if self.kept().is_none_or(|kept| kept.len() >= KEPT) {
            return;
        }
        mapping.give_back_depths(); // not while others wait
        if let Some(mut kept) = self.kept()
            && kept.len() < KEPT
        {
            kept.push(mapping);
        }
    }

    /// `None` while another thread has it: mapping a stack takes microseconds, waiting for a thread
    /// that the kernel runs only when nothing else wants the processor could take much longer.
    fn kept(&self) -> Option<std::sync::MutexGuard<'_, Vec<Mapping>>> {
        match self.kept.try_lock() {
            Ok(kept) => Some(kept),
            // Every change is one push or pop; a panic cannot leave it half-made.
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        if let Some(mapping) = self.mapping.take() {
            self.stacks.keep(mapping);
        }
    }
}

// SAFETY: the range is the mapping without its guard page, readable, writable, aligned to pages, and
// stays until `self` is dropped.
unsafe impl StackMemory for Stack {
    fn top(&self) -> *mut u8 {
        self.range().end as *mut u8
    }

    fn range(&self) -> Range<usize> {
        self.mapping.as_ref().map_or(0..0, Mapping::stack)
    }

    fn guard_range(&self) -> Range<*mut u8> {
        let start = self.range().start as *mut u8;
        start.wrapping_sub(PAGE)..start
    }
}

impl Mapping {
    fn new(bytes: NonZeroUsize) -> Result<Mapping> {
        // SAFETY: the kernel picks the address, so no other mapping is replaced.
        let base =
            unsafe { mmap_anonymous(None, bytes, ProtFlags::PROT_NONE, MapFlags::MAP_PRIVATE)? };
        let mapping = Mapping { base, bytes };
        let stack = mapping.stack();
        if let Some(start) = NonNull::new(stack.start as *mut c_void) {
            let access = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
            // SAFETY: the range lies in the mapping just made, which nobody uses yet.
            unsafe { mprotect(start, stack.len(), access)? };
        }
        Ok(mapping)
    }

    /// All but the guard.
    fn stack(&self) -> Range<usize> {
        let base = self.base.as_ptr() as usize;
        base + PAGE..base + self.bytes.get()
    }

    /// Gives back to the kernel what lies deeper than [`KEPT_RESIDENT`].
    fn give_back_depths(&self) {
        let stack = self.stack();
        let deep = stack.len().saturating_sub(KEPT_RESIDENT);
        if let Some(start) = NonNull::new(stack.start as *mut c_void)
            && deep > 0
        {
            // SAFETY: the range lies in this mapping, and no fibre runs on it. Where it fails the pages
            // stay until the stack is unmapped.
            let _ = unsafe { madvise(start, deep, MmapAdvise::MADV_DONTNEED) };
        }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: this is the only owner, and no fibre runs on it. It cannot fail for a mapping that exists,
        // and if it did, address space would be lost, nothing else.
        let _ = unsafe { munmap(self.base, self.bytes.get()) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: usize = 64 << 10;

    fn creator() -> Creator {
        Creator(Arc::default())
    }

    fn write(stack: &dyn StackMemory, below_top: usize, value: u8) {
        // SAFETY: the address lies in the stack, which nothing runs on.
        unsafe { stack.top().sub(below_top).write(value) };
    }

    fn read(stack: &dyn StackMemory, below_top: usize) -> u8 {
        // SAFETY: as in `write`.
        unsafe { stack.top().sub(below_top).read() }
    }

    #[test]
    fn a_stack_is_aligned_and_guarded() {
        let stack = creator().new_stack(SIZE - 1, false).unwrap();
        let range = stack.range();
        assert_eq!((range.start % PAGE, range.len()), (0, SIZE));
        assert_eq!(stack.top() as usize, range.end);
        assert_eq!(stack.guard_range().end as usize, range.start);
        write(&*stack, SIZE, 1);
        assert_eq!(read(&*stack, SIZE), 1);
    }

    #[test]
    fn a_returned_stack_is_used_again_and_its_depths_are_given_back() {
        let creator = creator();
        let first = creator.new_stack(SIZE, false).unwrap();
        let top = first.top() as usize;
        write(&*first, 8, 1);
        write(&*first, KEPT_RESIDENT + 8, 1);
        drop(first);
        let second = creator.new_stack(SIZE, false).unwrap();
        assert_eq!(second.top() as usize, top);
        assert_eq!(read(&*second, 8), 1);
        assert_eq!(read(&*second, KEPT_RESIDENT + 8), 0);
    }

    #[test]
    fn zeroed_and_differently_sized_stacks_are_new() {
        let creator = creator();
        let first = creator.new_stack(SIZE, false).unwrap();
        write(&*first, 8, 1);
        drop(first);
        assert_eq!(read(&*creator.new_stack(SIZE, true).unwrap(), 8), 0);
        let larger = creator.new_stack(2 * SIZE, false).unwrap();
        assert_eq!(larger.range().len(), 2 * SIZE);
    }

    #[test]
    fn no_more_are_kept_than_the_bound() {
        let creator = creator();
        let stacks: Vec<_> = (0..2 * KEPT)
            .map(|_| creator.new_stack(SIZE, false).unwrap())
            .collect();
        drop(stacks);
        assert_eq!(creator.0.kept().unwrap().len(), KEPT);
    }
}
