//! Decoding of the Card and of what it says about itself: payload, capabilities, permissions, soma, flows.

use super::decode::{Choice, Decode, Decoder, Fields, word};
use super::node::Node;
use crate::path::Path;
use crate::{
    Bind, Capability, CapabilitySet, Card, CardKind, Cgroup, Contract, CpuMax,
    DEFAULT_STOP_TIMEOUT_MS, DataFacet, DeviceClass, Fake, Filesystem, Flow, FlowType, Flows,
    IoMax, Ipc, LegacyPayload, Mounts, Namespaces, NativePayload, Netlink, Networking, Payload,
    Permissions, PriorityContext, Reference, ReferenceKind, Rlimits, RunAs, Soma, StartLimit,
    Supervision, Tmpfs, WasmPayload,
};

impl Decode for Card {
    /// Always makes a Card, so that the others of its list keep their places.
    fn decode(node: &Node, at: &Path<'_>, cx: &mut Decoder) -> Option<Self> {
        let mut card = Self::new(
            Default::default(),
            "",
            Payload::Virtual,
            Supervision::OneShot,
        );
        let Some(mut o) = Fields::open(node, at, cx) else {
            return Some(card);
        };
        card.schema_version = o
            .required("schema_version", cx)
            .unwrap_or(card.schema_version);
        card.id = o.required_or_default("id", cx);
        card.lineage = o.option("lineage", cx);
        card.label = o.required_or_default("label", cx);
        card.provides = o.or_default("provides", cx);
        card.requires = o.or_default("requires", cx);
        card.holds = o.or_default("holds", cx);
        card.contracts = o.or_default("contracts", cx);
        card.permissions = o.or_default("permissions", cx);
        card.soma = o.or_default("soma", cx);
        card.payload = o.required_or_default("payload", cx);
        card.supervision = o.required_or_default("supervision", cx);
        card.lifecycle = o.or_default("lifecycle", cx);
        card.priority = o.or_default("priority", cx);
        card.readiness = o.or_default("readiness", cx);
        card.liveness_ms = o.option("liveness_ms", cx);
        card.start_limit = o.or_default("start_limit", cx);
        card.restart_on = o.or_default("restart_on", cx);
        card.stop_timeout_ms = o.or("stop_timeout_ms", DEFAULT_STOP_TIMEOUT_MS, cx);
        card.listen = o.or_default("listen", cx);
        card.dbus = o.option("dbus", cx);
        card.limits = o.or_default("limits", cx);
        card.credentials = o.or_default("credentials", cx);
        card.flow = o.or_default("flow", cx);
        card.service_socket = o.option("service_socket", cx);
        card.references = o.or_default("references", cx);
        card.kind = o.or_default("kind", cx);
        card.data = o.option("data", cx);
        card.priority_contexts = o.or_default("priority_contexts", cx);
        card.genesis = o.or_default("genesis", cx);
        card.extensions = o.finish_open();
        Some(card)
    }
}

impl Decode for Capability {
    fn decode(node: &Node, at: &Path<'_>, cx: &mut Decoder) -> Option<Self> {
        let units = [
            "FilesystemRoot",
            "LegacyLogind",
            "Spawn",
            "Journal",
            "SwitchRoot",
            "Power",
        ];
        let with = ["KernelNetlink", "Device", "Endpoint", "Wit"];
        match Choice::open(node, at, cx, &units, &with)? {
            Choice::Unit("FilesystemRoot") => Some(Self::FilesystemRoot),
            Choice::Unit("LegacyLogind") => Some(Self::LegacyLogind),
            Choice::Unit("Spawn") => Some(Self::Spawn),
            Choice::Unit("Journal") => Some(Self::Journal),
            Choice::Unit("SwitchRoot") => Some(Self::SwitchRoot),
            Choice::Unit(_) => Some(Self::Power),
            Choice::With("KernelNetlink", node) => {
                Netlink::decode(node, &at.key("KernelNetlink"), cx).map(Self::KernelNetlink)
            }
            Choice::With("Device", node) => device(node, &at.key("Device"), cx),
            Choice::With("Endpoint", node) => endpoint(node, &at.key("Endpoint"), cx),
            Choice::With(_, node) => Decode::decode(node, &at.key("Wit"), cx).map(Self::Wit),
        }
    }
}

fn device(node: &Node, at: &Path<'_>, cx: &mut Decoder) -> Option<Capability> {
    let mut o = Fields::open(node, at, cx)?;
    let class = o.required("class", cx);
    o.finish(cx);
    Some(Capability::Device { class: class? })
}

