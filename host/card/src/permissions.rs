//! What an Ente may reach. Everything is refused unless the Card says otherwise.

use schemars::JsonSchema;
use serde::Serialize;

use crate::default::is_default;

/// What an Ente may reach, for every kind of payload. The default is: nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Permissions {
    /// How far into the network.
    #[serde(skip_serializing_if = "is_default")]
    pub networking: Networking,
    /// How far into files.
    #[serde(skip_serializing_if = "is_default")]
    pub filesystem: Filesystem,
    /// Which ways of talking to other Entes.
    #[serde(skip_serializing_if = "is_default")]
    pub ipc: Ipc,
    /// Whether it may start processes.
    #[serde(skip_serializing_if = "is_default")]
    pub processes: bool,
}

/// How far an Ente reaches into the network. Each step contains the ones before it.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Networking {
    /// No network at all.
    #[default]
    None,
    /// Connecting and listening on the loopback interface.
    Loopback,
    /// Connecting to anywhere; never listening.
    Outbound,
    /// Connecting and listening anywhere.
    Full,
}

impl Networking {
    /// The word used in a Card.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Loopback => "loopback",
            Self::Outbound => "outbound",
            Self::Full => "full",
        }
    }
}

/// How far an Ente reaches into files. Each step contains the ones before it.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Filesystem {
    /// No files (a Native Ente still maps its own executable and libraries).
    #[default]
    None,
    /// Reading.
    ReadOnly,
    /// Reading and writing.
    ReadWrite,
}

impl Filesystem {
    /// The word used in a Card.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::ReadOnly => "read-only",
            Self::ReadWrite => "read-write",
        }
    }
}

/// Ways of talking to other Entes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Ipc {
    /// Names of the ways allowed; `wit-v1` is the bus.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allow: Vec<String>,
}

impl Ipc {
    /// Whether the way of this name is allowed.
    pub fn allows(&self, name: &str) -> bool {
        self.allow.iter().any(|allowed| allowed == name)
    }
}
