//! From a stream of bytes to frames.

use super::Malformed;

/// Bytes asked for at once while no frame is begun that needs more.
const READ: usize = 4096;

/// Collects bytes and gives back whole frames. It never holds more than one frame of the longest
/// kind and one read.
#[derive(Debug)]
pub struct Frames {
    longest: usize,
    bytes: Vec<u8>,
    /// Where the next frame begins.
    at: usize,
}

impl Frames {
    /// For frames of at most `longest` bytes after their length.
    #[must_use]
    pub fn new(longest: usize) -> Frames {
        Frames {
            longest,
            bytes: Vec::new(),
            at: 0,
        }
    }

    /// How many bytes it makes sense to read next: the rest of the frame that is begun, else some.
    #[must_use]
    pub fn wanted(&self) -> usize {
        let have = self.bytes.len() - self.at;
        match self.length() {
            Some(length) => (4 + length.min(self.longest))
                .saturating_sub(have)
                .max(READ),
            None => READ,
        }
    }

    /// Adds what was read.
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.drain(..self.at);
        self.at = 0;
        if self.bytes.is_empty() && self.bytes.capacity() > 4 * READ {
            self.bytes = Vec::new(); // a long frame has passed
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// What follows the length of the next frame; `None` while it is not whole.
    ///
    /// # Errors
    ///
    /// [`Malformed`] as soon as its length is known to be too long.
    pub fn next_frame(&mut self) -> Result<Option<&[u8]>, Malformed> {
        let Some(length) = self.length() else {
            return Ok(None);
        };
        if length > self.longest {
            return Err(Malformed("a frame that is longer than allowed"));
        }
        let begin = self.at + 4;
        if self.bytes.len() - begin < length {
            return Ok(None);
        }
        self.at = begin + length;
        Ok(Some(&self.bytes[begin..self.at]))
    }

    fn length(&self) -> Option<usize> {
        let bytes = self.bytes[self.at..].first_chunk::<4>()?;
        Some(u32::from_le_bytes(*bytes) as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_out_however_the_bytes_come_in() {
        let stream = [
            &[2, 0, 0, 0, 10, 11][..],
            &[0, 0, 0, 0],
            &[3, 0, 0, 0, 20, 21, 22],
        ]
        .concat();
        for step in 1..=stream.len() {
            let mut frames = Frames::new(3);
            let mut found = Vec::new();
            for chunk in stream.chunks(step) {
                frames.push(chunk);
                while let Some(frame) = frames.next_frame().unwrap() {
                    found.push(frame.to_vec());
                }
            }
            assert_eq!(found, [vec![10, 11], vec![], vec![20, 21, 22]], "{step}");
        }
    }

    #[test]
    fn a_length_beyond_the_cap_is_refused_before_its_bytes_come() {
        let mut frames = Frames::new(3);
        frames.push(&[0xff, 0xff, 0xff]);
        assert_eq!(frames.next_frame(), Ok(None));
        frames.push(&[0xff]);
        assert!(frames.wanted() <= READ);
        assert!(frames.next_frame().is_err());
    }

    #[test]
    fn a_long_frame_is_read_in_one_go_and_its_buffer_given_back() {
        let mut frames = Frames::new(1 << 20);
        frames.push(&100_000_u32.to_le_bytes());
        assert_eq!(frames.wanted(), 100_000);
        frames.push(&vec![1; 100_000]);
        assert_eq!(frames.next_frame().unwrap().map(<[u8]>::len), Some(100_000));
        frames.push(&[]);
        assert_eq!(frames.bytes.capacity(), 0);
    }
}
