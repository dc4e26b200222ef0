//! The Card: one object that says what an Ente is, what it runs, what it may reach and how it lives.
//!
//! This crate holds the types, reading and writing (JSON and TOML), the rules, the JSON Schema, and the
//! table of which interface needs which permission ([`grants`]). It does no input or output but reading
//! one file, and knows nothing of the running machine.

mod capability;
mod card;
mod default;
mod document;
mod flow;
pub mod grants;
mod host;
mod id;
mod interface;
mod life;
mod nearest;
mod path;
mod payload;
mod permissions;
mod pin;
mod read;
mod reading;
mod report;
mod rule;
mod rules;
mod schema;
mod soma;
mod unsupported;
mod walk;
mod warning;

pub use capability::{Capability, CapabilitySet, Contract, DeviceClass, Netlink};
pub use card::{Card, DEFAULT_STOP_TIMEOUT_MS, SCHEMA_VERSION};
pub use document::{Document, Format, LoadError, MAX_BYTES, WriteError};
pub use flow::{
    CardKind, DataFacet, Flow, FlowType, Flows, PriorityContext, Reference, ReferenceKind,
};
pub use host::{Credential, Dbus, DbusBus, Limits, Listen, ListenOn};
pub use id::{Id, IdError};
pub use interface::{InterfaceId, InterfaceIdError, InterfaceName, InterfaceNameError};
pub use life::{Lifecycle, Priority, Readiness, RestartOn, StartLimit, Supervision};
pub use nearest::nearest;
pub use payload::{Entry, Env, Fake, LegacyPayload, NativePayload, Payload, WasmPayload};
pub use permissions::{Filesystem, Ipc, Networking, Permissions};
pub use pin::{Pin, PinError};
pub use reading::Reading;
pub use report::{MAX_VIOLATIONS, Report, Violation};
pub use rule::Rule;
pub use rules::{MAX_CARDS, MAX_DEPTH, MAX_LABEL_BYTES};
pub use schema::{JSON_SCHEMA, SCHEMA_ID, json_schema};
pub use soma::{Bind, Cgroup, CpuMax, IoMax, Mounts, Namespaces, Rlimits, RunAs, Soma, Tmpfs};
pub use unsupported::unsupported;
pub use walk::{Visit, Walk, append_fragment};
pub use warning::{CARD_KEYS, EXTENSION_KEYS, Oddity, Warning};
