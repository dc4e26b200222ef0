//! Capabilities on the wire: numbers of their own, so that the protocol does not hang on the order in which Cards
//! happen to declare theirs.

use arje_card::{Capability, DeviceClass, InterfaceId, Netlink};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::limits::MAX_TEXT;
use crate::wire::wire_enum;

wire_enum! {
    /// A capability.
    pub enum Wire {
        0 => FilesystemRoot,
        1 => LegacyLogind,
        2 => Spawn,
        3 => Journal,
        4 => SwitchRoot,
        5 => Power,
        6 => KernelNetlink(family: Family),
        7 => Device(class: Class),
        /// The interface's UUID and its version.
        8 => Endpoint(endpoint: ([u8; 16], u16)),
        /// `namespace:package/interface@version`.
        9 => Wit(name: String),
    }
}

wire_enum! {
    /// A kernel netlink family.
    pub enum Family {
        0 => Uevent,
        1 => Route,
        2 => Generic,
        3 => Audit,
    }
}

wire_enum! {
    /// A class of devices.
    pub enum Class {
        0 => Block,
        1 => Tty,
        2 => Input,
        3 => Drm,
        4 => Net,
        5 => Hidraw,
    }
}

impl From<&Capability> for Wire {
    fn from(capability: &Capability) -> Self {
        match capability {
            Capability::FilesystemRoot => Self::FilesystemRoot,
            Capability::LegacyLogind => Self::LegacyLogind,
            Capability::Spawn => Self::Spawn,
            Capability::Journal => Self::Journal,
            Capability::SwitchRoot => Self::SwitchRoot,
            Capability::Power => Self::Power,
            Capability::KernelNetlink(family) => Self::KernelNetlink(match family {
                Netlink::Uevent => Family::Uevent,
                Netlink::Route => Family::Route,
                Netlink::Generic => Family::Generic,
                Netlink::Audit => Family::Audit,
            }),
            Capability::Device { class } => Self::Device(match class {
                DeviceClass::Block => Class::Block,
                DeviceClass::Tty => Class::Tty,
                DeviceClass::Input => Class::Input,
                DeviceClass::Drm => Class::Drm,
                DeviceClass::Net => Class::Net,
                DeviceClass::Hidraw => Class::Hidraw,
            }),
            Capability::Endpoint { interface, version } => Self::Endpoint((interface.0, *version)),
            Capability::Wit(name) => Self::Wit(name.to_string()),
        }
    }
}

impl TryFrom<Wire> for Capability {
    type Error = &'static str;

    fn try_from(wire: Wire) -> Result<Self, &'static str> {
        Ok(match wire {
            Wire::FilesystemRoot => Self::FilesystemRoot,
            Wire::LegacyLogind => Self::LegacyLogind,
            Wire::Spawn => Self::Spawn,
            Wire::Journal => Self::Journal,
            Wire::SwitchRoot => Self::SwitchRoot,
            Wire::Power => Self::Power,
            Wire::KernelNetlink(family) => Self::KernelNetlink(match family {
                Family::Uevent => Netlink::Uevent,
                Family::Route => Netlink::Route,
                Family::Generic => Netlink::Generic,
                Family::Audit => Netlink::Audit,
            }),
            Wire::Device(class) => Self::Device {
                class: match class {
                    Class::Block => DeviceClass::Block,
                    Class::Tty => DeviceClass::Tty,
                    Class::Input => DeviceClass::Input,
                    Class::Drm => DeviceClass::Drm,
                    Class::Net => DeviceClass::Net,
                    Class::Hidraw => DeviceClass::Hidraw,
                },
            },
            Wire::Endpoint((interface, version)) => Self::Endpoint {
                interface: InterfaceId(interface),
                version,
            },
            Wire::Wit(name) if name.len() > MAX_TEXT => return Err("the name is too long"),
            Wire::Wit(name) => Self::Wit(name.parse().map_err(|_| "not the name of an interface")?),
        })
    }
}

/// One capability, for `serde(with)`.
pub(crate) fn serialize<S: Serializer>(
    capability: &Capability,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    Wire::from(capability).serialize(serializer)
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Capability, D::Error> {
    let wire = Wire::deserialize(deserializer)?;
    wire.try_into().map_err(de::Error::custom)
}

/// The same for a list of them.
pub(crate) mod list {
    use super::{Capability, Deserialize, Deserializer, Serializer, Wire, de};

    pub(crate) fn serialize<S: Serializer>(
        list: &[Capability],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(list.iter().map(Wire::from))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<Capability>, D::Error> {
        let list = <Vec<Wire>>::deserialize(deserializer)?;
        let list = list.into_iter().map(Capability::try_from);
        list.collect::<Result<_, _>>().map_err(de::Error::custom)
    }
}
