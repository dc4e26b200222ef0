//! Where a component computes: a fast lane for calls, a slow lane for those that compute long.
//!
//! Both are tokio runtimes. A call starts on a fast worker. If it computes beyond the end of an
//! epoch and half as long again (1 to 4 ms; see [`ticker`](crate::ticker)), it gives way at its next loop head and goes on in the slow
//! lane, whose threads the kernel runs only when nothing else wants the processor. So any number
//! of spinning components cannot make a neighbour's call wait longer than about one epoch, once.
//! A call that waits (for a timer, a socket, a file) stays in the fast lane: it costs nothing.

use crate::idle::run_when_idle;
use crate::ticker::{TICK, Ticker};
use nix::time::{ClockId, clock_gettime};
use std::any::Any;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::runtime::{Builder, Handle, Runtime};

/// A call under way.
pub(crate) type Call<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Stack of a worker thread: components run on stacks of their own.
const WORKER_STACK: usize = 512 * 1024;

/// Threads for blocking file and name look-ups; they exist only while used.
const MAX_BLOCKING: usize = 16;

/// Nanoseconds of the processor's time after the first end of an epoch from which on a call has computed for long.
const LONG: u64 = TICK.as_nanos() as u64 / 2;

/// No end of an epoch yet.
const NEVER: u64 = 0;

/// What this thread has had of processors, in nanoseconds (CLOCK_THREAD_CPUTIME_ID, clock_gettime(2)).
fn processor_time() -> u64 {
    let time = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map(Duration::from);
    // Linux has had this clock for ever; without it, everything would count as computing.
    time.map_or(u64::MAX, |time| (time.as_nanos() as u64).max(1))
}

/// What a call and the lane it runs in tell each other.
#[derive(Debug, Default)]
pub(crate) struct LaneSignal {
    /// The epoch in which the call was last resumed.
    resumed_at: AtomicU64,
    /// The processor's time when an epoch first ended after that, in nanoseconds.
    computing_since: AtomicU64,
    /// The call gave way because it computed for long.
    gave_way: AtomicBool,
    /// The last call ended up in the slow lane, so the next one starts there.
    slow: AtomicBool,
    /// The call is in the slow lane now.
    in_slow: AtomicBool,
}

impl LaneSignal {
    /// Called by the engine when an epoch has passed: whether the call should give way, since it has computed for
    /// long. What counts is the processor's time: on a busy machine, a call that was interrupted has not computed.
    pub(crate) fn epoch_passed(&self, ticker: &Ticker) -> bool {
        if ticker.now() <= self.resumed_at.load(Ordering::Relaxed) {
            return false;
        }
        let now = processor_time();
        let since = match self.computing_since.load(Ordering::Relaxed) {
            NEVER => {
                self.computing_since.store(now, Ordering::Relaxed);
                return false;
            }
            since => since,
        };
        let long = now.saturating_sub(since) >= LONG;
        if long {
            self.gave_way.store(true, Ordering::Relaxed);
        }
        long
    }

    /// Whether the call runs on a fast worker.
    pub(crate) fn is_fast(&self) -> bool {
        !self.in_slow.load(Ordering::Relaxed)
    }

    /// Whether its calls are known to compute long.
    pub(crate) fn is_slow(&self) -> bool {
        self.slow.load(Ordering::Relaxed)
    }

    /// The call begins on the fast worker of whoever makes it.
    pub(crate) fn resume_here(&self, ticker: &Ticker) {
        self.in_slow.store(false, Ordering::Relaxed);
        self.resume(ticker);
    }

    /// Whether an epoch has ended since the call was last resumed: others on its worker should have their turn.
    pub(crate) fn has_had_its_turn(&self, ticker: &Ticker) -> bool {
        ticker.now() > self.resumed_at.load(Ordering::Relaxed)
    }

    /// The call goes on now.
    fn resume(&self, ticker: &Ticker) {
        self.resumed_at.store(ticker.now(), Ordering::Relaxed);
        self.computing_since.store(NEVER, Ordering::Relaxed);
        self.gave_way.store(false, Ordering::Relaxed);
    }
}

/// The worker threads of all components.
#[derive(Debug)]
pub(crate) struct Lanes {
    /// Taken out only when this is dropped.
    fast: Option<Runtime>,
    handle: Handle,
    slow: OnceLock<Runtime>,
    ticker: Arc<Ticker>,
    workers: usize,
}

/// Why a call did not come back.
#[derive(Debug)]
pub(crate) struct Panicked(pub(crate) String);

impl Lanes {
    pub(crate) fn new(ticker: Arc<Ticker>, workers: usize) -> io::Result<Lanes> {
        let fast = Builder::new_multi_thread()
            .worker_threads(workers)
            .max_blocking_threads(MAX_BLOCKING)
            .thread_stack_size(WORKER_STACK)
            .thread_name("wasm")
            .enable_all()
            .build()?;
        Ok(Lanes {
            handle: fast.handle().clone(),
            fast: Some(fast),
            slow: OnceLock::new(),
            ticker,
            workers,
        })
    }

