//! One actor per living Wasm Ente: a task that owns the component and makes its calls in turn.

mod http;
mod once;
mod progress;
mod service;
pub(crate) mod sockets;

use crate::body::{self, Body, Job, Reply};
use crate::control::Control;
use crate::ctx::{Ctx, Wasi};
use crate::event::{End, EventKind};
use crate::host::{InvokeError, Shared};
use crate::iface::http::Outgoing;
use crate::iface::timer::Timers;
use crate::iface::wasi;
use crate::lane::{Call, LaneSignal, Panicked};
use crate::ledger::{Ledger, Share};
use crate::loader::{LoadError, Loaded};
use crate::output::Output;
use crate::trap::end_of;
use arje_card::{Card, Entry, Payload, WasmPayload};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use wasmtime::component::InstancePre;

/// Where calls of one Ente wait; its capacity is the Card's `limits.mailbox`. Boxed, because tokio
/// allocates 32 slots at once for every mailbox, idle or not.
pub(crate) type Mailbox = mpsc::Sender<Box<Invocation>>;

/// A call from another Ente.
#[derive(Debug)]
pub(crate) struct Invocation {
    pub(crate) function: Box<str>,
    pub(crate) payload: Vec<u8>,
    pub(crate) reply: oneshot::Sender<Result<Vec<u8>, InvokeError>>,
}

/// An incarnation of a Wasm Ente.
pub(crate) struct Actor {
    host: Arc<Shared>,
    card: Arc<Card>,
    incarnation: u64,
    control: Arc<Control>,
    ledger: Arc<Ledger>,
    output: Output,
    /// The sockets of its `listen`; taken by the entry that serves them.
    sockets: Mutex<Vec<OwnedFd>>,
}

impl Actor {
    pub(crate) fn new(
        host: Arc<Shared>,
        card: Arc<Card>,
        incarnation: u64,
        control: Arc<Control>,
        ledger: Arc<Ledger>,
        sockets: Vec<OwnedFd>,
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
            sockets: Mutex::new(sockets),
        }
    }

    fn take_sockets(&self) -> Vec<OwnedFd> {
        // Taken or not: a panic cannot leave it half-taken.
        let mut sockets = self.sockets.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut sockets)
    }

    /// The whole life of the incarnation. Whatever happens in it, even a panic of the host, ends
    /// in exactly one [`EventKind::Ended`].
    pub(crate) async fn live(self: Arc<Self>, messages: mpsc::Receiver<Box<Invocation>>) {
        self.live_and_tell(messages).await;
        self.host.loader.forget_surplus();
    }

    async fn live_and_tell(self: &Arc<Self>, messages: mpsc::Receiver<Box<Invocation>>) {
        let mut obituary = Obituary {
            actor: self,
            end: None,
        };
        let end = match self.run(messages).await {
            Ok(end) | Err(end) => end,
        };
        // A call that was killed in the slow lane ends at its next epoch, when that lane's thread
        // has its turn; the end is told when it is true.
        self.ledger.emptied().await;
        obituary.end = Some(end);
    }

    async fn run(self: &Arc<Self>, messages: mpsc::Receiver<Box<Invocation>>) -> Result<End, End> {
        let payload = self.payload()?;
        let loaded = self.host.loader.load(&payload.module_sha256).await?;
        if let Some(missing) = body::missing_export(&loaded.exports, &payload.entry) {
            return Err(End::Refused(format!(
                "payload.Wasm.entry is {:?}, but the component does not export {missing}",
                payload.entry.to_string()
            )));
        }
        match &payload.entry {
            Entry::Service => service::live(self, payload, &loaded, messages).await,
            Entry::Http => http::live(self, payload, &loaded).await,
            Entry::Run | Entry::Export(_) => once::live(self, payload, &loaded).await,
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
        Ok(Ctx::new(
            self.output.clone(),
            // Only a service is there when a timer comes due.
            Timers::new(payload.entry == Entry::Service && loaded.exports.on_timer.is_some()),
            Share::new(Arc::clone(&self.ledger), self.card.limits.tables),
            Arc::new(LaneSignal::default()),
            wasi,
        ))
    }

    /// Makes an instance; its start sections run under the deadline for a call.
    async fn instantiate(&self, payload: &WasmPayload, loaded: &Loaded) -> Result<Box<Body>, End> {
        let pre: InstancePre<Ctx> = loaded.granted(&self.card)?.clone();
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
        let name = job.name();
        let signal = Arc::clone(&body.data().signal);
        let call = Box::pin(body::perform(body, job));
        match self.bounded(call, &signal, name, deadline).await? {
            (body, Ok(reply)) => Ok((body, reply)),
            (_, Err(error)) => Err(end_of(&error)),
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
