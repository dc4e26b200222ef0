//! Enums with explicit numbers on the wire, and identities as bytes.
//!
//! serde numbers variants by their place in the source, so that moving a line would change the protocol. Here each
//! variant carries its number, numbers may have gaps, and a number once given is never given again.

/// Declares an enum whose variants have numbers on the wire. A variant is `NUMBER => Name` or
/// `NUMBER => Name(word: Type)`, where the word only names the value inside the generated code.
macro_rules! wire_enum {
    (
        $(#[$meta:meta])*
        pub enum $name:ident {
            $(
                $(#[$variant_meta:meta])*
                $number:literal => $variant:ident $(($field:ident : $payload:ty))?,
            )*
        }
    ) => {
        $(#[$meta])*
        pub enum $name {
            $( $(#[$variant_meta])* $variant $(($payload))?, )*
        }

        impl $name {
            /// Number and name of every variant, as on the wire.
            pub const NUMBERS: &'static [(u32, &'static str)] =
                &[$(($number, stringify!($variant))),*];
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                match self {
                    $(
                        Self::$variant $(($field))? => wire_enum!(
                            @put serializer, stringify!($name), $number, stringify!($variant)
                            $(, $field)?
                        ),
                    )*
                }
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Seen;
                impl<'de> serde::de::Visitor<'de> for Seen {
                    type Value = $name;
                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str(stringify!($name))
                    }
                    fn visit_enum<A: serde::de::EnumAccess<'de>>(
                        self,
                        access: A,
                    ) -> Result<$name, A::Error> {
                        let (number, variant): (u32, A::Variant) = access.variant()?;
                        match number {
                            $( $number => wire_enum!(@take variant, $name::$variant $(, $payload)?), )*
                            other => Err(serde::de::Error::custom(format_args!(
                                "{} has no number {other}", stringify!($name)
                            ))),
                        }
                    }
                }
                deserializer.deserialize_enum(stringify!($name), &[], Seen)
            }
        }
    };
    (@put $serializer:ident, $name:expr, $number:literal, $variant:expr) => {
        $serializer.serialize_unit_variant($name, $number, $variant)
    };
    (@put $serializer:ident, $name:expr, $number:literal, $variant:expr, $field:ident) => {
        $serializer.serialize_newtype_variant($name, $number, $variant, $field)
    };
    (@take $variant:ident, $path:path) => {{
        serde::de::VariantAccess::unit_variant($variant)?;
        Ok($path)
    }};
    (@take $variant:ident, $path:path, $payload:ty) => {
        serde::de::VariantAccess::newtype_variant::<$payload>($variant).map($path)
    };
}

pub(crate) use wire_enum;

/// An [`Id`](arje_card::Id) as its 16 bytes.
pub(crate) mod id {
    use arje_card::Id;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub fn serialize<S: Serializer>(id: &Id, serializer: S) -> Result<S::Ok, S::Error> {
        id.to_bytes().serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Id, D::Error> {
        <[u8; 16]>::deserialize(deserializer).map(Id::from_bytes)
    }
}

/// The same, where there may be none.
pub(crate) mod maybe_id {
    use arje_card::Id;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub fn serialize<S: Serializer>(id: &Option<Id>, serializer: S) -> Result<S::Ok, S::Error> {
        id.map(Id::to_bytes).serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Id>, D::Error> {
        let bytes = <Option<[u8; 16]>>::deserialize(deserializer)?;
        Ok(bytes.map(Id::from_bytes))
    }
}

/// Bytes in one piece: the same on the wire as a list of them, and not taken one by one.
pub(crate) mod bytes {
    use serde::de::{Error, Visitor};
    use serde::{Deserializer, Serializer};
    use std::fmt;

    pub fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(bytes)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        struct Seen;
        impl Visitor<'_> for Seen {
            type Value = Vec<u8>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("bytes")
            }
            fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
                Ok(bytes.to_vec())
            }
        }
        deserializer.deserialize_bytes(Seen)
    }
}

/// Bytes or an error: serde's own enum `Result`, in which `Ok` has the number 0 and `Err` 1.
pub(crate) mod outcome {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Deserialize)]
    struct Given(#[serde(with = "super::bytes")] Vec<u8>);

    #[derive(Serialize)]
    struct Lent<'a>(#[serde(with = "super::bytes")] &'a [u8]);

    pub fn serialize<S: Serializer, E: Serialize>(
        outcome: &Result<Vec<u8>, E>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        outcome
            .as_ref()
            .map(|bytes| Lent(bytes))
            .serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>, E: Deserialize<'de>>(
        deserializer: D,
    ) -> Result<Result<Vec<u8>, E>, D::Error> {
        let outcome = <Result<Given, E>>::deserialize(deserializer)?;
        Ok(outcome.map(|given| given.0))
    }
}
