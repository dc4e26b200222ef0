//! Which capabilities are left (`capabilities(7)`).
//!
//! A user other than 0 has none, whatever its permissions. User 0 keeps what its permissions are for; the rest
//! would undo them.

use arje_card::{Card, Filesystem, Networking};

use super::is_confined;

const CHOWN: u64 = 1;
const DAC_OVERRIDE: u64 = 1 << 1;
const DAC_READ_SEARCH: u64 = 1 << 2;
const FOWNER: u64 = 1 << 3;
const FSETID: u64 = 1 << 4;
const KILL: u64 = 1 << 5;
const SETGID: u64 = 1 << 6;
const SETUID: u64 = 1 << 7;
const SETPCAP: u64 = 1 << 8;
const NET_BIND_SERVICE: u64 = 1 << 10;
const NET_BROADCAST: u64 = 1 << 11;
const NET_ADMIN: u64 = 1 << 12;
const NET_RAW: u64 = 1 << 13;

/// The bounding set of a Card's program; `None` leaves everything as it is.
pub(super) fn kept(card: &Card) -> Option<u64> {
    if card.soma.run_as.as_ref().is_some_and(|user| user.uid != 0) {
        return Some(0);
    }
    let permissions = &card.permissions;
    if !is_confined(permissions) {
        return None;
    }
    let network = match permissions.networking {
        // No connection leaves it; or no port is its to choose.
        Networking::None | Networking::Outbound => 0,
        Networking::Loopback => NET_BIND_SERVICE,
        // The host's network with all its settings.
        Networking::Full => NET_BIND_SERVICE | NET_BROADCAST | NET_ADMIN | NET_RAW,
    };
    let files = for_files(permissions.filesystem);
    // A service that starts others gives them users of their own, and signals them. Without that, its user is the
    // Card's to choose.
    let processes = if permissions.processes {
        KILL | SETGID | SETUID | SETPCAP
    } else {
        0
    };
    Some(network | files | processes)
}

/// What a process keeps in which a component of this Card runs: what the component can use in PID 1, too.
pub(super) fn kept_for_component(card: &Card) -> u64 {
    if card.soma.run_as.as_ref().is_some_and(|user| user.uid != 0) {
        return 0;
    }
    let network = match card.permissions.networking {
        Networking::None => 0,
        _ => NET_BIND_SERVICE,
    };
    network | for_files(card.permissions.filesystem)
}

fn for_files(filesystem: Filesystem) -> u64 {
    match filesystem {
        Filesystem::None => 0,
        // "Reading" is reading what user 0 can read.
        Filesystem::ReadOnly => DAC_READ_SEARCH,
        Filesystem::ReadWrite => CHOWN | DAC_OVERRIDE | DAC_READ_SEARCH | FOWNER | FSETID,
    }
}
