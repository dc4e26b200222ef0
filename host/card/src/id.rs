//! [`Id`]: the identity of a Card and of the Ente it brings to life, a ULID.
//!
//! No clock and no source of randomness live here: whoever makes a new identity passes both in.

use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Serialize, Serializer};
use ulid::Ulid;

/// A ULID: 48 bits of Unix milliseconds and 80 random bits, written as 26 characters of Crockford
/// base32 (<https://github.com/ulid/spec>). Order is order of creation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id(Ulid);

impl Id {
    /// The ULID of all zeros. It names nobody, so no Card may carry it.
    pub const NIL: Self = Self(Ulid::nil());

    /// Makes an identity from Unix time in milliseconds (the lower 48 bits count) and 80 random bits.
    pub fn from_parts(unix_ms: u64, random: [u8; 10]) -> Self {
        let mut wide = [0; 16];
        wide[6..].copy_from_slice(&random);
        let time_mask = (1 << 48) - 1;
        Self(Ulid::from_parts(
            unix_ms & time_mask,
            u128::from_be_bytes(wide),
        ))
    }

    /// The identity whose 128 bits are these, most significant first.
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(Ulid::from_bytes(bytes))
    }

    /// The 128 bits, most significant first.
    pub fn to_bytes(self) -> [u8; 16] {
        self.0.to_bytes()
    }

    /// Whether this is [`Id::NIL`].
    pub fn is_nil(self) -> bool {
        self.0.is_nil()
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // `pad`, so that a caller's width and alignment apply.
        f.pad(self.0.array_to_str(&mut [0; ulid::ULID_LEN]))
    }
}

/// Why a text is not a ULID.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdError {
    /// Not 26 bytes long; holds the length found.
    Length(usize),
    /// A character outside Crockford's base32 (which has no I, L, O, U).
    Character(char),
    /// More than 128 bits: the first character is above `7`.
    Overflow,
}

impl fmt::Display for IdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length(found) => {
                write!(f, "a ULID has 26 characters, this text has {found} bytes")
            }
            Self::Character(c) => write!(
                f,
                "{c:?} is not in Crockford's base32 (0-9 and A-Z without I, L, O, U)"
            ),
            Self::Overflow => write!(f, "the first character of a ULID is at most 7"),
        }
    }
}

impl std::error::Error for IdError {}

impl FromStr for Id {
    type Err = IdError;

    /// Accepts lower case too, as the ULID specification asks; it is written back in upper case.
    fn from_str(text: &str) -> Result<Self, IdError> {
        if text.len() != ulid::ULID_LEN {
            return Err(IdError::Length(text.len()));
        }
        let outside = |c: &char| !c.is_ascii_alphanumeric() || "ILOUilou".contains(*c);
        if let Some(c) = text.chars().find(outside) {
            return Err(IdError::Character(c));
        }
        // The `ulid` crate drops the two bits that 26 characters have beyond 128.
        if text.as_bytes()[0] > b'7' {
            return Err(IdError::Overflow);
        }
        // Unreachable after the checks above; still an error rather than a panic.
        let decoded = Ulid::from_string(text).map_err(|_| IdError::Overflow)?;
        Ok(Self(decoded))
    }
}

impl Serialize for Id {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.array_to_str(&mut [0; ulid::ULID_LEN]))
    }
}

impl JsonSchema for Id {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Id".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "ULID: 26 characters of Crockford base32 (no I L O U).",
            "type": "string",
            "pattern": "^[0-7][0-9A-HJKMNP-TV-Za-hjkmnp-tv-z]{25}$",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_forms() {
        let good = "01ARZ3NDEKTSV4RRFFQ69G5FAV";
        let id: Id = good.parse().unwrap();
        assert_eq!(id.to_string(), good);
        assert_eq!(good.to_lowercase().parse::<Id>().unwrap(), id);
        assert_eq!(format!("{id:>28}"), format!("  {good}"));
        let bad = [
            ("", IdError::Length(0)),
            ("01ARZ3NDEKTSV4RRFFQ69G5FAVX", IdError::Length(27)),
            ("01ARZ3NDEKTSV4RRFFQ69G5FAI", IdError::Character('I')),
            ("01ARZ3NDEKTSV4RRFFQ69G5FAu", IdError::Character('u')),
            ("01ARZ3NDEKTSV4RRFFQ69G5Fé", IdError::Character('é')),
            ("81ARZ3NDEKTSV4RRFFQ69G5FAV", IdError::Overflow),
        ];
        for (text, why) in bad {
            assert_eq!(text.parse::<Id>(), Err(why), "{text}");
        }
    }

    #[test]
    fn parts_and_order() {
        let early = Id::from_parts(1, [0xff; 10]);
        let late = Id::from_parts(2, [0; 10]);
        assert!(early < late);
        assert_eq!(
            early.to_bytes(),
            [
                0, 0, 0, 0, 0, 1, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255
            ]
        );
        assert_eq!(Id::from_bytes(early.to_bytes()), early);
        assert!(Id::default().is_nil() && Id::NIL.is_nil() && !late.is_nil());
        assert_eq!(
            Id::from_parts(u64::MAX, [255; 10]).to_string(),
            "7ZZZZZZZZZZZZZZZZZZZZZZZZZ"
        );
    }
}
