//! `arje:ente/types` on the host side: the values that components see.

use arje_card::{Capability as CardCapability, Card, DeviceClass, Netlink as CardNetlink};
use wasmtime::component::{ComponentType, Lower};

use crate::control::StopReason as Reason;

/// `types.netlink`
#[derive(ComponentType, Lower, Clone, Copy, Debug)]
#[component(enum)]
#[repr(u8)]
pub(crate) enum Netlink {
    #[component(name = "uevent")]
    Uevent,
    #[component(name = "route")]
    Route,
    #[component(name = "generic")]
    Generic,
    #[component(name = "audit")]
    Audit,
}

/// `types.device-class`
#[derive(ComponentType, Lower, Clone, Copy, Debug)]
#[component(enum)]
#[repr(u8)]
pub(crate) enum Device {
    #[component(name = "block")]
    Block,
    #[component(name = "tty")]
    Tty,
    #[component(name = "input")]
    Input,
    #[component(name = "drm")]
    Drm,
    #[component(name = "net")]
    Net,
    #[component(name = "hidraw")]
    Hidraw,
}

/// `types.endpoint`
#[derive(ComponentType, Lower, Clone, Debug)]
#[component(record)]
pub(crate) struct Endpoint {
    high: u64,
    low: u64,
    version: u16,
}

/// `types.capability`
#[derive(ComponentType, Lower, Clone, Debug)]
#[component(variant)]
pub(crate) enum Capability {
    #[component(name = "filesystem-root")]
    FilesystemRoot,
    #[component(name = "legacy-logind")]
    LegacyLogind,
    #[component(name = "spawn")]
    Spawn,
    #[component(name = "journal")]
    Journal,
    #[component(name = "switch-root")]
    SwitchRoot,
    #[component(name = "power")]
    Power,
    #[component(name = "kernel-netlink")]
    KernelNetlink(Netlink),
    #[component(name = "device")]
    Device(Device),
    #[component(name = "endpoint")]
    Endpoint(Endpoint),
    #[component(name = "wit")]
    Wit(String),
}

/// `types.card-info`
#[derive(ComponentType, Lower, Clone, Debug)]
#[component(record)]
pub(crate) struct CardInfo {
    id: String,
    label: String,
    incarnation: u64,
    lineage: Option<String>,
    provides: Vec<Capability>,
    requires: Vec<Capability>,
}

/// `types.stop-reason`
#[derive(ComponentType, Lower, Clone, Copy, Debug)]
#[component(enum)]
#[repr(u8)]
pub(crate) enum StopReason {
    #[component(name = "requested")]
    Requested,
    #[component(name = "restart")]
    Restart,
    #[component(name = "dependency-lost")]
    DependencyLost,
    #[component(name = "replaced")]
    Replaced,
    #[component(name = "unhealthy")]
    Unhealthy,
    #[component(name = "shutdown")]
    Shutdown,
}

impl From<Reason> for StopReason {
    fn from(reason: Reason) -> StopReason {
        match reason {
            Reason::Requested => StopReason::Requested,
            Reason::Restart => StopReason::Restart,
            Reason::DependencyLost => StopReason::DependencyLost,
            Reason::Replaced => StopReason::Replaced,
            Reason::Unhealthy => StopReason::Unhealthy,
            Reason::Shutdown => StopReason::Shutdown,
        }
    }
}

impl CardInfo {
    /// What the component of `card` is told of itself.
    pub(crate) fn new(card: &Card, incarnation: u64) -> CardInfo {
        CardInfo {
            id: card.id.to_string(),
            label: card.label.clone(),
            incarnation,
            lineage: card.lineage.map(|id| id.to_string()),
            provides: card.provides.iter().map(Capability::from).collect(),
            requires: card.requires.iter().map(Capability::from).collect(),
        }
    }
}

impl From<&CardCapability> for Capability {
    fn from(capability: &CardCapability) -> Capability {
        match capability {
            CardCapability::FilesystemRoot => Capability::FilesystemRoot,
            CardCapability::LegacyLogind => Capability::LegacyLogind,
            CardCapability::Spawn => Capability::Spawn,
            CardCapability::Journal => Capability::Journal,
            CardCapability::SwitchRoot => Capability::SwitchRoot,
            CardCapability::Power => Capability::Power,
            CardCapability::KernelNetlink(family) => Capability::KernelNetlink(match family {
                CardNetlink::Uevent => Netlink::Uevent,
                CardNetlink::Route => Netlink::Route,
                CardNetlink::Generic => Netlink::Generic,
                CardNetlink::Audit => Netlink::Audit,
            }),
            CardCapability::Device { class } => Capability::Device(match class {
                DeviceClass::Block => Device::Block,
                DeviceClass::Tty => Device::Tty,
                DeviceClass::Input => Device::Input,
                DeviceClass::Drm => Device::Drm,
                DeviceClass::Net => Device::Net,
                DeviceClass::Hidraw => Device::Hidraw,
            }),
            CardCapability::Endpoint { interface, version } => {
                let uuid = u128::from_be_bytes(interface.0);
                Capability::Endpoint(Endpoint {
                    high: (uuid >> 64) as u64,
                    low: uuid as u64,
                    version: *version,
                })
            }
            CardCapability::Wit(name) => Capability::Wit(name.to_string()),
        }
    }
}
