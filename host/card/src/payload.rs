//! What an Ente runs: a component, a process, nothing, or a process that expects systemd.

use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Serialize, Serializer};

use crate::pin::Pin;
use crate::soma::Bind;

/// What an Ente runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub enum Payload {
    /// A WebAssembly component.
    Wasm(WasmPayload),
    /// A process.
    Native(NativePayload),
    /// Nothing: the Card groups its genesis.
    #[default]
    Virtual,
    /// A process that expects parts of systemd.
    Legacy(LegacyPayload),
}

/// A WebAssembly component, named by its hash.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WasmPayload {
    /// sha256 of the component's `.wasm` file.
    pub module_sha256: Pin,
    /// What the host drives.
    pub entry: Entry,
    /// Arguments after the program name, as `wasi:cli/environment` shows them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub argv: Vec<String>,
    /// Environment variables, as `wasi:cli/environment` shows them.
    #[serde(default, skip_serializing_if = "Env::is_empty")]
    pub envp: Env,
    /// Folders the component sees (`wasi:filesystem/preopens`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub preopens: Vec<Bind>,
}

/// A process.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NativePayload {
    /// The executable, absolute.
    pub exec: String,
    /// Arguments after the program name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub argv: Vec<String>,
    /// Environment variables, added to those the init gives to every process.
    #[serde(default, skip_serializing_if = "Env::is_empty")]
    pub envp: Env,
}

/// A process that expects parts of systemd, which the init answers in systemd's place.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LegacyPayload {
    /// The executable, absolute.
    pub exec: String,
    /// Arguments after the program name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub argv: Vec<String>,
    /// The parts of systemd it expects.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fakes: Vec<Fake>,
}

/// A part of systemd answered by the init.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
pub enum Fake {
    /// `org.freedesktop.login1`
    SystemdLogind,
    /// `org.freedesktop.hostname1`
    SystemdHostnamed,
    /// sd_notify(3)
    SystemdNotify,
}

/// What the host drives in a component.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Entry {
    /// `run`: `wasi:cli/run`, once, to its end.
    #[default]
    Run,
    /// `service`: `arje:ente/service`, started and stopped.
    Service,
    /// `http`: `wasi:http/incoming-handler`, once for each request.
    Http,
    /// The full name of an exported function. Never one of the three words above.
    Export(String),
}

impl Entry {
    /// The text used in a Card.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Run => "run",
            Self::Service => "service",
            Self::Http => "http",
            Self::Export(name) => name,
        }
    }
}

impl From<&str> for Entry {
    fn from(text: &str) -> Self {
        match text {
            "run" => Self::Run,
            "service" => Self::Service,
            "http" => Self::Http,
            name => Self::Export(name.to_owned()),
        }
    }
}

impl FromStr for Entry {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(text.into())
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Entry {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl JsonSchema for Entry {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Entry".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "What the host drives: `run` (wasi:cli/run), `service` (arje:ente/service), \
                            `http` (wasi:http/incoming-handler), or the full name of an exported function.",
            "type": "string",
            "pattern": "\\S",
        })
    }
}

/// Environment variables in the order written. Read as pairs or as an object, written as pairs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Env(pub Vec<(String, String)>);

impl Env {
    /// Whether there is no variable.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Names and values, in the order written.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The value of a variable.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter()
            .find_map(|(known, value)| (known == name).then_some(value))
    }
}

impl JsonSchema for Env {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Env".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "Environment variables: pairs, or an object (written back as pairs).",
            "anyOf": [
                {
                    "type": "array",
                    "items": {
                        "type": "array", "minItems": 2, "maxItems": 2, "items": { "type": "string" },
                    },
                },
                { "type": "object", "additionalProperties": { "type": "string" } },
            ],
        })
    }
}
