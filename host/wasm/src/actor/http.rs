//! The entry `http` (`wasi:http/incoming-handler`): the host listens, every request gets an
//! instance of its own.
//!
//! An instance per request costs some microseconds and buys isolation between requests, which is
//! what the interface was made for. All instances of the Ente draw on its one memory ledger. A
//! request whose handler traps is answered with 500 and logged; the Ente lives on.

use super::Actor;
use crate::body::{HttpJob, instantiate_http};
use crate::event::{End, EventKind};
use crate::exports::INCOMING_HANDLER;
use crate::iface::log::Level;
use crate::lane::Panicked;
use crate::loader::Loaded;
use crate::trap::{end_of, one_line};
use arje_card::{ListenOn, WasmPayload};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioTimer;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{Notify, Semaphore, oneshot};
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
    let listeners = Listeners::bind(actor).map_err(End::Refused)?;
    let server = Arc::new(Server {
        actor: Arc::clone(actor),
        payload: payload.clone(),
        loaded: Arc::clone(loaded),
        pre,
        requests: Arc::new(Semaphore::new(actor.card.limits.mailbox.max(1) as usize)),
        connections: Arc::new(Semaphore::new(MAX_CONNECTIONS)),
    });
    actor.started(payload);
    let mut accepting = JoinSet::new();
    for listener in listeners.open {
        accepting.spawn(accept_loop(Arc::clone(&server), listener));
    }
    actor.send(EventKind::Ready);
    actor.control.stopped().await;
    accepting.shutdown().await;
    if actor.control.is_killed() {
        return Err(End::Killed);
    }
    drain(&server).await;
    Ok(End::Exited(0))
}

/// Lets the requests under way finish, for as long as the Card allows.
async fn drain(server: &Server) {
    let all = server.actor.card.limits.mailbox.max(1);
    let finished = server.requests.acquire_many(all);
    let grace = Duration::from_millis(server.actor.card.stop_timeout_ms);
    tokio::select! {
        _ = timeout(grace, finished) => {}
        () = server.actor.control.killed() => {}
    }
}

enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// The Ente's sockets; socket files vanish with it.
struct Listeners {
    open: Vec<Listener>,
}

impl Listeners {
    fn bind(actor: &Actor) -> Result<Listeners, String> {
        let mut open = Vec::new();
        for listen in &actor.card.listen {
            let listener = match &listen.on {
                ListenOn::Tcp(address) => bind_tcp(*address),
                ListenOn::Unix(path) => bind_unix(Path::new(path)),
                ListenOn::UnixDatagram(_) | ListenOn::Udp(_) => Err(io::Error::new(
                    io::ErrorKind::Unsupported,
                    "HTTP is served on `tcp` and `unix` sockets only",
                )),
            };
            open.push(
                listener.map_err(|error| {
                    format!("listen {:?} ({:?}): {error}", listen.name, listen.on)
                })?,
            );
        }
        Ok(Listeners { open })
    }
}

fn bind_tcp(address: SocketAddr) -> io::Result<Listener> {
    let listener = std::net::TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    TcpListener::from_std(listener).map(Listener::Tcp)
}

fn bind_unix(path: &Path) -> io::Result<Listener> {
    // A socket file outlives a killed process; only a socket is ever removed.
    if std::fs::symlink_metadata(path).is_ok_and(|meta| meta.file_type().is_socket()) {
        std::fs::remove_file(path)?;
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660))?;
    Ok(Listener::Unix(listener))
}

async fn accept_loop(server: Arc<Server>, listener: Listener) {
    let mut connections = JoinSet::new();
    let _socket_file = SocketFile::of(&listener);
    loop {
        let Ok(permit) = Arc::clone(&server.connections).acquire_owned().await else {
            return;
        };
        while connections.try_join_next().is_some() {}
        let serving = Arc::clone(&server);
        let accepted = match &listener {
            Listener::Tcp(tcp) => tcp.accept().await.map(|(stream, _)| {
                connections.spawn(async move {
                    serve(serving, stream).await;
                    drop(permit);
                });
            }),
            Listener::Unix(unix) => unix.accept().await.map(|(stream, _)| {
                connections.spawn(async move {
                    serve(serving, stream).await;
                    drop(permit);
                });
            }),
        };
        if let Err(error) = accepted {
            let text = format!("cannot accept a connection: {error}");
            server.actor.output.print(Level::Warn, text).await;
            sleep(ACCEPT_PAUSE).await;
        }
    }
}

struct SocketFile(Option<PathBuf>);

impl SocketFile {
    fn of(listener: &Listener) -> SocketFile {
        SocketFile(match listener {
            Listener::Tcp(_) => None,
            Listener::Unix(unix) => unix
                .local_addr()
                .ok()
                .and_then(|address| address.as_pathname().map(Path::to_owned)),
        })
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if let Some(path) = &self.0 {
            let _ = std::fs::remove_file(path);
        }
    }
}

async fn serve<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(server: Arc<Server>, stream: S) {
    let service = service_fn(move |request| {
        let server = Arc::clone(&server);
        async move { Ok::<Answer, Infallible>(answer(server, request).await) }
    });
    // An error here is the client's: it went away or did not speak HTTP. Hyper has answered.
    let _ = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

async fn answer(server: Arc<Server>, request: Request<Incoming>) -> Answer {
    let Ok(permit) = Arc::clone(&server.requests).try_acquire_owned() else {
        return plain(
            StatusCode::SERVICE_UNAVAILABLE,
            "too many requests at once\n",
        );
    };
    let (sender, head) = oneshot::channel();
    let body_gone = Arc::new(Notify::new());
    let handler = tokio::spawn({
        let (server, body_gone) = (Arc::clone(&server), Arc::clone(&body_gone));
        async move {
            handle(&server, request, sender, &body_gone).await;
            drop(permit);
        }
    });
    match timeout(server.actor.call_deadline(), head).await {
        Ok(Ok(Ok(response))) => response.map(|body| {
            let body = Watched {
                body,
                gone: body_gone,
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

/// Runs the component for one request. After the client has all it wants, the component may go on
/// for as long as one call may take.
async fn handle(
    server: &Server,
    request: Request<Incoming>,
    head: oneshot::Sender<Head>,
    body_gone: &Notify,
) {
    let actor = &server.actor;
    let ctx = match actor.ctx(&server.payload, &server.loaded) {
        Ok(ctx) => ctx,
        Err(end) => return actor.output.print(Level::Error, end.to_string()).await,
    };
    let signal = Arc::clone(&ctx.signal);
    let engine = actor.host.loader.engine();
    let store = ctx.into_store(engine, Arc::clone(&actor.host.ticker));
    let job = HttpJob { request, head };
    let call = Box::pin(instantiate_http(server.pre.clone(), store, job));
    let lingered = async {
        body_gone.notified().await;
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

/// A response body that tells when it is gone: sent, or dropped with its connection.
struct Watched {
    body: HyperOutgoingBody,
    gone: Arc<Notify>,
}

impl Body for Watched {
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

impl Drop for Watched {
    fn drop(&mut self) {
        self.gone.notify_one();
    }
}
