//! A client: it sends what it is told to, and understands whatever it is sent.

use super::script::Step;
use arje_bus::{
    Announce, Answer, CallId, FrameReader, Hello, HelloAnswer, Invoke, Request, RequestFrame,
    ServerFrame, decode, encode,
};
use arje_card::Capability;
use std::collections::{HashMap, VecDeque};
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;

/// Serials of what a client sends by itself, so that they are its own.
const FIRST_SERIAL: u32 = 1 << 20;

/// A client.
pub struct Client {
    stream: Option<UnixStream>,
    reader: FrameReader,
    welcomed: bool,
    calls: VecDeque<CallId>,
    next: u32,
    slow: bool,
    /// It did nothing that the server closes a connection for.
    honest: bool,
    /// Bytes that it sent.
    pub sent: usize,
    /// How many answers it got, by serial.
    pub answers: HashMap<u32, u32>,
}

impl Client {
    pub fn new(stream: UnixStream) -> Self {
        stream.set_nonblocking(true).expect("a socket");
        Self {
            stream: Some(stream),
            reader: FrameReader::new(),
            welcomed: false,
            calls: VecDeque::new(),
            next: FIRST_SERIAL,
            slow: false,
            honest: true,
            sent: 0,
            answers: HashMap::new(),
        }
    }

    /// Whether it is owed an answer to everything it asked.
    pub fn is_honest(&self) -> bool {
        self.honest && self.welcomed
    }

    pub fn step(&mut self, step: Step<'_>) {
        match step {
            Step::Raw(bytes) => {
                self.honest = false;
                self.send(bytes);
            }
            Step::Zeros(count) => {
                self.honest = false;
                self.send(&vec![0; count]);
            }
            Step::Frame(body) => {
                self.send(&(body.len() as u32).to_be_bytes());
                self.send(body);
            }
            Step::Hello => self.send(&encode(&Hello::new()).expect("a hello")),
            Step::Invoke(capability, payload, deadline_ms) => {
                let payload = vec![1; payload];
                self.ask(Request::Invoke(Invoke {
                    capability,
                    payload,
                    deadline_ms,
                }));
            }
            Step::Announce => self.ask(Request::Announce(Announce::default())),
            Step::Update(capability) => {
                self.ask(Request::UpdateCapabilities(arje_bus::UpdateCapabilities {
                    adds: Vec::new(),
                    removes: vec![capability],
                }))
            }
            Step::Answer(payload) => {
                if let Some(call) = self.calls.pop_front() {
                    let result = Ok(vec![2; payload]);
                    self.ask(Request::Answer(Answer { call, result }));
                }
            }
            Step::Slow => {
                self.slow = !self.slow;
                self.honest = false;
            }
            Step::HalfClose => {
                let stream = self.stream.as_ref();
                let _ = stream.map(|stream| stream.shutdown(Shutdown::Write));
            }
            Step::Close => {
                self.honest = false;
                self.stream = None;
            }
            Step::Connect(_) | Step::Pass(_) | Step::End(_) | Step::Late | Step::Turns(_) => {}
        }
    }

    fn ask(&mut self, request: Request) {
        self.next += 1;
        let frame = RequestFrame {
            serial: self.next,
            request,
        };
        // What is too large for a frame cannot be asked.
        if let Ok(bytes) = encode(&frame) {
            self.send(&bytes);
        }
    }

    /// Sends what the socket takes. A client that has to leave out the rest is none to rely on.
    fn send(&mut self, bytes: &[u8]) {
        let Some(stream) = &mut self.stream else {
            return;
        };
        match stream.write(bytes) {
            Ok(count) => {
                self.sent += count;
                self.honest &= count == bytes.len();
            }
            Err(_) => self.honest = false,
        }
    }

    /// Reads what is there, if it reads at all; whether there was anything.
    pub fn drain(&mut self, also_slow: bool) -> bool {
        let Some(stream) = &mut self.stream else {
            return false;
        };
        if self.slow && !also_slow {
            return false;
        }
        let mut read = false;
        let mut chunk = [0; 32 << 10];
        loop {
            match stream.read(&mut chunk) {
                Ok(0) => {
                    self.stream = None;
                    break;
                }
                Ok(count) => self.reader.push(&chunk[..count]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(_) => {
                    self.stream = None;
                    break;
                }
            }
            read = true;
        }
        while let Some(body) = self.reader.take().expect("the server sends frames") {
            self.take(&body);
        }
        read
    }

    fn take(&mut self, body: &[u8]) {
        if !self.welcomed {
            let answer: HelloAnswer = decode(body).expect("the first frame answers the hello");
            self.welcomed = matches!(answer, HelloAnswer::Welcome(_));
            return;
        }
        match decode(body).expect("a frame of the server") {
            ServerFrame::Reply(reply) => *self.answers.entry(reply.serial).or_default() += 1,
            ServerFrame::Call(call) => self.calls.push_back(call.id),
            ServerFrame::Event(_) | ServerFrame::Log(_) => {}
        }
    }
}

/// The capabilities that calls are about: those of the Entes there are, and one that nobody has.
pub fn capability(number: u8) -> Capability {
    match number % 3 {
        0 => Capability::Journal,
        1 => Capability::Spawn,
        _ => Capability::Power,
    }
}
