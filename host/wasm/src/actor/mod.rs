//! One actor per living Wasm Ente: a task that owns the component and makes its calls in turn.

mod http;
mod once;
mod progress;
mod service;
pub(crate) mod sockets;

use crate::body::{self, Body, Job, Reply};
use crate::calls::Invocation;
use crate::calls::binding;
use crate::calls::peer::{Current, Peer};
use crate::control::Control;
use crate::ctx::{Ctx, Wasi};
use crate::event::{End, EventKind};
use crate::host::Shared;
use crate::iface::http::Outgoing;
use crate::iface::timer::Timers;
use crate::iface::wasi;
use crate::lane::{Call, LaneSignal, Panicked};
use crate::ledger::{Ledger, Share};
use crate::loader::{LoadError, Loaded};
use crate::output::Output;
use crate::trap::end_of;
use crate::vigil::{Awake, MOMENT};
use arje_card::{Card, Entry, Payload, Supervision, WasmPayload};
use std::future::{Future, poll_fn};
use std::os::fd::OwnedFd;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use wasmtime::component::InstancePre;

/// An incarnation that is to begin: its actor, and the calls that will come to it.
pub(crate) type Birth = (Arc<Actor>, mpsc::Receiver<Box<Invocation>>);

/// An incarnation of a Wasm Ente.
pub(crate) struct Actor {
    host: Arc<Shared>,
    card: Arc<Card>,
    incarnation: u64,
    control: Arc<Control>,
    ledger: Arc<Ledger>,
    output: Output,
    /// The incarnation whose place it is to take, if any.
    predecessor: Option<Arc<Control>>,
    /// The sockets of its `listen`; taken by the entry that serves them.
    sockets: Mutex<Vec<OwnedFd>>,
    /// Its instance, closed, until the end is told: unmapping it takes longer than the rest of an end.
    remains: Mutex<Option<Box<Body>>>,
}

impl Actor {
    pub(crate) fn new(
        host: Arc<Shared>,
        card: Arc<Card>,
        incarnation: u64,
        control: Arc<Control>,
        ledger: Arc<Ledger>,
        sockets: Vec<OwnedFd>,
        predecessor: Option<Arc<Control>>,
    ) -> Actor {
        let output = host
            .printer
            .for_ente(card.label.as_str().into(), card.id, incarnation);
        Actor {
            host,
            card,
            incarnation,
            control,
            ledger,
            output,
            predecessor,
            sockets: Mutex::new(sockets),
            remains: Mutex::default(),
        }
    }

    /// Closes an instance that will not be called again. Its memory goes when the end is told.
    fn leave(&self, mut body: Box<Body>) {
        body.data_mut().close();
        *self.remains() = Some(body);
    }

