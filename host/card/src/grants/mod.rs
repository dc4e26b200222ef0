//! The one table that says which imported interface needs which permission. The linker of a Wasm Ente
//! links by it, `ente verify` judges by it, and `docs/permissions.md` is generated from it.
//!
//! The rule behind the table: an interface that by itself reaches nothing is always granted, because
//! everything built on a C library imports it; an interface that hands out authority (a socket, a
//! network, a request) needs the permission. So `wasi:sockets/tcp` is granted (its sockets come only from
//! `tcp-create-socket`) and `wasi:filesystem/preopens` is granted (it lists the Card's `preopens`, and
//! those need `permissions.filesystem`).

mod surplus;

use std::fmt;

use crate::interface::InterfaceName;
use crate::permissions::Networking;
use crate::{Capability, Card};

pub use surplus::{Surplus, SurplusReason, audit, summary};

/// What an interface needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// Nothing: it reaches nothing by itself.
    Nothing,
    /// At least this much of `permissions.networking`.
    Networking(Networking),
    /// This name in `permissions.ipc.allow`.
    Ipc(&'static str),
    /// The capability `Spawn` in `holds`.
    Spawn,
}

impl Needs {
    /// Whether this Card grants what is needed.
    pub fn granted_by(self, card: &Card) -> bool {
        match self {
            Self::Nothing => true,
            Self::Networking(least) => card.permissions.networking >= least,
            Self::Ipc(name) => card.permissions.ipc.allows(name),
            Self::Spawn => card.holds.contains(&Capability::Spawn),
        }
    }

    /// What this Card grants of that, as it stands there.
    fn found_in(self, card: &Card) -> String {
        match self {
            Self::Nothing => String::new(),
            Self::Networking(_) => format!("{:?}", card.permissions.networking.as_str()),
            Self::Ipc(_) => format!("{:?}", card.permissions.ipc.allow),
            Self::Spawn => {
                let held: Vec<String> = card.holds.iter().map(ToString::to_string).collect();
                format!("{held:?}")
            }
        }
    }
}

impl fmt::Display for Needs {
    /// As a setting in a Card.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.write_str("nothing"),
            Self::Networking(least) => {
                write!(f, "permissions.networking = {:?}", least.as_str())
            }
            Self::Ipc(name) => write!(f, "{name:?} in permissions.ipc.allow"),
            Self::Spawn => f.write_str("\"Spawn\" in holds"),
        }
    }
}

/// An interface the host can link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    /// `namespace:package/interface`.
    pub interface: &'static str,
    /// The version from which on the host has it, and which a component may import in any compatible form.
    pub version: (u32, u32, u32),
    /// What it needs.
    pub needs: Needs,
    /// What it reaches, and why it needs that.
    pub why: &'static str,
}

const WASI: (u32, u32, u32) = (0, 2, 0);
const ENTE: (u32, u32, u32) = (1, 0, 0);

const fn free(interface: &'static str, version: (u32, u32, u32), why: &'static str) -> Grant {
    Grant {
        interface,
        version,
        needs: Needs::Nothing,
        why,
    }
}

const fn network(interface: &'static str, least: Networking, why: &'static str) -> Grant {
    Grant {
        interface,
        version: WASI,
        needs: Needs::Networking(least),
        why,
    }
}

