//! What components print: lines, with a bound on how many are under way.
//!
//! Every line holds permits until the sink has written it: one of its Ente's and one of all
//! Entes'. A component that prints faster than the console writes therefore waits; nothing is
//! dropped, and no other Ente's line waits behind more than the permits of those before it.

use crate::iface::log::Level;
use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use tokio::io::AsyncWrite;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamError, StreamResult};

/// Longest line, in bytes; a longer one from `stdout` is broken, a longer log message is cut.
/// Enough for a JSON record or a stack trace, small enough to have thousands under way.
pub(crate) const MAX_LINE: usize = 16 * 1024;

/// Lines of one Ente between it and the sink. Enough to keep a writer busy.
const LINES_PER_ENTE: usize = 16;

/// Lines of all Entes between them and the sink: at most 64 MiB with every line at its longest.
const LINES_IN_ALL: usize = 4096;

/// Bytes that `stdout` accepts at once, as usual for WASI streams.
const WRITE_PERMIT: usize = 64 * 1024;

/// One line that a component printed.
#[derive(Debug)]
pub struct Line {
    /// Label of the Ente.
    pub label: Arc<str>,
    /// How much it matters; `stdout` is info, `stderr` is warn.
    pub level: Level,
    /// The text, without control characters but tabs, at most about 16 KiB.
    pub text: String,
    /// Free again when the line has been written, that is, dropped.
    _permits: Option<(OwnedSemaphorePermit, OwnedSemaphorePermit)>,
}

/// Takes the lines of all components. Must not block: lines under way are bounded by the permits
/// that they hold, so a plain queue to a writer thread is enough.
pub trait LineSink: Send + Sync + 'static {
    /// Takes one line; its permits are free again when it is dropped.
    fn accept(&self, line: Line);
}

/// The way from all components to the sink.
#[derive(Clone)]
pub(crate) struct Printer {
    sink: Arc<dyn LineSink>,
    all: Arc<Semaphore>,
}

impl Printer {
    pub(crate) fn new(sink: Arc<dyn LineSink>) -> Printer {
        Printer {
            sink,
            all: Arc::new(Semaphore::new(LINES_IN_ALL)),
        }
    }

    /// The way from one Ente.
    pub(crate) fn for_ente(&self, label: Arc<str>) -> Output {
        Output {
            printer: self.clone(),
            own: Arc::new(Semaphore::new(LINES_PER_ENTE)),
            label,
        }
    }
}

/// The way from one Ente to the sink.
#[derive(Clone)]
pub(crate) struct Output {
    printer: Printer,
    own: Arc<Semaphore>,
    label: Arc<str>,
}

impl fmt::Debug for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Output").field("label", &self.label).finish()
    }
}

impl Output {
    /// Hands a line to the sink, as soon as there is room for it.
    pub(crate) async fn print(&self, level: Level, text: String) {
        // Neither semaphore is ever closed, so neither acquire fails.
        let Ok(own) = Arc::clone(&self.own).acquire_owned().await else {
            return;
        };
        let Ok(all) = Arc::clone(&self.printer.all).acquire_owned().await else {
            return;
        };
        self.accept(level, text, Some((own, all)));
    }

    /// Hands over the last, unfinished line of a stream: one per stream at most, so it needs no
    /// permit and cannot be lost with its component.
    fn print_last(&self, level: Level, text: String) {
        self.accept(level, text, None);
    }

    fn accept(
        &self,
        level: Level,
        text: String,
        permits: Option<(OwnedSemaphorePermit, OwnedSemaphorePermit)>,
    ) {
        self.printer.sink.accept(Line {
            label: Arc::clone(&self.label),
            level,
            text,
            _permits: permits,
        });
    }
}

/// Text as it may go to a console: no control characters, so that no component can move the
/// cursor, forge a second line or clear the screen.
pub(crate) fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() && c != '\t' {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    out
}

/// `stdout` or `stderr` of a component: bytes in, lines out.
#[derive(Clone)]
pub(crate) struct LineStream(Arc<Mutex<Lines>>);

struct Lines {
    output: Output,
    level: Level,
    partial: Vec<u8>,
    full: VecDeque<String>,
}

impl LineStream {
    pub(crate) fn new(output: Output, level: Level) -> LineStream {
        LineStream(Arc::new(Mutex::new(Lines {
            output,
            level,
            partial: Vec::new(),
            full: VecDeque::new(),
        })))
    }

    fn lines(&self) -> MutexGuard<'_, Lines> {
        // A panic cannot leave the lines half-made: every change is one push or pop.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lines {
    fn push(&mut self, bytes: &[u8]) {
        for byte in bytes {
            if *byte == b'\n' || self.partial.len() == MAX_LINE {
                self.finish_line();
            }
            if *byte != b'\n' {
                self.partial.push(*byte);
            }
        }
    }

    fn finish_line(&mut self) {
        let text = printable(String::from_utf8_lossy(&self.partial).trim_end_matches('\r'));
        self.partial.clear();
        self.full.push_back(text);
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        if !self.partial.is_empty() {
            self.finish_line();
        }
        for text in std::mem::take(&mut self.full) {
            self.output.print_last(self.level, text);
        }
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for LineStream {
    async fn ready(&mut self) {
        loop {
            let Some((output, level, text)) = ({
                let mut lines = self.lines();
                let next = lines.full.pop_front();
                next.map(|text| (lines.output.clone(), lines.level, text))
            }) else {
                return;
            };
            output.print(level, text).await;
        }
    }
}

#[wasmtime_wasi::async_trait]
impl OutputStream for LineStream {
    fn write(&mut self, bytes: bytes::Bytes) -> StreamResult<()> {
        if bytes.len() > WRITE_PERMIT {
            return Err(StreamError::trap("wrote more bytes than were permitted"));
        }
        self.lines().push(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(if self.lines().full.is_empty() {
            WRITE_PERMIT
        } else {
            0
        })
    }
}

impl IsTerminal for LineStream {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for LineStream {
    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }

    // WASI 0.3's way to write; that world is not linked, so nothing calls this today. It behaves.
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }
}

impl AsyncWrite for LineStream {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        let mut lines = self.lines();
        lines.push(&bytes[..bytes.len().min(WRITE_PERMIT)]);
        Poll::Ready(Ok(bytes.len().min(WRITE_PERMIT)))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
