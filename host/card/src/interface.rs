//! Names of interfaces: UUIDs on the bus ([`InterfaceId`]) and WIT names ([`InterfaceName`]).

use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Serialize, Serializer};

/// The UUID of a numbered bus interface. Read as 16 integers or as UUID text, written as text.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InterfaceId(pub [u8; 16]);

impl From<[u8; 16]> for InterfaceId {
    fn from(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }
}

impl fmt::Display for InterfaceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, byte) in self.0.iter().enumerate() {
            // The dashes of RFC 9562, section 4.
            let dash = if matches!(index, 4 | 6 | 8 | 10) {
                "-"
            } else {
                ""
            };
            write!(f, "{dash}{byte:02x}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for InterfaceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "InterfaceId({self})")
    }
}

/// A text that is not a UUID of the form `xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InterfaceIdError;

impl fmt::Display for InterfaceIdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "a UUID has the form xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx, x a hexadecimal digit",
        )
    }
}

impl std::error::Error for InterfaceIdError {}

impl FromStr for InterfaceId {
    type Err = InterfaceIdError;

    fn from_str(text: &str) -> Result<Self, InterfaceIdError> {
        let mut bytes = [0; 16];
        let mut digits = 0;
        for (index, c) in text.chars().enumerate() {
            if matches!(index, 8 | 13 | 18 | 23) {
                if c != '-' {
                    return Err(InterfaceIdError);
                }
                continue;
            }
            let digit = c.to_digit(16).ok_or(InterfaceIdError)?;
            let byte = bytes.get_mut(digits / 2).ok_or(InterfaceIdError)?;
            // `digit` is below 16, so nothing is cut off.
            *byte = *byte << 4 | digit as u8;
            digits += 1;
        }
        if digits == 32 {
            Ok(Self(bytes))
        } else {
            Err(InterfaceIdError)
        }
    }
}

impl Serialize for InterfaceId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl JsonSchema for InterfaceId {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "InterfaceId".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "UUID as text, or as 16 integers (written back as text).",
            "anyOf": [
                { "type": "string", "pattern": "^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$" },
                {
                    "type": "array", "minItems": 16, "maxItems": 16,
                    "items": { "type": "integer", "minimum": 0, "maximum": 255 },
                },
            ],
        })
    }
}

/// The name of a WIT interface with its version: `namespace:package/interface@major.minor.patch`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InterfaceName {
    /// `namespace:package/interface`.
    path: String,
    version: Version,
}

/// A released version. Pre-releases and build metadata are not accepted: nothing orders them usefully.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Version {
    major: u32,
    minor: u32,
    patch: u32,
}

impl InterfaceName {
    /// `namespace:package/interface`, without the version.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Major, minor and patch.
    pub fn version(&self) -> (u32, u32, u32) {
        (self.version.major, self.version.minor, self.version.patch)
    }

    /// Whether a provider of this interface serves somebody who wants `wanted`: the same interface, a
    /// compatible version (same major; for 0.x the same minor; for 0.0.x the same patch), not older.
    pub fn satisfies(&self, wanted: &Self) -> bool {
        self.compatible_with(wanted) && self.version >= wanted.version
    }

    /// Whether both name the same interface in versions between which semver promises compatibility.
    /// This is the rule the component model's linkers use.
    pub fn compatible_with(&self, other: &Self) -> bool {
        self.path == other.path && self.version.track() == other.version.track()
    }
}

impl Version {
    /// What must be equal for two versions to be compatible.
    fn track(self) -> (u32, u32, u32) {
        match self {
            Self {
                major: 0,
                minor: 0,
                patch,
            } => (0, 0, patch),
            Self {
                major: 0, minor, ..
            } => (0, minor, 0),
            Self { major, .. } => (major, 0, 0),
        }
    }
}

impl fmt::Display for InterfaceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Version {
            major,
            minor,
            patch,
        } = self.version;
        write!(f, "{}@{major}.{minor}.{patch}", self.path)
    }
}

/// A text that is not `namespace:package/interface@major.minor.patch` in lower-case kebab words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InterfaceNameError;

impl fmt::Display for InterfaceNameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "an interface is named namespace:package/interface@major.minor.patch, in kebab-case words",
        )
    }
}

impl std::error::Error for InterfaceNameError {}

impl FromStr for InterfaceName {
    type Err = InterfaceNameError;

