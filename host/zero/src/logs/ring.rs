//! The last output of one Ente: records in one block of bytes, the oldest overwritten first.
//!
//! One block instead of a string for each line: what a ring takes is bounded by its limit to the
//! byte, and a flood of lines does not leave PID 1's heap in pieces.
//!
//! ```text
//! record   time u64 | incarnation u64 | kind u8 | length u32 | body     (little-endian)
//! ```

use super::{Entry, Lost, Record, Source};
use arje_wasm::Level;
use std::collections::VecDeque;

/// Bytes before the body of a record.
const HEADER: usize = 8 + 8 + 1 + 4;

/// A text may take this part of its ring, so that one line never pushes out all others.
const LARGEST_PART: usize = 4;

/// [`Entry::Lost`] among the kinds; its body is two u64, lines and bytes.
const LOST: u8 = 255;

/// Records of one Ente.
#[derive(Debug)]
pub(super) struct Ring {
    bytes: VecDeque<u8>,
    limit: usize,
    /// Number of the oldest record that is still there.
    first: u64,
    /// Number that the next record gets.
    next: u64,
}

impl Ring {
    pub(super) fn new(limit: usize) -> Ring {
        Ring {
            bytes: VecDeque::new(),
            limit,
            first: 0,
            next: 0,
        }
    }

    /// Changes the limit; what is too much goes, the oldest first.
    pub(super) fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
        self.make_room(0);
        if self.bytes.capacity() > limit {
            self.bytes.shrink_to(limit);
        }
    }

    /// Keeps a line. A text too long for this ring is cut, and how much is said.
    pub(super) fn line(&mut self, time: u64, incarnation: u64, source: Source, text: &str) {
        let longest = self.limit / LARGEST_PART;
        if text.len() <= longest {
            self.push(time, incarnation, source.code(), &[text.as_bytes()]);
        } else {
            let kept = &text[..text.floor_char_boundary(longest)];
            let more = super::line::more_bytes((text.len() - kept.len()) as u64);
            let body = [kept.as_bytes(), more.as_bytes()];
            self.push(time, incarnation, source.code(), &body);
        }
    }

    /// Says where lines are missing.
    pub(super) fn lost(&mut self, time: u64, incarnation: u64, lost: Lost) {
        let body = [&lost.lines.to_le_bytes()[..], &lost.bytes.to_le_bytes()];
        self.push(time, incarnation, LOST, &body);
    }

    fn push(&mut self, time: u64, incarnation: u64, kind: u8, body: &[&[u8]]) {
        let length: usize = body.iter().map(|part| part.len()).sum();
        self.make_room(HEADER + length);
        self.bytes.extend(&time.to_le_bytes());
        self.bytes.extend(&incarnation.to_le_bytes());
        self.bytes.push_back(kind);
        // Bounded by the ring's limit.
        self.bytes.extend(&(length as u32).to_le_bytes());
        for part in body {
            self.bytes.extend(*part);
        }
        self.next += 1;
    }

    /// Drops old records until `more` bytes fit, and grows the block in powers of two up to the
    /// limit, so that it never holds much more than it needs.
    fn make_room(&mut self, more: usize) {
        while self.bytes.len() + more > self.limit && self.first < self.next {
            let (_, _, length) = self.header(0);
            self.bytes.drain(..HEADER + length);
            self.first += 1;
        }
        let needed = self.bytes.len() + more;
        if needed > self.bytes.capacity() {
            let capacity = needed.next_power_of_two().min(self.limit.max(needed));
            self.bytes.reserve_exact(capacity - self.bytes.len());
        }
    }

    /// Number that the next record gets.
    pub(super) fn next(&self) -> u64 {
        self.next
    }

    /// Number of the oldest record.
    pub(super) fn first(&self) -> u64 {
        self.first
    }

    /// The records from number `from` on, until `most` bytes of text have been taken; at least one
    /// if there is any.
    pub(super) fn records(&self, from: u64, most: usize) -> Vec<Record> {
        let mut records = Vec::new();
        let mut taken = 0;
        let mut at = 0;
        for number in self.first..self.next {
            let (head, kind, length) = self.header(at);
            let body = at + HEADER;
            at = body + length;
            if number < from {
                continue;
            }
            taken += HEADER + length;
            if taken > most && !records.is_empty() {
                break;
            }
            records.push(Record {
                number,
                time_us: head[0],
                incarnation: head[1],
                entry: self.entry(kind, body, length),
            });
        }
        records
    }

    /// Time and incarnation, kind, and length of the body of the record at this offset.
    fn header(&self, at: usize) -> ([u64; 2], u8, usize) {
        let head = [self.u64(at), self.u64(at + 8)];
        let kind = self.bytes.get(at + 16).copied().unwrap_or(LOST);
        let length = self.bytes.range(at + 17..at + HEADER).rev();
        let length = length.fold(0_usize, |sum, byte| sum << 8 | usize::from(*byte));
        (head, kind, length)
    }

    fn u64(&self, at: usize) -> u64 {
        let bytes = self.bytes.range(at..at + 8).rev();
        bytes.fold(0, |sum, byte| sum << 8 | u64::from(*byte))
    }

    fn entry(&self, kind: u8, at: usize, length: usize) -> Entry {
        match Source::from_code(kind) {
            Some(source) => {
                let text: Vec<u8> = self.bytes.range(at..at + length).copied().collect();
                // Only whole texts are put in, so nothing is replaced here.
                let text = String::from_utf8_lossy(&text).into_owned();
                Entry::Line { source, text }
            }
            None => Entry::Lost(Lost {
                lines: self.u64(at),
                bytes: self.u64(at + 8),
            }),
        }
    }
}

