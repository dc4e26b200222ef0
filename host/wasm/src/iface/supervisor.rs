//! `arje:ente/supervisor`: the tree of Entes, for components that tend it.

use super::bus::{self, EnteState};
use crate::calls::peer::Peer;
use crate::ctx::Ctx;
use crate::event::Ask;
use crate::tend::{EnteStatus as Known, MAX_CARD, Tended, Wish};
use arje_bus::{BusError, ErrorCode, ExitKind, limits::MAX_LABEL};
use arje_card::Id;
use tokio::sync::oneshot;
use wasmtime::Result;
use wasmtime::component::{ComponentType, Lift, Linker, Lower};

/// The interface's name.
pub(crate) const NAME: &str = "arje:ente/supervisor@1.0.0";

/// `supervisor.target`
#[derive(ComponentType, Lift, Clone, Debug)]
#[component(variant)]
enum Target {
    #[component(name = "id")]
    Id(String),
    #[component(name = "label")]
    Label(String),
}

/// `supervisor.supervisor-error`
#[derive(ComponentType, Lower, Clone, Debug)]
#[component(variant)]
enum Error {
    #[component(name = "unknown-ente")]
    UnknownEnte(String),
    #[component(name = "bad-request")]
    BadRequest(String),
    #[component(name = "forbidden")]
    Forbidden(String),
    #[component(name = "refused")]
    Refused(String),
    #[component(name = "unsupported")]
    Unsupported(String),
    #[component(name = "failed")]
    Failed(String),
}

/// `supervisor.exit`
#[derive(ComponentType, Lower, Clone, Debug)]
#[component(variant)]
pub(crate) enum Exit {
    #[component(name = "code")]
    Code(i32),
    #[component(name = "signal")]
    Signal(i32),
    #[component(name = "trap")]
    Trap(String),
    #[component(name = "error")]
    Error(String),
    #[component(name = "start-failed")]
    StartFailed(String),
}

/// `supervisor.ente-status`
#[derive(ComponentType, Lower, Clone, Debug)]
#[component(record)]
struct EnteStatus {
    id: String,
    label: String,
    state: EnteState,
    #[component(name = "since-ms")]
    since_ms: u64,
    wanted: bool,
    incarnation: u64,
    restarts: u64,
    pid: Option<u32>,
    pin: Option<String>,
    #[component(name = "held-by")]
    held_by: Option<String>,
    #[component(name = "last-exit")]
    last_exit: Option<Exit>,
}

/// `supervisor.event-kind`
#[derive(ComponentType, Lower, Clone, Copy, Debug)]
#[component(enum)]
#[repr(u8)]
pub(crate) enum EventKind {
    #[component(name = "ready")]
    Ready,
    #[component(name = "crashed")]
    Crashed,
    #[component(name = "restarting")]
    Restarting,
    #[component(name = "exited")]
    Exited,
    #[component(name = "parked")]
    Parked,
    #[component(name = "failed")]
    Failed,
    #[component(name = "starting")]
    Starting,
    #[component(name = "stopping")]
    Stopping,
    #[component(name = "stopped")]
    Stopped,
    #[component(name = "waiting")]
    Waiting,
    #[component(name = "deployed")]
    Deployed,
}

/// `supervisor.happening`
#[derive(ComponentType, Lower, Clone, Debug)]
#[component(record)]
pub(crate) struct Happening {
    kind: EventKind,
    id: String,
    label: String,
    incarnation: u64,
    state: EnteState,
    cause: String,
    exit: Option<Exit>,
}

/// `supervisor.event`
#[derive(ComponentType, Lower, Clone, Debug)]
#[component(variant)]
pub(crate) enum Event {
    #[component(name = "happened")]
    Happened(Happening),
    #[component(name = "lagged")]
    Lagged(u64),
}

type Done = Result<(), Error>;
type Command = fn(arje_bus::Target) -> Wish;

/// Functions that take a target and do something to it.
const COMMANDS: [(&str, Command); 4] = [
    ("start", Wish::Start),
    ("stop", Wish::Stop),
    ("restart", Wish::Restart),
    ("remove", Wish::Remove),
];

pub(crate) fn add_to_linker(linker: &mut Linker<Ctx>) -> Result<()> {
    let mut supervisor = linker.instance(NAME)?;
    supervisor.func_wrap_async("list", |store, (after,): (Option<String>,)| {
        let page = bus::list(&store.data().peer, after.as_deref());
        Box::new(async move { Ok((page.await,)) })
    })?;
    supervisor.func_wrap_async("status", |store, (target,): (Target,)| {
        let asked = tend(&store.data().peer, of(target).map(Wish::Status));
        Box::new(async move { Ok((asked.await.and_then(known).map_err(Error::from),)) })
    })?;
    for (name, wish) in COMMANDS {
        supervisor.func_wrap_async(name, move |store, (target,): (Target,)| {
            let asked = tend(&store.data().peer, of(target).map(wish));
            Box::new(async move { Ok((done(asked.await),)) })
        })?;
    }
    supervisor.func_wrap_async("kill", |store, (target, signal): (Target, u8)| {
        let wish = of(target).map(|target| Wish::Kill(target, signal));
        let asked = tend(&store.data().peer, wish);
        Box::new(async move { Ok((done(asked.await),)) })
    })?;
    supervisor.func_wrap_async("spawn", |store, (card,): (String,)| {
        let asked = tend(&store.data().peer, spawn(card));
        Box::new(async move { Ok((done(asked.await),)) })
    })?;
    supervisor.func_wrap_async("subscribe", |store, (target,): (Option<Target>,)| {
        let ctx = store.data();
        let asked = tend(&ctx.peer, subscribe(ctx.peer.hears_events(), target));
        Box::new(async move { Ok((done(asked.await),)) })
    })?;
    supervisor.func_wrap_async("unsubscribe", |store, ()| {
        let asked = tend(&store.data().peer, Ok(Wish::Unsubscribe));
        Box::new(async move {
            let _ = asked.await; // the host cannot refuse that
            Ok(())
        })
    })
}

