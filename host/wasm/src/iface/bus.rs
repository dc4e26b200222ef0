//! `arje:bus/bus`: calls to whoever provides a capability.

use crate::calls::peer::{Current, Peer};
use crate::calls::{Asker, Call};
use crate::capability::Capability;
use crate::ctx::Ctx;
use crate::event::{Ask, EnteInfo as Entry, EventKind};
use crate::host::Shared;
use arje_bus::{
    CallError, Caller as Who, DEFAULT_DEADLINE, EnteState as State, HandlerError as Handler,
    Origin as Place,
};
use arje_card::{Capability as CardCapability, Id};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;
use wasmtime::Result;
use wasmtime::component::{ComponentType, Lift, Linker, Lower};

/// The interface's name.
pub(crate) const NAME: &str = "arje:bus/bus@1.0.0";

/// `types.process`
#[derive(ComponentType, Lower, Clone, Copy, Debug)]
#[component(record)]
pub(crate) struct Process {
    pid: u32,
    uid: u32,
    gid: u32,
}

/// `types.origin`
#[derive(ComponentType, Lower, Clone, Copy, Debug)]
#[component(variant)]
pub(crate) enum Origin {
    #[component(name = "component")]
    Component,
    #[component(name = "process")]
    Process(Process),
}

/// `types.caller`
#[derive(ComponentType, Lower, Clone, Debug)]
#[component(record)]
pub(crate) struct Caller {
    id: Option<String>,
    label: Option<String>,
    origin: Origin,
}

/// `types.handler-error`
#[derive(ComponentType, Lift, Lower, Clone, Debug)]
#[component(variant)]
pub(crate) enum HandlerError {
    #[component(name = "unsupported")]
    Unsupported,
    #[component(name = "bad-request")]
    BadRequest(String),
    #[component(name = "forbidden")]
    Forbidden(String),
    #[component(name = "failed")]
    Failed(String),
}

/// `types.invoke-error`
#[derive(ComponentType, Lower, Clone, Debug)]
#[component(variant)]
enum InvokeError {
    #[component(name = "no-provider")]
    NoProvider,
    #[component(name = "overloaded")]
    Overloaded,
    #[component(name = "deadline")]
    Deadline,
    #[component(name = "provider-died")]
    ProviderDied,
    #[component(name = "deadlock")]
    Deadlock,
    #[component(name = "too-large")]
    TooLarge(u32),
    #[component(name = "refused")]
    Refused(HandlerError),
}

/// `types.register-error`
#[derive(ComponentType, Lower, Clone, Debug)]
#[component(variant)]
enum RegisterError {
    #[component(name = "not-in-card")]
    NotInCard(Capability),
    #[component(name = "too-many")]
    #[expect(
        dead_code,
        reason = "what a Card lists is bounded; the WIT keeps the case for callers that may add more"
    )]
    TooMany(String),
    #[component(name = "not-now")]
    NotNow(String),
}

/// `types.call-info`
#[derive(ComponentType, Lower, Clone, Debug)]
#[component(record)]
struct CallInfo {
    caller: Caller,
    capability: Capability,
    #[component(name = "left-ms")]
    left_ms: u64,
}

/// `arje:ente/types.ente-state`
#[derive(ComponentType, Lower, Clone, Copy, Debug)]
#[component(enum)]
#[repr(u8)]
pub(crate) enum EnteState {
    #[component(name = "declared")]
    Declared,
    #[component(name = "waiting")]
    Waiting,
    #[component(name = "starting")]
    Starting,
    #[component(name = "ready")]
    Ready,
    #[component(name = "stopping")]
    Stopping,
    #[component(name = "done")]
    Done,
    #[component(name = "backoff")]
    Backoff,
    #[component(name = "parked")]
    Parked,
    #[component(name = "failed")]
    Failed,
}

