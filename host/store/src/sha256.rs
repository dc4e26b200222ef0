//! The sha256 of something, as a value: 64 hexadecimal digits outside, 32 bytes inside.

use std::fmt;
use std::str::FromStr;

use sha2::Digest as _;

/// A sha256: the name of a module (its pin), of an artifact, or of an engine.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sha256([u8; 32]);

impl Sha256 {
    /// How many hexadecimal digits its text has.
    pub const HEX_LEN: usize = 64;

    /// Hashes `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(sha2::Sha256::digest(bytes).into())
    }

    /// The 32 bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl From<[u8; 32]> for Sha256 {
    fn from(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl fmt::Display for Sha256 {
    /// 64 digits in lower case.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut text = [0; Sha256::HEX_LEN];
        for (pair, byte) in text.chunks_exact_mut(2).zip(self.0) {
            pair[0] = DIGITS[usize::from(byte >> 4)];
            pair[1] = DIGITS[usize::from(byte & 0xf)];
        }
        // Only digits were written, which are UTF-8.
        f.write_str(str::from_utf8(&text).map_err(|_| fmt::Error)?)
    }
}

impl fmt::Debug for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A text that is not a sha256.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseSha256Error {
    found: String,
}

impl fmt::Display for ParseSha256Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?} is not a sha256: expected 64 hexadecimal digits",
            self.found
        )
    }
}

impl std::error::Error for ParseSha256Error {}

impl FromStr for Sha256 {
    type Err = ParseSha256Error;

    /// Reads 64 hexadecimal digits of either case.
    fn from_str(text: &str) -> Result<Self, ParseSha256Error> {
        decode(text.as_bytes()).ok_or_else(|| ParseSha256Error {
            found: text.chars().take(80).collect(),
        })
    }
}

fn decode(text: &[u8]) -> Option<Sha256> {
    let mut bytes = [0; 32];
    if text.len() != Sha256::HEX_LEN {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        let [high, low] = pair else { return None };
        let value = digit(*high)? << 4 | digit(*low)?;
        *byte = u8::try_from(value).ok()?;
    }
    Some(Sha256(bytes))
}

fn digit(byte: u8) -> Option<u32> {
    char::from(byte).to_digit(16)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// FIPS 180-4, the empty message.
    const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn text_and_value() {
        let empty = Sha256::of(b"");
        assert_eq!(empty.to_string(), EMPTY);
        assert_eq!(EMPTY.parse(), Ok(empty));
        assert_eq!(EMPTY.to_uppercase().parse(), Ok(empty));
    }

    #[test]
    fn what_is_no_sha256() {
        for text in ["", "e3", &EMPTY[1..], &EMPTY.replace('e', "g")] {
            let error = text.parse::<Sha256>().unwrap_err();
            assert!(error.to_string().contains("64 hexadecimal digits"));
        }
    }
}