fn endpoint(node: &Node, at: &Path<'_>, cx: &mut Decoder) -> Option<Capability> {
    let mut o = Fields::open(node, at, cx)?;
    let interface = o.required("interface", cx);
    let version = o.required("version", cx);
    o.finish(cx);
    Some(Capability::Endpoint {
        interface: interface?,
        version: version?,
    })
}

/// Implements [`Decode`] for enums of plain words.
macro_rules! words {
    ($($type:ident { $($word:literal $variant:ident)* })*) => {$(
        impl Decode for $type {
            fn decode(node: &Node, at: &Path<'_>, cx: &mut Decoder) -> Option<Self> {
                word(node, at, cx, &[$(($word, Self::$variant)),*])
            }
        }
    )*};
}
pub(super) use words;

words! {
    Netlink { "Uevent" Uevent "Route" Route "Generic" Generic "Audit" Audit }
    DeviceClass {
        "Block" Block "Tty" Tty "Input" Input "Drm" Drm "Net" Net "Hidraw" Hidraw
    }
    Networking { "none" None "loopback" Loopback "outbound" Outbound "full" Full }
    Filesystem { "none" None "read-only" ReadOnly "read-write" ReadWrite }
    Fake {
        "SystemdLogind" SystemdLogind "SystemdHostnamed" SystemdHostnamed
        "SystemdNotify" SystemdNotify
    }
    ReferenceKind {
        "owns" Owns "owned-by" OwnedBy "processes" Processes "processed-by" ProcessedBy
        "sibling" Sibling
    }
    CardKind { "ente" Ente "data" Data }
}

impl Decode for Contract {
    fn decode(node: &Node, at: &Path<'_>, cx: &mut Decoder) -> Option<Self> {
        match Choice::open(node, at, cx, &[], &["Any", "Quorum", "Conflicts", "After"])? {
            Choice::Unit(_) => None,
            Choice::With("Any", node) => Decode::decode(node, &at.key("Any"), cx).map(Self::Any),
            Choice::With("Quorum", node) => quorum(node, &at.key("Quorum"), cx),
            Choice::With("Conflicts", node) => {
                Decode::decode(node, &at.key("Conflicts"), cx).map(Self::Conflicts)
            }
            Choice::With(_, node) => Decode::decode(node, &at.key("After"), cx).map(Self::After),
        }
    }

    fn stand_in() -> Option<Self> {
        Some(Self::After(CapabilitySet::default()))
    }
}

fn quorum(node: &Node, at: &Path<'_>, cx: &mut Decoder) -> Option<Contract> {
    let mut o = Fields::open(node, at, cx)?;
    let of = o.required("of", cx);
    let at_least = o.required("at_least", cx);
    o.finish(cx);
    Some(Contract::Quorum {
        of: of.unwrap_or_default(),
        at_least: at_least.unwrap_or_default(),
    })
}

/// Implements [`Decode`] for structs: for each field how its key is read (a method of [`Fields`]), and
/// its default where it is not the type's own.
macro_rules! structs {
    ($($type:ident { $($how:ident $field:ident $(= $default:expr)?),* $(,)? })*) => {$(
        impl Decode for $type {
            fn decode(node: &Node, at: &Path<'_>, cx: &mut Decoder) -> Option<Self> {
                let mut o = Fields::open(node, at, cx)?;
                let value = Self {
                    $($field: o.$how(stringify!($field), $($default,)? cx),)*
                };
                o.finish(cx);
                Some(value)
            }

            fn stand_in() -> Option<Self> {
                // As if it were an object without any keys; what that lacks is not to be told.
                Self::decode(&Node::Object(Vec::new()), &Path::ROOT, &mut Decoder::default())
            }
        }
    )*};
}
pub(super) use structs;

structs! {
    Permissions {
        or_default networking, or_default filesystem, or_default ipc, or_default processes,
    }
    Ipc { or_default allow }
    Soma {
        or_default namespaces, or_default rlimits, or_default cgroup, option cpu_affinity,
        option run_as, or_default mounts,
    }
    Namespaces {
        or_default mount, or_default pid, or_default net, or_default uts, or_default ipc,
        or_default user, or_default cgroup,
    }
    Rlimits { option mem_bytes, option nproc, option nofile }
    Cgroup {
        option path, option cpu_weight, option io_weight, option memory_max, option memory_high,
        option pids_max, option cpu_max, or_default io_max,
    }
    CpuMax { required_or_default quota_us, or period_us = Self::PERIOD_US }
    IoMax { required_or_default device, option rbps, option wbps, option riops, option wiops }
    RunAs { required_or_default uid, required_or_default gid, or_default groups }
    Mounts { or_default binds, or_default tmpfs }
    Bind { required_or_default source, required_or_default target, or_default ro }
    Tmpfs { required_or_default target, option size_bytes }
    WasmPayload {
        required_or_default module_sha256, required_or_default entry, or_default argv,
        or_default envp, or_default preopens,
    }
    NativePayload { required_or_default exec, or_default argv, or_default envp }
    LegacyPayload { required_or_default exec, or_default argv, or_default fakes }
    StartLimit {
        or burst = Self::default().burst, or interval_ms = Self::default().interval_ms,
    }
    Flows { or_default input, or_default output }
    DataFacet {
        or_default summary, or_default keywords, or_default centroid, or_default member_count,
        or_default dispersion, option presentation_hint,
    }
    PriorityContext { option pin_to, or_default priority_offset }
}

