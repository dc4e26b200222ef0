//! Capabilities as words of the command line: as `ente status` prints them.

use arje_card::{Capability, DeviceClass, Netlink};

/// `Journal`, `Device:Block`, `KernelNetlink:Route`, `UUID@VERSION` or `NAMESPACE:PACKAGE/INTERFACE@VERSION`. The
/// last two may have `Endpoint:` and `Wit:` in front.
///
/// # Errors
/// It is none of these.
pub fn parse(word: &str) -> Result<Capability, String> {
    let plain = [
        Capability::FilesystemRoot,
        Capability::LegacyLogind,
        Capability::Spawn,
        Capability::Journal,
        Capability::SwitchRoot,
        Capability::Power,
    ];
    let netlink = [
        Netlink::Uevent,
        Netlink::Route,
        Netlink::Generic,
        Netlink::Audit,
    ];
    let devices = DeviceClass::ALL.map(|class| Capability::Device { class });
    let mut named = plain
        .into_iter()
        .chain(netlink.map(Capability::KernelNetlink))
        .chain(devices);
    let found = named.find(|capability| capability.to_string() == word);
    found
        .or_else(|| endpoint(word))
        .or_else(|| {
            let name = word.strip_prefix("Wit:").unwrap_or(word);
            name.parse().ok().map(Capability::Wit)
        })
        .ok_or_else(|| {
            format!(
                "{word:?} is not a capability; expected a name such as Journal, UUID@VERSION, or \
                 namespace:package/interface@1.0.0"
            )
        })
}

fn endpoint(word: &str) -> Option<Capability> {
    let (interface, version) = word
        .strip_prefix("Endpoint:")
        .unwrap_or(word)
        .split_once('@')?;
    Some(Capability::Endpoint {
        interface: interface.parse().ok()?,
        version: version.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_as_they_are_printed() {
        let uuid = "ec40a100-0000-0000-0180-00deadbeefca";
        for word in [
            "Journal",
            "KernelNetlink:Audit",
            "Device:Drm",
            &format!("Endpoint:{uuid}@1"),
            "Wit:acme:kv/store@1.2.0",
        ] {
            assert_eq!(parse(word).unwrap().to_string(), word);
        }
        for (short, long) in [
            ("acme:kv/store@1.2.0", "Wit:acme:kv/store@1.2.0"),
            (&*format!("{uuid}@7"), &*format!("Endpoint:{uuid}@7")),
        ] {
            assert_eq!(parse(short).unwrap().to_string(), long);
        }
        for word in ["", "journal", "Device:Floppy", "acme:kv/store", "1234@1"] {
            assert!(parse(word).is_err(), "{word}");
        }
    }
}
