//! What the host holds for an Ente: listening sockets, bus names, credentials, caps on its resources.

use std::net::SocketAddr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Serialize;

use crate::default::is_default;

/// A socket the host opens before the Ente starts. A Native Ente inherits it (sd_listen_fds(3)); for a
/// Wasm Ente the host accepts and calls.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Listen {
    /// Its name, unique in the Card (`LISTEN_FDNAMES`: 1..=255 printable ASCII characters, no colon).
    pub name: String,
    /// Where it listens: exactly one of the keys `unix`, `unix_datagram`, `tcp`, `udp`.
    #[serde(flatten)]
    pub on: ListenOn,
}

/// Where a socket listens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ListenOn {
    /// A stream socket at this absolute path (unix(7)).
    Unix(String),
    /// A datagram socket at this absolute path (unix(7)).
    UnixDatagram(String),
    /// A TCP address, `IP:PORT`. Port 0 lets the kernel choose.
    Tcp(#[schemars(schema_with = "address_schema")] SocketAddr),
    /// A UDP address, `IP:PORT`. Port 0 lets the kernel choose.
    Udp(#[schemars(schema_with = "address_schema")] SocketAddr),
}

impl ListenOn {
    /// The key used in a Card.
    pub fn key(&self) -> &'static str {
        match self {
            Self::Unix(_) => "unix",
            Self::UnixDatagram(_) => "unix_datagram",
            Self::Tcp(_) => "tcp",
            Self::Udp(_) => "udp",
        }
    }
}

fn address_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "description": "IP:PORT; an IPv6 address in brackets.",
        "type": "string",
        "pattern": "^([0-9.]+|\\[[0-9a-fA-F:.%]+\\]):[0-9]{1,5}$",
    })
}

/// Names on D-Bus.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Dbus {
    /// Well-known names the Ente may own (the D-Bus specification, "Bus names").
    pub own: Vec<String>,
    /// On which bus.
    #[serde(skip_serializing_if = "is_default")]
    pub bus: DbusBus,
}

/// A D-Bus message bus.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum DbusBus {
    /// The system bus.
    #[default]
    System,
}

/// Caps on a Wasm Ente.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Bytes of linear memory, summed over all its memories.
    #[schemars(range(min = 1))]
    pub memory_bytes: u64,
    /// Table elements, summed over all its tables.
    pub tables: u64,
    /// How long one call of an export may take, milliseconds.
    #[schemars(range(min = 1))]
    pub call_ms: u64,
    /// Calls that may wait for it, 1..=65536.
    #[schemars(range(min = 1, max = 65536))]
    pub mailbox: u32,
}

impl Default for Limits {
    fn default() -> Self {
        // A Rust component has some hundred table elements, an embedded Python some ten thousand.
        Self {
            memory_bytes: 64 << 20,
            tables: 65_536,
            call_ms: 5_000,
            mailbox: 256,
        }
    }
}

/// A secret handed over in `$CREDENTIALS_DIRECTORY` (systemd.exec(5), "Credentials").
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Credential {
    /// The file's name in that folder, unique in the Card.
    pub name: String,
    /// Where the host reads it, absolute.
    pub source: String,
}
