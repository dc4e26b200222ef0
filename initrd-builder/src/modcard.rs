//! The Card that loads kernel modules at boot: a native one-shot, packed into the seed's genesis.

use arje_card::{
    Card, Filesystem, Id, Lifecycle, NativePayload, Networking, Payload, Priority, Readiness,
    Supervision,
};
use arje_store::Sha256;

use crate::busybox;
use crate::kmod::Selection;

/// The Card's label.
pub const LABEL: &str = "modules-load";

/// The Card that loads these modules in their order; `None` when there are none to load.
///
/// All are named, although modprobe follows `modules.dep` by itself: busybox does not know soft
/// dependencies, and a fixed order makes boots alike. The identity comes from the label, so that the same
/// image is made again.
#[must_use]
pub fn card(selection: &Selection) -> Option<Card> {
    if selection.modules.is_empty() {
        return None;
    }
    let mut argv = vec!["modprobe".to_owned(), "-a".to_owned()];
    argv.extend(selection.modules.iter().map(|module| module.name.clone()));
    let payload = Payload::Native(NativePayload {
        exec: busybox::PATH.to_owned(),
        argv,
        ..NativePayload::default()
    });
    let mut card = Card::new(id(), LABEL, payload, Supervision::OneShot);
    card.lifecycle = Lifecycle::Oneshot;
    card.readiness = Readiness::Exit;
    card.priority = Priority::Critical;
    // Unconfined, which is what the init asks of native Cards until it can confine them; reading files and
    // loading modules is all it does.
    card.permissions.networking = Networking::Full;
    card.permissions.filesystem = Filesystem::ReadWrite;
    card.permissions.processes = true;
    Some(card)
}

/// A ULID made of the first half of the label's sha256, with the time part 0: it can be told from one made by
/// a clock.
fn id() -> Id {
    let hash = Sha256::of(LABEL.as_bytes());
    let mut bytes = [0; 16];
    bytes[6..].copy_from_slice(&hash.as_bytes()[..10]);
    Id::from_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kmod::KernelModule;

    #[test]
    fn modules_are_named_in_loading_order() {
        let module = |name: &str| KernelModule {
            name: name.to_owned(),
            path: format!("kernel/{name}.ko"),
            data: Vec::new(),
            deps: Vec::new(),
        };
        let selection = Selection {
            modules: vec![module("failover"), module("virtio_net")],
            builtin: vec!["ext4".to_owned()],
        };
        let first = card(&selection).unwrap();
        let Payload::Native(native) = &first.payload else {
            panic!("{:?}", first.payload)
        };
        assert_eq!(native.argv, ["modprobe", "-a", "failover", "virtio_net"]);
        assert!(!first.id.is_nil());
        assert_eq!(Some(first), card(&selection));
        assert_eq!(card(&Selection::default()), None);
    }
}
