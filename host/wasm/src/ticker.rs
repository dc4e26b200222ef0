//! The epoch ticker: lets a component that computes give way, and costs nothing while none does.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread::{self, Thread};
use std::time::Duration;
use wasmtime::EngineWeak;

/// Length of an epoch. A component that computes while two of them end leaves the fast lane, so twice this is
/// about the longest that one call can keep a fast worker; shorter would cost wake-ups. One would not do: an epoch
/// may end right after a call was resumed, and a busy caller would be sent away for having been there at that moment.
pub(crate) const TICK: Duration = Duration::from_millis(2);

/// Ticks without any component on a processor before the ticker sleeps. Long enough that a busy
/// system does not pay a thread wake-up per call (a quarter of a second), and an idle system has
/// no timer at all.
const LINGER: u32 = 128;

/// Counts epochs while components compute.
#[derive(Debug)]
pub(crate) struct Ticker {
    shared: Arc<Shared>,
    thread: Thread,
}

#[derive(Debug, Default)]
struct Shared {
    now: AtomicU64,
    on_cpu: AtomicUsize,
    asleep: AtomicBool,
    ended: AtomicBool,
}

impl Ticker {
    /// Starts the ticker thread for `engine`; it ends with this value or with the engine.
    pub(crate) fn start(engine: EngineWeak) -> std::io::Result<Ticker> {
        let shared = Arc::new(Shared::default());
        let of_thread = Arc::clone(&shared);
        let handle = thread::Builder::new()
            .name("wasm-ticker".into())
            .stack_size(64 * 1024) // it calls two functions
            .spawn(move || tick(&of_thread, &engine))?;
        Ok(Ticker {
            shared,
            thread: handle.thread().clone(),
        })
    }

    /// The current epoch.
    pub(crate) fn now(&self) -> u64 {
        self.shared.now.load(Ordering::Relaxed)
    }

    /// Says that a component is about to compute on this thread, until the guard is dropped.
    pub(crate) fn enter(&self) -> OnCpu<'_> {
        // SeqCst pairs with `tick`: either it sees the count, or we see that it sleeps.
        if self.shared.on_cpu.fetch_add(1, Ordering::SeqCst) == 0
            && self.shared.asleep.load(Ordering::SeqCst)
        {
            self.thread.unpark();
        }
        OnCpu {
            count: &self.shared.on_cpu,
        }
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::SeqCst);
        self.thread.unpark();
    }
}

/// A component is computing.
pub(crate) struct OnCpu<'a> {
    count: &'a AtomicUsize,
}

impl Drop for OnCpu<'_> {
    fn drop(&mut self) {
        self.count.fetch_sub(1, Ordering::SeqCst);
    }
}

fn tick(shared: &Shared, engine: &EngineWeak) {
    let mut quiet = 0;
    while !shared.ended.load(Ordering::SeqCst) {
        if shared.on_cpu.load(Ordering::SeqCst) == 0 {
            quiet += 1;
        } else {
            quiet = 0;
        }
        if quiet > LINGER {
            shared.asleep.store(true, Ordering::SeqCst);
            if shared.on_cpu.load(Ordering::SeqCst) == 0 && !shared.ended.load(Ordering::SeqCst) {
                thread::park();
            }
            shared.asleep.store(false, Ordering::SeqCst);
            quiet = 0;
            continue;
        }
        thread::sleep(TICK);
        let Some(engine) = engine.upgrade() else {
            return;
        };
        shared.now.fetch_add(1, Ordering::Relaxed);
        engine.increment_epoch();
    }
}
