//! The entry `http` (`wasi:http/incoming-handler`): the host listens, every request gets an
//! instance of its own.
//!
//! An instance per request costs some microseconds and buys isolation between requests, which is
//! what the interface was made for. All instances of the Ente draw on its one memory ledger. A
//! request whose handler traps is answered with 500 and logged; the Ente lives on.

use super::Actor;
use super::progress::Watched;
use super::sockets::{Socket, adopt_all};
use crate::body::{HttpJob, instantiate_http};
use crate::control::StopReason;
use crate::event::{End, EventKind};
use crate::exports::INCOMING_HANDLER;
use crate::iface::log::Level;
use crate::lane::Panicked;
use crate::loader::Loaded;
use crate::trap::{end_of, one_line};
use arje_card::WasmPayload;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioTimer;
use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use wasmtime_wasi_http::io::TokioIo;
use wasmtime_wasi_http::p2::bindings::ProxyPre;
use wasmtime_wasi_http::p2::bindings::http::types::ErrorCode;
use wasmtime_wasi_http::p2::body::HyperOutgoingBody;

use crate::ctx::Ctx;

/// Connections of one Ente at once; more wait in the kernel's backlog. A browser opens six.
const MAX_CONNECTIONS: usize = 256;

/// How long a client may take to send a request's head, so that slow ones do not hold connections.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a connection may stand without a byte in either direction, beyond what a call may take.
/// A client that stops reading its answer would else hold a connection and a request for ever.
const STALL_TIMEOUT: Duration = Duration::from_secs(60);

/// Pause after a failed accept (out of descriptors, usually), so that it does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

type Answer = Response<HyperOutgoingBody>;

/// What all connections of the Ente share.
struct Server {
    actor: Arc<Actor>,
    payload: WasmPayload,
    loaded: Arc<Loaded>,
    pre: ProxyPre<Ctx>,
    /// One permit per request being handled: `limits.mailbox`.
    requests: Arc<Semaphore>,
    connections: Arc<Semaphore>,
    /// Raised when the Ente is asked to stop: connections finish what they are at.
    stopping: watch::Sender<bool>,
    /// The components at work. Owned here, so that none outlives the Ente.
    handlers: Mutex<JoinSet<()>>,
}

pub(super) async fn live(
    actor: &Arc<Actor>,
    payload: &WasmPayload,
    loaded: &Arc<Loaded>,
) -> Result<End, End> {
    let granted = loaded.granted(&actor.card)?.clone();
    let pre = ProxyPre::new(granted).map_err(|error| {
        End::Refused(format!(
            "payload.Wasm.entry is \"http\", but the component does not export {INCOMING_HANDLER}: {}",
            one_line(&error)
        ))
    })?;
    let listeners = listeners(actor).map_err(End::Refused)?;
    let server = Arc::new(Server {
        actor: Arc::clone(actor),
        payload: payload.clone(),
        loaded: Arc::clone(loaded),
        pre,
        requests: Arc::new(Semaphore::new(actor.card.limits.mailbox.max(1) as usize)),
        connections: Arc::new(Semaphore::new(MAX_CONNECTIONS)),
        stopping: watch::Sender::new(false),
        handlers: Mutex::default(),
    });
    actor.started(payload);
    let mut accepting = JoinSet::new();
    for listener in listeners {
        accepting.spawn(accept_loop(Arc::clone(&server), listener));
    }
    match &actor.predecessor {
        // Both accept for a moment; the old one ends when it has answered what it accepted.
        Some(predecessor) => {
            if !actor
                .host
                .switch(actor.card.id, actor.incarnation, predecessor)
            {
                return Err(End::Killed);
            }
            let paused = Duration::ZERO;
            actor.send(EventKind::TookOver { paused });
            predecessor.stop(StopReason::Replaced);
        }
        None => actor.send(EventKind::Ready),
    }
    actor.control.stopped().await;
    server.stopping.send_replace(true);
    let drained = tokio::select! {
        biased;
        () = actor.control.killed() => false, // also where nothing is left to be drained
        () = drain(&server, &mut accepting) => true,
    };
    accepting.shutdown().await;
    let mut handlers = std::mem::take(&mut *server.handlers());
    handlers.shutdown().await;
    if drained {
        Ok(End::Exited(0))
    } else {
        Err(End::Killed)
    }
}

