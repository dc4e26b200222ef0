//! Frames: a length of four bytes, big-endian, and a postcard body.

use std::fmt;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::limits::MAX_FRAME;

/// Bytes of the length in front of a body.
const LENGTH: usize = 4;

/// Why a stream of frames cannot go on: nobody knows where the next one begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broken {
    /// A frame claims this many bytes.
    TooLong(u32),
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::TooLong(length) = self;
        write!(
            f,
            "a frame of {length} bytes; at most {MAX_FRAME} are allowed: is this the bus, and not another protocol?"
        )
    }
}

impl std::error::Error for Broken {}

/// A value that does not fit in a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unencodable;

impl fmt::Display for Unencodable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "it does not fit in a frame of {MAX_FRAME} bytes")
    }
}

impl std::error::Error for Unencodable {}

/// A value as a frame, length included.
///
/// # Errors
/// It is longer than [`MAX_FRAME`].
pub fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>, Unencodable> {
    let mut frame = postcard::to_extend(value, vec![0; LENGTH]).map_err(|_| Unencodable)?;
    let length = frame.len() - LENGTH;
    if length > MAX_FRAME {
        return Err(Unencodable);
    }
    // At most MAX_FRAME, so this never cuts.
    frame[..LENGTH].copy_from_slice(&(length as u32).to_be_bytes());
    Ok(frame)
}

/// The value in a body. Bytes after it are an error: they would mean that the two sides differ on a type.
#[must_use]
pub fn decode<T: DeserializeOwned>(body: &[u8]) -> Option<T> {
    match postcard::take_from_bytes(body) {
        Ok((value, [])) => Some(value),
        _ => None,
    }
}

/// Puts bytes together to frames. It holds what was pushed and not taken: its owner bounds that by what it pushes
/// between two calls of [`take`](Self::take), which refuses a frame above [`MAX_FRAME`] as soon as its length is there.
#[derive(Debug, Default)]
pub struct FrameReader {
    bytes: Vec<u8>,
    /// Bytes at the front that were taken already.
    taken: usize,
}

impl FrameReader {
    /// Nothing read yet.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            bytes: Vec::new(),
            taken: 0,
        }
    }

    /// Adds bytes as they came.
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Bytes held.
    #[must_use]
    pub fn held(&self) -> usize {
        self.bytes.len() - self.taken
    }

    /// Takes the body of the next frame; `None` until it is complete.
    ///
    /// # Errors
    /// [`Broken`], again and again.
    pub fn take(&mut self) -> Result<Option<Vec<u8>>, Broken> {
        let Some((length, rest)) = self.rest().split_first_chunk::<LENGTH>() else {
            self.compact();
            return Ok(None);
        };
        let length = u32::from_be_bytes(*length);
        if length as usize > MAX_FRAME {
            return Err(Broken::TooLong(length));
        }
        let Some(body) = rest.get(..length as usize) else {
            self.compact();
            return Ok(None);
        };
        let body = body.to_vec();
        self.taken += LENGTH + body.len();
        Ok(Some(body))
    }

    /// Whether [`take`](Self::take) would return a frame or an error.
    #[must_use]
    pub fn has_frame(&self) -> bool {
        self.rest()
            .split_first_chunk::<LENGTH>()
            .is_some_and(|(length, rest)| {
                let length = u32::from_be_bytes(*length) as usize;
                length > MAX_FRAME || rest.len() >= length
            })
    }

    fn rest(&self) -> &[u8] {
        self.bytes.get(self.taken..).unwrap_or_default()
    }

    /// Gives memory back. Done only when a frame is incomplete, so each byte is moved at most once.
    fn compact(&mut self) {
        if self.taken > 0 {
            self.bytes.drain(..self.taken);
            self.taken = 0;
        }
        if self.bytes.is_empty() {
            self.bytes = Vec::new();
        }
    }
}
