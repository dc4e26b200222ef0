//! A component that lives: its store, its instance, and the calls the host makes.

use crate::calls::Call;
use crate::calls::typed_call::TypedJob;
use crate::calls::values::direct::{Given, IN_MEMORY, MAX_FLAT_PARAMS, Taken};
use crate::calls::values::{Unfit, decode, encode, params as types_of, results};
use crate::capability::{Capability, CardInfo, StopReason};
use crate::ctx::Ctx;
use crate::exports::Exports;
use crate::iface::{bus, supervisor};
use crate::trap::told;
use arje_bus::{Event, HandlerError};
use std::sync::Arc;
use tokio::sync::oneshot;
use wasmtime::component::types::ComponentFunc;
use wasmtime::component::{
    ComponentExportIndex, ComponentNamedList, Func, Instance, InstancePre, Lift, Lower, TypedFunc,
    Val,
};
use wasmtime::{Error, Result, Store};
use wasmtime_wasi_http::WasiHttpView;
use wasmtime_wasi_http::p2::bindings::ProxyPre;
use wasmtime_wasi_http::p2::bindings::http::types::{ErrorCode, Scheme};
use wasmtime_wasi_http::p2::body::HyperOutgoingBody;

/// One instance and all it owns.
pub(crate) struct Body {
    store: Store<Ctx>,
    instance: Instance,
    /// The function that was invoked last, looked up and type-checked.
    invoked: Option<(ComponentExportIndex, Invoke)>,
    /// `handler.handle`, once it was called.
    handle: Option<Handle>,
}

type Invoke = TypedFunc<(Vec<u8>,), (Vec<u8>,)>;
type Handle = TypedFunc<(bus::Caller, Capability, Vec<u8>), (Result<Vec<u8>, bus::HandlerError>,)>;

/// A call of one of the component's exports.
#[derive(Debug)]
pub(crate) enum Job {
    /// `wasi:cli/run.run`
    Run(ComponentExportIndex),
    /// `service.start`
    Start(ComponentExportIndex, CardInfo),
    /// `service.stop`
    Stop(ComponentExportIndex, StopReason),
    /// `health.health`
    Health(ComponentExportIndex),
    /// `timer-handler.on-timer`
    OnTimer(ComponentExportIndex, u64),
    /// `supervisor-handler.on-event`
    OnEvent(ComponentExportIndex, Arc<Event>),
    /// A function without parameters, by its full name.
    Export(ComponentExportIndex),
    /// A function `(list<u8>) -> list<u8>`.
    Invoke(ComponentExportIndex, Vec<u8>),
    /// `handoff.save`
    Save(ComponentExportIndex),
    /// `handoff.restore`
    Restore(ComponentExportIndex, Vec<u8>),
    /// `handler.handle`
    Handle(ComponentExportIndex, Call),
    /// A function of a typed service.
    Typed(TypedJob),
}

impl Job {
    /// How the call is named in an exit status.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Job::Run(_) => "run",
            Job::Start(..) => "start",
            Job::Stop(..) => "stop",
            Job::Health(_) => "health",
            Job::OnTimer(..) => "on-timer",
            Job::OnEvent(..) => "on-event",
            Job::Export(_) => "the entry function",
            Job::Invoke(..) => "the invoked function",
            Job::Save(_) => "handoff.save",
            Job::Restore(..) => "handoff.restore",
            Job::Handle(..) => "handler.handle",
            Job::Typed(_) => "the called function",
        }
    }
}

/// Every name that a call has in an exit status: those of [`Job::name`], and two that are no jobs.
pub(crate) const CALLS: &[&str] = &[
    "instantiation",
    "handle",
    "run",
    "start",
    "stop",
    "health",
    "on-timer",
    "the entry function",
    "the invoked function",
    "handoff.save",
    "handoff.restore",
    "handler.handle",
    "the called function",
    "on-event",
];

/// What a call returned.
#[derive(Debug)]
pub(crate) enum Reply {
    /// Nothing, or ok.
    Done,
    /// The error case of the function's result.
    Failed(String),
    /// The answer of [`Job::Invoke`] and [`Job::Handle`].
    Bytes(Vec<u8>),
    /// The error of [`Job::Handle`].
    Refused(HandlerError),
    /// The answer of [`Job::Typed`].
    Values(Result<Vec<u8>, Unfit>),
}

