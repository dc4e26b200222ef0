//! What an Ente can offer to others, need of them, or be allowed to use.

use std::collections::BTreeSet;
use std::fmt;

use schemars::JsonSchema;
use serde::Serialize;

use crate::interface::{InterfaceId, InterfaceName};

/// A set of capabilities. Writing one twice says nothing more than writing it once.
pub type CapabilitySet = BTreeSet<Capability>;

/// What an Ente can provide to others, require of them, or hold (be allowed to use).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
pub enum Capability {
    /// The root file system is there.
    FilesystemRoot,
    /// `systemd-logind` as older programs know it.
    LegacyLogind,
    /// Starting and stopping Entes.
    Spawn,
    /// Taking in log lines.
    Journal,
    /// Moving the system to a real root.
    SwitchRoot,
    /// Powering off and rebooting.
    Power,
    /// A kernel netlink family.
    KernelNetlink(Netlink),
    /// A class of devices.
    Device {
        /// Which class.
        class: DeviceClass,
    },
    /// A numbered interface on the bus.
    Endpoint {
        /// The interface's UUID.
        interface: InterfaceId,
        /// The interface's version; versions do not stand in for each other.
        version: u16,
    },
    /// A typed service, `namespace:package/interface@version`.
    Wit(InterfaceName),
}

impl Capability {
    /// Whether a provider of `self` serves somebody who requires `required`: equality, except that
    /// for [`Capability::Wit`] a newer compatible version serves an older one (semver).
    pub fn satisfies(&self, required: &Self) -> bool {
        match (self, required) {
            (Self::Wit(provided), Self::Wit(wanted)) => provided.satisfies(wanted),
            _ => self == required,
        }
    }
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FilesystemRoot => f.write_str("FilesystemRoot"),
            Self::LegacyLogind => f.write_str("LegacyLogind"),
            Self::Spawn => f.write_str("Spawn"),
            Self::Journal => f.write_str("Journal"),
            Self::SwitchRoot => f.write_str("SwitchRoot"),
            Self::Power => f.write_str("Power"),
            Self::KernelNetlink(family) => write!(f, "KernelNetlink:{family:?}"),
            Self::Device { class } => write!(f, "Device:{class:?}"),
            Self::Endpoint { interface, version } => write!(f, "Endpoint:{interface}@{version}"),
            Self::Wit(name) => write!(f, "Wit:{name}"),
        }
    }
}

/// A kernel netlink family (netlink(7)).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
pub enum Netlink {
    /// `NETLINK_KOBJECT_UEVENT`
    Uevent,
    /// `NETLINK_ROUTE`
    Route,
    /// `NETLINK_GENERIC`
    Generic,
    /// `NETLINK_AUDIT`
    Audit,
}

/// A class of devices.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
pub enum DeviceClass {
    /// Disks and partitions.
    Block,
    /// Terminals and serial lines.
    Tty,
    /// Keyboards, mice, touch screens.
    Input,
    /// Graphics (`/dev/dri`).
    Drm,
    /// Network interfaces.
    Net,
    /// Raw human interface devices.
    Hidraw,
}

impl DeviceClass {
    /// All classes.
    pub const ALL: [DeviceClass; 6] = [
        DeviceClass::Block,
        DeviceClass::Tty,
        DeviceClass::Input,
        DeviceClass::Drm,
        DeviceClass::Net,
        DeviceClass::Hidraw,
    ];
}

/// A condition on the capabilities of others, beyond `requires`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub enum Contract {
    /// At least one of these is provided.
    Any(#[schemars(with = "Vec<Capability>")] CapabilitySet),
    /// At least so many of these are provided.
    Quorum {
        /// The capabilities counted.
        #[schemars(with = "Vec<Capability>")]
        of: CapabilitySet,
        /// How many of them, from 1 to the size of `of`.
        #[schemars(range(min = 1))]
        at_least: u32,
    },
    /// None of these is provided while this Ente lives.
    Conflicts(#[schemars(with = "Vec<Capability>")] CapabilitySet),
    /// Start after the providers of these, if there are any. Ordering only, no requirement.
    After(#[schemars(with = "Vec<Capability>")] CapabilitySet),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_wit_services_match_by_version() {
        let wit = |text: &str| Capability::Wit(text.parse().unwrap());
        assert!(wit("acme:kv/store@1.2.0").satisfies(&wit("acme:kv/store@1.0.0")));
        assert!(!wit("acme:kv/store@1.0.0").satisfies(&wit("acme:kv/store@1.2.0")));
        assert!(Capability::Spawn.satisfies(&Capability::Spawn));
        assert!(!Capability::Spawn.satisfies(&Capability::Power));
        let endpoint = |version| Capability::Endpoint {
            interface: InterfaceId([7; 16]),
            version,
        };
        assert!(endpoint(1).satisfies(&endpoint(1)));
        assert!(!endpoint(2).satisfies(&endpoint(1)));
    }
}
