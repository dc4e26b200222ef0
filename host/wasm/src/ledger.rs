//! The memory account of an Ente.
//!
//! wasmtime asks a limiter about each memory and each table by itself; counted one by one, a
//! component with two memories would get twice its cap. Here everything an Ente has — all memories
//! and tables, of all instances that serve it — is summed in one [`Ledger`].

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use tokio::sync::Notify;
use wasmtime::{ResourceLimiter, Result};

/// What one table element costs the host, in bytes: a pointer and its share of the lazily made
/// function reference behind it.
const TABLE_ELEMENT_BYTES: u64 = 16;

/// Core instances, memories and tables in one store. Components from today's toolchains have at
/// most four core instances (module, adapters, shims); composed ones a few dozen.
const MAX_CORE_INSTANCES: usize = 128;
const MAX_MEMORIES: usize = 64;
const MAX_TABLES: usize = 128;

/// Bytes that one Ente uses of those it may use.
#[derive(Debug)]
pub(crate) struct Ledger {
    cap: u64,
    used: AtomicU64,
    peak: AtomicU64,
    shares: AtomicUsize,
    emptied: Notify,
}

impl Ledger {
    pub(crate) fn new(cap: u64) -> Arc<Ledger> {
        Arc::new(Ledger {
            cap,
            used: AtomicU64::new(0),
            peak: AtomicU64::new(0),
            shares: AtomicUsize::new(0),
            emptied: Notify::new(),
        })
    }

    /// Bytes in use now, over all of the Ente's memories and tables.
    pub(crate) fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    /// The most that was in use at any time.
    pub(crate) fn peak(&self) -> u64 {
        self.peak.load(Ordering::Relaxed)
    }

    /// Returns once no store draws on this account: nothing of the Ente will run again.
    pub(crate) async fn emptied(&self) {
        loop {
            let emptied = self.emptied.notified();
            tokio::pin!(emptied);
            emptied.as_mut().enable(); // before the look, so that no change is missed
            if self.shares.load(Ordering::Acquire) == 0 {
                return;
            }
            emptied.await;
        }
    }

    fn take(&self, bytes: u64) -> bool {
        let sum = |used: u64| used.checked_add(bytes).filter(|sum| *sum <= self.cap);
        let before = self
            .used
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, sum);
        if let Ok(before) = before {
            self.peak.fetch_max(before + bytes, Ordering::Relaxed);
        }
        before.is_ok()
    }
}

/// One store's part of a [`Ledger`]; gives back what it took when it is dropped.
#[derive(Debug)]
pub(crate) struct Share {
    ledger: Arc<Ledger>,
    taken: u64,
    table_elements: u64,
    table_cap: u64,
    settled: bool,
}

impl Share {
    pub(crate) fn new(ledger: Arc<Ledger>, table_cap: u64) -> Share {
        ledger.shares.fetch_add(1, Ordering::AcqRel);
        Share {
            ledger,
            taken: 0,
            table_elements: 0,
            table_cap,
            settled: false,
        }
    }

    /// Gives back what it took, and takes nothing any more. For a store in which nothing will run again,
    /// shortly before its memory is unmapped.
    pub(crate) fn settle(&mut self) {
        if std::mem::replace(&mut self.settled, true) {
            return;
        }
        self.ledger.used.fetch_sub(self.taken, Ordering::Relaxed);
        if self.ledger.shares.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.ledger.emptied.notify_waiters();
        }
    }

    fn grow(&mut self, bytes: u64) -> bool {
        let granted = !self.settled && self.ledger.take(bytes);
        if granted {
            self.taken += bytes;
        }
        granted
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.settle();
    }
}

// `memory_grow_failed` and `table_grow_failed` give nothing back, so growth that was granted and then
// refused by the kernel stays charged until the instance ends. wasmtime calls them also for growth that it
// never asked about (beyond the type of the memory), so a component could use them to empty its account:
// grow by a page, fail to grow by 4 GiB, and again. An account that errs must err against the component.
impl ResourceLimiter for Share {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> Result<bool> {
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        Ok(self.grow(desired.saturating_sub(current) as u64))
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> Result<bool> {
        let elements = desired.saturating_sub(current) as u64;
        let total = self.table_elements.saturating_add(elements);
        if maximum.is_some_and(|maximum| desired > maximum) || total > self.table_cap {
            return Ok(false);
        }
        let granted = self.grow(elements.saturating_mul(TABLE_ELEMENT_BYTES));
        if granted {
            self.table_elements = total;
        }
        Ok(granted)
    }

    fn instances(&self) -> usize {
        MAX_CORE_INSTANCES
    }

    fn memories(&self) -> usize {
        MAX_MEMORIES
    }

    fn tables(&self) -> usize {
        MAX_TABLES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memories_are_summed_over_stores_and_given_back() {
        let ledger = Ledger::new(100);
        let mut a = Share::new(Arc::clone(&ledger), 10);
        let mut b = Share::new(Arc::clone(&ledger), 10);
        assert!(a.memory_growing(0, 60, None).unwrap());
        assert!(!b.memory_growing(0, 41, None).unwrap());
        assert!(b.memory_growing(0, 40, None).unwrap());
        assert!(!a.memory_growing(60, 61, None).unwrap());
        drop(b);
        assert_eq!((ledger.used(), ledger.peak()), (60, 100));
        assert!(a.memory_growing(60, 100, None).unwrap());
    }

    #[test]
    fn a_settled_share_gives_back_once_and_takes_nothing() {
        let ledger = Ledger::new(100);
        let mut share = Share::new(Arc::clone(&ledger), 10);
        assert!(share.memory_growing(0, 60, None).unwrap());
        share.settle();
        assert_eq!(ledger.shares.load(Ordering::Relaxed), 0);
        assert!(!share.memory_growing(60, 61, None).unwrap());
        let mut next = Share::new(Arc::clone(&ledger), 10);
        assert!(next.memory_growing(0, 100, None).unwrap());
        drop(share);
        assert_eq!((ledger.used(), ledger.peak()), (100, 100));
        assert_eq!(ledger.shares.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn tables_count_and_have_their_own_cap() {
        let ledger = Ledger::new(1000);
        let mut share = Share::new(Arc::clone(&ledger), 10);
        assert!(share.table_growing(0, 6, None).unwrap());
        assert!(!share.table_growing(0, 5, None).unwrap());
        assert!(share.table_growing(6, 10, None).unwrap());
        assert_eq!(ledger.used(), 160);
    }

    #[test]
    fn a_module_own_maximum_is_kept_to() {
        let mut share = Share::new(Ledger::new(1000), 10);
        assert!(!share.memory_growing(0, 30, Some(20)).unwrap());
        assert!(!share.table_growing(0, 3, Some(2)).unwrap());
    }

    #[test]
    fn sums_do_not_wrap() {
        let mut share = Share::new(Ledger::new(u64::MAX), u64::MAX);
        assert!(share.memory_growing(0, usize::MAX, None).unwrap());
        assert!(!share.memory_growing(0, 2, None).unwrap());
    }
}
