//! The entry `service` (`arje:ente/service`): a component that stays and is called.

use super::Actor;
use crate::body::{Body, Job, Reply};
use crate::calls::peer::Current;
use crate::calls::{Answer, Invocation, Work};
use crate::capability::CardInfo;
use crate::control::StopReason;
use crate::event::{End, EventKind};
use crate::exports::{Service, by_full_name};
use crate::host::InvokeError;
use crate::loader::Loaded;
use arje_bus::HandlerError;
use arje_card::WasmPayload;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio::time::sleep_until;
use wasmtime::component::ComponentExportIndex;

/// What a service is to do next.
enum Next {
    Stop,
    Die,
    Timer(u64),
    Health,
    Invoke(Box<Invocation>),
}

pub(super) async fn live(
    actor: &Actor,
    payload: &WasmPayload,
    loaded: &Loaded,
    mut messages: mpsc::Receiver<Box<Invocation>>,
) -> Result<End, End> {
    let service = loaded
        .exports
        .service
        .ok_or_else(|| End::Refused("the component does not export arje:ente/service".into()))?;
    let health = health_check(actor, loaded)?;
    let body = actor.instantiate(payload, loaded).await?;
    actor.started(payload);
    let body = start(actor, body, service).await?;
    actor.send(EventKind::Ready);
    let body = serve(actor, loaded, body, health, &mut messages).await?;
    // Those who wait in the mailbox are told now, not when the store is gone.
    messages.close();
    drop(messages);
    stop(actor, body, service).await
}

async fn start(actor: &Actor, body: Box<Body>, service: Service) -> Result<Box<Body>, End> {
    let info = CardInfo::new(&actor.card, actor.incarnation);
    let job = Job::Start(service.start, info);
    let (body, reply) = actor.call(body, job, Some(actor.call_deadline())).await?;
    match reply {
        Reply::Failed(message) => Err(End::Failed(message)),
        _ => Ok(body),
    }
}

async fn stop(actor: &Actor, body: Box<Body>, service: Service) -> Result<End, End> {
    let reason = actor.control.stop_reason().unwrap_or(StopReason::Requested);
    let job = Job::Stop(service.stop, reason.into());
    let grace = Duration::from_millis(actor.card.stop_timeout_ms);
    let (body, _) = actor.call(body, job, Some(grace)).await?;
    actor.leave(body);
    Ok(End::Exited(0))
}

/// The health export and how often it is asked, if the Card wants that: every third of
/// `liveness_ms`, with as long to answer, so that a slow answer is still in time.
fn health_check(
    actor: &Actor,
    loaded: &Loaded,
) -> Result<Option<(ComponentExportIndex, Duration)>, End> {
    let Some(liveness) = actor.card.liveness_ms else {
        return Ok(None);
    };
    let health = loaded.exports.health.ok_or_else(|| {
        End::Refused(format!(
            "liveness_ms is {liveness}, but the component does not export arje:ente/health@1.x; \
             export it or remove liveness_ms"
        ))
    })?;
    let every = Duration::from_millis((liveness / 3).max(1));
    Ok(Some((health, every)))
}

/// Calls the service until it is asked to stop.
async fn serve(
    actor: &Actor,
    loaded: &Loaded,
    mut body: Box<Body>,
    health: Option<(ComponentExportIndex, Duration)>,
    messages: &mut mpsc::Receiver<Box<Invocation>>,
) -> Result<Box<Body>, End> {
    let mut check_at = health.map(|(_, every)| Instant::now() + every);
    // Timers and calls take turns when both are there, so that neither starves the other.
    let mut timers_first = false;
    loop {
        // However much there is to do, others on this worker come in between.
        tokio::task::yield_now().await;
        timers_first = !timers_first;
        body = match next(actor, &mut body, check_at, timers_first, messages).await {
            Next::Stop => return Ok(body),
            Next::Die => {
                actor.leave(body);
                return Err(End::Killed);
            }
            Next::Timer(token) => on_timer(actor, loaded, body, token).await?,
            Next::Invoke(invocation) => answer(actor, loaded, body, *invocation).await?,
            Next::Health => match health {
                Some((export, every)) => {
                    check_at = Some(Instant::now() + every);
                    check(actor, body, export, every).await?
                }
                None => body,
            },
        };
    }
}

