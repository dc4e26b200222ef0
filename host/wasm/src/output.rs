//! What components print: lines, with a bound on how many are under way.
//!
//! Every line holds permits until the sink is done with it: one of its Ente's and one of all
//! Entes'. A component that prints faster than the sink takes therefore waits; nothing is dropped
//! on the way, and no other Ente's line waits behind more than the permits of those before it.

use crate::iface::log::Level;
use arje_card::Id;
use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use tokio::io::AsyncWrite;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamError, StreamResult};

/// Longest line, in bytes; of a longer one the rest is cut, and how much is said. Enough for a
/// JSON record or a stack trace, small enough to have thousands under way.
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
    /// The Ente.
    pub ente: Id,
    /// Its incarnation; 0 for a line of the host about several.
    pub incarnation: u64,
    /// How much it matters; `stdout` is info, `stderr` is warn.
    pub level: Level,
    /// The text, without control characters but tabs, at most about 16 KiB.
    pub text: String,
    /// Free again when the sink is done with the line, that is, has dropped it.
    _permits: Option<Permits>,
}

impl Line {
    /// A line that holds no permits: not of a component's own writing, so that nothing waits for it.
    #[must_use]
    pub fn of_host(
        label: Arc<str>,
        ente: Id,
        incarnation: u64,
        level: Level,
        text: String,
    ) -> Line {
        Line {
            label,
            ente,
            incarnation,
            level,
            text,
            _permits: None,
        }
    }
}

/// One of the Ente's and one of all Entes'.
pub(crate) type Permits = (OwnedSemaphorePermit, OwnedSemaphorePermit);

/// Takes the lines of all components. Must not block: lines under way are bounded by the permits
/// that they hold, so a plain queue to a writer thread is enough.
pub trait LineSink: Send + Sync + 'static {
    /// Takes one line; its permits are free again when it is dropped. A component waits for them within its
    /// call, whose time is limited, so a sink on which much depends does not keep them for long.
    fn accept(&self, line: Line);
}

/// The way from all components to the sink.
#[derive(Clone)]
pub(crate) struct Printer {
    sink: Arc<dyn LineSink>,
    all: Arc<Semaphore>,
    /// Lines that could not be kept and have not been told of.
    lost: Arc<AtomicUsize>,
}

impl Printer {
    pub(crate) fn new(sink: Arc<dyn LineSink>) -> Printer {
        Printer {
            sink,
            all: Arc::new(Semaphore::new(LINES_IN_ALL)),
            lost: Arc::new(AtomicUsize::new(0)),
        }
    }

    /// The way from one Ente.
    pub(crate) fn for_ente(&self, label: Arc<str>, ente: Id, incarnation: u64) -> Output {
        Output {
            printer: self.clone(),
            own: Arc::new(Semaphore::new(LINES_PER_ENTE)),
            label,
            ente,
            incarnation,
        }
    }
}

/// The way from one Ente to the sink.
#[derive(Clone)]
pub(crate) struct Output {
    printer: Printer,
    own: Arc<Semaphore>,
    label: Arc<str>,
    ente: Id,
    incarnation: u64,
}

impl fmt::Debug for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Output")
            .field("label", &self.label)
            .finish()
    }
}

impl Output {
    /// Hands a line to the sink, as soon as there is room for it.
    pub(crate) async fn print(&self, level: Level, text: String) {
        if let Some(permits) = self.permits().await {
            self.accept(level, text, Some(permits));
        }
    }

    /// Waits until there is room for one line, for [`accept`](Self::accept).
    pub(crate) async fn room(&self) -> Option<Permits> {
        self.permits().await
    }

    /// Hands over a line if there is room for it; else it is counted as lost.
    pub(crate) fn try_print(&self, level: Level, text: String) {
        self.print_rest(level, VecDeque::from([text]));
    }

    /// Room for one line. Neither semaphore is ever closed, so this is never `None`.
    async fn permits(&self) -> Option<Permits> {
        let own = Arc::clone(&self.own).acquire_owned().await.ok()?;
        let all = Arc::clone(&self.printer.all).acquire_owned().await.ok()?;
        Some((own, all))
    }

