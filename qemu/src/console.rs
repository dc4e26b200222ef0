//! What came over the serial line, made searchable: control sequences gone, kernel messages separable.
//! Bounded; nothing here knows what the text means.

/// Bytes of console kept. Older ones are dropped: a guest that floods its console for hours costs this
/// much memory and no more, and what just happened is what is asked for.
const KEEP: usize = 8 << 20;

/// The console so far.
#[derive(Debug, Default)]
pub struct Log {
    /// Bytes without carriage returns, NULs and escape sequences.
    text: Vec<u8>,
    /// How many bytes were dropped before `text`.
    dropped: usize,
    state: Escape,
}

/// Where in an escape sequence the line is (ECMA-48).
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Escape {
    #[default]
    Text,
    /// After ESC.
    Start,
    /// After ESC `[`: ends with a byte from `@` to `~`.
    Csi,
}

impl Log {
    /// Takes more bytes from the line.
    pub fn push(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.state = match (self.state, byte) {
                (Escape::Start, b'[') => Escape::Csi,
                (Escape::Csi, b'@'..=b'~') | (Escape::Start, _) => Escape::Text,
                (Escape::Csi, _) => Escape::Csi,
                (Escape::Text, 0x1b) => Escape::Start,
                (Escape::Text, byte) => {
                    if byte == b'\n' || byte == b'\t' || byte >= b' ' {
                        self.text.push(byte);
                    }
                    Escape::Text
                }
            };
        }
        // Dropping half at once keeps the cost of a flood linear.
        if self.text.len() > KEEP {
            let half = self.text.len() - KEEP / 2;
            self.text.drain(..half);
            self.dropped += half;
        }
    }

    /// A mark at the present end, for [`Log::since`].
    #[must_use]
    pub fn mark(&self) -> usize {
        self.dropped + self.text.len()
    }

    /// The text after a mark; bytes that are not UTF-8 are replaced. What was dropped is missing.
    #[must_use]
    pub fn since(&self, mark: usize) -> String {
        let from = mark.saturating_sub(self.dropped).min(self.text.len());
        String::from_utf8_lossy(&self.text[from..]).into_owned()
    }

    /// All text that is kept.
    #[must_use]
    pub fn text(&self) -> String {
        self.since(0)
    }
}

/// The text without kernel messages (`[   12.345678] …` to the end of the line).
///
/// The kernel writes to the serial port past the terminal driver, so its messages appear in the middle of
/// lines and even of words that a program is printing. Cutting them out, line end included, restores
/// what the program wrote.
#[must_use]
pub fn without_kernel(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('[') {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        if is_timestamp(from.as_bytes()) {
            rest = from.split_once('\n').map_or("", |(_, after)| after);
        } else {
            out.push('[');
            rest = &from[1..];
        }
    }
    out.push_str(rest);
    out
}

/// Whether this starts with `[`, blanks, seconds, a point, six digits, `]` and a blank.
fn is_timestamp(bytes: &[u8]) -> bool {
    let Some(end) = bytes.iter().take(24).position(|b| *b == b']') else {
        return false;
    };
    let Ok(inner) = std::str::from_utf8(&bytes[1..end]) else {
        return false;
    };
    let Some((seconds, fraction)) = inner.trim_start().split_once('.') else {
        return false;
    };
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    digits(seconds) && fraction.len() == 6 && digits(fraction) && bytes.get(end + 1) == Some(&b' ')
}

/// Whether `text` contains `wanted`, also when kernel messages fell into the middle of it.
#[must_use]
pub fn contains(text: &str, wanted: &str) -> bool {
    text.contains(wanted) || without_kernel(text).contains(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_bytes_go_and_text_stays() {
        for (bytes, wanted) in [
            (&b"a\r\nb\r\n"[..], "a\nb\n"),
            (b"\x1b[6narje# ", "arje# "),
            (b"\x1bc\x1b[?7l\x1b[2J\x1b[0mSeaBIOS", "SeaBIOS"),
            (b"tab\tnul\0bell\x07.", "tab\tnulbell."),
            ("más".as_bytes(), "más"),
            (b"bad\xff", "bad\u{fffd}"),
        ] {
            let mut whole = Log::default();
            whole.push(bytes);
            let mut single = Log::default();
            bytes.iter().for_each(|b| single.push(&[*b]));
            assert_eq!(
                (whole.text(), single.text()),
                (wanted.into(), wanted.into())
            );
        }
    }

    #[test]
    fn a_flood_is_bounded_and_marks_stay_true() {
        let mut log = Log::default();
        let line = [b'x'; 4096];
        for _ in 0..(3 * KEEP / line.len()) {
            log.push(&line);
        }
        let mark = log.mark();
        log.push(b"end");
        assert!(log.text().len() <= KEEP + line.len());
        assert_eq!(log.since(mark), "end");
        assert_eq!(mark, 3 * KEEP);
    }

    #[test]
    fn kernel_messages_are_cut_out_of_lines_and_words() {
        for (text, wanted) in [
            ("[    0.000000] Linux version 6.1\nhello\n", "hello\n"),
            ("hel[    3.141592] clocksource: tsc\nlo\n", "hello\n"),
            ("[12345.678901] a\n[    1.000000] b\n", ""),
            (
                "[info] x [1.5] [ OK ] [a.123456] y\n",
                "[info] x [1.5] [ OK ] [a.123456] y\n",
            ),
            ("cut [    1.000000] no end", "cut "),
            ("[", "["),
            ("ñ[    1.000000] ñ\nñ", "ññ"),
        ] {
            assert_eq!(without_kernel(text), wanted, "{text:?}");
        }
        assert!(contains("ente-[    1.000000] x\nzero", "ente-zero"));
        assert!(contains(
            "[    1.000000] ente-zero despierta\n",
            "ente-zero"
        ));
    }
}
