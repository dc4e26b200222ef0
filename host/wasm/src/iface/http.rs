//! `wasi:http/outgoing-handler`: requests that components send.
//!
//! HTTP/1.1 without TLS: an `https` request is answered with `TLS-protocol-error`. A component
//! that needs TLS brings it along, or talks to a terminator on loopback.

use crate::iface::wasi::may_use;
use arje_card::Networking;
use http_body_util::BodyExt;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use wasmtime_wasi::sockets::SocketAddrUse;
use wasmtime_wasi_http::io::TokioIo;
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttpHooks};

/// Where the guest sets no timeout of its own.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);

type IoDone = Box<dyn Future<Output = Result<(), Error>> + Send>;
type Sent = Result<(hyper::Response<WasiBody>, IoDone), Error>;

/// The outgoing side of one component.
#[derive(Debug)]
pub(crate) struct Outgoing {
    networking: Networking,
}

impl Outgoing {
    pub(crate) fn new(networking: Networking) -> Outgoing {
        Outgoing { networking }
    }
}

impl WasiHttpHooks for Outgoing {
    fn send_request(
        &mut self,
        request: hyper::Request<WasiBody>,
        options: Option<RequestOptions>,
        _body_done: IoDone,
    ) -> Box<dyn Future<Output = Sent> + Send> {
        Box::new(send(self.networking, request, options))
    }
}

async fn send(
    networking: Networking,
    mut request: hyper::Request<WasiBody>,
    options: Option<RequestOptions>,
) -> Sent {
    let connect_timeout = options
        .and_then(|options| options.connect_timeout)
        .unwrap_or(DEFAULT_TIMEOUT);
    let first_byte_timeout = options
        .and_then(|options| options.first_byte_timeout)
        .unwrap_or(DEFAULT_TIMEOUT);
    let stream = timeout(connect_timeout, connect(networking, request.uri()))
        .await
        .map_err(|_| Error::ConnectionTimeout)??;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    // The request line carries the path alone; scheme and authority are for proxies.
    let path = request
        .uri()
        .path_and_query()
        .map_or("/", |path| path.as_str());
    *request.uri_mut() = path.parse().map_err(|_| Error::HttpRequestUriInvalid)?;
    let io: IoDone = Box::new(async move { connection.await.map_err(Error::from) });
    let mut io = Box::into_pin(io);
    let mut io_done = false;
    let response = timeout(first_byte_timeout, async {
        let response = sender.send_request(request);
        tokio::pin!(response);
        tokio::select! {
            response = &mut response => response.map_err(Error::from),
            // The connection may be done as soon as the answer is in its hands.
            done = &mut io => {
                io_done = true; // and must not be polled again
                done?;
                response.await.map_err(Error::from)
            }
        }
    })
    .await
    .map_err(|_| Error::HttpResponseTimeout)??;
    Ok((
        response.map(|body| body.map_err(Error::from).boxed_unsync()),
        if io_done {
            Box::new(async { Ok(()) })
        } else {
            Box::new(io)
        },
    ))
}

async fn connect(networking: Networking, uri: &hyper::Uri) -> Result<TcpStream, Error> {
    if uri.scheme_str() == Some("https") {
        return Err(Error::TlsProtocolError);
    }
    let authority = uri.authority().ok_or(Error::HttpRequestUriInvalid)?;
    let host = authority.host().trim_matches(['[', ']']);
    let port = authority.port_u16().unwrap_or(80);
    let addresses = lookup_host((host, port))
        .await
        .map_err(|_| Error::DnsError {
            rcode: None,
            info_code: None,
        })?;
    let allowed: Vec<SocketAddr> = addresses
        .filter(|address| may_use(networking, *address, SocketAddrUse::TcpConnect))
        .collect();
    if allowed.is_empty() {
        return Err(Error::DestinationIpProhibited);
    }
    TcpStream::connect(&allowed[..])
        .await
        .map_err(Error::Connect)
}
