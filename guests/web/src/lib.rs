//! An HTTP handler (`wasi:http/incoming-handler`): answers every request with its method and path.

use wasip2::http::types::{
    Fields, IncomingRequest, Method, OutgoingBody, OutgoingResponse, ResponseOutparam,
};

/// Host functions write at most this much per call (`wasi:io/streams`,
/// `blocking-write-and-flush`).
const CHUNK: usize = 4096;

struct Web;

impl wasip2::exports::http::incoming_handler::Guest for Web {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let answer = answer(
            &request.method(),
            &request.path_with_query().unwrap_or_default(),
        );
        let headers = Fields::new();
        // The only way this fails is a name or value the host forbids; the answer then goes
        // without.
        let _ = headers.set("content-type", &[b"text/plain; charset=utf-8".to_vec()]);
        let response = OutgoingResponse::new(headers);
        let body = response.body();
        ResponseOutparam::set(out, Ok(response));
        if let Ok(body) = body {
            send(body, answer.as_bytes());
        }
    }
}

/// The text of an answer.
fn answer(method: &Method, path: &str) -> String {
    let method = match method {
        Method::Get => "GET",
        Method::Head => "HEAD",
        Method::Post => "POST",
        Method::Put => "PUT",
        Method::Delete => "DELETE",
        Method::Connect => "CONNECT",
        Method::Options => "OPTIONS",
        Method::Trace => "TRACE",
        Method::Patch => "PATCH",
        Method::Other(other) => other,
    };
    format!("{method} {path}\n")
}

/// Sends a body. A peer that has gone is no error of ours.
fn send(body: OutgoingBody, bytes: &[u8]) {
    if let Ok(stream) = body.write() {
        for chunk in bytes.chunks(CHUNK) {
            if stream.blocking_write_and_flush(chunk).is_err() {
                break;
            }
        }
    }
    let _ = OutgoingBody::finish(body, None);
}

wasip2::http::proxy::export!(Web);
