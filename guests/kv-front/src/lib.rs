//! HTTP in front of a typed service: GET, PUT and DELETE of `/KEY` become calls of `example:kv/store`. Its Card requires
//! `{"Wit": "example:kv/store@1.0.0"}` and has the entry `http`. What is answered to what is in [`answer`].

mod answer;

use answer::{Answer, Ask, MAX_VALUE, Store};
use example::kv::store::{self, Entry, Error};
use wasip2::http::types::{
    Fields, IncomingRequest, Method, OutgoingBody, OutgoingResponse, ResponseOutparam,
};
use wasip2::io::streams::StreamError;

wit_bindgen::generate!({ path: "../kv/wit", world: "client", additional_derives: [PartialEq] });

/// Host functions write at most this much per call (`wasi:io/streams`, `blocking-write-and-flush`).
const CHUNK: usize = 4096;

/// The store that the import is linked to.
struct Linked;

impl Store for Linked {
    fn get(&self, key: &str) -> Result<Option<Entry>, Error> {
        store::get(key)
    }

    fn set(&self, key: &str, value: &[u8]) -> Result<u64, Error> {
        store::set(key, value)
    }

    fn delete(&self, key: &str) -> Result<bool, Error> {
        store::delete(key)
    }
}

struct Front;

impl wasip2::exports::http::incoming_handler::Guest for Front {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let ask = match request.method() {
            Method::Get => Ask::Get,
            Method::Delete => Ask::Delete,
            Method::Put => Ask::Put(body(&request)),
            _ => Ask::Other,
        };
        let path = request.path_with_query().unwrap_or_default();
        send(answer::answer(&Linked, &path, ask), out);
    }
}

/// The body of a request: absent when it did not come to its end. Of one that is too large no more than shows it.
fn body(request: &IncomingRequest) -> Option<Vec<u8>> {
    let body = request.consume().ok()?;
    let stream = body.stream().ok()?;
    let mut bytes = Vec::new();
    while bytes.len() <= MAX_VALUE {
        match stream.blocking_read(CHUNK as u64) {
            Ok(more) => bytes.extend(more),
            Err(StreamError::Closed) => return Some(bytes),
            Err(StreamError::LastOperationFailed(_)) => return None,
        }
    }
    Some(bytes)
}

/// Sends an answer. A peer that has gone is no error of ours.
fn send(answer: Answer, out: ResponseOutparam) {
    let headers = Fields::new();
    for (name, value) in answer.headers {
        // The only way this fails is a name or value the host forbids; the answer then goes without.
        let _ = headers.set(name, &[value.into_bytes()]);
    }
    let response = OutgoingResponse::new(headers);
    // Every status in `answer` is one that the host takes.
    let _ = response.set_status_code(answer.status);
    let body = response.body();
    ResponseOutparam::set(out, Ok(response));
    let Ok(body) = body else { return };
    if let Ok(stream) = body.write() {
        for chunk in answer.body.chunks(CHUNK) {
            if stream.blocking_write_and_flush(chunk).is_err() {
                break;
            }
        }
    }
    let _ = OutgoingBody::finish(body, None);
}

wasip2::http::proxy::export!(Front);
