//! A connection to the bus without any courtesy.

use crate::common::DEADLINE;
use crate::endpoint;
use arje_bus::{
    CallError, FrameReader, Hello, HelloAnswer, Invoke, Invoked, Request, RequestFrame, Response,
    ServerFrame, decode, encode,
};
use serde::Serialize;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

/// Sends what it is told, and takes what comes.
pub struct Raw {
    pub stream: UnixStream,
    reader: FrameReader,
    serial: u32,
}

impl Raw {
    pub fn connect(socket: &Path) -> Raw {
        let mut raw = Raw::on(UnixStream::connect(socket).unwrap());
        raw.put(&Hello::new());
        let answer: HelloAnswer = decode(&raw.body()).unwrap();
        assert!(matches!(answer, HelloAnswer::Welcome(_)), "{answer:?}");
        raw
    }

    pub fn on(stream: UnixStream) -> Raw {
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        Raw {
            stream,
            reader: FrameReader::new(),
            serial: 0,
        }
    }

    pub fn put(&mut self, value: &impl Serialize) {
        self.stream.write_all(&encode(value).unwrap()).unwrap();
    }

    pub fn send(&mut self, request: Request) -> u32 {
        self.serial += 1;
        let serial = self.serial;
        self.put(&RequestFrame { serial, request });
        serial
    }

    pub fn body(&mut self) -> Vec<u8> {
        let mut chunk = [0; 4096];
        loop {
            if let Some(body) = self.reader.take().unwrap() {
                return body;
            }
            let count = self.stream.read(&mut chunk).unwrap();
            assert_ne!(count, 0, "the bus closed the connection");
            self.reader.push(&chunk[..count]);
        }
    }

    pub fn frame(&mut self) -> ServerFrame {
        decode(&self.body()).unwrap()
    }

    pub fn ask(&mut self, request: Request) -> Response {
        let serial = self.send(request);
        match self.frame() {
            ServerFrame::Reply(reply) if reply.serial == serial => reply.response,
            other => panic!("{other:?}"),
        }
    }

    pub fn invoke(&mut self, payload: &[u8], deadline_ms: u64) -> u32 {
        let [serial] = self.invoke_at_once([payload], deadline_ms);
        serial
    }

    /// Several calls in one piece.
    pub fn invoke_at_once<const N: usize>(
        &mut self,
        payloads: [&[u8]; N],
        deadline_ms: u64,
    ) -> [u32; N] {
        let mut frames = Vec::new();
        let serials = payloads.map(|payload| {
            self.serial += 1;
            let request = Request::Invoke(Invoke {
                capability: endpoint(1),
                payload: payload.to_vec(),
                deadline_ms,
            });
            let serial = self.serial;
            frames.extend(encode(&RequestFrame { serial, request }).unwrap());
            serial
        });
        self.stream.write_all(&frames).unwrap();
        serials
    }

    pub fn outcome(&mut self) -> (u32, Result<Vec<u8>, CallError>) {
        match self.frame() {
            ServerFrame::Reply(reply) => match reply.response {
                Response::Invoked(Invoked { result }) => (reply.serial, result),
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        }
    }
}