/// Instantiates; runs the component's start sections.
pub(crate) async fn instantiate(pre: InstancePre<Ctx>, mut store: Store<Ctx>) -> Result<Box<Body>> {
    let instance = pre.instantiate_async(&mut store).await?;
    Ok(Box::new(Body {
        store,
        instance,
        invoked: None,
        handle: None,
    }))
}

/// Makes one call. The body comes back even if the call trapped; it is then good for nothing but
/// to be dropped.
pub(crate) async fn perform(mut body: Box<Body>, job: Job) -> (Box<Body>, Result<Reply>) {
    body.store.set_epoch_deadline(1);
    let reply = body.call(job).await;
    (body, reply)
}

impl Body {
    pub(crate) fn data(&self) -> &Ctx {
        self.store.data()
    }

    pub(crate) fn data_mut(&mut self) -> &mut Ctx {
        self.store.data_mut()
    }

    async fn call(&mut self, job: Job) -> Result<Reply> {
        match job {
            Job::Run(run) => {
                let (result,) = self.typed::<(), (Result<(), ()>,)>(run, ()).await?;
                Ok(result.map_or_else(|()| Reply::Failed(String::new()), |()| Reply::Done))
            }
            Job::Start(start, info) => {
                let (result,) = self
                    .typed::<_, (Result<(), String>,)>(start, (info,))
                    .await?;
                Ok(result.map_or_else(|text| Reply::Failed(told(&text)), |()| Reply::Done))
            }
            Job::Health(health) => {
                let (result,) = self.typed::<_, (Result<(), String>,)>(health, ()).await?;
                Ok(result.map_or_else(|text| Reply::Failed(told(&text)), |()| Reply::Done))
            }
            Job::Stop(stop, reason) => {
                self.typed::<_, ()>(stop, (reason,)).await?;
                Ok(Reply::Done)
            }
            Job::OnTimer(on_timer, token) => {
                self.typed::<_, ()>(on_timer, (token,)).await?;
                Ok(Reply::Done)
            }
            Job::OnEvent(on_event, event) => {
                let event = supervisor::Event::from(&*event);
                self.typed::<_, ()>(on_event, (event,)).await?;
                Ok(Reply::Done)
            }
            Job::Save(save) => {
                let (state,) = self.typed::<(), (Vec<u8>,)>(save, ()).await?;
                Ok(Reply::Bytes(state))
            }
            Job::Restore(restore, state) => {
                let (result,) = self
                    .typed::<_, (Result<(), String>,)>(restore, (state,))
                    .await?;
                Ok(result.map_or_else(|text| Reply::Failed(told(&text)), |()| Reply::Done))
            }
            Job::Export(function) => self.call_export(function).await,
            Job::Invoke(function, payload) => self.invoke(function, payload).await,
            Job::Handle(handle, call) => self.handle(handle, call).await,
            Job::Typed(job) => Ok(Reply::Values(self.call_typed(job).await?)),
        }
    }

    async fn typed<P, R>(&mut self, function: ComponentExportIndex, params: P) -> Result<R>
    where
        P: ComponentNamedList + Lower + Send + Sync,
        R: ComponentNamedList + Lift + Send + Sync + 'static,
    {
        self.instance
            .get_typed_func::<P, R>(&mut self.store, function)?
            .call_async(&mut self.store, params)
            .await
    }

    async fn invoke(&mut self, function: ComponentExportIndex, payload: Vec<u8>) -> Result<Reply> {
        let typed = match &self.invoked {
            Some((last, typed)) if *last == function => *typed,
            _ => {
                let typed: Invoke = self.instance.get_typed_func(&mut self.store, function)?;
                self.invoked = Some((function, typed));
                typed
            }
        };
        let (answer,) = typed.call_async(&mut self.store, (payload,)).await?;
        Ok(Reply::Bytes(answer))
    }