    fn remains(&self) -> MutexGuard<'_, Option<Box<Body>>> {
        // Put in or taken out whole; a panic cannot leave half of it.
        self.remains.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take_sockets(&self) -> Vec<OwnedFd> {
        // Taken or not: a panic cannot leave it half-taken.
        let mut sockets = self.sockets.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut sockets)
    }

    /// The whole life of an incarnation, and of those that begin as it ends. Whatever happens in one,
    /// even a panic of the host, ends in exactly one [`EventKind::Ended`].
    pub(crate) async fn live(birth: Birth) {
        let mut next = Some(birth);
        // Of the one before.
        let mut remains = None;
        while let Some((actor, messages)) = next {
            let loader = &actor.host.loader;
            let mut life = pin!(actor.live_and_tell(messages));
            // Until it first waits or gives way, which takes an epoch at most for each of its first calls.
            let over = poll_once(life.as_mut()).await;
            if remains.take().is_some() {
                loader.forget_surplus();
            }
            let awake = match over {
                Some(awake) => awake,
                None => life.await,
            };
            remains = Some(actor.remains().take());
            next = awake.and_then(|awake| awake.wait(MOMENT));
            if next.is_none() {
                drop(remains.take());
                loader.forget_surplus();
            }
        }
    }

    /// Whether the supervisor can be expected to start the next incarnation at once.
    fn is_likely_to_return(&self, born: Instant) -> bool {
        let Supervision::Restart { initial, .. } = self.card.supervision else {
            return false;
        };
        let asked_to_stop = self.control.stop_reason().is_some();
        !asked_to_stop && born.elapsed() >= Duration::from_millis(initial)
    }

    /// Returns that this worker is awake, if the next incarnation is likely to come at once.
    async fn live_and_tell(
        self: &Arc<Self>,
        messages: mpsc::Receiver<Box<Invocation>>,
    ) -> Option<Awake<Birth>> {
        let born = Instant::now();
        let mut obituary = Obituary {
            actor: self,
            end: None,
        };
        let end = match self.run(messages).await {
            Ok(end) | Err(end) => end,
        };
        // A call that was killed in the slow lane ends at its next epoch, when that lane's thread
        // has its turn; the end is told when nothing of it will run again.
        self.ledger.emptied().await;
        obituary.end = Some(end);
        // Before the end is told, which may put the core loop on this very processor.
        let likely = self.is_likely_to_return(born);
        likely.then(|| self.host.vigil.enter(begin))
    }

    async fn run(self: &Arc<Self>, messages: mpsc::Receiver<Box<Invocation>>) -> Result<End, End> {
        let payload = self.payload()?;
        let loaded = self.host.loader.load(&payload.module_sha256).await?;
        self.control.note_loaded(&loaded);
        if let Some(missing) = body::missing_export(&loaded.exports, &payload.entry) {
            return Err(End::Refused(format!(
                "payload.Wasm.entry is {:?}, but the component does not export {missing}",
                payload.entry.to_string()
            )));
        }
        match &payload.entry {
            Entry::Service => service::live(self, payload, &loaded, messages).await,
            // Nobody is called in these: whoever tries is told at once.
            Entry::Http => {
                drop(messages);
                http::live(self, payload, &loaded).await
            }
            Entry::Run | Entry::Export(_) => {
                drop(messages);
                once::live(self, payload, &loaded).await
            }
        }
    }

    fn payload(&self) -> Result<&WasmPayload, End> {
        match &self.card.payload {
            Payload::Wasm(payload) => Ok(payload),
            _ => Err(End::Refused("the payload is not Wasm".into())),
        }
    }

    fn started(&self, payload: &WasmPayload) {
        self.send(EventKind::Started {
            pin: payload.module_sha256,
        });
    }

    fn send(&self, kind: EventKind) {
        self.host.send(self.card.id, self.incarnation, kind);
    }

    /// The Card's deadline for a call.
    fn call_deadline(&self) -> Duration {
        Duration::from_millis(self.card.limits.call_ms)
    }

    /// The data of a new store for this Ente.
    fn ctx(&self, payload: &WasmPayload, loaded: &Loaded) -> Result<Ctx, End> {
        let wasi = if loaded.uses_wasi {
            let ctx = wasi::context(&self.card, payload, &self.output).map_err(End::Refused)?;
            let outgoing = Outgoing::new(self.card.permissions.networking);
            Some(Wasi::new(ctx, outgoing))
        } else {
            None
        };
        // Only a service is there when a timer comes due, or something happens.
        let stays = payload.entry == Entry::Service;
        Ok(Ctx::new(
            self.output.clone(),
            Timers::new(stays && loaded.exports.on_timer.is_some()),
            Share::new(Arc::clone(&self.ledger), self.card.limits.tables),
            Arc::new(LaneSignal::default()),
            Peer::new(
                Arc::clone(&self.host),
                Arc::clone(&self.card),
                self.incarnation,
            )
            .hearing_events(stays && loaded.exports.on_event.is_some()),
            wasi,
        ))
    }

    /// Makes an instance; its start sections run under the deadline for a call.
    async fn instantiate(&self, payload: &WasmPayload, loaded: &Loaded) -> Result<Box<Body>, End> {
        let pre: InstancePre<Ctx> = loaded.granted(&self.card)?.clone();
        binding::check(&self.host, &loaded.typed).map_err(End::Refused)?;
        let ctx = self.ctx(payload, loaded)?;
        let signal = Arc::clone(&ctx.signal);
        let store = ctx.into_store(self.host.loader.engine(), Arc::clone(&self.host.ticker));
        let made = Box::pin(body::instantiate(pre, store));
        self.bounded(made, &signal, "instantiation", Some(self.call_deadline()))
            .await?
            .map_err(|error| self.cannot_instantiate(&error))
    }

    fn cannot_instantiate(&self, error: &wasmtime::Error) -> End {
        match end_of(error) {
            End::Trapped {
                kind: "host-error",
                message,
            } => End::Refused(format!(
                "cannot instantiate within limits.memory_bytes = {} and limits.tables = {}: {message}",
                self.card.limits.memory_bytes, self.card.limits.tables
            )),
            end => end,
        }
    }

    /// Makes one call. On any failure the body is gone and the incarnation is over.
    async fn call(
        &self,
        body: Box<Body>,
        job: Job,
        deadline: Option<Duration>,
    ) -> Result<(Box<Body>, Reply), End> {
        self.call_for(body, job, deadline, None).await
    }

    /// The same, for somebody who waits for the answer.
    async fn call_for(
        &self,
        mut body: Box<Body>,
        job: Job,
        deadline: Option<Duration>,
        current: Option<Current>,
    ) -> Result<(Box<Body>, Reply), End> {
        body.data_mut().peer.begin(deadline, current);
        let name = job.name();
        let signal = Arc::clone(&body.data().signal);
        let call = Box::pin(body::perform(body, job));
        match self.bounded(call, &signal, name, deadline).await? {
            (body, Ok(reply)) => Ok((body, reply)),
            (body, Err(error)) => {
                self.leave(body);
                Err(end_of(&error))
            }
        }
    }

    /// Waits for a call, but not longer than its deadline and not after a kill.
    async fn bounded<T: Send + 'static>(
        &self,
        call: Call<T>,
        signal: &Arc<LaneSignal>,
        name: &'static str,
        deadline: Option<Duration>,
    ) -> Result<T, End> {
        let too_late = async {
            match deadline {
                Some(deadline) => tokio::time::sleep(deadline).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            done = self.host.lanes.run(call, signal) => {
                done.map_err(|Panicked(message)| End::HostPanic(message))
            }
            () = self.control.killed() => Err(End::Killed),
            () = too_late => Err(End::Deadline {
                call: name,
                after_ms: deadline.map_or(0, |deadline| deadline.as_millis() as u64),
            }),
        }
    }
}