async fn next(
    actor: &Actor,
    body: &mut Body,
    check_at: Option<Instant>,
    timers_first: bool,
    messages: &mut mpsc::Receiver<Box<Invocation>>,
) -> Next {
    loop {
        if actor.control.is_killed() {
            return Next::Die;
        }
        if actor.control.stop_reason().is_some() {
            return Next::Stop;
        }
        let now = Instant::now();
        if check_at.is_some_and(|at| at <= now) {
            return Next::Health;
        }
        if timers_first && let Some(token) = body.data_mut().timers.take_due(now) {
            return Next::Timer(token);
        }
        if let Ok(invocation) = messages.try_recv() {
            return Next::Invoke(invocation);
        }
        if let Some(token) = body.data_mut().timers.take_due(now) {
            return Next::Timer(token);
        }
        let due = body.data().timers.next().into_iter().chain(check_at).min();
        let timer = async {
            match due {
                Some(at) => sleep_until(at.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = actor.control.stopped() => {}
            () = timer => {}
            Some(invocation) = messages.recv() => return Next::Invoke(invocation),
        }
    }
}

async fn on_timer(
    actor: &Actor,
    loaded: &Loaded,
    body: Box<Body>,
    token: u64,
) -> Result<Box<Body>, End> {
    let Some(export) = loaded.exports.on_timer else {
        return Ok(body); // `timer.set` refuses without a handler, so no timer can be due
    };
    let job = Job::OnTimer(export, token);
    let (body, _) = actor.call(body, job, Some(actor.call_deadline())).await?;
    Ok(body)
}

async fn check(
    actor: &Actor,
    body: Box<Body>,
    export: ComponentExportIndex,
    every: Duration,
) -> Result<Box<Body>, End> {
    let (body, reply) = actor.call(body, Job::Health(export), Some(every)).await?;
    match reply {
        Reply::Failed(message) => Err(End::Unhealthy(message)),
        _ => {
            actor.send(EventKind::Alive);
            Ok(body)
        }
    }
}

/// Answers a call.
async fn answer(
    actor: &Actor,
    loaded: &Loaded,
    body: Box<Body>,
    invocation: Invocation,
) -> Result<Box<Body>, End> {
    let Invocation { work, reply } = invocation;
    if reply.is_closed() {
        return Ok(body); // nobody waits any more: cancelled, or too late
    }
    let (job, current) = match job(loaded, work) {
        Ok(job) => job,
        Err(error) => {
            let _ = reply.send(Err(error)); // the caller may have gone
            return Ok(body);
        }
    };
    // When the call ends the service, `reply` is dropped, which tells the caller so.
    let within = Some(actor.call_deadline());
    let (body, answered) = actor.call_for(body, job, within, current).await?;
    let answer = match answered {
        Reply::Bytes(bytes) => Ok(Answer::Bytes(bytes)),
        Reply::Values(values) => Ok(Answer::Values(values)),
        Reply::Refused(error) => Err(InvokeError::Refused(error)),
        Reply::Done | Reply::Failed(_) => return Ok(body), // no call ends so
    };
    let _ = reply.send(answer);
    Ok(body)
}

/// What is to be done, and for whom.
fn job(loaded: &Loaded, work: Work) -> Result<(Job, Option<Current>), InvokeError> {
    Ok(match work {
        Work::Function { name, payload } => match by_full_name(&loaded.component, &name) {
            Some(export) => (Job::Invoke(export, payload), None),
            None => return Err(InvokeError::NoSuchFunction(name.into())),
        },
        Work::Handle(call) => {
            let handle = loaded
                .exports
                .handle
                .ok_or(InvokeError::Refused(HandlerError::Unsupported))?;
            let current = Current {
                caller: call.caller.clone(),
                capability: call.capability.clone(),
                deadline: call.deadline,
            };
            (Job::Handle(handle, call), Some(current))
        }
        Work::Typed(call) => {
            let current = Current {
                caller: call.caller,
                capability: call.capability,
                deadline: call.deadline,
            };
            let job = Job::Typed(call.function, call.params, call.results);
            (job, Some(current))
        }
    })
}