    /// Hands over what a stream still has when its component is gone, as far as there is room;
    /// the count of the others goes out in their place.
    fn print_rest(&self, level: Level, rest: VecDeque<String>) {
        let mut lost = 0_usize;
        for text in rest {
            let own = Arc::clone(&self.own).try_acquire_owned();
            let all = Arc::clone(&self.printer.all).try_acquire_owned();
            match (own, all) {
                (Ok(own), Ok(all)) => self.accept(level, text, Some((own, all))),
                _ => lost += 1,
            }
        }
        if lost > 0 {
            self.printer.lost.fetch_add(lost, Ordering::Relaxed);
        }
    }

    /// Hands a line to the sink, with the room that it takes.
    pub(crate) fn accept(&self, level: Level, text: String, permits: Option<Permits>) {
        let lost = self.printer.lost.swap(0, Ordering::Relaxed);
        if lost > 0 {
            // One line for any number, sent together with one that holds permits.
            let text = format!("{lost} last lines of components that ended could not be kept");
            let label = Arc::clone(&self.label);
            let line = Line::of_host(label, self.ente, 0, Level::Warn, text);
            self.printer.sink.accept(line);
        }
        self.printer.sink.accept(Line {
            label: Arc::clone(&self.label),
            ente: self.ente,
            incarnation: self.incarnation,
            level,
            text,
            _permits: permits,
        });
    }
}

