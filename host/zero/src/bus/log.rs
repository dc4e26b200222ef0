//! Parts of the logs that the Entes' output is kept in, for those who asked for them.
//!
//! Nothing is copied ahead: a part is taken when its reader has room for it, so a slow one costs what
//! its queue holds, and is told how much was overwritten meanwhile.

use crate::logs::{Entry, Following, Logs, Page, Record, Source};
use arje_bus::{Log, LogEntry, LogLine, LogRecord, LogSource, LostLines};
use arje_card::Id;
use arje_wasm::Level;

/// Bytes of text in one part; with a line of the greatest length behind it, still a small frame.
const PART: usize = 16 * 1024;

/// What somebody who asked for a log is still to get.
pub struct Tail {
    /// The serial of the request.
    pub serial: u32,
    id: Id,
    next: u64,
    /// Where it ends; nowhere, if the log is followed.
    end: Option<u64>,
    /// Keeps the core loop informed of new lines.
    _following: Option<Following>,
}

impl Tail {
    /// The last `lines` records of an Ente, and each further one if it is to be followed. The first
    /// part is the answer to the request; the value, if there is one, stands for the others.
    #[must_use]
    pub fn begin(
        logs: &Logs,
        serial: u32,
        id: Id,
        lines: u32,
        follow: bool,
    ) -> (Log, Option<Tail>) {
        // Before anything is read, so that no line comes between unnoticed.
        let following = follow.then(|| logs.follow());
        let end = logs.tail(id, 0).map(|page| page.next).unwrap_or_default();
        let mut tail = Tail {
            serial,
            id,
            next: end.saturating_sub(u64::from(lines)),
            end: (!follow).then_some(end),
            _following: following,
        };
        let mut first = tail.next_part(logs).unwrap_or(Log {
            more: follow,
            ..Log::default()
        });
        // What was overwritten before anybody asked is not missed.
        first.missed = 0;
        let rest = first.more.then_some(tail);
        (first, rest)
    }

    /// The next part, if there is any; the last one says that no more follow.
    pub fn next_part(&mut self, logs: &Logs) -> Option<Log> {
        let Some(page) = logs.since(self.id, self.next, PART) else {
            // The Ente is forgotten, and its log with it.
            return Some(Log::default());
        };
        let Page {
            records,
            next,
            missed,
        } = page;
        if records.is_empty() && missed == 0 && self.end.is_none_or(|end| self.next < end) {
            return None;
        }
        self.next = next;
        Some(Log {
            missed,
            records: records.into_iter().map(record).collect(),
            more: self.end.is_none_or(|end| next < end),
        })
    }
}

fn record(record: Record) -> LogRecord {
    LogRecord {
        number: record.number,
        time_us: record.time_us,
        incarnation: record.incarnation,
        entry: match record.entry {
            Entry::Line { source, text } => LogEntry::Line(LogLine {
                source: match source {
                    Source::Stdout => LogSource::Stdout,
                    Source::Stderr => LogSource::Stderr,
                    Source::Component(Level::Trace) => LogSource::Trace,
                    Source::Component(Level::Debug) => LogSource::Debug,
                    Source::Component(Level::Info) => LogSource::Info,
                    Source::Component(Level::Warn) => LogSource::Warn,
                    Source::Component(Level::Error) => LogSource::Error,
                },
                text,
            }),
            Entry::Lost(lost) => LogEntry::Lost(LostLines {
                lines: lost.lines,
                bytes: lost.bytes,
            }),
        },
    }
}