/// `arje:ente/types.ente-info`
#[derive(ComponentType, Lower, Clone, Debug)]
#[component(record)]
pub(crate) struct EnteInfo {
    id: String,
    label: String,
    incarnation: u64,
    state: EnteState,
    pid: Option<u32>,
    pin: Option<String>,
    provides: Vec<Capability>,
}

type Registered = Result<(), RegisterError>;

pub(crate) fn add_to_linker(linker: &mut Linker<Ctx>) -> Result<()> {
    let mut bus = linker.instance(NAME)?;
    bus.func_wrap_async(
        "invoke",
        |store, (capability, payload, deadline_ms): (Capability, Vec<u8>, u64)| {
            let call = call(store.data(), &capability, payload, deadline_ms);
            Box::new(async move {
                let answer = match call {
                    Some((shared, asker, call)) => shared.invoke(&asker, call).await,
                    None => Err(CallError::NoProvider), // a name that no Card can have
                };
                Ok((answer.map_err(InvokeError::from),))
            })
        },
    )?;
    bus.func_wrap_async("announce", |store, (capabilities,): (Vec<Capability>,)| {
        let asked = announce(&store.data().peer, &capabilities);
        Box::new(async move { Ok((registered(asked).await,)) })
    })?;
    bus.func_wrap_async(
        "update-capabilities",
        |store, (adds, removes): (Vec<Capability>, Vec<Capability>)| {
            let asked = update(&store.data().peer, &adds, &removes);
            Box::new(async move { Ok((registered(asked).await,)) })
        },
    )?;
    bus.func_wrap_async("list-entes", |store, (after,): (Option<String>,)| {
        let page = list(&store.data().peer, after.as_deref());
        Box::new(async move { Ok((page.await,)) })
    })?;
    bus.func_wrap("whoami", |store, ()| {
        Ok((Caller::from(&store.data().peer.caller()),))
    })?;
    bus.func_wrap("current-call", |store, ()| {
        Ok((store.data().peer.current().map(CallInfo::from),))
    })
}

type Asked = Result<oneshot::Receiver<Result<(), String>>, RegisterError>;

fn call(
    ctx: &Ctx,
    capability: &Capability,
    payload: Vec<u8>,
    deadline_ms: u64,
) -> Option<(Arc<Shared>, Asker, Call)> {
    let peer = &ctx.peer;
    let wanted = match deadline_ms {
        0 => DEFAULT_DEADLINE,
        ms => Duration::from_millis(ms),
    };
    let call = Call {
        caller: peer.caller(),
        capability: capability.to_card()?,
        payload,
        deadline: peer.deadline(wanted),
    };
    let asker = peer.asker(&ctx.signal);
    Some((Arc::clone(peer.shared()), asker, call))
}

/// Those of the Card's `provides`.
fn own(peer: &Peer, capabilities: &[Capability]) -> Result<Vec<CardCapability>, RegisterError> {
    let find = |wanted: &Capability| {
        let capability = wanted.to_card();
        capability
            .filter(|capability| peer.card().provides.contains(capability))
            .ok_or_else(|| RegisterError::NotInCard(wanted.clone()))
    };
    capabilities.iter().map(find).collect()
}

/// Asks the core loop.
pub(crate) fn ask(peer: &Peer, ask: Ask) {
    let (id, incarnation) = (peer.card().id, peer.incarnation());
    peer.shared().send(id, incarnation, EventKind::Asks(ask));
}

fn announce(peer: &Peer, capabilities: &[Capability]) -> Asked {
    let capabilities = own(peer, capabilities)?;
    let (reply, answer) = oneshot::channel();
    ask(
        peer,
        Ask::Announce {
            capabilities,
            reply,
        },
    );
    Ok(answer)
}

fn update(peer: &Peer, adds: &[Capability], removes: &[Capability]) -> Asked {
    let (adds, removes) = (own(peer, adds)?, own(peer, removes)?);
    let (reply, answer) = oneshot::channel();
    ask(
        peer,
        Ask::Update {
            adds,
            removes,
            reply,
        },
    );
    Ok(answer)
}