/// Every interface the host can link, in the order of the documentation.
pub const GRANTS: &[Grant] = &[
    free("arje:ente/types", ENTE, "types only"),
    free(
        "arje:ente/log",
        ENTE,
        "log lines under the Ente's own label",
    ),
    free("arje:ente/clock", ENTE, "reads the clocks"),
    free("arje:ente/timer", ENTE, "calls of the Ente itself, later"),
    Grant {
        interface: "arje:ente/supervisor",
        version: ENTE,
        needs: Needs::Spawn,
        why: "sees, starts, stops, kills and removes any Ente; brings Cards to life that have no more than its own",
    },
    free("arje:bus/types", ENTE, "types only"),
    Grant {
        interface: "arje:bus/bus",
        version: ENTE,
        needs: Needs::Ipc("wit-v1"),
        why: "calls whoever provides a capability; lists Entes",
    },
    free("wasi:cli/environment", WASI, "the Card's own argv and envp"),
    free("wasi:cli/exit", WASI, "ends the Ente itself"),
    free("wasi:cli/stdin", WASI, "an empty stream"),
    free(
        "wasi:cli/stdout",
        WASI,
        "becomes log lines under the Ente's own label",
    ),
    free(
        "wasi:cli/stderr",
        WASI,
        "becomes log lines under the Ente's own label",
    ),
    free("wasi:cli/terminal-input", WASI, "types only"),
    free("wasi:cli/terminal-output", WASI, "types only"),
    free(
        "wasi:cli/terminal-stdin",
        WASI,
        "says that there is no terminal",
    ),
    free(
        "wasi:cli/terminal-stdout",
        WASI,
        "says that there is no terminal",
    ),
    free(
        "wasi:cli/terminal-stderr",
        WASI,
        "says that there is no terminal",
    ),
    free(
        "wasi:io/error",
        WASI,
        "describes errors of other interfaces",
    ),
    free(
        "wasi:io/poll",
        WASI,
        "waits for what other interfaces handed out",
    ),
    free(
        "wasi:io/streams",
        WASI,
        "moves bytes of streams that other interfaces handed out",
    ),
    free(
        "wasi:clocks/monotonic-clock",
        WASI,
        "reads a clock and waits",
    ),
    free("wasi:clocks/wall-clock", WASI, "reads a clock"),
    free("wasi:random/random", WASI, "random bytes"),
    free("wasi:random/insecure", WASI, "pseudo-random bytes"),
    free("wasi:random/insecure-seed", WASI, "a seed for hash tables"),
    free(
        "wasi:filesystem/types",
        WASI,
        "acts on descriptors, which come from preopens only",
    ),
    free(
        "wasi:filesystem/preopens",
        WASI,
        "lists the Card's preopens, each of which needs permissions.filesystem",
    ),
    free(
        "wasi:sockets/network",
        WASI,
        "types only; networks come from instance-network",
    ),
    network(
        "wasi:sockets/instance-network",
        Networking::Loopback,
        "hands out the network that addresses are bound on",
    ),
    free(
        "wasi:sockets/tcp",
        WASI,
        "acts on sockets, which come from tcp-create-socket only",
    ),
    network(
        "wasi:sockets/tcp-create-socket",
        Networking::Loopback,
        "hands out sockets",
    ),
    free(
        "wasi:sockets/udp",
        WASI,
        "acts on sockets, which come from udp-create-socket only",
    ),
    network(
        "wasi:sockets/udp-create-socket",
        Networking::Loopback,
        "hands out sockets",
    ),
    network(
        "wasi:sockets/ip-name-lookup",
        Networking::Loopback,
        "every program that connects by name or address imports it; only \"outbound\" lets it ask name servers, which are elsewhere",
    ),
    free(
        "wasi:http/types",
        WASI,
        "requests and responses; sent by outgoing-handler only",
    ),
    network(
        "wasi:http/outgoing-handler",
        Networking::Outbound,
        "sends requests to anywhere",
    ),
];

/// The entry for an import, `namespace:package/interface@version`. The version must be compatible by
/// semver: same major, for 0.x same minor. `None` means that the host has no such interface.
pub fn lookup(import: &str) -> Option<&'static Grant> {
    let name: InterfaceName = import.parse().ok()?;
    let compatible = |grant: &&Grant| name.path() == grant.interface && same_track(&name, grant);
    GRANTS.iter().find(compatible)
}

fn same_track(name: &InterfaceName, grant: &Grant) -> bool {
    let ((major, minor, _), (host_major, host_minor, _)) = (name.version(), grant.version);
    major == host_major && (major > 0 || minor == host_minor)
}

/// The table in Markdown, with the rule that explains it: the text of `docs/permissions.md`.
pub fn markdown() -> String {
    let mut text = String::from(HEAD);
    for grant in GRANTS {
        let (major, minor, patch) = grant.version;
        let needs = match grant.needs {
            Needs::Nothing => "always granted".to_owned(),
            needs @ Needs::Networking(_) => format!("`{needs}` or more"),
            needs @ (Needs::Ipc(_) | Needs::Spawn) => format!("`{needs}`"),
        };
        let row = format!(
            "| `{}@{major}.{minor}.{patch}` | {needs} | {} |\n",
            grant.interface, grant.why
        );
        text.push_str(&row);
    }
    text.push_str(TAIL);
    text
}

const HEAD: &str = "\
# Permissions of a component

<!-- Generated from the table in host/card/src/grants/mod.rs; UPDATE_GOLDEN=1 cargo test -p arje-card rewrites it. -->

A component reaches only the interfaces it imports, and the host links only those that its Card grants. An import that
is not granted is refused before anything runs, by name, with the permission that would allow it; `ente verify` says the
same without running anything.

An interface that by itself reaches nothing is always granted: programs built on a C library import most of them without
using them. An interface that hands out authority needs a permission.

| interface | needs | reaches |
|---|---|---|
";

const TAIL: &str = "
An import may name any compatible version (same major; for 0.x the same minor). The exports that the host calls
(`wasi:cli/run`, `wasi:http/incoming-handler`, `arje:bus/handler`; of `arje:ente`: `service`, `health`, `timer-handler`,
`supervisor-handler`) need no permission; `entry` names the one that it is driven by.

An interface that the host does not have is granted by `requires`, if another Ente provides it: `{\"Wit\": \"acme:kv/store@1.2.0\"}`
there allows the import of `acme:kv/store` in that version and in older compatible ones. Interfaces that hold nothing but types
need nothing.

`permissions.networking` also bounds what a socket may do: `loopback` binds and connects on loopback addresses only,
`outbound` connects to anywhere and never listens, `full` does both anywhere. Host names are looked up in ASCII: one with
other letters is an invalid argument, its punycode (`xn--…`) is not. A socket in the Card's `listen` is the host's: on
loopback it needs `loopback` or more, elsewhere `full`. `permissions.filesystem` bounds the Card's `preopens`: a folder
with `\"ro\": true` needs `read-only`, any other `read-write`.
";