    async fn handle(&mut self, handle: ComponentExportIndex, call: Call) -> Result<Reply> {
        let typed = match self.handle {
            Some(typed) => typed,
            None => {
                let typed: Handle = self.instance.get_typed_func(&mut self.store, handle)?;
                *self.handle.insert(typed)
            }
        };
        let caller = bus::Caller::from(&call.caller);
        let params = (caller, Capability::from(&call.capability), call.payload);
        let (answer,) = typed.call_async(&mut self.store, params).await?;
        Ok(answer.map_or_else(|error| Reply::Refused(error.into()), Reply::Bytes))
    }

    /// The bytes of a typed function's results, if they can be taken out of the component.
    async fn call_typed(&mut self, job: TypedJob) -> Result<Result<Vec<u8>, Unfit>> {
        let function = self
            .instance
            .get_func(&mut self.store, job.function)
            .ok_or_else(|| Error::msg("the called export is not a function"))?;
        let params = Given::<{ MAX_FLAT_PARAMS }>(job.params);
        match (job.way.stack, job.way.returns_in_memory) {
            (None, _) => self.call_by_vals(function, &params.0, &job.ty).await,
            (Some(_), false) => {
                let function = function.typed::<_, Taken<1>>(&self.store)?;
                Ok(function.call_async(&mut self.store, params).await?.0)
            }
            (Some(_), true) => {
                let function = function.typed::<_, Taken<{ IN_MEMORY }>>(&self.store)?;
                Ok(function.call_async(&mut self.store, params).await?.0)
            }
        }
    }

    /// The same of a function that has too many parameters for the stack.
    async fn call_by_vals(
        &mut self,
        function: Func,
        params: &[u8],
        ty: &ComponentFunc,
    ) -> Result<Result<Vec<u8>, Unfit>> {
        let params = match decode(params, &types_of(ty)) {
            Ok(params) => params,
            Err(unfit) => return Ok(Err(unfit)),
        };
        let types = results(ty);
        let mut values = vec![Val::Bool(false); types.len()];
        function
            .call_async(&mut self.store, &params, &mut values)
            .await?;
        Ok(encode(&values, &types))
    }

    async fn call_export(&mut self, function: ComponentExportIndex) -> Result<Reply> {
        let function = self
            .instance
            .get_func(&mut self.store, function)
            .ok_or_else(|| Error::msg("the entry is not a function"))?;
        let ty = function.ty(&self.store);
        if ty.params().len() > 0 {
            return Err(Error::msg(
                "the entry function takes parameters; only one without can be an entry",
            ));
        }
        let mut results = vec![Val::Bool(false); ty.results().len()];
        function
            .call_async(&mut self.store, &[], &mut results)
            .await?;
        Ok(match results.first() {
            Some(Val::Result(Err(None))) => Reply::Failed(String::new()),
            Some(Val::Result(Err(Some(error)))) => Reply::Failed(match &**error {
                Val::String(text) => told(text),
                other => told(&format!("{other:?}")),
            }),
            _ => Reply::Done,
        })
    }
}

/// A request and where the head of its answer goes.
pub(crate) struct HttpJob {
    pub(crate) request: hyper::Request<hyper::body::Incoming>,
    pub(crate) head: oneshot::Sender<Result<hyper::Response<HyperOutgoingBody>, ErrorCode>>,
}

/// Instantiates a `wasi:http/proxy` component for one request and lets it handle it.
pub(crate) async fn instantiate_http(
    pre: ProxyPre<Ctx>,
    mut store: Store<Ctx>,
    job: HttpJob,
) -> Result<()> {
    let proxy = pre.instantiate_async(&mut store).await?;
    let mut http = store.data_mut().http();
    let request = http.new_incoming_request(Scheme::Http, job.request)?;
    let head = http.new_response_outparam(job.head)?;
    store.set_epoch_deadline(1);
    proxy
        .wasi_http_incoming_handler()
        .call_handle(&mut store, request, head)
        .await
}

/// Whether a component can be driven by `entry`, and which of its exports is missing if not.
pub(crate) fn missing_export(exports: &Exports, entry: &arje_card::Entry) -> Option<&'static str> {
    use arje_card::Entry;
    match entry {
        Entry::Run if exports.run.is_none() => Some("wasi:cli/run@0.2.x"),
        Entry::Service if exports.service.is_none() => Some("arje:ente/service@1.x"),
        _ => None,
    }
}
