//! Bytes of a pipe into lines that may go to a console.

use std::borrow::Cow;

/// Longest line, in bytes, before and after escaping; of a longer one the rest is cut, and how much
/// is said. As for components: enough for a JSON record or a stack trace.
pub(super) const MAX_LINE: usize = 16 * 1024;

/// A half-line's buffer that is given back when the line has ended: most Entes are quiet, and there
/// may be ten thousand.
const KEPT_BUFFER: usize = 256;

/// Cuts a stream into lines.
#[derive(Debug, Default)]
pub(super) struct Splitter {
    /// The line that has not ended yet, and how many bytes of it were not kept.
    partial: Vec<u8>,
    cut: u64,
}

/// One line as it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RawLine<'a> {
    /// At most [`MAX_LINE`] bytes, without the newline.
    pub(super) bytes: &'a [u8],
    /// How many more it had.
    pub(super) cut: u64,
}

impl RawLine<'_> {
    /// Length of the whole line, its newline included.
    pub(super) fn length(&self) -> u64 {
        self.bytes.len() as u64 + self.cut + 1
    }

    /// The text without control characters but tabs, so that no program can move the cursor, forge
    /// a second line or clear the screen.
    pub(super) fn text(&self) -> String {
        let bytes = self.bytes.strip_suffix(b"\r").unwrap_or(self.bytes);
        let text = printable(String::from_utf8_lossy(bytes));
        let kept = &text[..text.floor_char_boundary(MAX_LINE)];
        let cut = self.cut + (text.len() - kept.len()) as u64;
        if cut == 0 {
            text.into_owned()
        } else {
            format!("{kept}{}", more_bytes(cut))
        }
    }
}

fn printable(text: Cow<'_, str>) -> Cow<'_, str> {
    if text.chars().any(|c| c.is_control() && c != '\t') {
        arje_wasm::printable(&text).into()
    } else {
        text
    }
}

/// What stands at the end of a line that was cut.
pub(super) fn more_bytes(cut: u64) -> String {
    format!(" [{cut} more bytes]")
}

impl Splitter {
    /// The line that has not ended, and how many more bytes it has.
    pub(super) fn unfinished(&self) -> (&[u8], u64) {
        (&self.partial, self.cut)
    }

    /// Goes on with a line that has not ended.
    pub(super) fn resume(partial: &[u8], cut: u64) -> Splitter {
        let mut splitter = Splitter::default();
        splitter.keep(partial);
        splitter.cut = splitter.cut.saturating_add(cut);
        splitter
    }

    /// Takes in bytes and hands out the lines that end in them.
    pub(super) fn feed(&mut self, bytes: &[u8], mut each: impl FnMut(RawLine<'_>)) {
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            match part.strip_suffix(b"\n") {
                // The usual case: nothing is copied.
                Some(line) if self.partial.is_empty() && self.cut == 0 => each(raw(line)),
                Some(end) => {
                    self.keep(end);
                    self.finish(&mut each);
                }
                None => self.keep(part),
            }
        }
    }

    fn keep(&mut self, part: &[u8]) {
        let kept = part.len().min(MAX_LINE - self.partial.len());
        self.partial.extend_from_slice(&part[..kept]);
        self.cut += (part.len() - kept) as u64;
    }

    /// The stream has ended, perhaps in the middle of a line.
    pub(super) fn end(&mut self, mut each: impl FnMut(RawLine<'_>)) {
        if !self.partial.is_empty() || self.cut > 0 {
            self.finish(&mut each);
        }
    }

    fn finish(&mut self, each: &mut impl FnMut(RawLine<'_>)) {
        let cut = std::mem::take(&mut self.cut);
        each(RawLine {
            bytes: &self.partial,
            cut,
        });
        self.partial.clear();
        self.partial.shrink_to(KEPT_BUFFER);
    }
}

/// A line that lies in one piece.
fn raw(line: &[u8]) -> RawLine<'_> {
    let bytes = &line[..line.len().min(MAX_LINE)];
    RawLine {
        bytes,
        cut: (line.len() - bytes.len()) as u64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(chunks: &[&[u8]]) -> Vec<String> {
        let mut lines = Vec::new();
        let mut splitter = Splitter::default();
        for chunk in chunks {
            splitter.feed(chunk, |line| lines.push(line.text()));
        }
        splitter.end(|line| lines.push(line.text()));
        lines
    }

    #[test]
    fn bytes_become_lines_wherever_they_are_cut() {
        let bytes = b"a\nbc\r\n\nd\xffe\x1b[2J\t.\nlast";
        let expected = ["a", "bc", "", "d\u{fffd}e\\u{1b}[2J\t.", "last"];
        for cut in 0..bytes.len() {
            assert_eq!(texts(&[&bytes[..cut], &bytes[cut..]]), expected, "at {cut}");
        }
        assert_eq!(texts(&[]), [""; 0]);
        assert_eq!(texts(&[b"\n"]), [""]);
    }

    #[test]
    fn a_long_line_is_cut_once_and_says_by_how_much() {
        let long = vec![b'x'; MAX_LINE];
        let expected = |more| format!("{}{}", "x".repeat(MAX_LINE), more_bytes(more));
        let whole = [&long[..], &long, b"yy\nnext\n"].concat();
        assert_eq!(
            texts(&[&whole]),
            [expected(MAX_LINE as u64 + 2), "next".into()]
        );
        let lines = texts(&[&long, &long, b"yy\nnext\n"]);
        assert_eq!(lines, [expected(MAX_LINE as u64 + 2), "next".into()]);
        assert_eq!(texts(&[&long, b"\n"]), ["x".repeat(MAX_LINE)]);
    }

    #[test]
    fn escaping_does_not_lengthen_a_line_beyond_its_bound() {
        let line = [&[1; MAX_LINE][..], b"\n"].concat();
        let lines = texts(&[&line]);
        assert!(lines[0].len() < MAX_LINE + 40, "{}", lines[0].len());
        assert!(lines[0].ends_with(" more bytes]"));
    }

    #[test]
    fn an_idle_splitter_holds_no_memory_to_speak_of() {
        let mut splitter = Splitter::default();
        splitter.feed(&[b'x'; MAX_LINE], |_| {});
        splitter.feed(b"\n", |_| {});
        assert!(splitter.partial.capacity() <= KEPT_BUFFER);
    }
}
