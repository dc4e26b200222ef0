//! Host: with `networking` outbound, does its GET of http://argv[1]/argv[2] and it prints status
//! and body; with none, refuses it before it runs, naming `wasi:http/outgoing-handler`.

use std::io::{self, Write};
use wasip2::http::outgoing_handler;
use wasip2::http::types::{Fields, IncomingBody, IncomingResponse, OutgoingRequest, Scheme};
use wasip2::io::streams::StreamError;

fn main() -> io::Result<()> {
    let mut args = std::env::args().skip(1);
    let authority = args.next().ok_or(io::ErrorKind::InvalidInput)?;
    let path = format!("/{}", args.next().unwrap_or_default());
    let response = get(&authority, &path).map_err(io::Error::other)?;
    println!("{}", response.status());
    let body = read(&response).map_err(io::Error::other)?;
    io::stdout().write_all(&body)
}

fn get(authority: &str, path: &str) -> Result<IncomingResponse, String> {
    let request = OutgoingRequest::new(Fields::new());
    request
        .set_scheme(Some(&Scheme::Http))
        .and_then(|()| request.set_authority(Some(authority)))
        .and_then(|()| request.set_path_with_query(Some(path)))
        .map_err(|()| "not a valid address".to_owned())?;
    let pending = outgoing_handler::handle(request, None).map_err(|e| format!("{e:?}"))?;
    pending.subscribe().block();
    match pending.get() {
        Some(Ok(result)) => result.map_err(|e| format!("{e:?}")),
        Some(Err(())) | None => Err("the answer was taken already, or is not there".to_owned()),
    }
}

fn read(response: &IncomingResponse) -> Result<Vec<u8>, String> {
    let body: IncomingBody = response.consume().map_err(|()| "no body")?;
    let stream = body.stream().map_err(|()| "no stream")?;
    let mut bytes = Vec::new();
    loop {
        match stream.blocking_read(4096) {
            Ok(more) => bytes.extend(more),
            Err(StreamError::Closed) => return Ok(bytes),
            Err(StreamError::LastOperationFailed(e)) => return Err(e.to_debug_string()),
        }
    }
}