/// Text as it may go to a console: no control characters, so that no component can move the
/// cursor, forge a second line or clear the screen.
#[must_use]
pub fn printable(text: &str) -> String {
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

/// What stands at the end of a line that was cut.
pub(crate) fn more_bytes(cut: u64) -> String {
    format!(" [{cut} more bytes]")
}

/// `stdout` or `stderr` of a component: bytes in, lines out.
#[derive(Clone)]
pub(crate) struct LineStream(Arc<Mutex<Lines>>);

struct Lines {
    output: Output,
    level: Level,
    /// The line that has not ended yet, and how many bytes of it were not kept.
    partial: Vec<u8>,
    cut: u64,
    full: VecDeque<String>,
}

impl LineStream {
    pub(crate) fn new(output: Output, level: Level) -> LineStream {
        LineStream(Arc::new(Mutex::new(Lines {
            output,
            level,
            partial: Vec::new(),
            cut: 0,
            full: VecDeque::new(),
        })))
    }

    fn lines(&self) -> MutexGuard<'_, Lines> {
        // A panic cannot leave the lines half-made: every change is one push or pop.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lines {
    /// How many bytes may be written now: none while earlier lines wait for the sink.
    fn permit(&self) -> usize {
        if self.full.is_empty() {
            WRITE_PERMIT
        } else {
            0
        }
    }

    fn push(&mut self, bytes: &[u8]) {
        let mut parts = bytes.split(|byte| *byte == b'\n').peekable();
        while let Some(part) = parts.next() {
            let kept = part.len().min(MAX_LINE - self.partial.len());
            self.partial.extend_from_slice(&part[..kept]);
            self.cut += (part.len() - kept) as u64;
            if parts.peek().is_some() {
                self.finish_line();
            }
        }
    }

    fn finish_line(&mut self) {
        let line = std::mem::take(&mut self.partial);
        let mut text = printable(String::from_utf8_lossy(&line).trim_end_matches('\r'));
        if self.cut > 0 {
            text.push_str(&more_bytes(self.cut));
            self.cut = 0;
        }
        self.full.push_back(text);
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        if !self.partial.is_empty() {
            self.finish_line();
        }
        let rest = std::mem::take(&mut self.full);
        self.output.print_rest(self.level, rest);
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for LineStream {
    async fn ready(&mut self) {
        loop {
            let output = {
                let lines = self.lines();
                if lines.full.is_empty() {
                    return;
                }
                lines.output.clone()
            };
            // The line is taken only when it can go: this future may be dropped while it waits.
            let Some(permits) = output.permits().await else {
                return;
            };
            let mut lines = self.lines();
            if let Some(text) = lines.full.pop_front() {
                output.accept(lines.level, text, Some(permits));
            }
        }
    }
}

#[wasmtime_wasi::async_trait]
impl OutputStream for LineStream {
    fn write(&mut self, bytes: bytes::Bytes) -> StreamResult<()> {
        let mut lines = self.lines();
        // A component may write without asking first; then it is told as other streams tell it.
        if bytes.len() > lines.permit() {
            return Err(StreamError::trap("wrote more bytes than were permitted"));
        }
        lines.push(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(self.lines().permit())
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
        let taken = bytes.len().min(lines.permit());
        lines.push(&bytes[..taken]);
        Poll::Ready(Ok(taken))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::{self, Receiver, Sender};

    struct Sent(Sender<Line>);

    impl LineSink for Sent {
        fn accept(&self, line: Line) {
            let _ = self.0.send(line);
        }
    }

    fn output() -> (Output, Receiver<Line>) {
        let (sender, lines) = mpsc::channel();
        let printer = Printer::new(Arc::new(Sent(sender)));
        (printer.for_ente("e".into(), Id::NIL, 1), lines)
    }

    fn texts(chunks: &[&[u8]]) -> Vec<String> {
        let (output, lines) = output();
        let stream = LineStream::new(output, Level::Info);
        for chunk in chunks {
            stream.lines().push(chunk);
        }
        drop(stream);
        lines.try_iter().map(|line| line.text).collect()
    }

    #[test]
    fn bytes_become_lines() {
        assert_eq!(
            texts(&[b"a\nb", b"c\r\n", b"\n", b"d"]),
            ["a", "bc", "", "d"]
        );
        assert_eq!(texts(&[b"\x1b[2J\xff\t."]), ["\\u{1b}[2J\u{fffd}\t."]);
        assert_eq!(texts(&[]), [""; 0]);
    }

    #[test]
    fn a_long_line_is_cut_once_and_says_by_how_much() {
        let long = vec![b'x'; MAX_LINE];
        let lines = texts(&[&long, &long, b"yy\nnext\n"]);
        assert_eq!(lines[0].len(), MAX_LINE + more_bytes(0).len() + 4);
        assert!(lines[0].ends_with(&format!("x [{} more bytes]", MAX_LINE + 2)));
        assert_eq!(lines[1..], ["next"]);
    }

    #[test]
    fn writing_without_asking_is_refused_while_lines_wait() {
        let (output, _lines) = output();
        let mut stream = LineStream::new(output, Level::Info);
        let newlines = bytes::Bytes::from(vec![b'\n'; WRITE_PERMIT]);
        stream.write(newlines.clone()).unwrap();
        assert!(stream.write(newlines).is_err());
        assert_eq!(stream.check_write().unwrap(), 0);
        assert!(stream.write_zeroes(1 << 40).is_err());
    }

    #[test]
    fn what_has_no_room_at_the_end_is_counted() {
        let (output, lines) = output();
        let stream = LineStream::new(output.clone(), Level::Info);
        stream.lines().push(&[b'\n'; LINES_PER_ENTE + 5]);
        drop(stream);
        let first: Vec<Line> = lines.try_iter().collect();
        assert_eq!(first.len(), LINES_PER_ENTE);
        drop(first);
        drop(LineStream::new(output, Level::Info).tap(b"x"));
        let texts: Vec<String> = lines.try_iter().map(|line| line.text.clone()).collect();
        assert_eq!(
            texts,
            [
                "5 last lines of components that ended could not be kept",
                "x"
            ]
        );
    }

    impl LineStream {
        fn tap(self, bytes: &[u8]) -> LineStream {
            self.lines().push(bytes);
            self
        }
    }

    #[test]
    fn a_writer_waits_while_its_lines_are_under_way() {
        let (output, lines) = output();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        runtime.block_on(async {
            for n in 0..LINES_PER_ENTE {
                output.print(Level::Info, n.to_string()).await;
            }
            let mut next = std::pin::pin!(output.print(Level::Info, "last".into()));
            std::future::poll_fn(|cx| {
                assert!(next.as_mut().poll(cx).is_pending());
                Poll::Ready(())
            })
            .await;
            drop(lines.recv().unwrap()); // written
            next.await;
        });
        assert_eq!(lines.try_iter().last().unwrap().text, "last");
    }
}