/// Begins an incarnation on a worker of its own.
pub(crate) fn begin((actor, messages): Birth) {
    let host = Arc::clone(&actor.host);
    host.lanes.handle().spawn(Actor::live((actor, messages)));
}

/// Polls a future once; what it is ready with.
async fn poll_once<T>(mut future: Pin<&mut impl Future<Output = T>>) -> Option<T> {
    poll_fn(|cx| {
        Poll::Ready(match future.as_mut().poll(cx) {
            Poll::Ready(value) => Some(value),
            Poll::Pending => None,
        })
    })
    .await
}

impl From<LoadError> for End {
    fn from(error: LoadError) -> End {
        End::Refused(error.0)
    }
}

/// Announces the end when the actor is dropped, by return or by panic.
struct Obituary<'a> {
    actor: &'a Actor,
    end: Option<End>,
}

impl Drop for Obituary<'_> {
    fn drop(&mut self) {
        let actor = self.actor;
        actor.control.close();
        actor.control.bay.clear(); // where a panic left it
        actor.host.forget(actor.card.id, actor.incarnation);
        let end = self.end.take().unwrap_or_else(|| {
            if std::thread::panicking() {
                End::HostPanic("see the panic message above".into())
            } else {
                End::Killed // the whole host ends
            }
        });
        actor.send(EventKind::Ended {
            end,
            memory_peak: actor.ledger.peak(),
        });
    }
}
