//! [`Card`]: one JSON object that describes one Ente, and in `genesis` the Entes that come with it.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::capability::{Capability, CapabilitySet, Contract};
use crate::default::is_default;
use crate::flow::{CardKind, DataFacet, Flows, PriorityContext, Reference};
use crate::host::{Credential, Dbus, Limits, Listen};
use crate::id::Id;
use crate::life::{Lifecycle, Priority, Readiness, RestartOn, StartLimit, Supervision};
use crate::payload::Payload;
use crate::permissions::Permissions;
use crate::soma::Soma;

/// The version of the schema this crate reads and writes.
pub const SCHEMA_VERSION: u32 = 1;

/// The default of `stop_timeout_ms`.
pub const DEFAULT_STOP_TIMEOUT_MS: u64 = 10_000;

/// One Ente, and the Entes that come to life with it.
///
/// A value of this type has the right shape; whether it also keeps the rules is what
/// [`Card::validate`] says. What equals its default is left out when a Card is written.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[schemars(
    description = "A Card: one Ente, and in genesis the Entes that come to life with it. \
                   This schema describes the shape; `ente verify` also checks the rules between keys."
)]
pub struct Card {
    /// Always 1.
    #[schemars(extend("const" = SCHEMA_VERSION))]
    pub schema_version: u32,
    /// Its identity, unique in the tree; stays the same over restarts.
    pub id: Id,
    /// The parent's identity; filled in when the Card is incarnated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lineage: Option<Id>,
    /// Its name for people, unique in the tree: 1..=256 bytes, no control characters.
    #[schemars(length(min = 1, max = 256))]
    pub label: String,
    /// What it offers to others while it is Ready. Never grants anything to the Ente itself.
    #[serde(default, skip_serializing_if = "is_default")]
    #[schemars(with = "Vec<Capability>")]
    pub provides: CapabilitySet,
    /// What must be provided by others before it starts.
    #[serde(default, skip_serializing_if = "is_default")]
    #[schemars(with = "Vec<Capability>")]
    pub requires: CapabilitySet,
    /// What it may use itself.
    #[serde(default, skip_serializing_if = "is_default")]
    #[schemars(with = "Vec<Capability>")]
    pub holds: CapabilitySet,
    /// Conditions beyond `requires`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub contracts: Vec<Contract>,
    /// What it may reach.
    #[serde(default, skip_serializing_if = "is_default")]
    pub permissions: Permissions,
    /// Its body.
    #[serde(default, skip_serializing_if = "is_default")]
    pub soma: Soma,
    /// What it runs.
    pub payload: Payload,
    /// What happens when it ends.
    pub supervision: Supervision,
    /// What kind of life it leads.
    #[serde(default, skip_serializing_if = "is_default")]
    pub lifecycle: Lifecycle,
    /// Which provider is asked first.
    #[serde(default, skip_serializing_if = "is_default")]
    pub priority: Priority,
    /// When it counts as Ready.
    #[serde(default, skip_serializing_if = "is_default")]
    pub readiness: Readiness,
    /// How often it must show that it lives, milliseconds: `WATCHDOG=1` (sd_notify(3)), or an answer
    /// of the component's `health` export. Absent means never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub liveness_ms: Option<u64>,
    /// How many starts in how much time are a crash loop.
    #[serde(default, skip_serializing_if = "is_default")]
    pub start_limit: StartLimit,
    /// Which ends lead to a restart.
    #[serde(default, skip_serializing_if = "is_default")]
    pub restart_on: RestartOn,
    /// How long it may take to stop before it is killed, milliseconds.
    #[serde(
        default = "default_stop_timeout_ms",
        skip_serializing_if = "is_default_stop_timeout_ms"
    )]
    #[schemars(range(min = 1))]
    pub stop_timeout_ms: u64,
    /// Sockets the host opens for it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub listen: Vec<Listen>,
    /// Its names on D-Bus.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dbus: Option<Dbus>,
    /// Caps on a Wasm Ente.
    #[serde(default, skip_serializing_if = "is_default")]
    pub limits: Limits,
    /// Secrets handed to it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub credentials: Vec<Credential>,
    /// What flows in and out.
    #[serde(default, skip_serializing_if = "is_default")]
    pub flow: Flows,
    /// Where it serves the Entes it is matched with: an absolute path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_socket: Option<String>,
    /// Ties to other Cards.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub references: Vec<Reference>,
    /// Whether it runs or is known.
    #[serde(default, skip_serializing_if = "is_default")]
    pub kind: CardKind,
    /// What a data Card says of its data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<DataFacet>,
    /// What changes in a broker context, by the context's name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub priority_contexts: BTreeMap<String, PriorityContext>,
    /// The Cards that are incarnated with this one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub genesis: Vec<Card>,
    /// Keys this version does not know, in the order read; written back as they were.
    #[serde(flatten)]
    pub extensions: Map<String, Value>,
}

fn default_stop_timeout_ms() -> u64 {
    DEFAULT_STOP_TIMEOUT_MS
}

fn is_default_stop_timeout_ms(value: &u64) -> bool {
    *value == DEFAULT_STOP_TIMEOUT_MS
}

impl Card {
    /// A Card with everything optional at its default.
    pub fn new(
        id: Id,
        label: impl Into<String>,
        payload: Payload,
        supervision: Supervision,
    ) -> Self {
        Self {
            schema_version: SCHEMA_VERSION,
            id,
            lineage: None,
            label: label.into(),
            provides: CapabilitySet::new(),
            requires: CapabilitySet::new(),
            holds: CapabilitySet::new(),
            contracts: Vec::new(),
            permissions: Permissions::default(),
            soma: Soma::default(),
            payload,
            supervision,
            lifecycle: Lifecycle::default(),
            priority: Priority::default(),
            readiness: Readiness::default(),
            liveness_ms: None,
            start_limit: StartLimit::default(),
            restart_on: RestartOn::default(),
            stop_timeout_ms: DEFAULT_STOP_TIMEOUT_MS,
            listen: Vec::new(),
            dbus: None,
            limits: Limits::default(),
            credentials: Vec::new(),
            flow: Flows::default(),
            service_socket: None,
            references: Vec::new(),
            kind: CardKind::default(),
            data: None,
            priority_contexts: BTreeMap::new(),
            genesis: Vec::new(),
            extensions: Map::new(),
        }
    }

    /// The Cards directly below this one.
    pub fn children(&self) -> &[Card] {
        &self.genesis
    }

    /// Whether this is a Seed: a Virtual Card with a genesis.
    pub fn is_seed(&self) -> bool {
        self.payload == Payload::Virtual && !self.genesis.is_empty()
    }
}