    fn from_str(text: &str) -> Result<Self, InterfaceNameError> {
        let (path, version) = text.split_once('@').ok_or(InterfaceNameError)?;
        let (package, interface) = path.split_once('/').ok_or(InterfaceNameError)?;
        let (namespace, package) = package.split_once(':').ok_or(InterfaceNameError)?;
        if ![namespace, package, interface].into_iter().all(is_kebab) {
            return Err(InterfaceNameError);
        }
        let version = version.parse()?;
        Ok(Self {
            path: path.to_owned(),
            version,
        })
    }
}

impl FromStr for Version {
    type Err = InterfaceNameError;

    fn from_str(text: &str) -> Result<Self, InterfaceNameError> {
        let mut numbers = text.split('.').map(|part| {
            // `u32::from_str` would also take a plus sign and leading zeros, which semver forbids.
            let digits = part.bytes().all(|b| b.is_ascii_digit());
            let leading_zero = part.len() > 1 && part.starts_with('0');
            if digits && !leading_zero {
                part.parse().ok()
            } else {
                None
            }
        });
        let mut next = || numbers.next().flatten().ok_or(InterfaceNameError);
        let version = Self {
            major: next()?,
            minor: next()?,
            patch: next()?,
        };
        if numbers.next().is_some() {
            Err(InterfaceNameError)
        } else {
            Ok(version)
        }
    }
}

/// Words of lower-case letters and digits, each starting with a letter, joined by single dashes:
/// the component model's kebab names, without the all-capitals words nobody uses.
pub(crate) fn is_kebab(text: &str) -> bool {
    text.split('-').all(|word| {
        word.starts_with(|c: char| c.is_ascii_lowercase())
            && word
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
    })
}

impl Serialize for InterfaceName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl JsonSchema for InterfaceName {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "InterfaceName".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let word = "[a-z][a-z0-9]*(-[a-z][a-z0-9]*)*";
        let number = "(0|[1-9][0-9]*)";
        json_schema!({
            "description": "WIT interface: namespace:package/interface@major.minor.patch.",
            "type": "string",
            "pattern": format!("^{word}:{word}/{word}@{number}\\.{number}\\.{number}$"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uuid_forms() {
        let text = "ec40a100-0000-0000-0180-00deadbeefca";
        let id: InterfaceId = text.parse().unwrap();
        assert_eq!(id.to_string(), text);
        assert_eq!(id.0[..4], [0xec, 0x40, 0xa1, 0]);
        for bad in [
            "",
            "ec40a100000000000180-00deadbeefca",
            "ec40a100-0000-0000-0180-00deadbeefc",
            "ec40a100-0000-0000-0180-00deadbeefcaa",
            "gc40a100-0000-0000-0180-00deadbeefca",
            "{c40a100-0000-0000-0180-00deadbeefca}",
        ] {
            assert_eq!(bad.parse::<InterfaceId>(), Err(InterfaceIdError), "{bad}");
        }
    }

    #[test]
    fn interface_names() {
        for good in [
            "acme:kv/store@1.2.0",
            "wasi:http/outgoing-handler@0.2.12",
            "a:b/c@0.0.1",
        ] {
            assert_eq!(good.parse::<InterfaceName>().unwrap().to_string(), good);
        }
        for bad in [
            "",
            "acme:kv/store",
            "acme:kv@1.0.0",
            "acme/store@1.0.0",
            "Acme:kv/store@1.0.0",
            "acme:kv/store@1.0",
            "acme:kv/store@1.0.0.0",
            "acme:kv/store@+1.0.0",
            "acme:kv/store@01.0.0",
            "acme:kv/store@1.0.0-rc1",
            "acme:kv/-store@1.0.0",
            "acme:kv/st--ore@1.0.0",
            "acme:kv/store@..",
            "acme:kv/1store@1.0.0",
            "acme:kv/store@99999999999.0.0",
        ] {
            assert_eq!(
                bad.parse::<InterfaceName>(),
                Err(InterfaceNameError),
                "{bad}"
            );
        }
    }

    #[test]
    fn semver_compatibility() {
        let cases = [
            ("1.2.0", "1.0.0", true),
            ("1.0.0", "1.2.0", false),
            ("2.0.0", "1.0.0", false),
            ("0.2.6", "0.2.0", true),
            ("0.3.0", "0.2.0", false),
            ("0.0.2", "0.0.1", false),
            ("0.0.1", "0.0.1", true),
        ];
        let name = |version: &str| format!("a:b/c@{version}").parse::<InterfaceName>().unwrap();
        for (provided, wanted, expected) in cases {
            assert_eq!(
                name(provided).satisfies(&name(wanted)),
                expected,
                "{provided} for {wanted}"
            );
        }
        assert!(!name("1.0.0").satisfies(&"a:b/d@1.0.0".parse().unwrap()));
    }
}