/// Returns once the flag is up (or nobody is left to raise it).
async fn raised(flag: &mut watch::Receiver<bool>) {
    let _ = flag.wait_for(|raised| *raised).await;
}

/// Lets the requests under way finish, for as long as the Card allows.
async fn drain(server: &Server, accepting: &mut JoinSet<()>) {
    let all = server.actor.card.limits.mailbox.max(1);
    let finished = async {
        while accepting.join_next().await.is_some() {}
        let _ = server.requests.acquire_many(all).await;
    };
    let grace = Duration::from_millis(server.actor.card.stop_timeout_ms);
    let _ = timeout(grace, finished).await; // what is not done by then is cut off
}

impl Server {
    fn handlers(&self) -> MutexGuard<'_, JoinSet<()>> {
        // Every change is one spawn or join; a panic cannot leave the set half-made.
        self.handlers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Listener {
    fn new(socket: Socket) -> io::Result<Listener> {
        Ok(match socket {
            Socket::Tcp(listener) => Listener::Tcp(TcpListener::from_std(listener)?),
            Socket::Unix(listener) => Listener::Unix(UnixListener::from_std(listener)?),
        })
    }
}

/// The sockets that the actor was given.
fn listeners(actor: &Actor) -> Result<Vec<Listener>, String> {
    let sockets = adopt_all(&actor.card, actor.take_sockets())?;
    let listeners: io::Result<_> = sockets.into_iter().map(Listener::new).collect();
    listeners.map_err(|error| format!("listen: {error}"))
}

/// Accepts until the Ente is to stop, then waits for its connections.
async fn accept_loop(server: Arc<Server>, listener: Listener) {
    let mut connections = JoinSet::new();
    let mut stopping = server.stopping.subscribe();
    loop {
        while connections.try_join_next().is_some() {}
        let accepted = tokio::select! {
            () = raised(&mut stopping) => break,
            accepted = accept(&server, &listener, &mut connections) => accepted,
        };
        if let Err(error) = accepted {
            let text = format!("cannot accept a connection: {error}");
            server.actor.output.print(Level::Warn, text).await;
            sleep(ACCEPT_PAUSE).await;
        }
    }
    drop(listener); // nobody new from here on
    while connections.join_next().await.is_some() {}
}

async fn accept(
    server: &Arc<Server>,
    listener: &Listener,
    connections: &mut JoinSet<()>,
) -> io::Result<()> {
    let permit = Arc::clone(&server.connections)
        .acquire_owned()
        .await
        .map_err(io::Error::other)?;
    let server = Arc::clone(server);
    let stream: Box<dyn Stream> = match listener {
        Listener::Tcp(listener) => Box::new(listener.accept().await?.0),
        Listener::Unix(listener) => Box::new(listener.accept().await?.0),
    };
    connections.spawn(serve(server, stream, permit));
    Ok(())
}

/// A connection, whatever the socket: what serves it is there once, and not for each kind.
trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// Serves one connection until the client leaves, stalls, or the Ente is to stop.
async fn serve(server: Arc<Server>, stream: Box<dyn Stream>, _permit: OwnedSemaphorePermit) {
    let mut stopping = server.stopping.subscribe();
    // An answer may take as long as the Card allows before its first byte.
    let patience = STALL_TIMEOUT + server.actor.call_deadline();
    let (stream, progress) = Watched::new(stream);
    let service = service_fn(move |request| {
        let server = Arc::clone(&server);
        async move { Ok::<Answer, Infallible>(answer(server, request).await) }
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    // An error here is the client's: it went away or did not speak HTTP. Hyper has answered.
    tokio::select! {
        _ = connection.as_mut() => {}
        () = progress.stalled(patience) => {}
        () = raised(&mut stopping) => {
            connection.as_mut().graceful_shutdown();
            let _ = connection.await;
        }
    }
}

async fn answer(server: Arc<Server>, request: Request<Incoming>) -> Answer {
    let Ok(permit) = Arc::clone(&server.requests).try_acquire_owned() else {
        return plain(
            StatusCode::SERVICE_UNAVAILABLE,
            "too many requests at once\n",
        );
    };
    let (sender, head) = oneshot::channel();
    // Tells the handler that nobody waits any more, however this future ends.
    let waiting = Waiting(Arc::new(Notify::new()));
    let handler = {
        let mut handlers = server.handlers();
        while handlers.try_join_next().is_some() {}
        let (server, left) = (Arc::clone(&server), Arc::clone(&waiting.0));
        handlers.spawn(async move {
            handle(&server, request, sender, &left).await;
            drop(permit);
        })
    };
    match timeout(server.actor.call_deadline(), head).await {
        Ok(Ok(Ok(response))) => response.map(|body| {
            let body = AnswerBody {
                body,
                _waiting: waiting,
            };
            body.boxed_unsync()
        }),
        // The component answered with an error code, or ended without an answer (logged there).
        Ok(Ok(Err(code))) => plain(StatusCode::BAD_GATEWAY, &format!("{code:?}\n")),
        Ok(Err(_)) => plain(StatusCode::INTERNAL_SERVER_ERROR, "the handler failed\n"),
        Err(_) => {
            handler.abort();
            let text = "a request was not answered in time".to_owned();
            server.actor.output.print(Level::Error, text).await;
            plain(StatusCode::GATEWAY_TIMEOUT, "the handler took too long\n")
        }
    }
}

type Head = Result<Answer, ErrorCode>;

/// Runs the component for one request. When nobody waits for its answer any more (it is sent, or the
/// client is gone), the component may go on for as long as one call may take.
async fn handle(
    server: &Server,
    request: Request<Incoming>,
    head: oneshot::Sender<Head>,
    left: &Notify,
) {
    let actor = &server.actor;
    let mut ctx = match actor.ctx(&server.payload, &server.loaded) {
        Ok(ctx) => ctx,
        Err(end) => return actor.output.print(Level::Error, end.to_string()).await,
    };
    // Whoever it calls is to answer in time for an answer of its own.
    ctx.peer.begin(Some(actor.call_deadline()), None);
    let signal = Arc::clone(&ctx.signal);
    let engine = actor.host.loader.engine();
    let store = ctx.into_store(engine, Arc::clone(&actor.host.ticker));
    let job = HttpJob { request, head };
    let call = Box::pin(instantiate_http(server.pre.clone(), store, job));
    let lingered = async {
        left.notified().await;
        sleep(actor.call_deadline()).await;
    };
    let end = tokio::select! {
        biased;
        done = actor.host.lanes.run(call, &signal) => match done {
            Ok(Ok(())) => return,
            Ok(Err(error)) => end_of(&error),
            Err(Panicked(message)) => End::HostPanic(message),
        },
        () = actor.control.killed() => return,
        () = lingered => End::Deadline {
            call: "handle",
            after_ms: actor.card.limits.call_ms,
        },
    };
    let text = format!("a request failed: {end}");
    actor.output.print(Level::Error, text).await;
}

fn plain(status: StatusCode, text: &str) -> Answer {
    let body = Full::new(Bytes::copy_from_slice(text.as_bytes()))
        .map_err(|never| match never {})
        .boxed_unsync();
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response
}

/// Somebody waits for an answer; tells when that ends.
struct Waiting(Arc<Notify>);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

/// An answer's body, waited for until it is sent or dropped with its connection.
struct AnswerBody {
    body: HyperOutgoingBody,
    _waiting: Waiting,
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = wasmtime_wasi_http::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
