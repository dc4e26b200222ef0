//! The one table that says which imported interface needs which permission. The linker of a Wasm Ente
//! links by it, `ente verify` judges by it, and `docs/permissions.md` is generated from it.
//!
//! The rule behind the table: an interface that by itself reaches nothing is always granted, because
//! everything built on a C library imports it; an interface that hands out authority (a socket, a
//! network, a request) needs the permission. So `wasi:sockets/tcp` is granted (its sockets come only from
//! `tcp-create-socket`) and `wasi:filesystem/preopens` is granted (it lists the Card's `preopens`, and
//! those need `permissions.filesystem`).

use std::fmt;

use crate::Card;
use crate::interface::InterfaceName;
use crate::permissions::{Networking, Permissions};

/// What an interface needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// Nothing: it reaches nothing by itself.
    Nothing,
    /// At least this much of `permissions.networking`.
    Networking(Networking),
}

impl Needs {
    /// Whether these permissions contain what is needed.
    pub fn granted_by(self, permissions: &Permissions) -> bool {
        match self {
            Self::Nothing => true,
            Self::Networking(least) => permissions.networking >= least,
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

/// An import that the Card does not grant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Surplus {
    /// Label of the Card.
    pub label: String,
    /// The import, as the component names it.
    pub import: String,
    /// Why it is refused.
    pub reason: SurplusReason,
}

/// Why an import is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SurplusReason {
    /// The Card would have to grant more.
    NotGranted {
        /// What would allow it.
        needs: Needs,
        /// What the Card grants of that.
        granted: Networking,
    },
    /// The host has the interface in this version, which is not compatible with the one imported.
    Version(&'static Grant),
    /// The host has no such interface.
    Unknown,
}

impl fmt::Display for Surplus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Card {:?}: {}", self.label, self.refusal())
    }
}

impl Surplus {
    /// The import, why it is refused, and what to do, without the Card's label.
    #[must_use]
    pub fn refusal(&self) -> String {
        let Self { import, reason, .. } = self;
        let why = match reason {
            SurplusReason::NotGranted { needs, granted } => format!(
                "which needs {needs}; found {:?}; grant it in the Card or use another component",
                granted.as_str()
            ),
            SurplusReason::Version(Grant {
                interface,
                version: (major, minor, patch),
                ..
            }) => format!(
                "but this host has {interface}@{major}.{minor}.{patch}; build the component against that"
            ),
            SurplusReason::Unknown => {
                "which this host does not have; no permission allows it; build the component without it"
                    .to_owned()
            }
        };
        format!("the component imports {import}, {why}")
    }
}

impl std::error::Error for Surplus {}

/// Compares what a component imports with what its Card grants.
///
/// # Errors
/// Every import that is not granted, in the order given.
pub fn audit<'i>(
    card: &Card,
    imports: impl IntoIterator<Item = &'i str>,
) -> Result<(), Vec<Surplus>> {
    let surplus: Vec<Surplus> = imports
        .into_iter()
        .filter_map(|import| judge(card, import))
        .collect();
    if surplus.is_empty() {
        Ok(())
    } else {
        Err(surplus)
    }
}

/// How many imports [`summary`] names, over all reasons.
const MAX_NAMED: usize = 4;

/// How much of an import's name [`summary`] shows, bytes. Real ones have less.
const MAX_NAME_BYTES: usize = 48;

