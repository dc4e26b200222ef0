//! `arje:ente/types` on the host side: the values that components see.

use arje_card::{
    Capability as CardCapability, Card, DeviceClass, InterfaceId, Netlink as CardNetlink,
};
use wasmtime::component::{ComponentType, Lift, Lower};

use crate::control::StopReason as Reason;

/// `types.netlink`
#[derive(ComponentType, Lift, Lower, Clone, Copy, Debug)]
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
#[derive(ComponentType, Lift, Lower, Clone, Copy, Debug)]
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
#[derive(ComponentType, Lift, Lower, Clone, Debug)]
#[component(record)]
pub(crate) struct Endpoint {
    high: u64,
    low: u64,
    version: u16,
}

/// `types.capability`
#[derive(ComponentType, Lift, Lower, Clone, Debug)]
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

impl Capability {
    /// As Cards have it; none where a name is not one of an interface.
    pub(crate) fn to_card(&self) -> Option<CardCapability> {
        Some(match self {
            Capability::FilesystemRoot => CardCapability::FilesystemRoot,
            Capability::LegacyLogind => CardCapability::LegacyLogind,
            Capability::Spawn => CardCapability::Spawn,
            Capability::Journal => CardCapability::Journal,
            Capability::SwitchRoot => CardCapability::SwitchRoot,
            Capability::Power => CardCapability::Power,
            Capability::KernelNetlink(family) => CardCapability::KernelNetlink(match family {
                Netlink::Uevent => CardNetlink::Uevent,
                Netlink::Route => CardNetlink::Route,
                Netlink::Generic => CardNetlink::Generic,
                Netlink::Audit => CardNetlink::Audit,
            }),
            Capability::Device(class) => CardCapability::Device {
                class: match class {
                    Device::Block => DeviceClass::Block,
                    Device::Tty => DeviceClass::Tty,
                    Device::Input => DeviceClass::Input,
                    Device::Drm => DeviceClass::Drm,
                    Device::Net => DeviceClass::Net,
                    Device::Hidraw => DeviceClass::Hidraw,
                },
            },
            Capability::Endpoint(endpoint) => {
                let uuid = u128::from(endpoint.high) << 64 | u128::from(endpoint.low);
                CardCapability::Endpoint {
                    interface: InterfaceId(uuid.to_be_bytes()),
                    version: endpoint.version,
                }
            }
            Capability::Wit(name) => CardCapability::Wit(name.parse().ok()?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_capability_comes_back_as_it_was() {
        let class = |class| CardCapability::Device { class };
        let mut all: Vec<CardCapability> = DeviceClass::ALL.into_iter().map(class).collect();
        all.extend([
            CardCapability::FilesystemRoot,
            CardCapability::LegacyLogind,
            CardCapability::Spawn,
            CardCapability::Journal,
            CardCapability::SwitchRoot,
            CardCapability::Power,
            CardCapability::KernelNetlink(CardNetlink::Uevent),
            CardCapability::KernelNetlink(CardNetlink::Route),
            CardCapability::KernelNetlink(CardNetlink::Generic),
            CardCapability::KernelNetlink(CardNetlink::Audit),
            CardCapability::Endpoint {
                interface: InterfaceId(std::array::from_fn(|n| n as u8 + 1)),
                version: 7,
            },
            CardCapability::Wit("acme:kv/store@1.2.0".parse().unwrap()),
        ]);
        for capability in all {
            assert_eq!(Capability::from(&capability).to_card(), Some(capability));
        }
        assert_eq!(Capability::Wit("no name".into()).to_card(), None);
    }
}