impl Source {
    fn code(self) -> u8 {
        match self {
            Source::Stdout => 0,
            Source::Stderr => 1,
            Source::Component(Level::Trace) => 2,
            Source::Component(Level::Debug) => 3,
            Source::Component(Level::Info) => 4,
            Source::Component(Level::Warn) => 5,
            Source::Component(Level::Error) => 6,
        }
    }

    fn from_code(code: u8) -> Option<Source> {
        Some(match code {
            0 => Source::Stdout,
            1 => Source::Stderr,
            2 => Source::Component(Level::Trace),
            3 => Source::Component(Level::Debug),
            4 => Source::Component(Level::Info),
            5 => Source::Component(Level::Warn),
            6 => Source::Component(Level::Error),
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(ring: &Ring, from: u64) -> Vec<String> {
        let text = |record: Record| match record.entry {
            Entry::Line { text, .. } => text,
            Entry::Lost(lost) => format!("lost {} lines, {} bytes", lost.lines, lost.bytes),
        };
        let records = ring.records(from, usize::MAX);
        records.into_iter().map(text).collect()
    }

    #[test]
    fn records_come_back_as_they_were() {
        let mut ring = Ring::new(1024);
        assert_eq!(ring.records(0, usize::MAX), []);
        ring.line(7, 1, Source::Stderr, "\u{fc}ber");
        ring.lost(
            8,
            1,
            Lost {
                lines: 3,
                bytes: 900,
            },
        );
        ring.line(9, 2, Source::Component(Level::Error), "");
        let expected = [
            (
                7,
                1,
                Entry::Line {
                    source: Source::Stderr,
                    text: "\u{fc}ber".into(),
                },
            ),
            (
                8,
                1,
                Entry::Lost(Lost {
                    lines: 3,
                    bytes: 900,
                }),
            ),
            (
                9,
                2,
                Entry::Line {
                    source: Source::Component(Level::Error),
                    text: String::new(),
                },
            ),
        ];
        let records = (0..)
            .zip(expected)
            .map(|(number, (time_us, incarnation, entry))| Record {
                number,
                time_us,
                incarnation,
                entry,
            });
        assert_eq!(ring.records(0, usize::MAX), records.collect::<Vec<_>>());
        assert_eq!(ring.records(2, usize::MAX).len(), 1);
        assert_eq!(ring.records(3, usize::MAX), []);
        // At least one, however little is asked for.
        assert_eq!(ring.records(0, 1).len(), 1);
        assert_eq!(ring.records(0, 2 * HEADER + 5 + 16).len(), 2);
    }

    #[test]
    fn the_oldest_go_and_the_block_keeps_to_its_limit() {
        let mut ring = Ring::new(1000);
        for n in 0..10_000_u64 {
            ring.line(n, 1, Source::Stdout, &"x".repeat((n % 97) as usize));
            assert!(ring.bytes.len() <= 1000 && ring.bytes.capacity() <= 1000);
        }
        assert_eq!(ring.next(), 10_000);
        let records = ring.records(0, usize::MAX);
        assert_eq!(records.first().map(|r| r.number), Some(ring.first()));
        assert_eq!(records.last().map(|r| r.time_us), Some(9_999));
        assert_eq!(records.len() as u64, ring.next() - ring.first());
        ring.set_limit(100);
        assert!(ring.bytes.capacity() <= 100);
        assert_eq!(
            ring.records(0, usize::MAX).last().map(|r| r.time_us),
            Some(9_999)
        );
    }

    #[test]
    fn one_line_never_pushes_out_all_others() {
        let mut ring = Ring::new(400);
        ring.line(0, 1, Source::Stdout, "short");
        ring.line(0, 1, Source::Stdout, &"\u{fc}".repeat(500));
        let texts = texts(&ring, 0);
        assert_eq!(texts[0], "short");
        assert_eq!(
            texts[1],
            format!("{} [900 more bytes]", "\u{fc}".repeat(50))
        );
    }
}
