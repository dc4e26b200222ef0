//! [`Pin`]: the sha256 that says which component a Card means. Hashing itself is `arje-store`'s work.

use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Serialize, Serializer};

/// A sha256. Read as 64 hexadecimal digits or as 32 integers, written as 64 lower-case digits.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pin(pub [u8; 32]);

impl Pin {
    /// All zeros: the place of a pin not written yet. No Card that is to run may carry it.
    pub const ZERO: Self = Self([0; 32]);

    /// The 32 bytes of the hash.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Whether this is [`Pin::ZERO`].
    pub fn is_zero(&self) -> bool {
        *self == Self::ZERO
    }

    /// The first 12 hexadecimal digits, as the console and `ente status` print it.
    pub fn short(&self) -> String {
        let mut text = self.to_string();
        text.truncate(12);
        text
    }
}

impl From<[u8; 32]> for Pin {
    fn from(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl AsRef<[u8]> for Pin {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pin({self})")
    }
}

/// Why a text is not a sha256.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PinError {
    /// Not 64 bytes long; holds the length found.
    Length(usize),
    /// A character that is no hexadecimal digit.
    Character(char),
}

impl fmt::Display for PinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length(found) => {
                write!(
                    f,
                    "a sha256 has 64 hexadecimal digits, this text has {found} bytes"
                )
            }
            Self::Character(c) => write!(f, "{c:?} is not a hexadecimal digit"),
        }
    }
}

impl std::error::Error for PinError {}

impl FromStr for Pin {
    type Err = PinError;

    fn from_str(text: &str) -> Result<Self, PinError> {
        if text.len() != 64 {
            return Err(PinError::Length(text.len()));
        }
        let mut bytes = [0; 32];
        for (index, c) in text.chars().enumerate() {
            let digit = c.to_digit(16).ok_or(PinError::Character(c))?;
            // Two digits a byte, the high one first. `digit` is below 16, so nothing is cut off.
            bytes[index / 2] = bytes[index / 2] << 4 | digit as u8;
        }
        Ok(Self(bytes))
    }
}

impl Serialize for Pin {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl JsonSchema for Pin {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Pin".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "sha256: 64 hexadecimal digits, or 32 integers (written back as digits).",
            "anyOf": [
                { "type": "string", "pattern": "^[0-9a-fA-F]{64}$" },
                {
                    "type": "array", "minItems": 32, "maxItems": 32,
                    "items": { "type": "integer", "minimum": 0, "maximum": 255 },
                },
            ],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_forms() {
        let text = "00ff".repeat(16);
        let pin: Pin = text.parse().unwrap();
        assert_eq!(pin.to_string(), text);
        assert_eq!(text.to_uppercase().parse::<Pin>().unwrap(), pin);
        assert_eq!(pin.short(), "00ff00ff00ff");
        assert_eq!(format!("{pin:?}"), format!("Pin({text})"));
        assert_eq!("".parse::<Pin>(), Err(PinError::Length(0)));
        assert_eq!("0".repeat(65).parse::<Pin>(), Err(PinError::Length(65)));
        assert_eq!(
            ("é".to_owned() + &"0".repeat(62)).parse::<Pin>(),
            Err(PinError::Character('é'))
        );
        assert!(Pin::default().is_zero() && !pin.is_zero());
    }
}