impl Decode for Payload {
    fn decode(node: &Node, at: &Path<'_>, cx: &mut Decoder) -> Option<Self> {
        match Choice::open(node, at, cx, &["Virtual"], &["Wasm", "Native", "Legacy"])? {
            Choice::Unit(_) => Some(Self::Virtual),
            Choice::With("Wasm", node) => Decode::decode(node, &at.key("Wasm"), cx).map(Self::Wasm),
            Choice::With("Native", node) => {
                Decode::decode(node, &at.key("Native"), cx).map(Self::Native)
            }
            Choice::With(_, node) => Decode::decode(node, &at.key("Legacy"), cx).map(Self::Legacy),
        }
    }
}

impl Decode for Supervision {
    fn decode(node: &Node, at: &Path<'_>, cx: &mut Decoder) -> Option<Self> {
        match Choice::open(node, at, cx, &["OneShot", "Delegate"], &["Restart"])? {
            Choice::Unit("OneShot") => Some(Self::OneShot),
            Choice::Unit(_) => Some(Self::Delegate),
            Choice::With(_, node) => restart(node, &at.key("Restart"), cx),
        }
    }
}

fn restart(node: &Node, at: &Path<'_>, cx: &mut Decoder) -> Option<Supervision> {
    let mut o = Fields::open(node, at, cx)?;
    let initial = o.required("initial", cx);
    let max = o.required("max", cx);
    o.finish(cx);
    // One that is not readable must not hide what is wrong with the other.
    Some(Supervision::Restart {
        initial: initial.unwrap_or_default(),
        max: max.unwrap_or_default(),
    })
}

impl Decode for Flow {
    fn decode(node: &Node, at: &Path<'_>, cx: &mut Decoder) -> Option<Self> {
        let mut o = Fields::open(node, at, cx)?;
        let name = o.required("name", cx);
        let ty = o.required("type", cx);
        let pin_to = o.option("pin_to", cx);
        o.finish(cx);
        Some(Self {
            name: name.unwrap_or_default(),
            ty: ty.unwrap_or_else(no_type),
            pin_to,
        })
    }

    fn stand_in() -> Option<Self> {
        Some(Self {
            name: String::new(),
            ty: no_type(),
            pin_to: None,
        })
    }
}

/// Stands in for a type that is not readable.
fn no_type() -> FlowType {
    FlowType::Primitive {
        name: String::new(),
    }
}

impl Decode for FlowType {
    fn decode(node: &Node, at: &Path<'_>, cx: &mut Decoder) -> Option<Self> {
        match Choice::open(node, at, cx, &[], &["primitive", "wit"])? {
            Choice::Unit(_) => None,
            Choice::With("primitive", node) => {
                let at = at.key("primitive");
                let mut o = Fields::open(node, &at, cx)?;
                let name = o.required("name", cx);
                o.finish(cx);
                Some(Self::Primitive { name: name? })
            }
            Choice::With(_, node) => {
                let at = at.key("wit");
                let mut o = Fields::open(node, &at, cx)?;
                let package = o.required("package", cx);
                let interface = o.option("interface", cx);
                let name = o.required("name", cx);
                o.finish(cx);
                Some(Self::Wit {
                    package: package?,
                    interface,
                    name: name?,
                })
            }
        }
    }
}

impl Decode for Reference {
    fn decode(node: &Node, at: &Path<'_>, cx: &mut Decoder) -> Option<Self> {
        let mut o = Fields::open(node, at, cx)?;
        let kind = o.required("kind", cx);
        let target_id = o.required_or_default("target_id", cx);
        let target_label = o.required_or_default("target_label", cx);
        o.finish(cx);
        Some(Self {
            kind: kind.unwrap_or(ReferenceKind::Sibling),
            target_id,
            target_label,
        })
    }

    fn stand_in() -> Option<Self> {
        Some(Self {
            kind: ReferenceKind::Sibling,
            target_id: Default::default(),
            target_label: String::new(),
        })
    }
}
