//! The entry `service` (`arje:ente/service`): a component that stays and is called.

use super::Actor;
use crate::body::{Body, Job, Reply};
use crate::calls::bay::{Back, Underway, answer_of, job};
use crate::calls::{Invocation, Messages};
use crate::capability::CardInfo;
use crate::control::{Control, StopReason};
use crate::event::{End, EventKind};
use crate::exports::Service;
use crate::loader::Loaded;
use crate::succession::{Estate, Heir, Verdict, can_replace};
use crate::trap::end_of;
use arje_bus::Event;
use arje_card::WasmPayload;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;
use tokio::time::sleep_until;
use wasmtime::component::ComponentExportIndex;

/// How long a service goes from call to call before others on its worker have their turn. A tenth of what one call may
/// take in the fast lane.
const TURN: Duration = Duration::from_micros(300);

/// What a service is to do next.
enum Next {
    /// See what there is now.
    Look,
    Stop,
    HandOver(Heir),
    Die,
    Timer(u64),
    Event(Arc<Event>),
    Health,
    Invoke(Box<Invocation>),
}

pub(super) async fn live(
    actor: &Actor,
    payload: &WasmPayload,
    loaded: &Loaded,
    messages: Messages,
) -> Result<End, End> {
    let service = loaded
        .exports
        .service
        .ok_or_else(|| End::Refused("the component does not export arje:ente/service".into()))?;
    let health = health_check(actor, loaded)?;
    if let Some(old) = actor.predecessor.as_ref().and_then(|it| it.loaded()) {
        can_replace(&actor.card, &old, loaded)?;
    }
    let body = actor.instantiate(payload, loaded).await?;
    actor.started(payload);
    let body = start(actor, body, service).await?;
    let (body, messages) = match &actor.predecessor {
        Some(predecessor) => take_over(actor, loaded, body, health, predecessor).await?,
        None => {
            actor.send(EventKind::Ready);
            (body, messages)
        }
    };
    let (body, messages) = serve(actor, loaded, body, health, messages).await?;
    // Those who wait in the mailbox are told now, not when the store is gone.
    if let Some(mut messages) = messages {
        messages.close();
    }
    stop(actor, body, service).await
}

