//! `ente-worker`: the process of one component whose Card asks for a body of its own.
//!
//! It holds the same engine and the same interfaces as PID 1, for exactly one component in one
//! incarnation. PID 1 starts it in the sandbox of a native Ente, with one descriptor: a socket, on
//! which come the Card, the verified artifact and the listening sockets, and on which goes back what
//! becomes of them (`arje_wasm::wire`, `docs/worker.md`). It opens no store, reads no configuration and
//! takes no arguments.
//!
//! It never outlives its PID 1: at the end of the socket it exits, whatever the component is at.

mod call;
mod inherited;
mod questions;
mod reporter;

use arje_card::{Card, Entry, Payload, WasmPayload};
use arje_wasm::wire::{Command, Frames, MAX_COMMAND, receive_start};
use arje_wasm::{Call, End, Host, SealedModule, StartRequest};
use call::received;
use questions::Questions;
use reporter::Reporter;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::sync::Arc;

/// The name under which `ente-zero`, too, becomes a worker.
pub const NAME: &str = "ente-worker";

/// Exit codes. PID 1 goes by what was said on the socket; these are for whoever looks at the process.
/// The end of the component is told; PID 1 closed the socket before that; there was no start.
const ENDED: i32 = 0;
const LEFT_ALONE: i32 = 1;
const NOT_STARTED: u8 = 2;

/// Threads that run short calls where one component serves many connections.
const HTTP_WORKERS: usize = 8;

/// Lives one life. Returns only when there was none; otherwise the process exits.
#[must_use]
pub fn main() -> ExitCode {
    let Err(error) = run();
    eprintln!("{NAME}: {error}");
    NOT_STARTED.into()
}

fn run() -> Result<std::convert::Infallible, String> {
    let mut socket = inherited::socket()
        .map_err(|error| format!("{error}; it is started by ente-zero, and by nobody else"))?;
    let mut frames = Frames::new(MAX_COMMAND);
    let (incarnation, card, descriptors) = match receive_start(&socket, &mut frames) {
        Ok(parcel) => parcel,
        // PID 1 has refused the component, and told why.
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            std::process::exit(LEFT_ALONE)
        }
        Err(error) => return Err(format!("cannot receive the component: {error}")),
    };
    let out = socket
        .try_clone()
        .map_err(|error| format!("cannot use the socket: {error}"))?;
    let reporter = Reporter::new(out);
    let (host, id, questions) = match start(incarnation, &card, descriptors, &reporter) {
        Ok(started) => started,
        Err(refusal) => reporter.refuse(refusal),
    };
    let answer = |number, asked| {
        let (host, answers) = (Arc::clone(&host), reporter.answers());
        host.workers().clone().spawn(async move {
            let answer = match asked {
                Asked::Function(name, payload) => host.invoke(id, &name, payload).await,
                Asked::Handler(call) => host.answer(id, call).await,
                Asked::Typed(function, call) => host.answer_typed(id, &function, call).await,
            };
            answers.send(number, answer);
        });
    };
    obey(&mut socket, &mut frames, |command| match command {
        Command::Stop(reason) => {
            // It may have ended by itself just now, which is being told.
            let _ = host.stop(id, incarnation, reason);
        }
        Command::Call {
            number,
            function,
            payload,
        } => answer(number, Asked::Function(function, payload)),
        Command::Handle {
            number,
            caller,
            call,
        } => answer(number, Asked::Handler(received(caller, call))),
        Command::Event(event) => {
            let _ = host.tell(id, incarnation, &event); // as above
        }
        Command::Typed {
            number,
            function,
            caller,
            call,
        } => answer(number, Asked::Typed(function, received(caller, call))),
        Command::Told { number, told } => {
            if questions.unsubscribes(number) {
                host.forget_events(id, incarnation);
            }
            if let Some(next) = questions.told(number, told) {
                reporter.send(next);
            }
        }
        Command::Start { .. } => reporter.leave(), // there is one life
    });
    reporter.leave()
}

/// What the component is called for.
enum Asked {
    /// A function, by its full name.
    Function(String, Vec<u8>),
    /// Its handler.
    Handler(Call),
    /// A function of a typed service.
    Typed(String, Call),
}

/// Makes the host and starts the component in it.
fn start(
    incarnation: u64,
    card: &str,
    descriptors: Vec<OwnedFd>,
    reporter: &Reporter,
) -> Result<(Arc<Host>, arje_card::Id, Arc<Questions>), End> {
    let refused = |what: &str, error: &dyn std::fmt::Display| {
        End::Refused(format!("the worker process cannot {what}: {error}"))
    };
    let card =
        Card::from_json(card.as_bytes()).map_err(|error| refused("read its Card", &error))?;
    let payload = wasm(&card)?;
    let mut descriptors = descriptors.into_iter();
    let artifact = descriptors
        .next()
        .ok_or_else(|| refused("load the component", &"no artifact was handed over"))?;
    // SAFETY: the socket was inherited from PID 1, which is who made this process; it sends only
    // artifacts that its store has verified for the Card's pin, and this program's engine is built by
    // the same function as its own.
    let module = unsafe { SealedModule::new(payload.module_sha256, artifact) }
        .map_err(|error| refused("load the component", &error))?;
    let workers = match payload.entry {
        Entry::Http => HTTP_WORKERS,
        _ => 1,
    };
    let host = Host::of_worker(module, workers, reporter.lines(), reporter.wake())
        .map(Arc::new)
        .map_err(|error| refused("make its Wasm host", &error))?;
    let questions = Arc::new(Questions::new(&card));
    reporter
        .start(Arc::clone(&host), Arc::clone(&questions))
        .map_err(|error| refused("start a thread", &error))?;
    let id = card.id;
    let request = StartRequest {
        card: Arc::new(card),
        incarnation,
        sockets: descriptors.collect(),
    };
    host.start(request);
    Ok((host, id, questions))
}

fn wasm(card: &Card) -> Result<&WasmPayload, End> {
    match &card.payload {
        Payload::Wasm(payload) => Ok(payload),
        _ => Err(End::Refused("the payload is not Wasm".into())),
    }
}

/// Reads commands until PID 1 closes the socket, or says something that it never says.
fn obey(socket: &mut UnixStream, frames: &mut Frames, mut then: impl FnMut(Command)) {
    loop {
        match frames.next_frame() {
            Ok(Some(frame)) => match Command::decode(frame) {
                Ok(command) => then(command),
                Err(_) => return,
            },
            Ok(None) => {
                let mut bytes = vec![0; frames.wanted()];
                match socket.read(&mut bytes) {
                    Ok(0) => return,
                    Ok(read) => frames.push(&bytes[..read]),
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(_) => return,
                }
            }
            Err(_) => return,
        }
    }
}