async fn registered(asked: Asked) -> Registered {
    match asked?.await {
        Ok(answer) => answer.map_err(RegisterError::NotNow),
        Err(_) => Err(RegisterError::NotNow("nobody answers".into())),
    }
}

/// A page of all Entes.
pub(crate) fn list(
    peer: &Peer,
    after: Option<&str>,
) -> impl Future<Output = Vec<EnteInfo>> + Send + use<> {
    let (reply, page) = oneshot::channel::<Vec<Entry>>();
    // What is no id is before every id, or it would end a listing in silence.
    let after = after.and_then(|text| text.parse::<Id>().ok());
    ask(peer, Ask::List { after, reply });
    async move {
        let page = page.await.unwrap_or_default();
        page.iter().map(EnteInfo::from).collect()
    }
}

impl From<&Who> for Caller {
    fn from(who: &Who) -> Caller {
        let card = who.card.as_ref();
        Caller {
            id: card.map(|card| card.id.to_string()),
            label: card.map(|card| card.label.clone()),
            origin: match who.origin {
                Place::Component => Origin::Component,
                Place::Process { pid, uid, gid } => Origin::Process(Process { pid, uid, gid }),
            },
        }
    }
}

impl From<&Current> for CallInfo {
    fn from(current: &Current) -> CallInfo {
        let left = current.deadline.saturating_duration_since(Instant::now());
        CallInfo {
            caller: Caller::from(&current.caller),
            capability: Capability::from(&current.capability),
            left_ms: left.as_millis() as u64,
        }
    }
}

impl From<HandlerError> for Handler {
    fn from(error: HandlerError) -> Handler {
        use crate::trap::told;
        match error {
            HandlerError::Unsupported => Handler::Unsupported,
            HandlerError::BadRequest(why) => Handler::BadRequest(told(&why)),
            HandlerError::Forbidden(why) => Handler::Forbidden(told(&why)),
            HandlerError::Failed(why) => Handler::Failed(told(&why)),
        }
    }
}

impl From<Handler> for HandlerError {
    fn from(error: Handler) -> HandlerError {
        match error {
            Handler::Unsupported => HandlerError::Unsupported,
            Handler::BadRequest(why) => HandlerError::BadRequest(why),
            Handler::Forbidden(why) => HandlerError::Forbidden(why),
            Handler::Failed(why) => HandlerError::Failed(why),
        }
    }
}

impl From<CallError> for InvokeError {
    fn from(error: CallError) -> InvokeError {
        match error {
            CallError::NoProvider => InvokeError::NoProvider,
            CallError::Overloaded => InvokeError::Overloaded,
            CallError::Deadline => InvokeError::Deadline,
            CallError::ProviderDied => InvokeError::ProviderDied,
            CallError::Deadlock => InvokeError::Deadlock,
            CallError::TooLarge(most) => InvokeError::TooLarge(most),
            CallError::Refused(error) => InvokeError::Refused(error.into()),
        }
    }
}

impl From<&Entry> for EnteInfo {
    fn from(entry: &Entry) -> EnteInfo {
        EnteInfo {
            id: entry.id.to_string(),
            label: entry.label.clone(),
            incarnation: entry.incarnation,
            state: entry.state.into(),
            pid: entry.pid,
            pin: entry.pin.map(|pin| pin.to_string()),
            provides: entry.provides.iter().map(Capability::from).collect(),
        }
    }
}

impl From<State> for EnteState {
    fn from(state: State) -> EnteState {
        match state {
            State::Declared => EnteState::Declared,
            State::Waiting => EnteState::Waiting,
            State::Starting => EnteState::Starting,
            State::Ready => EnteState::Ready,
            State::Stopping => EnteState::Stopping,
            State::Done => EnteState::Done,
            State::Backoff => EnteState::Backoff,
            State::Parked => EnteState::Parked,
            State::Failed => EnteState::Failed,
        }
    }
}