    /// The fast lane, for spawning actors.
    pub(crate) fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Runs a call to its end, in whichever lane it belongs. Dropping the future ends the call at
    /// its next epoch at the latest.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        call: Call<T>,
        signal: &Arc<LaneSignal>,
    ) -> Result<T, Panicked> {
        let call = if signal.slow.load(Ordering::Relaxed) {
            call
        } else {
            let fast = OnFast {
                call: Some(call),
                signal,
                ticker: &self.ticker,
            };
            match fast.await {
                Step::Done(value) => return Ok(value),
                Step::Demoted(call) => call,
            }
        };
        self.run_slowly(call, signal).await
    }

    async fn run_slowly<T: Send + 'static>(
        &self,
        call: Call<T>,
        signal: &Arc<LaneSignal>,
    ) -> Result<T, Panicked> {
        let slow = match self.slow_lane() {
            Ok(runtime) => runtime,
            Err(error) => return Err(Panicked(format!("cannot start the slow lane: {error}"))),
        };
        let call = OnSlow {
            call,
            signal: Arc::clone(signal),
            ticker: Arc::clone(&self.ticker),
            long: false,
        };
        let mut task = AbortOnDrop(slow.spawn(call));
        match (&mut task.0).await {
            Ok((value, long)) => {
                signal.slow.store(long, Ordering::Relaxed);
                Ok(value)
            }
            Err(error) => Err(Panicked(match error.try_into_panic() {
                Ok(payload) => panic_message(payload.as_ref()),
                Err(error) => error.to_string(),
            })),
        }
    }

    fn slow_lane(&self) -> io::Result<&Runtime> {
        if let Some(slow) = self.slow.get() {
            return Ok(slow);
        }
        let slow = Builder::new_multi_thread()
            .worker_threads(self.workers)
            .max_blocking_threads(MAX_BLOCKING)
            .thread_stack_size(WORKER_STACK)
            .thread_name("wasm-slow")
            .on_thread_start(run_when_idle)
            .enable_all()
            .build()?;
        // Two callers at once: one runtime is kept, the other ends without ever having had work.
        if let Err(spare) = self.slow.set(slow) {
            spare.shutdown_background();
        }
        self.slow
            .get()
            .ok_or_else(|| io::Error::other("no slow lane"))
    }
}

impl Drop for Lanes {
    /// Ends all workers without waiting for them: the last owner may be one of them.
    fn drop(&mut self) {
        for runtime in [self.slow.take(), self.fast.take()].into_iter().flatten() {
            runtime.shutdown_background();
        }
    }
}

/// The text of a panic.
pub(crate) fn panic_message(payload: &(dyn Any + Send)) -> String {
    payload
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "panic without a message".to_owned())
}

enum Step<T> {
    Done(T),
    Demoted(Call<T>),
}

struct OnFast<'a, T> {
    call: Option<Call<T>>,
    signal: &'a LaneSignal,
    ticker: &'a Ticker,
}

impl<T> Future for OnFast<'_, T> {
    type Output = Step<T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Step<T>> {
        let this = &mut *self;
        let Some(call) = &mut this.call else {
            return Poll::Pending; // taken out when it was demoted; not polled again after that
        };
        let polled = {
            let _on_cpu = this.ticker.enter();
            this.signal.in_slow.store(false, Ordering::Relaxed);
            this.signal.resume(this.ticker);
            poll_freely(call, cx)
        };
        match polled {
            Poll::Ready(value) => Poll::Ready(Step::Done(value)),
            Poll::Pending if this.signal.gave_way.load(Ordering::Relaxed) => this
                .call
                .take()
                .map_or(Poll::Pending, |call| Poll::Ready(Step::Demoted(call))),
            Poll::Pending => Poll::Pending,
        }
    }
}

struct OnSlow<T> {
    call: Call<T>,
    signal: Arc<LaneSignal>,
    ticker: Arc<Ticker>,
    /// Whether it computed for longer than an epoch here, too.
    long: bool,
}

impl<T> Future for OnSlow<T> {
    type Output = (T, bool);

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<(T, bool)> {
        let this = &mut *self;
        let polled = {
            let _on_cpu = this.ticker.enter();
            this.signal.in_slow.store(true, Ordering::Relaxed);
            this.signal.resume(&this.ticker);
            poll_freely(&mut this.call, cx)
        };
        this.long |= this.signal.gave_way.load(Ordering::Relaxed);
        polled.map(|value| (value, this.long))
    }
}

/// Polls without tokio's own budget, which a component that calls the host all the time uses up: its deadline, which is
/// looked at next, would never see that it has come. How long a call may go on is the epochs' to say.
fn poll_freely<T>(call: &mut Call<T>, cx: &mut Context<'_>) -> Poll<T> {
    std::pin::pin!(tokio::task::unconstrained(call)).poll(cx)
}

struct AbortOnDrop<T>(tokio::task::JoinHandle<T>);

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}