/// All of a component's surplus in one text of less than 512 bytes, however much there is: what to do comes before
/// which imports it is about, and those are named as far as there is room. [`Surplus`] tells of each.
pub fn summary(surplus: &[Surplus]) -> String {
    let names = |wanted: fn(&SurplusReason) -> bool| -> Vec<&str> {
        let of_reason = surplus.iter().filter(|one| wanted(&one.reason));
        of_reason.map(|one| one.import.as_str()).collect()
    };
    let not_granted = names(|reason| matches!(reason, SurplusReason::NotGranted { .. }));
    let other_version = names(|reason| matches!(reason, SurplusReason::Version(_)));
    let unknown = names(|reason| matches!(reason, SurplusReason::Unknown));
    let groups = [&not_granted, &other_version, &unknown];
    let reasons = groups.iter().filter(|group| !group.is_empty()).count();
    let shown = MAX_NAMED / reasons.max(1);
    let mut parts = Vec::new();
    if let Some((needs, granted)) = least_grant(surplus) {
        let found = granted.as_str();
        let names = some_of(&not_granted, shown);
        parts.push(format!("it needs {needs}, found {found:?}, for {names}"));
    }
    if !other_version.is_empty() {
        let names = some_of(&other_version, shown);
        parts.push(format!("this host has other versions of {names}"));
    }
    if !unknown.is_empty() {
        parts.push(format!("this host has no {}", some_of(&unknown, shown)));
    }
    let remedy = match least_grant(surplus).is_some() {
        true if reasons == 1 => "grant it in the Card, or use another component",
        _ => "no permission allows that: build the component without, or use another one",
    };
    format!("{}; {remedy}", parts.join("; "))
}

/// The one setting that would grant all that can be granted, and what stands there.
fn least_grant(surplus: &[Surplus]) -> Option<(Needs, Networking)> {
    let networking = surplus.iter().filter_map(|one| match one.reason {
        SurplusReason::NotGranted {
            needs: Needs::Networking(least),
            granted,
        } => Some((least, granted)),
        _ => None,
    });
    let (least, granted) = networking.max_by_key(|(least, _)| *least)?;
    Some((Needs::Networking(least), granted))
}

fn some_of(names: &[&str], shown: usize) -> String {
    let cut = |name: &&str| match name.len() > MAX_NAME_BYTES {
        true => format!("{}…", &name[..name.floor_char_boundary(MAX_NAME_BYTES)]),
        false => (*name).to_owned(),
    };
    let named: Vec<String> = names.iter().take(shown).map(cut).collect();
    let named = named.join(", ");
    match names.len().saturating_sub(shown) {
        0 => named,
        more => format!("{named} and {more} more"),
    }
}

fn judge(card: &Card, import: &str) -> Option<Surplus> {
    let reason = match lookup(import) {
        Some(grant) if grant.needs.granted_by(&card.permissions) => return None,
        Some(grant) => SurplusReason::NotGranted {
            needs: grant.needs,
            granted: card.permissions.networking,
        },
        None => other_version(import).map_or(SurplusReason::Unknown, SurplusReason::Version),
    };
    Some(Surplus {
        label: card.label.clone(),
        import: import.to_owned(),
        reason,
    })
}

fn other_version(import: &str) -> Option<&'static Grant> {
    let path = import.split_once('@').map_or(import, |(path, _)| path);
    GRANTS.iter().find(|grant| grant.interface == path)
}

/// The table in Markdown, with the rule that explains it: the text of `docs/permissions.md`.
pub fn markdown() -> String {
    let mut text = String::from(HEAD);
    for grant in GRANTS {
        let (major, minor, patch) = grant.version;
        let needs = match grant.needs {
            Needs::Nothing => "always granted".to_owned(),
            needs @ Needs::Networking(_) => format!("`{needs}` or more"),
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

<!-- Generated from the table in host/card/src/grants.rs; UPDATE_GOLDEN=1 cargo test -p arje-card rewrites it. -->

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
(`wasi:cli/run`, `arje:ente/service`, `wasi:http/incoming-handler`) need no permission; `entry` names one of them.

`permissions.networking` also bounds what a socket may do: `loopback` binds and connects on loopback addresses only,
`outbound` connects to anywhere and never listens, `full` does both anywhere. A socket in the Card's `listen` is the
host's: on loopback it needs `loopback` or more, elsewhere `full`. `permissions.filesystem` bounds the
Card's `preopens`: a folder with `\"ro\": true` needs `read-only`, any other `read-write`.
";