/// Asks the core loop, if that makes sense.
fn tend(peer: &Peer, wish: Result<Wish, BusError>) -> impl Future<Output = Tended> + Send + use<> {
    let asked = wish.map(|wish| {
        let (reply, answer) = oneshot::channel();
        bus::ask(peer, Ask::Tend { wish, reply });
        answer
    });
    async move {
        let nobody = |_| Err(BusError::new(ErrorCode::Failed, "nobody answers"));
        asked?.await.unwrap_or_else(nobody)
    }
}

fn bad(why: String) -> BusError {
    BusError::new(ErrorCode::BadRequest, why)
}

fn of(target: Target) -> Result<arje_bus::Target, BusError> {
    match target {
        Target::Id(text) => match text.parse::<Id>() {
            Ok(id) => Ok(arje_bus::Target::Id(id.to_bytes())),
            Err(_) => Err(bad(format!(
                "target: {:?} is no id; expected 26 characters of a ULID",
                crate::trap::told(&text)
            ))),
        },
        Target::Label(label) if label.len() > MAX_LABEL => Err(bad(format!(
            "target: a label of {} bytes; labels have at most {MAX_LABEL}",
            label.len()
        ))),
        Target::Label(label) => Ok(arje_bus::Target::Label(label)),
    }
}

fn spawn(card: String) -> Result<Wish, BusError> {
    match card.len() <= MAX_CARD {
        true => Ok(Wish::Spawn(card)),
        false => Err(bad(format!(
            "card: {} bytes; at most {MAX_CARD} can be brought",
            card.len()
        ))),
    }
}

fn subscribe(hears: bool, target: Option<Target>) -> Result<Wish, BusError> {
    match hears {
        true => Ok(Wish::Subscribe(target.map(of).transpose()?)),
        false => Err(BusError::new(
            ErrorCode::Unsupported,
            "the component does not export arje:ente/supervisor-handler, so it could not be told",
        )),
    }
}

fn done(tended: Tended) -> Done {
    tended.map(drop).map_err(Error::from)
}

fn known(status: Option<Box<Known>>) -> Result<EnteStatus, BusError> {
    let nothing = || BusError::new(ErrorCode::Failed, "nothing was said of it");
    status
        .map(|status| EnteStatus::from(*status))
        .ok_or_else(nothing)
}

impl From<BusError> for Error {
    fn from(error: BusError) -> Error {
        let of = match error.code {
            ErrorCode::UnknownEnte => Error::UnknownEnte,
            ErrorCode::BadRequest => Error::BadRequest,
            ErrorCode::Forbidden => Error::Forbidden,
            ErrorCode::Refused | ErrorCode::Busy | ErrorCode::Incompatible => Error::Refused,
            ErrorCode::Unsupported => Error::Unsupported,
            ErrorCode::Failed => Error::Failed,
        };
        of(error.message)
    }
}

impl From<arje_bus::Exit> for Exit {
    fn from(exit: arje_bus::Exit) -> Exit {
        match exit.kind {
            ExitKind::Code => Exit::Code(exit.number),
            ExitKind::Signal => Exit::Signal(exit.number),
            ExitKind::Trap => Exit::Trap(exit.text),
            ExitKind::Error => Exit::Error(exit.text),
            ExitKind::StartFailed => Exit::StartFailed(exit.text),
        }
    }
}

impl From<Known> for EnteStatus {
    fn from(known: Known) -> EnteStatus {
        EnteStatus {
            id: known.id.to_string(),
            label: known.label,
            state: known.state.into(),
            since_ms: known.since_ms,
            wanted: known.wanted,
            incarnation: known.incarnation,
            restarts: known.restarts,
            pid: known.pid,
            pin: known.pin.map(|pin| pin.to_string()),
            held_by: known.held_by,
            last_exit: known.last_exit.map(Exit::from),
        }
    }
}

impl From<&arje_bus::Event> for Event {
    fn from(event: &arje_bus::Event) -> Event {
        use arje_bus::Event as On;
        let (kind, what) = match event {
            On::Lagged(count) => return Event::Lagged(*count),
            On::Ready(what) => (EventKind::Ready, what),
            On::Crashed(what) => (EventKind::Crashed, what),
            On::Restarting(what) => (EventKind::Restarting, what),
            On::Exited(what) => (EventKind::Exited, what),
            On::Parked(what) => (EventKind::Parked, what),
            On::Failed(what) => (EventKind::Failed, what),
            On::Starting(what) => (EventKind::Starting, what),
            On::Stopping(what) => (EventKind::Stopping, what),
            On::Stopped(what) => (EventKind::Stopped, what),
            On::Waiting(what) => (EventKind::Waiting, what),
            On::Deployed(what) => (EventKind::Deployed, what),
        };
        Event::Happened(Happening {
            kind,
            id: what.id.to_string(),
            label: what.label.clone(),
            incarnation: what.incarnation,
            state: what.state.into(),
            cause: what.cause.clone(),
            exit: what.exit.clone().map(Exit::from),
        })
    }
}