async fn start(actor: &Actor, body: Box<Body>, service: Service) -> Result<Box<Body>, End> {
    let info = CardInfo::new(&actor.card, actor.incarnation);
    let job = Job::Start(service.start, info);
    let (body, reply) = actor.call(body, job, Some(actor.call_deadline())).await?;
    match reply {
        Reply::Failed(message) => Err(End::Failed(format!("`start` returned an error: {message}"))),
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
fn health_check(actor: &Actor, loaded: &Loaded) -> Result<Health, End> {
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

/// Shows that it is well, takes the place of the incarnation that answers, and with it the calls that wait.
async fn take_over(
    actor: &Actor,
    loaded: &Loaded,
    body: Box<Body>,
    health: Health,
    predecessor: &Arc<Control>,
) -> Result<(Box<Body>, Messages), End> {
    let mut body = prove_health(actor, body, health).await?;
    let (to, estate) = oneshot::channel();
    predecessor.ask_for_place(Heir {
        takes_state: loaded.exports.restore.is_some(),
        to,
    });
    let gone = || End::Failed("the incarnation that it was to replace has ended".into());
    let mut estate = tokio::select! {
        () = actor.control.stopped() => return Err(End::Killed),
        estate = estate => estate.map_err(|_| gone())?,
    };
    if let (Some(state), Some(restore)) = (estate.take_state(), loaded.exports.restore) {
        body = take_in(actor, body, restore, state).await?;
    }
    if !actor
        .host
        .switch(actor.card.id, actor.incarnation, predecessor)
    {
        return Err(gone());
    }
    let tell = |paused| actor.send(EventKind::TookOver { paused });
    let messages = estate.accept(tell).ok_or_else(gone)?;
    Ok((body, messages))
}

/// Has it take in what the incarnation before it knew.
async fn take_in(
    actor: &Actor,
    body: Box<Body>,
    restore: ComponentExportIndex,
    state: Vec<u8>,
) -> Result<Box<Body>, End> {
    let job = Job::Restore(restore, state);
    let not_taken = |why| End::Incompatible(format!("handoff.restore: {why}"));
    match actor.call(body, job, Some(actor.call_deadline())).await {
        Ok((_, Reply::Failed(why))) => Err(not_taken(why)),
        Ok((body, _)) => Ok(body),
        // What it cannot make sense of may also trap, or take it forever.
        Err(end @ End::Trapped { .. }) => Err(not_taken(end.to_string())),
        Err(end @ End::Deadline { .. }) => Err(End::Incompatible(end.to_string())),
        Err(end) => Err(end),
    }
}

/// Asks for its health as often as it would be asked within `liveness_ms`, if its Card wants that.
async fn prove_health(
    actor: &Actor,
    mut body: Box<Body>,
    health: Health,
) -> Result<Box<Body>, End> {
    let Some((export, every)) = health else {
        return Ok(body);
    };
    for _ in 0..3 {
        let answered = actor.call(body, Job::Health(export), Some(every)).await?;
        body = match answered {
            (_, Reply::Failed(message)) => return Err(End::Unhealthy(message)),
            (body, _) => body,
        };
        tokio::select! {
            () = actor.control.stopped() => return Err(End::Killed),
            () = tokio::time::sleep(every) => {}
        }
    }
    Ok(body)
}

/// Leaves its place to a successor: what it knows, and the calls that wait. They come back if the successor fails.
async fn leave_place(
    actor: &Actor,
    loaded: &Loaded,
    mut body: Box<Body>,
    messages: Messages,
    heir: Heir,
) -> Result<(Box<Body>, Option<Messages>), End> {
    let since = Instant::now();
    let mut state = None;
    if let Some(save) = loaded.exports.save.filter(|_| heir.takes_state) {
        let saved = actor.call(body, Job::Save(save), Some(actor.call_deadline()));
        let (saver, reply) = saved.await?;
        body = saver;
        if let Reply::Bytes(bytes) = reply {
            state = Some(bytes);
        }
    }
    let (estate, mut verdict) = Estate::new(messages, state, since);
    drop(heir.to.send(estate)); // it comes back if nobody wants it any more
    loop {
        let verdict = tokio::select! {
            verdict = &mut verdict => verdict,
            () = actor.control.killed() => return Err(End::Killed),
            // It is as well as it was; it is the successor that takes its time.
            () = a_third_of(actor.card.liveness_ms) => {
                actor.send(EventKind::Alive);
                continue;
            }
        };
        return match verdict {
            Ok(Verdict::Accepted) => {
                actor.control.stop(StopReason::Replaced);
                Ok((body, None))
            }
            Ok(Verdict::Returned(messages)) => Ok((body, Some(messages))),
            Err(_) => Err(End::HostPanic(
                "its calls were lost on the way to its successor".into(),
            )),
        };
    }
}

/// Returns after a third of this time; without one, never.
async fn a_third_of(liveness_ms: Option<u64>) {
    match liveness_ms {
        Some(ms) => tokio::time::sleep(Duration::from_millis((ms / 3).max(1))).await,
        None => std::future::pending().await,
    }
}

/// The health export, and how often it is asked.
type Health = Option<(ComponentExportIndex, Duration)>;

/// Calls the service until it is asked to stop, or another one has taken its place and its calls.
async fn serve(
    actor: &Actor,
    loaded: &Loaded,
    mut body: Box<Body>,
    health: Health,
    mut messages: Messages,
) -> Result<(Box<Body>, Option<Messages>), End> {
    let mut check_at = health.map(|(_, every)| Instant::now() + every);
    let mut turn = Instant::now();
    // Timers and events take turns with calls when both are there, so that neither starves the other.
    let mut own_first = false;
    loop {
        // However much there is to do, others on this worker come in between. Not after every call: giving way looks
        // at timers and sockets, which takes longer than a short call does.
        if turn.elapsed() > TURN {
            tokio::task::yield_now().await;
            turn = Instant::now();
        }
        own_first = !own_first;
        let next = match next(actor, &mut body, check_at, own_first, &mut messages) {
            Some(next) => next,
            None => {
                let (rested, next) = rest(actor, body, check_at, &mut messages).await?;
                (body, turn) = (rested, Instant::now());
                next
            }
        };
        body = match next {
            Next::Stop => return Ok((body, Some(messages))),
            Next::HandOver(heir) => match leave_place(actor, loaded, body, messages, heir).await? {
                (body, None) => return Ok((body, None)),
                (kept, Some(returned)) => {
                    messages = returned;
                    kept
                }
            },
            Next::Die => {
                actor.leave(body);
                return Err(End::Killed);
            }
            Next::Look => body,
            Next::Event(event) => on_event(actor, loaded, body, event).await?,
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

/// What is to be done at once, if anything.
fn next(
    actor: &Actor,
    body: &mut Body,
    check_at: Option<Instant>,
    own_first: bool,
    messages: &mut Messages,
) -> Option<Next> {
    if actor.control.is_killed() {
        return Some(Next::Die);
    }
    if actor.control.stop_reason().is_some() {
        return Some(Next::Stop);
    }
    if let Some(heir) = actor.control.take_heir() {
        return Some(Next::HandOver(heir));
    }
    let now = Instant::now();
    if check_at.is_some_and(|at| at <= now) {
        return Some(Next::Health);
    }
    let mut own = || {
        let timer = body.data_mut().timers.take_due(now).map(Next::Timer);
        timer.or_else(|| actor.control.take_event().map(Next::Event))
    };
    if own_first && let Some(next) = own() {
        return Some(next);
    }
    if let Ok(invocation) = messages.try_recv() {
        return Some(Next::Invoke(invocation));
    }
    own()
}

/// Waits for something to do. Meanwhile callers find the body in the bay.
async fn rest(
    actor: &Actor,
    body: Box<Body>,
    check_at: Option<Instant>,
    messages: &mut Messages,
) -> Result<(Box<Body>, Next), End> {
    let bay = &actor.control.bay;
    let due = body.data().timers.next().into_iter().chain(check_at).min();
    bay.park(body, due);
    let timer = async {
        match due {
            Some(at) => sleep_until(at.into()).await,
            None => std::future::pending().await,
        }
    };
    let next = tokio::select! {
        () = actor.control.wanted() => Next::Look,
        () = timer => Next::Look,
        () = bay.changed() => Next::Look,
        Some(invocation) = messages.recv() => Next::Invoke(invocation),
    };
    match bay.take().await {
        Back::Body(body) => Ok((body, next)),
        Back::Over(body, end) => {
            body.into_iter().for_each(|body| actor.leave(body));
            Err(end)
        }
        Back::Underway(underway) => Ok((carry_on(actor, underway).await?, next)),
    }
}

/// Carries on with a call that a caller has begun.
async fn carry_on(actor: &Actor, underway: Underway) -> Result<Box<Body>, End> {
    let Underway {
        call,
        signal,
        name,
        reply,
    } = underway;
    let deadline = Some(actor.call_deadline());
    let (body, answered) = actor.bounded(call, &signal, name, deadline).await?;
    match answered {
        Ok(answered) => {
            let _ = reply.send(answer_of(answered)); // the caller may have gone
            Ok(body)
        }
        Err(error) => {
            actor.leave(body);
            Err(end_of(&error))
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

async fn on_event(
    actor: &Actor,
    loaded: &Loaded,
    body: Box<Body>,
    event: Arc<Event>,
) -> Result<Box<Body>, End> {
    let Some(export) = loaded.exports.on_event else {
        return Ok(body); // `supervisor.subscribe` refuses without a handler, so nothing can be told
    };
    let job = Job::OnEvent(export, event);
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
    let Invocation {
        work,
        reply,
        charge,
    } = invocation;
    drop(charge); // it does not wait any more
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
    let _ = reply.send(answer_of(answered)); // the caller may have gone
    Ok(body)
}
